//! The sending half of a stream: what is long gives way to what is short.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use quinn::{SendStream, StoppedError};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use super::tap::Tap;

/// Behind everything that says nothing of its own, which is 0.
const BULK: i32 = -1;
/// After a short word somebody may be waiting for the next one for so long: a person who types, an agent that asks.
const LIVELY: Duration = Duration::from_millis(100);
/// What is long then goes out in pieces of so many bytes: what is on its way already goes first whatever its place, and
/// takes about half a millisecond on the fastest of ways.
const PIECE_BYTES: usize = 256 * 1024;
/// And lets go for so long after each: what all other tasks need for a word there and back. A way of 10 MB/s loses a
/// twentieth by it.
const PAUSE: Duration = Duration::from_millis(1);

/// When something short was said last on a link. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Lively(Arc<AtomicU64>);

impl Lively {
    /// Milliseconds since the first of all links; never 0.
    fn now() -> u64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn said(&self) {
        self.0.store(Lively::now(), Ordering::Relaxed);
    }

    fn is_lively(&self) -> bool {
        let said = self.0.load(Ordering::Relaxed);
        said > 0 && u128::from(Lively::now().saturating_sub(said)) <= LIVELY.as_millis()
    }
}

/// What is long: how much of a piece is out, and the pause after one.
#[derive(Debug, Default)]
struct Bulk {
    bytes: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The sending half of a stream, and whoever writes down what goes through it.
#[derive(Debug)]
pub struct Outgoing {
    stream: SendStream,
    tap: Option<Tap>,
    lively: Lively,
    bulk: Option<Bulk>,
}

impl Outgoing {
    pub(super) fn new(stream: SendStream, tap: Option<Tap>, lively: Lively) -> Outgoing {
        Outgoing { stream, tap, lively, bulk: None }
    }

    /// Everything else goes first: what is long must not hold up what is short.
    pub fn yields(&mut self) {
        // A stream that is over needs no place in the queue.
        let _ = self.stream.set_priority(BULK);
        self.bulk = Some(Bulk::default());
    }

    /// Says that nothing follows. A stream that is over already says so by itself.
    pub(super) fn finish(&mut self) {
        let _ = self.stream.finish();
    }

    /// Returns when the other end has read all of it, or wants no more.
    pub(super) async fn stopped(&mut self) -> Result<Option<quinn::VarInt>, StoppedError> {
        self.stream.stopped().await
    }

    /// How much may go out now.
    fn poll_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<usize> {
        let Some(bulk) = &mut self.bulk else {
            self.lively.said();
            return Poll::Ready(bytes);
        };
        if let Some(pause) = &mut bulk.pause {
            ready!(pause.as_mut().poll(cx));
            *bulk = Bulk::default();
        }
        if bulk.bytes < PIECE_BYTES {
            return Poll::Ready(bytes.min(PIECE_BYTES - bulk.bytes));
        }
        if !self.lively.is_lively() {
            bulk.bytes = 0;
            return Poll::Ready(bytes.min(PIECE_BYTES));
        }
        let mut pause = Box::pin(sleep(PAUSE));
        // It is not over yet, and wakes this task when it is.
        let polled = pause.as_mut().poll(cx);
        bulk.pause = Some(pause);
        polled.map(|()| bytes.min(PIECE_BYTES))
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let room = ready!(this.poll_room(cx, bytes.len()));
        let wrote = AsyncWrite::poll_write(Pin::new(&mut this.stream), cx, &bytes[..room]);
        if let Poll::Ready(Ok(count)) = &wrote {
            if let Some(bulk) = &mut this.bulk {
                bulk.bytes += count;
            }
            if let Some(tap) = &this.tap {
                tap.write(&bytes[..*count]);
            }
        }
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_lively_once_something_was_said() {
        let lively = Lively::default();
        assert!(!lively.is_lively());
        lively.clone().said();
        assert!(lively.is_lively());
    }
}

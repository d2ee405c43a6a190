//! What a node says to others, written down before it is encrypted: for whoever wants to see what leaves a machine.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::{SendStream, StoppedError};
use tokio::io::AsyncWrite;

/// As much is written down; what is said later is not, and the file ends with a word about it.
pub const CAPTURE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Behind everything that says nothing of its own, which is 0.
const BULK: i32 = -1;

/// The file all streams of a node are written to. Clones share it.
#[derive(Clone, Debug)]
pub struct Tap(Arc<Mutex<Written>>);

#[derive(Debug)]
struct Written {
    file: File,
    bytes: u64,
}

impl Tap {
    /// Appends to the file; it is for its user alone.
    pub fn open(path: &Path) -> io::Result<Tap> {
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Tap(Arc::new(Mutex::new(Written { file, bytes }))))
    }

    fn write(&self, bytes: &[u8]) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.bytes > CAPTURE_BYTES_MAX {
            return;
        }
        written.bytes += bytes.len() as u64;
        let cut = written.bytes > CAPTURE_BYTES_MAX;
        let text = if cut { b"\n-- more was said than is written down --\n" } else { bytes };
        if let Err(error) = written.file.write_all(text) {
            tracing::warn!(%error, "what is said to other nodes is not written down");
        }
    }
}

/// The sending half of a stream, and whoever writes down what goes through it.
#[derive(Debug)]
pub struct Outgoing {
    stream: SendStream,
    tap: Option<Tap>,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream, tap: Option<Tap>) -> Outgoing {
        Outgoing { stream, tap }
    }

    /// Everything else goes first: what is long must not hold up what is short.
    pub fn yields(&self) {
        // A stream that is over needs no place in the queue.
        let _ = self.stream.set_priority(BULK);
    }

    /// Says that nothing follows. A stream that is over already says so by itself.
    pub(super) fn finish(&mut self) {
        let _ = self.stream.finish();
    }

    /// Returns when the other end has read all of it, or wants no more.
    pub(super) async fn stopped(&mut self) -> Result<Option<quinn::VarInt>, StoppedError> {
        self.stream.stopped().await
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = AsyncWrite::poll_write(Pin::new(&mut self.stream), cx, bytes);
        if let (Poll::Ready(Ok(count)), Some(tap)) = (&wrote, &self.tap) {
            tap.write(&bytes[..*count]);
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

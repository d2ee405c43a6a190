//! The stream a link's messages are written to, by whoever sends one and by the task that empties the queue.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;

/// Messages that come so soon one after the other are a stream of them: they wait for those that follow, and one write
/// takes them all.
const CLOSE_BEHIND: Duration = Duration::from_micros(10);
/// So many that belong together go out one by one all the same: what was printed, and the news of it.
const TOGETHER_MAX: u32 = 4;

type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// Clones share the stream.
#[derive(Clone)]
pub(super) struct Out(Arc<Mutex<State>>);

struct State {
    /// Nothing once the link is over.
    writer: Option<Writer>,
    /// Messages in the queue: whoever comes now comes after them.
    queued: usize,
    /// What is not yet written, or not yet flushed, of a message that went out past the queue.
    left: Option<(Vec<u8>, OwnedSemaphorePermit)>,
    /// The task, while it waits for something to be left.
    task: Waker,
    /// What is wrong with the stream.
    broken: Option<io::Error>,
    sent: Option<Instant>,
    /// How many came close behind one another.
    together: u32,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Out")
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl State {
    fn writer(&mut self) -> io::Result<Pin<&mut (dyn AsyncWrite + Send + 'static)>> {
        self.writer.as_mut().map(Writer::as_mut).ok_or_else(gone)
    }

    /// Whether messages come so fast that they are better written together. The one before this may be on its way yet.
    fn is_stream(&mut self, now: Instant) -> bool {
        let close = self.sent.is_some_and(|sent| now.saturating_duration_since(sent) < CLOSE_BEHIND);
        self.together = if close { self.together.saturating_add(1) } else { 0 };
        self.sent = Some(now);
        self.together >= TOGETHER_MAX
    }

    /// Whether there is something that comes before the next message, or no use in writing one.
    fn is_busy(&self) -> bool {
        self.queued > 0 || self.left.is_some() || self.broken.is_some() || self.writer.is_none()
    }

    /// Writes as much of it as the stream takes; whether that was all.
    fn poll_all(&mut self, cx: &mut Context<'_>, bytes: &[u8], done: &mut usize) -> Poll<io::Result<()>> {
        while *done < bytes.len() {
            match ready!(self.writer()?.poll_write(cx, &bytes[*done..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *done += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer()?.poll_flush(cx)
    }

    /// Goes on with what a message left behind.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((left, room)) = self.left.take() else { return Poll::Ready(Ok(())) };
        let mut done = 0;
        let written = match self.poll_all(cx, &left, &mut done) {
            Poll::Ready(Ok(())) => self.poll_flush(cx),
            other => other,
        };
        if written.is_pending() {
            self.left = Some((left[done..].to_vec(), room));
        }
        written
    }
}

impl Out {
    pub fn new(writer: Box<dyn AsyncWrite + Send>) -> Out {
        Out(Arc::new(Mutex::new(State {
            writer: Some(Box::into_pin(writer)),
            queued: 0,
            left: None,
            task: Waker::noop().clone(),
            broken: None,
            sent: None,
            together: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a frame where nothing waits and nothing was written just now. What comes back belongs into the queue; what the
    /// stream would not take of a frame that went out in part is the task's to write, and takes its room until then.
    pub fn at_once(
        &self,
        frame: Vec<u8>,
        room: OwnedSemaphorePermit,
    ) -> Option<(Vec<u8>, OwnedSemaphorePermit)> {
        let mut state = self.state();
        if state.is_stream(Instant::now()) || state.is_busy() {
            return Some((frame, room));
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut done = 0;
        let written = match state.poll_all(cx, &frame, &mut done) {
            Poll::Ready(Ok(())) => state.poll_flush(cx),
            Poll::Pending if done == 0 => return Some((frame, room)),
            other => other,
        };
        match written {
            Poll::Ready(Ok(())) => return None,
            Poll::Pending => state.left = Some((frame[done..].to_vec(), room)),
            Poll::Ready(Err(error)) => state.broken = Some(error),
        }
        state.task.wake_by_ref();
        None
    }

    /// So many messages go into the queue.
    pub fn queued(&self, count: usize) {
        self.state().queued += count;
    }

    /// So many that were in the queue are written.
    pub fn written(&self, count: usize) {
        self.state().queued -= count;
    }

    /// Returns once what a message left behind is written, which may be never; and with what went wrong.
    pub async fn left_over(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            if let Some(error) = state.broken.take() {
                return Poll::Ready(Err(error));
            }
            if state.left.is_some() {
                return state.poll_left(cx);
            }
            if !state.task.will_wake(cx.waker()) {
                state.task = cx.waker().clone();
            }
            Poll::Pending
        })
        .await
    }

    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            if let Some(error) = state.broken.take() {
                return Poll::Ready(Err(error));
            }
            ready!(state.poll_left(cx))?;
            state.poll_all(cx, bytes, &mut done)
        })
        .await
    }

    pub async fn flush(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.state().poll_flush(cx)).await
    }

    pub async fn shutdown(&self) -> io::Result<()> {
        self.write_all(&[]).await?;
        std::future::poll_fn(|cx| self.state().writer()?.poll_shutdown(cx)).await
    }

    /// Lets go of the stream: whoever still sends is told that the link is over.
    pub fn close(&self) {
        self.state().writer = None;
    }
}

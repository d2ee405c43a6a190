//! The sending direction: a message goes out where it is sent, as long as nothing waits; else into a queue with two
//! bounds, which a task empties.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::LinkError;
use super::out::Out;
use crate::wire::{self, FRAME_BYTES_MAX, LENGTH_BYTES};

/// The most frames that wait for a slow reader.
pub const QUEUE_FRAMES_MAX: usize = 1024;
/// The most bytes that wait for a slow reader: four of the largest frames.
pub const QUEUE_BYTES_MAX: usize = 4 * (FRAME_BYTES_MAX + LENGTH_BYTES);
/// How many bytes of small frames go out in one write.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a reader that does not read is waited for once nobody sends any more.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where messages go in; any number of them feed the same link. When the last one is gone what waits is written and the
/// stream is shut.
#[derive(Clone, Debug)]
pub struct LinkSender {
    out: Out,
    queue: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
    ended: watch::Receiver<Option<String>>,
    /// Nothing is ever sent here: the task notices that the last one is gone.
    _alive: mpsc::Sender<Infallible>,
}

#[derive(Debug)]
enum Item {
    Frame {
        frame: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
    /// Answered when all before it is written.
    Mark(oneshot::Sender<()>),
}

impl LinkSender {
    pub(super) fn start<W: AsyncWrite + Unpin + Send + 'static>(writer: W) -> LinkSender {
        let (queue, items) = mpsc::channel(QUEUE_FRAMES_MAX);
        let (end, ended) = watch::channel(None);
        let (alive, senders) = mpsc::channel(1);
        let out = Out::new(Box::new(writer));
        tokio::spawn(empty(out.clone(), items, senders, end));
        LinkSender { out, queue, room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)), ended, _alive: alive }
    }

    /// Sends a message, or puts it into the queue behind what waits there, once there is room in it.
    pub async fn send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), LinkError> {
        let frame = wire::encode(message)?;
        let (frame, room) = match self.room_for(&frame) {
            Some(room) => match self.out.at_once(frame, room) {
                Some(waits) => waits,
                None => return Ok(()),
            },
            None => {
                let room = Arc::clone(&self.room).acquire_many_owned(frame.len() as u32);
                let room = tokio::select! {
                    room = room => room.map_err(|_| self.over())?,
                    () = self.queue.closed() => return Err(self.over()),
                };
                (frame, room)
            }
        };
        let place = self.queue.reserve().await.map_err(|_| self.over())?;
        self.out.queued(1);
        place.send(Item::Frame { frame, _room: room });
        Ok(())
    }

    fn room_for(&self, frame: &[u8]) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(frame.len() as u32).ok()
    }

    /// Sends a message, or queues it if there is room: for watchers, who must never hold up what they watch.
    pub fn try_send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), LinkError> {
        let frame = wire::encode(message)?;
        if self.queue.is_closed() {
            return Err(self.over());
        }
        let room = self.room_for(&frame).ok_or(LinkError::Full)?;
        let Some((frame, room)) = self.out.at_once(frame, room) else { return Ok(()) };
        let place = self.queue.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => LinkError::Full,
            TrySendError::Closed(()) => self.over(),
        })?;
        self.out.queued(1);
        place.send(Item::Frame { frame, _room: room });
        Ok(())
    }

    /// Returns when everything sent so far is written.
    pub async fn flush(&self) -> Result<(), LinkError> {
        let (mark, written) = oneshot::channel();
        let place = self.queue.reserve().await.map_err(|_| self.over())?;
        self.out.queued(1);
        place.send(Item::Mark(mark));
        written.await.map_err(|_| self.over())
    }

    /// Returns when the link can carry nothing more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    fn over(&self) -> LinkError {
        let reason = self.ended.borrow().clone().unwrap_or_else(|| "the other end has gone".to_owned());
        LinkError::Over { reason }
    }
}

async fn empty(
    out: Out,
    mut items: mpsc::Receiver<Item>,
    mut senders: mpsc::Receiver<Infallible>,
    end: watch::Sender<Option<String>>,
) {
    let ended = {
        let mut work = pin!(pump(&out, &mut items));
        tokio::select! {
            ended = &mut work => ended,
            // Comes with nothing once the last sender is gone.
            _ = senders.recv() => tokio::time::timeout(DRAIN_TIMEOUT, &mut work).await.unwrap_or(Ok(())),
        }
    };
    if let Err(error) = ended {
        end.send_replace(Some(error.to_string()));
    }
    out.close();
}

async fn pump(out: &Out, items: &mut mpsc::Receiver<Item>) -> io::Result<()> {
    let mut waiting = Vec::new();
    let mut bytes = Vec::new();
    loop {
        // A frame that went out by half goes on here, though nothing came into the queue.
        tokio::select! {
            left = out.left_over() => {
                left?;
                continue;
            }
            count = items.recv_many(&mut waiting, QUEUE_FRAMES_MAX) => if count == 0 { break },
        }
        for item in &waiting {
            let Item::Frame { frame, .. } = item else { continue };
            if bytes.len() + frame.len() > WRITE_BYTES {
                out.write_all(&bytes).await?;
                bytes.clear();
            }
            if frame.len() > WRITE_BYTES {
                out.write_all(frame).await?;
            } else {
                bytes.extend_from_slice(frame);
            }
        }
        out.write_all(&bytes).await?;
        out.flush().await?;
        bytes.clear();
        out.written(waiting.len());
        for item in waiting.drain(..) {
            if let Item::Mark(mark) = item {
                // Whoever asked may have given up waiting.
                let _ = mark.send(());
            }
        }
    }
    out.shutdown().await
}

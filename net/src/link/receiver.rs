//! The receiving direction.

use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::LinkError;
use crate::wire::{self, LENGTH_BYTES};

/// What one read may bring, in bytes: many small messages at once, and how far memory runs ahead of a frame's bytes.
const READ_BYTES: usize = 16 * 1024;

/// Where messages come from.
#[derive(Debug)]
pub struct LinkReceiver<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer has been handed out.
    start: usize,
    over: bool,
}

impl<R: AsyncRead + Unpin> LinkReceiver<R> {
    pub(super) fn new(reader: R) -> LinkReceiver<R> {
        LinkReceiver { reader, buffer: Vec::new(), start: 0, over: false }
    }

    /// The next message; nothing when the other end has gone after a whole one. May be dropped while it waits: no byte
    /// is lost. After an error there is nothing more to be had.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        if self.over {
            return Err(LinkError::Over { reason: "it ended with an error before".to_owned() });
        }
        let received = self.next().await;
        self.over = received.is_err();
        received
    }

    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        if !self.fill(LENGTH_BYTES).await? {
            return Ok(None);
        }
        let mut head = [0; LENGTH_BYTES];
        head.copy_from_slice(&self.buffer[self.start..self.start + LENGTH_BYTES]);
        let whole = LENGTH_BYTES + wire::length(head)?;
        self.fill(whole).await?;
        let frame = &self.buffer[self.start + LENGTH_BYTES..self.start + whole];
        let message = wire::decode(frame)?;
        self.start += whole;
        Ok(Some(message))
    }

    /// Reads until so many bytes are there. False at an end between two frames.
    async fn fill(&mut self, want: usize) -> Result<bool, LinkError> {
        loop {
            let have = self.buffer.len() - self.start;
            if have >= want {
                return Ok(true);
            }
            self.make_room();
            // Memory grows with what has come, never with what was announced.
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) if have == 0 => return Ok(false),
                Ok(0) => return Err(LinkError::Cut { have, want }),
                Ok(_) => {}
                Err(source) => return Err(LinkError::Stream { source }),
            }
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        // What one large frame took is given back.
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * READ_BYTES {
            self.buffer = Vec::new();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
    }
}

//! One direction of a connection: from a socket to a socket, end of file included.
//!
//! What the receiver does not take at once is held, and as long as anything is held nothing more is read: a slow
//! receiver makes its sender wait and costs no more than one piece.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown};

/// Large enough that a system call is small beside the copying.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Moved in one direction before others have their turn.
const ROUND_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Flow {
    held: Vec<u8>,
    /// How much of that has been sent.
    sent: usize,
    /// The sender has said that nothing more comes.
    has_ended: bool,
    /// And the receiver has been told.
    is_closed: bool,
}

impl Flow {
    /// A flow that begins with what was read already.
    pub fn holding(bytes: Vec<u8>) -> Flow {
        Flow { held: bytes, ..Flow::default() }
    }

    pub fn wants_read(&self) -> bool {
        self.held.is_empty() && !self.has_ended
    }

    pub fn wants_write(&self) -> bool {
        !self.held.is_empty()
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Moves what can be moved now; says how much that was.
    pub fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, piece: &mut [u8]) -> Result<usize, Errno> {
        let mut moved = self.send_held(to)?;
        while self.held.is_empty() && !self.has_ended && moved < ROUND_BYTES_MAX {
            let count = match rustix::io::read(from, &mut *piece) {
                Ok(0) => {
                    self.has_ended = true;
                    break;
                }
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            };
            let sent = send(to, &piece[..count])?;
            moved += count;
            if sent < count {
                self.held.extend_from_slice(&piece[sent..count]);
            } else if count < piece.len() {
                // The next read would most likely bring nothing.
                break;
            }
        }
        if self.has_ended && self.held.is_empty() && !self.is_closed {
            self.is_closed = true;
            // A receiver that is gone needs to be told nothing.
            let _ = rustix::net::shutdown(to, Shutdown::Write);
        }
        Ok(moved)
    }

    pub fn send_held(&mut self, to: &OwnedFd) -> Result<usize, Errno> {
        if self.held.is_empty() {
            return Ok(0);
        }
        let sent = send(to, &self.held[self.sent..])?;
        self.sent += sent;
        if self.sent == self.held.len() {
            // Given back, not kept: most connections never hold anything.
            self.held = Vec::new();
            self.sent = 0;
        }
        Ok(sent)
    }
}

/// Sends as much as is taken now.
pub(super) fn send(to: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::net::send(to, &bytes[sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

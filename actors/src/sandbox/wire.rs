//! What the helper and whoever started it say to each other.
//!
//! The line is a pair of sockets of type SOCK_SEQPACKET, so a message arrives whole or not at all, and descriptors come
//! with the message they belong to. To the helper: the [`Policy`](super::Policy) as JSON; later one byte, "go". From the
//! helper: one [`FromHelper`] as JSON, with the listeners; later its end when the program runs, or another one.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::policy::LISTEN_MAX;

/// A policy of five hundred long paths; a socket's buffer takes it whole.
pub(super) const MESSAGE_BYTES_MAX: usize = 128 << 10;
/// The whole word "go".
pub(super) const GO: &[u8] = b"g";

/// Each layer that was made, with what shows that it is there.
pub type Layers = BTreeMap<String, String>;

/// A sandbox that was made and looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub tier: u32,
    pub layers: Layers,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromHelper {
    Refused(Refusal),
    Made(Made),
    /// The sandbox is there, and the program is not.
    Failed {
        errno: i32,
    },
}

pub(super) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_bytes(socket, &serde_json::to_vec(message)?, descriptors)
}

pub(super) fn send_bytes(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTEN_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The next message; nothing at the end of the line. Waits no longer than until `deadline`.
pub(super) fn receive(
    socket: impl AsFd,
    deadline: Instant,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Option<Vec<u8>>> {
    wait(&socket, deadline)?;
    let mut bytes = vec![0; length(&socket)?.min(MESSAGE_BYTES_MAX)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTEN_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Ok(received) => break received,
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.truncate(received.bytes);
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// How long the next message is: most are much shorter than the longest.
fn length(socket: &impl AsFd) -> io::Result<usize> {
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
    loop {
        match rustix::net::recv(socket, &mut [0_u8; 1], flags) {
            Ok((_, length)) => return Ok(length),
            // Told once, where the other side ended before it had read all: what it said before is still there.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn wait(socket: &impl AsFd, deadline: Instant) -> io::Result<()> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timespec(rest))) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

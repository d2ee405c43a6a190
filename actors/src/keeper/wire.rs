//! What the node, the keeper and the minders say to each other.
//!
//! All sockets are unix sockets of type SOCK_SEQPACKET: a message arrives whole or not at all, and descriptors come
//! with the message they belong to. Messages are MessagePack with field names, so that fields can be added; whoever
//! does not know a message answers with [`ToNode::Unknown`]. [`PROTOCOL`] stands in the names of the keeper's socket and
//! lock: a newer keeper starts beside an older one, and a minder of any version greets with its own.
//!
//! - node → keeper: [`Batch`], with a descriptor of a memory file that holds a list of [`Order`]s. The environment of
//!   a program can be larger than any message and must not reach a disk.
//! - minder → node, on the keeper's socket: [`Reply`], with the control socket and the terminal's master.
//! - node ↔ minder: [`ToMinder`] and [`ToNode`]. A connection made through the session's folder begins with
//!   [`ToNode::Hello`] and the master.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::recording::{Exit, Mark};
use crate::sandbox::Refusal;

/// 2: an order may ask for a sandbox, which an older keeper would start without one.
pub(super) const PROTOCOL: u32 = 2;
/// The longest message of all; the larger things travel in a memory file.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024;
/// More than any kernel takes as arguments and environment of one program.
pub(super) const ORDER_BYTES_MAX: usize = 8 << 20;
/// Programs started with one message: enough that the message is no cost, few enough that none waits for many.
pub(super) const BATCH_ORDERS_MAX: usize = 64;
/// A batch of orders of ordinary size stays far below; one order of the largest size fits.
pub(super) const BATCH_BYTES_MAX: usize = 16 << 20;
/// The name of a minder's socket in its session's folder.
pub(super) const SOCKET_FILE: &str = "socket";

const DESCRIPTORS_MAX: usize = 2;

pub(super) fn keeper_socket_file() -> String {
    format!("keeper-{PROTOCOL}.socket")
}

pub(super) fn keeper_lock_file() -> String {
    format!("keeper-{PROTOCOL}.lock")
}

/// What comes with a memory file of orders.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub ticket: u64,
    pub folder: ByteBuf,
    pub argv: Vec<ByteBuf>,
    pub env: Vec<(ByteBuf, ByteBuf)>,
    pub cwd: ByteBuf,
    pub cols: u16,
    pub rows: u16,
    pub record: bool,
    pub recording_bytes_max: u64,
    pub mark: u64,
    /// The policy of the sandbox the program is to run in, as JSON.
    #[serde(default)]
    pub sandbox: Option<ByteBuf>,
    /// What may be reached from inside it, as JSON.
    #[serde(default)]
    pub reach: Option<ByteBuf>,
}

/// The answer to an order, with the control socket and the master where the program runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub ticket: u64,
    pub outcome: Result<u32, Failure>,
}

/// Where a start failed, and the kernel's own word for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    pub at: FailureAt,
    pub errno: i32,
    /// Why there is no sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl Failure {
    pub fn new(at: FailureAt, errno: i32) -> Failure {
        Failure { at, errno, refusal: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FailureAt {
    Cwd,
    Program,
    Interpreter,
    Taken,
    Record,
    Terminal,
    Terminals {
        limit: u64,
        used: u64,
    },
    Fork,
    /// The sandbox was refused, or its helper broke.
    Sandbox,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToMinder {
    /// Say once when the log reaches beyond `from`.
    Follow {
        from: u64,
    },
    Mark {
        number: u64,
        mark: Mark,
    },
    Resize {
        number: u64,
        cols: u16,
        rows: u16,
    },
    /// SIGINT to whoever has the terminal's foreground.
    Interrupt {
        number: u64,
    },
    /// SIGTERM to the whole tree, and SIGKILL after the grace.
    End {
        number: u64,
        grace_ms: u64,
    },
    /// The node has noted the exit; the minder may leave.
    Acknowledge,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNode {
    Hello {
        protocol: u32,
        pid: u32,
        minder: u32,
        log_end: u64,
        exit: Option<Exit>,
    },
    Grew {
        end: u64,
    },
    /// Output is not read at the moment, because it could not be recorded; `None` when it is read again.
    Stalled {
        errno: Option<i32>,
    },
    /// The program was stopped by a signal, or goes on.
    Stopped {
        signal: Option<i32>,
    },
    /// The order of that number was carried out, or failed for this reason.
    Done {
        number: u64,
        errno: Option<i32>,
    },
    /// The exit is on disk.
    Exited {
        exit: Exit,
    },
    /// The last message is of no kind known here.
    Unknown,
}

/// A message in a buffer of its own, without an allocation.
pub(super) struct Message {
    bytes: [u8; MESSAGE_BYTES_MAX],
    len: usize,
}

impl Message {
    pub fn of(value: &impl Serialize) -> io::Result<Message> {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut rest = &mut bytes[..];
        rmp_serde::encode::write_named(&mut rest, value).map_err(io::Error::other)?;
        let len = MESSAGE_BYTES_MAX - rest.len();
        Ok(Message { bytes, len })
    }

    pub fn receive(socket: impl AsFd, descriptors: &mut Vec<OwnedFd>) -> io::Result<Message> {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let len = receive(socket, &mut bytes, descriptors)?;
        Ok(Message { bytes, len })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub fn is_end(&self) -> bool {
        self.len == 0
    }

    pub fn read<T: DeserializeOwned>(&self) -> io::Result<T> {
        rmp_serde::from_slice(self.bytes()).map_err(io::Error::other)
    }
}

/// Sends one message, never waiting.
pub(super) fn send(
    socket: impl AsFd,
    value: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let message = Message::of(value)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(message.bytes())], &mut control, flags) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives one message, never waiting; 0 bytes are the end.
fn receive(socket: impl AsFd, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut control, flags) {
            Ok(received) => break received,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok(received.bytes)
}

/// Whether the process at the other end belongs to the same user.
pub(super) fn is_own_user(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

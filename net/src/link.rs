//! A link: messages one way and the other over any stream of bytes.
//!
//! What is sent waits in a bounded queue, so that a slow reader at the other end is felt by its sender and by nobody
//! else. What is received is read only when somebody asks for it. The first thing that is wrong ends the link.

mod out;
mod receiver;
mod sender;

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::UnixStream;

pub use receiver::LinkReceiver;
pub use sender::{LinkSender, QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

use crate::wire::{self, Hello, WireError};

/// How long the other end may take to greet: it is a program that has nothing else to do.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the connection broke")]
    Stream { source: io::Error },
    #[error("the other end went away within a frame: {have} of {want} bytes came")]
    Cut { have: usize, want: usize },
    #[error("the other end went away without a greeting")]
    NoHello,
    #[error("the other end did not greet within {HELLO_TIMEOUT:?}")]
    Silent,
    #[error("the queue to the other end is full: it reads too slowly")]
    Full,
    #[error("the link is over: {reason}")]
    Over { reason: String },
    #[error("the other end runs as user {theirs}, this one as {ours}")]
    Stranger { ours: u32, theirs: u32 },
}

/// Both directions of one link, before they part.
#[derive(Debug)]
pub struct Link<R, W> {
    receiver: LinkReceiver<R>,
    writer: W,
}

/// What two greetings came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version both ends speak.
    pub version: u32,
    pub theirs: Hello,
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Link<ReadHalf<S>, WriteHalf<S>> {
    /// A link over one stream that goes both ways.
    pub fn over(stream: S) -> Link<ReadHalf<S>, WriteHalf<S>> {
        let (reader, writer) = tokio::io::split(stream);
        Link::new(reader, writer)
    }
}

impl<R, W> Link<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    /// A link over a stream for each direction.
    pub fn new(reader: R, writer: W) -> Link<R, W> {
        Link { receiver: LinkReceiver::new(reader), writer }
    }

    /// Greets, and waits for the other end's greeting. The first thing on every link.
    pub async fn greet(&mut self, ours: &Hello) -> Result<Agreed, LinkError> {
        let greeting = async {
            write(&mut self.writer, ours).await?;
            let theirs: Hello = self.receiver.receive().await?.ok_or(LinkError::NoHello)?;
            let version = ours.agree(&theirs)?;
            Ok(Agreed { version, theirs })
        };
        tokio::time::timeout(HELLO_TIMEOUT, greeting).await.unwrap_or(Err(LinkError::Silent))
    }

    /// Parts the directions. The sender's queue is emptied by a task of its own.
    pub fn split(self) -> (LinkSender, LinkReceiver<R>) {
        (LinkSender::start(self.writer), self.receiver)
    }

    /// Sends one message and returns when it is written: for talks of question and answer.
    pub async fn send<T: Serialize + ?Sized>(&mut self, message: &T) -> Result<(), LinkError> {
        write(&mut self.writer, message).await
    }

    /// The next message; nothing when the other end has gone after a whole one.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        self.receiver.receive().await
    }
}

async fn write<T: Serialize + ?Sized>(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), LinkError> {
    use tokio::io::AsyncWriteExt;

    let frame = wire::encode(message)?;
    let written = async {
        writer.write_all(&frame).await?;
        writer.flush().await
    };
    written.await.map_err(|source| LinkError::Stream { source })
}

/// Who is at the other end of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub pid: Option<i32>,
}

/// The other end of a unix socket, where it is a program of the same user; the folder's mode keeps others out, and this
/// says so if it did not.
pub fn peer(stream: &UnixStream) -> Result<Peer, LinkError> {
    let known = stream.peer_cred().map_err(|source| LinkError::Stream { source })?;
    let (ours, theirs) = (rustix::process::geteuid().as_raw(), known.uid());
    if theirs == ours {
        Ok(Peer { uid: theirs, pid: known.pid() })
    } else {
        Err(LinkError::Stranger { ours, theirs })
    }
}

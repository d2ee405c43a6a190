//! The caller's side of a connection to the node.

mod start;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use niia_net::link::{self, Link, LinkError};
use niia_net::wire::Hello;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

pub use start::{READY_VARIABLE, StartError};

use super::SPOKEN;
use super::parts::{self, PartsError, Unpacker};
use super::words::{Refusal, Reply, Request};
use crate::config::{Folders, FoldersError, door};
use crate::failure::{Exit, Failure};

/// How long a node may take to take a caller.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A node that is being restarted is there again by then.
pub const BACK_WITHIN: Duration = Duration::from_secs(60);
/// A node that was there for so long is none that goes away because of what it is asked.
const LIVED_WITHIN: Duration = Duration::from_secs(5);
/// How often is looked whether it is.
const BACK_PERIOD: Duration = Duration::from_millis(100);

/// A connection to the node.
#[derive(Debug)]
pub struct Client {
    link: Link<OwnedReadHalf, OwnedWriteHalf>,
    unpacker: Unpacker,
}

/// Why the node could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no node runs for `{}`", state.display())]
    NotRunning { state: PathBuf },
    #[error("could not reach the node at `{}`", socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error("the connection to the node broke")]
    Link(#[from] LinkError),
    #[error("the node went away before it answered")]
    WentAway,
    #[error("the message does not go over the wire")]
    Parts(#[from] PartsError),
    #[error(transparent)]
    Folders(#[from] FoldersError),
    #[error("could not start the node")]
    Start(#[from] StartError),
    #[error(transparent)]
    Refused(Refusal),
}

impl ClientError {
    /// Whether the node may be there again in a moment: it was stopped, crashed or was upgraded.
    pub fn may_pass(&self) -> bool {
        match self {
            ClientError::NotRunning { .. } | ClientError::Unreachable { .. } | ClientError::WentAway => true,
            ClientError::Link(error) => !matches!(error, LinkError::Wire(_) | LinkError::Stranger { .. }),
            _ => false,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused(refusal) => Failure::from(refusal),
            ClientError::NotRunning { .. } => {
                Failure::new(Exit::Unreachable, error.to_string()).help("start it with `niia daemon start`")
            }
            ClientError::Parts(error) => {
                Failure::new(Exit::Failed, "the node could not be asked").because(error)
            }
            error => Failure::new(Exit::Unreachable, "the node is not reachable").because(error),
        }
    }
}

impl Client {
    /// Connects to the node that runs.
    pub async fn connect(folders: &Folders) -> Result<Client, ClientError> {
        let stream = connected(folders).await?;
        // Inside a sandbox the node's user may be one who has no name there; the way leads to nobody else.
        if door().is_none() {
            link::peer(&stream)?;
        }
        let (reader, writer) = stream.into_split();
        let mut link = Link::new(reader, writer);
        link.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await?;
        Ok(Client { link, unpacker: Unpacker::default() })
    }

    /// Connects to the node, and starts it first where none runs.
    pub async fn reach(folders: &Folders) -> Result<Client, ClientError> {
        let patience = Patience::begins();
        loop {
            match Client::connect(folders).await {
                // A node that a session started would end with it: the next person's command starts one.
                Err(ClientError::NotRunning { .. }) if !crate::command::is_inside_a_session() => {
                    start::start(folders).await?;
                    return Client::connect(folders).await;
                }
                // One that is just ending may have taken the call and never greets.
                Err(error @ ClientError::Link(_)) => {
                    if !patience.bears(&error).await {
                        return Err(error);
                    }
                }
                connected => return connected,
            }
        }
    }

    /// Connects to the node, and waits for it where none runs: somebody else starts it.
    pub async fn wait(folders: &Folders) -> Result<Client, ClientError> {
        let patience = Patience::begins();
        loop {
            match Client::connect(folders).await {
                Err(error) if patience.bears(&error).await => {}
                tried => return tried,
            }
        }
    }

    /// Asks what does no harm when it is asked twice: a node that goes away meanwhile is waited for and asked again.
    pub async fn ask_safely(folders: &Folders, request: &Request) -> Result<Reply, ClientError> {
        let mut patience = Patience::begins();
        loop {
            let began = Instant::now();
            let asked = match Client::connect(folders).await {
                Ok(mut client) => client.ask(request.clone()).await,
                Err(error) => Err(error),
            };
            // A question may wait for its answer for long; the node that goes away then is waited for anew.
            if began.elapsed() >= LIVED_WITHIN {
                patience = Patience::begins();
            }
            match asked {
                Err(error) if patience.bears(&error).await => {}
                tried => return tried,
            }
        }
    }

    /// Asks, and waits for the answer. What was refused is an error.
    pub async fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.tell(request).await?;
        match self.next().await? {
            Some(reply) => Ok(reply),
            None => Err(ClientError::WentAway),
        }
    }

    /// Sends a request whose answers are taken by [`Client::next`].
    pub async fn tell(&mut self, request: Request) -> Result<(), ClientError> {
        for part in parts::pack(request)? {
            self.link.send(&part).await?;
        }
        Ok(())
    }

    /// The next answer; nothing when the node has gone. May be dropped while it waits: no answer is lost.
    pub async fn next(&mut self) -> Result<Option<Reply>, ClientError> {
        loop {
            let Some(came) = self.link.receive::<Reply>().await? else {
                return Ok(None);
            };
            match self.unpacker.take(came)? {
                Some(Reply::Refused(refusal)) => return Err(ClientError::Refused(refusal)),
                Some(reply) => return Ok(Some(reply)),
                None => {}
            }
        }
    }
}

/// How long a node that is away is waited for.
struct Patience(Instant);

impl Patience {
    fn begins() -> Patience {
        Patience(Instant::now() + BACK_WITHIN)
    }

    /// Whether to try again after this; where so, a moment has passed.
    async fn bears(&self, error: &ClientError) -> bool {
        let bears = error.may_pass() && Instant::now() < self.0;
        if bears {
            tokio::time::sleep(BACK_PERIOD).await;
        }
        bears
    }
}

async fn connected(folders: &Folders) -> Result<UnixStream, ClientError> {
    let socket = folders.socket();
    let path = socket.clone();
    // A node that takes no callers lets them wait; a thread can be left behind, a socket call cannot.
    let connecting = tokio::task::spawn_blocking(move || {
        let stream = niia_actors::state::connect(&path)?;
        stream.set_nonblocking(true)?;
        Ok::<_, io::Error>(stream)
    });
    let connected = match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(connected)) => connected.and_then(UnixStream::from_std),
        Ok(Err(_)) | Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    connected.map_err(|source| match source.kind() {
        // A socket nobody listens at is what a node leaves that was killed.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning { state: folders.state.clone() }
        }
        _ => ClientError::Unreachable { socket, source },
    })
}

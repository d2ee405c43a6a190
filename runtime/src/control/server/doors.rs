//! Doors of sandboxed sessions: whoever knocks at one is that session, whatever it claims.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use niia_actors::session;
use niia_spec::name::SessionId;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::{ACCEPT_PAUSE, serve};
use crate::node::Node;

/// Callers served at a door at a time; a session that knocks more often waits.
const CALLERS_MAX: usize = 16;

/// What opens doors. Sessions may be there before the node can answer; they wait for it.
#[derive(Clone, Debug)]
pub struct Doors {
    node: watch::Receiver<Option<Weak<Node>>>,
    /// Who sandboxed sessions are, where that is not this user.
    guest: Option<u32>,
}

/// Lets the doors be answered.
#[derive(Debug)]
pub struct Opener(watch::Sender<Option<Weak<Node>>>);

pub fn doors(guest: Option<u32>) -> (Doors, Opener) {
    let (opener, node) = watch::channel(None);
    (Doors { node, guest }, Opener(opener))
}

impl Opener {
    pub fn open(&self, node: &Arc<Node>) {
        self.0.send_replace(Some(Arc::downgrade(node)));
    }
}

/// Shuts the door when it is dropped.
struct Answering(AbortHandle);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl session::Doors for Doors {
    fn open(&self, session: &SessionId, socket: &Path) -> io::Result<session::Door> {
        let listener = niia_actors::state::bind_anew(socket)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let task = tokio::spawn(self.clone().answer(listener, session.clone()));
        Ok(Box::new(Answering(task.abort_handle())))
    }
}

impl Doors {
    async fn answer(mut self, listener: UnixListener, session: SessionId) {
        let places = Arc::new(Semaphore::new(CALLERS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) if self.lets_in(&stream) => stream,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%session, %error, "a caller could not be let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let node = self.node.wait_for(Option::is_some).await;
            // A node that is going answers nobody.
            let Some(node) = node.ok().and_then(|node| node.as_ref().and_then(Weak::upgrade)) else { return };
            let session = session.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, node, Some(session)).await {
                    tracing::debug!(%error, "a caller went away");
                }
                drop(place);
            });
        }
    }

    fn lets_in(&self, stream: &tokio::net::UnixStream) -> bool {
        let own = rustix::process::geteuid().as_raw();
        stream.peer_cred().is_ok_and(|peer| peer.uid() == own || Some(peer.uid()) == self.guest)
    }
}

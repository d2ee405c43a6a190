//! What other nodes may have from this one, and what this one has from them: the streams of a link.

mod abroad;
mod carry;
mod choice;
mod doubt;
mod files;
mod guest;
mod hosted;
mod letters;
mod machine;
mod pad;
mod talk;
mod words;

use std::sync::Arc;

use niia_net::frame;
use niia_net::link::LinkError;
use niia_net::peer::{PeerLink, Stream};

pub use abroad::Abroad;
pub use doubt::doubt;
pub use files::{bring, fetch};
pub use guest::Guests;
pub use hosted::starter_of;
pub use letters::Letters;
pub use machine::{Remotes, hosts_of};
pub use words::{Purpose, RelaySaid, Word};

use crate::control::caller::Caller;
use crate::control::server::{self, Visitor};
use crate::node::Node;
use niia_actors::ask::chain;

/// How long the other end may take to say what a stream is for.
const PURPOSE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// A name for a repository that says nothing of its path.
fn repository_name(common_dir: &std::path::Path) -> String {
    niia_net::hash(common_dir.as_os_str().as_encoded_bytes())[..32].to_owned()
}

/// Serves a link's streams until the link is over.
pub async fn serve(node: Arc<Node>, link: PeerLink) {
    // How many there may be at a time, QUIC itself says.
    while let Ok(stream) = link.accept().await {
        let (node, link) = (Arc::clone(&node), link.clone());
        tokio::spawn(async move {
            if let Err(error) = one(node, &link, stream).await {
                tracing::debug!(peer = %link.id, error, "a stream ended");
            }
        });
    }
}

async fn one(node: Arc<Node>, link: &PeerLink, mut stream: Stream) -> Result<(), String> {
    let purpose = tokio::time::timeout(PURPOSE_WITHIN, PeerLink::purpose(&mut stream)).await;
    let purpose: Purpose = match purpose {
        Ok(Ok(purpose)) => purpose,
        Ok(Err(error)) => return refused(link, &mut stream, &error).await,
        Err(_) => return Err("it did not say what for".to_owned()),
    };
    match purpose {
        Purpose::Control => {
            let visitor = Visitor { id: link.id, name: link.name.clone() };
            let (reader, writer) = stream.into_inner();
            let served = server::talk((reader, writer), node, Caller::Person, Some(visitor)).await;
            served.map_err(|error| chain(&error))
        }
        Purpose::Agent { session } => {
            if !node.remotes.as_ref().is_some_and(|remotes| remotes.is_with(&session, &link.id)) {
                tracing::warn!(peer = %link.id, %session, "refused: it speaks for a session it was not given");
                return Err(format!("{session} was not given to it"));
            }
            let (reader, writer) = stream.into_inner();
            let served = server::talk((reader, writer), node, Caller::Agent(session), None).await;
            served.map_err(|error| chain(&error))
        }
        Purpose::Held { sessions } => doubt::answer(&node, &link.id, &sessions, stream).await,
        Purpose::Host { run, repository } => {
            hosted::serve(node, link.id, stream, run, repository).await.map_err(|error| chain(&error))
        }
        Purpose::Relay { to } => crate::network::carry_between(node, link.id, stream, to).await,
        Purpose::Relayed { from } => match &node.network {
            Some(network) => network.relayed_in(&from, stream).await,
            None => Err("this node reaches nobody".to_owned()),
        },
        Purpose::Letter => node.letters.take(&link.id, stream).await,
        Purpose::Get { path } => files::give(node, link.id, stream, path).await,
        Purpose::Put { path, name } => files::take(node, link.id, stream, path, name).await,
        Purpose::Collect { run, now } => {
            hosted::collect(node, link.id, stream, run, now).await.map_err(|error| chain(&error))
        }
        Purpose::Work { session, repository } => {
            guest::serve(node, link.id, stream, session, repository).await.map_err(|error| chain(&error))
        }
    }
}

/// Says to both sides what is wrong with what was said; a stream that only broke needs no words.
async fn refused(link: &PeerLink, stream: &mut Stream, error: &LinkError) -> Result<(), String> {
    let reason = chain(error);
    if !matches!(error, LinkError::Wire(_)) {
        return Err(reason);
    }
    tracing::warn!(peer = %link.id, reason, "refused");
    frame::write(stream, &Word::Refused { reason }).await.map_err(|error| chain(&error))
}

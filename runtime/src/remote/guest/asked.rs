//! What is answered to a home that asks after an attempt.

use std::sync::Arc;

use niia_net::handover::Asked;
use niia_net::identity::NodeId;
use niia_net::trust::Right;
use niia_spec::name::SessionId;

use super::talk::GuestError;
use super::{Guest, Guests};
use crate::network::boottime;
use crate::node::Node;
use crate::remote::talk::Talk;
use crate::remote::words::Word;

/// A place that is held for an attempt while it is being taken; let go of with this value.
pub struct Taking {
    guests: Arc<Guests>,
    session: SessionId,
}

impl Taking {
    /// Whether it may still be begun: a later attempt may have come meanwhile.
    pub fn may_begin(&self) -> bool {
        self.guests.with(|table| table.far.may_begin(&self.session))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        // What has begun stays.
        self.guests.with(|table| table.far.let_go(&self.session));
        self.guests.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

pub enum Place {
    Known(Arc<Guest>),
    New(Taking),
    Refused(String),
}

/// Waits while another talk says what the attempt needs: what comes of that decides.
pub async fn place(
    node: &Arc<Node>,
    talk: &mut Talk,
    home: NodeId,
    session: &SessionId,
) -> Result<Place, GuestError> {
    let mut changes = node.guests.changes.subscribe();
    let mut beat = tokio::time::interval(super::beat(node));
    loop {
        changes.mark_unchanged();
        if let Some(place) = looked(node, home, session) {
            return Ok(place);
        }
        tokio::select! {
            changed = changes.changed() => {
                changed.map_err(|_| GuestError::Here("the node goes down".to_owned()))?;
            }
            _ = beat.tick() => talk.say(&Word::Beat).await?,
        }
    }
}

fn looked(node: &Arc<Node>, home: NodeId, session: &SessionId) -> Option<Place> {
    let refused = |reason: &str| Some(Place::Refused(reason.to_owned()));
    if let Err(reason) = may(node, home) {
        return Some(Place::Refused(reason));
    }
    let asked = node.guests.with(|table| {
        let asked = table.far.asked(session, home, boottime());
        (asked, table.guests.get(session).cloned())
    });
    match asked {
        (Asked::Known, Some(guest)) => Some(Place::Known(guest)),
        (Asked::Busy | Asked::Known, _) => None,
        (Asked::Foreign, _) => refused("a session of that name is here for another machine"),
        (Asked::Superseded, _) => refused("a later attempt of this worker is here already"),
        (Asked::Full, _) => refused("too many attempts are kept here for others"),
        (Asked::New, _) => {
            let taking = Taking { guests: Arc::clone(&node.guests), session: session.clone() };
            match node.live.get(session) {
                Some(_) => refused("a session of that name is here already"),
                None => Some(Place::New(taking)),
            }
        }
    }
}

/// Whether this may be asked of this machine.
fn may(node: &Node, home: NodeId) -> Result<(), String> {
    let peer = node.network.as_ref().and_then(|network| network.trust().get(&home));
    let peer = peer.ok_or_else(|| format!("{home} is not paired with this machine any more"))?;
    if peer.rights.has(Right::Run) {
        Ok(())
    } else {
        Err(format!("this needs the right `run` there, and {home} has: {}", peer.rights))
    }
}

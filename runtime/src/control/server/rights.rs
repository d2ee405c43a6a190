//! What a visitor from another node may ask for: by what that node is allowed now, at each request.

use niia_net::identity::NodeId;
use niia_net::trust::Right;
use niia_spec::name::Slug;

use crate::control::words::{Refusal, RefusalCode, Request};
use crate::node::Node;

/// Another node that asks on behalf of somebody there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub id: NodeId,
    pub name: String,
}

/// What a request needs. What has no right at all is for this machine's own people.
fn needs(request: &Request) -> Option<Right> {
    match request {
        Request::Node
        | Request::Runs { .. }
        | Request::Status { .. }
        | Request::Follow { .. }
        | Request::Journal { .. }
        | Request::Sessions { .. }
        | Request::Session { .. }
        | Request::Read { .. }
        | Request::WaitIdle { .. }
        | Request::Attach { .. }
        | Request::View { .. }
        | Request::Repaint
        | Request::Printed { .. }
        | Request::OutputGet { .. }
        | Request::ScratchpadList { .. }
        | Request::ScratchpadCat { .. }
        | Request::MailboxList { .. } => Some(Right::Read),
        Request::Write { .. }
        | Request::Resize { .. }
        | Request::Kill { .. }
        | Request::Keys { .. }
        | Request::Take
        | Request::Turn { .. }
        | Request::Interrupt { .. }
        | Request::Dialog { .. }
        | Request::Cancel { .. }
        | Request::MailboxSend { .. } => Some(Right::Write),
        _ => None,
    }
}

impl Visitor {
    /// Whether it may; what it may not is said to both sides.
    pub fn may(&self, node: &Node, request: &Request) -> Result<(), Refusal> {
        let peer = node.network.as_ref().and_then(|network| network.trust().get(&self.id));
        let wanted = needs(request);
        // How loaded a machine is, whoever may give it work must know.
        let asks_load =
            matches!(request, Request::Node) && peer.as_ref().is_some_and(|peer| peer.rights.has(Right::Run));
        if asks_load || peer.is_some() && self.began(node, request) {
            return Ok(());
        }
        let message = match (&peer, wanted) {
            (Some(peer), Some(right)) if peer.rights.has(right) => {
                return self.watches_to_write(request, peer.rights);
            }
            (None, _) => format!("{} is not paired with this machine any more", self.id),
            (Some(_), None) => "that is for people of that machine itself".to_owned(),
            (Some(peer), Some(right)) => {
                format!("this needs the right `{right}` there, and {} has: {}", self.id, peer.rights)
            }
        };
        self.refused(message)
    }

    /// Whether the request is about a run that was begun there: with it they may do what people here may.
    fn began(&self, node: &Node, request: &Request) -> bool {
        let named = super::abroad::run_named(request).flatten();
        let Some(run) = named.and_then(|name| Slug::new(&name).ok()) else { return false };
        crate::remote::starter_of(node, &run).flatten() == Some(self.id.to_string())
    }

    /// To take over is to write.
    fn watches_to_write(&self, request: &Request, rights: niia_net::trust::Rights) -> Result<(), Refusal> {
        match request {
            Request::Attach { take: true, .. } if !rights.has(Right::Write) => {
                self.refused(format!("this needs the right `write` there, and {} has: {rights}", self.id))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, message: String) -> Result<(), Refusal> {
        tracing::warn!(peer = %self.id, name = self.name, message, "refused");
        let help = Some("`niia peer allow` there changes it".to_owned());
        Err(Refusal { code: RefusalCode::NotAllowed, message, help })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_look_needs_read_to_touch_needs_write_and_the_node_itself_is_for_its_own() {
        let session = || "s".to_owned();
        assert_eq!(needs(&Request::Node), Some(Right::Read));
        assert_eq!(needs(&Request::Read { session: session() }), Some(Right::Read));
        assert_eq!(needs(&Request::Kill { session: session() }), Some(Right::Write));
        assert_eq!(needs(&Request::Keys { bytes: Vec::new() }), Some(Right::Write));
        assert_eq!(needs(&Request::Stop { end_sessions: true }), None);
        assert_eq!(needs(&Request::Through { machine: session() }), None, "nobody goes on from here");
        assert_eq!(needs(&Request::Approve { run: None, phase: None }), None);
    }
}

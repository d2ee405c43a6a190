//! Other machines as a phase sees them: an attempt is carried there, and what came of it is brought home.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use niia_actors::machine::{Assignment, Elsewhere, Machine, StartError, Starting};
use niia_actors::phase::PhaseHandle;
use niia_actors::run::LiveSessions;
use niia_actors::session::SessionHandle;
use niia_net::identity::NodeId;
use niia_spec::name::{SessionId, Slug};
use niia_spec::plan::draw::is_one_of;
use niia_spec::plan::{MachineChoice, Plan};

use super::carry;
use crate::network::Network;

/// The machines that are paired with this one.
#[derive(Debug)]
pub struct Remotes {
    network: Arc<Network>,
    live: LiveSessions,
    /// Which sessions were given to whom: what their programs say is believed from there alone.
    given: Arc<Mutex<HashMap<SessionId, NodeId>>>,
}

impl Remotes {
    pub fn new(network: Arc<Network>, live: LiveSessions) -> Remotes {
        Remotes { network, live, given: Arc::default() }
    }

    /// Whether this session was given to that node.
    pub fn is_with(&self, session: &SessionId, id: &NodeId) -> bool {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get(session) == Some(id)
    }
}

/// The host that a choice means, as the document writes it.
pub fn host_of<'a>(plan: &'a Plan, choice: &'a MachineChoice) -> Option<&'a str> {
    let MachineChoice::Named(name) = choice else { return None };
    let alias = Slug::new(name).ok().and_then(|name| plan.machines.get(&name));
    Some(alias.map_or(name.as_str(), |machine| machine.host.as_str()))
}

impl Elsewhere for Remotes {
    fn find(&self, assignment: &Assignment) -> Result<Option<Arc<dyn Machine>>, StartError> {
        let own = self.network.hosts();
        let hosts: Vec<&str> =
            assignment.worker.machine.iter().filter_map(|c| host_of(&assignment.context.plan, c)).collect();
        let mut found = Vec::new();
        for host in &hosts {
            if is_one_of(host, &own) {
                if found.is_empty() {
                    return Ok(None);
                }
                continue;
            }
            found.extend(self.network.named(host).ok());
        }
        // In order; one that is linked now goes before one that may be down.
        let linked = found.iter().find(|id| self.network.linked(id).is_some());
        match linked.or(found.first()) {
            Some(id) => Ok(Some(Arc::new(Remote {
                id: *id,
                network: Arc::clone(&self.network),
                live: self.live.clone(),
                given: Arc::clone(&self.given),
            }))),
            None => Err(StartError::MachineAbsent { machines: hosts.join(", ") }),
        }
    }
}

/// One other machine.
#[derive(Debug)]
struct Remote {
    id: NodeId,
    network: Arc<Network>,
    live: LiveSessions,
    given: Arc<Mutex<HashMap<SessionId, NodeId>>>,
}

impl Machine for Remote {
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_> {
        let (id, network, given) = (self.id, Arc::clone(&self.network), Arc::clone(&self.given));
        let session = assignment.session.clone();
        given.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone(), id);
        Box::pin(async move {
            let carried = SessionHandle::away(assignment, self.live.clone(), parent, |away| async move {
                let ending = carry::carry(away, network, id).await;
                given.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
                ending
            });
            carried.await.map_err(StartError::Actor)
        })
    }
}

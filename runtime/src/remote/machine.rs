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
use niia_spec::plan::{MachineChoice, MachinePlan, Plan};

use super::carry;
use super::choice::{Choice, Place, Placed};
use crate::network::Network;

/// The machines that are paired with this one.
#[derive(Clone, Debug)]
pub struct Remotes {
    pub(super) network: Arc<Network>,
    pub(super) live: LiveSessions,
    /// Which sessions were given to whom: what their programs say is believed from there alone.
    given: Arc<Mutex<HashMap<SessionId, NodeId>>>,
    /// One attempt after the other is given a place, so that each sees what the one before took.
    pub(super) choosing: Arc<tokio::sync::Mutex<()>>,
    /// This machine, where it is one of several that could be taken.
    pub(super) here: Arc<dyn Machine>,
}

impl Remotes {
    pub fn new(network: Arc<Network>, live: LiveSessions, here: Arc<dyn Machine>) -> Remotes {
        Remotes { network, live, given: Arc::default(), choosing: Arc::default(), here }
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SessionId, NodeId>) -> T) -> T {
        look(&mut self.given.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this session was given to that node.
    pub fn is_with(&self, session: &SessionId, id: &NodeId) -> bool {
        self.with(|given| given.get(session) == Some(id))
    }

    /// Whether this session was given to any other node.
    pub fn is_away(&self, session: &SessionId) -> bool {
        self.with(|given| given.contains_key(session))
    }

    /// How many sessions that node has of this one.
    pub(super) fn count_with(&self, id: &NodeId) -> u32 {
        self.with(|given| given.values().filter(|other| *other == id).count().try_into().unwrap_or(u32::MAX))
    }

    pub(super) fn give(&self, session: &SessionId, id: NodeId) {
        self.with(|given| given.insert(session.clone(), id));
    }

    fn take_back(&self, session: &SessionId) {
        self.with(|given| given.remove(session));
    }

    /// The places that a plan's choice means and that are known here, with their bound of sessions.
    fn places(&self, plan: &Plan, choice: &MachineChoice, own: &[String]) -> Vec<Place> {
        let place = |(host, bound): (&str, Option<u32>)| {
            if is_one_of(host, own) {
                return Some(Place { id: None, bound });
            }
            Some(Place { id: Some(self.network.named(host).ok()?), bound })
        };
        hosts_of(plan, choice).into_iter().filter_map(place).collect()
    }

    /// Has an attempt made on that node.
    pub(super) async fn carry(
        &self,
        id: NodeId,
        assignment: Assignment,
        parent: PhaseHandle,
    ) -> Result<SessionHandle, StartError> {
        let session = assignment.session.clone();
        self.give(&session, id);
        let remotes = self.clone();
        let carried = SessionHandle::away(assignment, self.live.clone(), parent, |away| async move {
            let ending = carry::carry(away, Arc::clone(&remotes.network), id).await;
            remotes.take_back(&session);
            ending
        });
        carried.await.map_err(StartError::Actor)
    }
}

/// The hosts a choice means, as the document writes them, each with its bound of sessions.
pub fn hosts_of<'a>(plan: &'a Plan, choice: &'a MachineChoice) -> Vec<(&'a str, Option<u32>)> {
    let of = |machine: &'a MachinePlan| (machine.host.as_str(), machine.max_sessions);
    match choice {
        MachineChoice::Named(name) => {
            let alias = Slug::new(name).ok().and_then(|name| plan.machines.get(&name));
            vec![alias.map_or((name.as_str(), None), of)]
        }
        MachineChoice::Labels(wanted) => {
            let fits = |machine: &&MachinePlan| {
                wanted.iter().all(|(label, value)| machine.labels.get(label) == Some(value))
            };
            plan.machines.values().filter(fits).map(of).collect()
        }
    }
}

impl Elsewhere for Remotes {
    fn find(&self, assignment: &Assignment) -> Result<Option<Arc<dyn Machine>>, StartError> {
        let folder = assignment.context.session_folder(assignment.attempt());
        // Whoever was given an attempt once has it, whatever has changed since.
        match Placed::read(&folder) {
            Some(Placed::Here) => return Ok(None),
            Some(Placed::There(id)) => return Ok(Some(Arc::new(Remote { id, remotes: self.clone() }))),
            None => {}
        }
        let (plan, own) = (&assignment.context.plan, self.network.hosts());
        let choices = assignment.worker.machine.iter().map(|choice| self.places(plan, choice, &own));
        let choices: Vec<Vec<Place>> = choices.filter(|places| !places.is_empty()).collect();
        match choices.concat()[..] {
            [] => {
                let choices = assignment.worker.machine.iter();
                let hosts = choices.flat_map(|choice| hosts_of(plan, choice)).map(|(host, _)| host);
                Err(StartError::MachineAbsent { machines: hosts.collect::<Vec<_>>().join(", ") })
            }
            [Place { id: None, .. }] => Ok(None),
            [Place { id: Some(id), .. }] => Ok(Some(Arc::new(Remote { id, remotes: self.clone() }))),
            _ => Ok(Some(Arc::new(Choice { choices, remotes: self.clone() }))),
        }
    }
}

/// One other machine.
#[derive(Debug)]
struct Remote {
    id: NodeId,
    remotes: Remotes,
}

impl Machine for Remote {
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_> {
        Box::pin(async move {
            Placed::There(self.id).write(&assignment).await;
            self.remotes.carry(self.id, assignment, parent).await
        })
    }
}

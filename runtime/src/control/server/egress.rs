//! What stays on this machine, whoever asks from another one: the work of sessions whose `egress` lets only their result
//! go, or nothing.

use std::sync::{Arc, Mutex, PoisonError};

use niia_spec::course::{Outcome, STAYS};
use niia_spec::name::{RunId, SessionId};
use niia_spec::notice::{RunView, SessionView};
use niia_spec::plan::{Egress, Plan};

use super::find::{live_session, run_id};
use super::{Connection, sessions};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, Request};
use crate::node::{Node, admission};

/// The plan of a run that is here, whether it has its home here or only some of its sessions.
fn plan_of(node: &Node, run: &RunId) -> Option<Arc<Plan>> {
    if let Some(plan) = node.guests.plan_of(run) {
        return Some(plan);
    }
    serde_json::from_slice(&node.journal.load(run).ok()?.plan).ok().map(Arc::new)
}

/// The plan of the run a visitor looks at: it never changes, and whoever follows a run is shown it each second, while
/// reading it takes the run's whole journal.
#[derive(Debug, Default)]
pub(super) struct Looked(Mutex<Option<(RunId, Arc<Plan>)>>);

impl Looked {
    fn plan_of(&self, node: &Node, run: &RunId) -> Option<Arc<Plan>> {
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = looked.as_ref().filter(|(looked, _)| looked == run) {
            return Some(Arc::clone(plan));
        }
        let plan = plan_of(node, run)?;
        *looked = Some((run.clone(), Arc::clone(&plan)));
        Some(plan)
    }
}

fn egress_in(plan: &Plan, session: &SessionId) -> Egress {
    let worker = &session.attempt.worker;
    let phase = plan.phases.iter().find(|phase| phase.name == worker.phase);
    let found =
        phase.and_then(|phase| phase.work.workers().into_iter().find(|one| one.name == worker.worker));
    found.map_or(Egress::All, |worker| worker.session.egress)
}

fn egress_of(node: &Node, session: &SessionId) -> Egress {
    if let Some(egress) = node.guests.egress_of(session) {
        return egress;
    }
    plan_of(node, &session.run).map_or(Egress::All, |plan| egress_in(&plan, session))
}

/// Whether a run has workers here whose work does not leave this machine.
pub(crate) fn run_stays(node: &Node, run: &RunId) -> bool {
    let Some(plan) = plan_of(node, run) else { return false };
    let (own, guest) = (node.hosts(), node.guests.plan_of(run).is_some());
    let mut workers = plan.phases.iter().flat_map(|phase| phase.work.workers());
    workers.any(|worker| {
        worker.session.egress != Egress::All && (guest || admission::works_here(&plan, worker, &own))
    })
}

impl Connection {
    /// Refuses a visitor what shows the work of a session that does not leave this machine.
    pub(super) async fn stays(&self, request: &Request) -> Result<(), Refusal> {
        if self.visitor.is_none() {
            return Ok(());
        }
        let person = Caller::Person;
        let shown = match request {
            Request::Read { session } | Request::Attach { session, .. } | Request::Turn { session, .. } => {
                live_session(&self.node, &person, session).ok().map(|(session, _)| session)
            }
            Request::Printed { session, .. } => {
                let view = sessions::look(&self.node, &person, session).await;
                view.ok().map(|view| view.session)
            }
            _ => None,
        };
        if let Some(session) = shown.filter(|session| egress_of(&self.node, session) != Egress::All) {
            return Err(kept(format!(
                "what {session} shows stays on this machine: its `egress` lets only its result go"
            )));
        }
        let of_run = match request {
            Request::Journal { run, .. }
            | Request::ScratchpadList { run }
            | Request::ScratchpadCat { run, .. } => Some(run),
            _ => None,
        };
        let Some(run) = of_run else { return Ok(()) };
        match run_id(&self.node, &person, run).await {
            Ok(run) if run_stays(&self.node, &run) => Err(kept(format!(
                "this stays on this machine: `{run}` has workers here whose `egress` lets only their result go"
            ))),
            // What is not there is told by whoever looks for it.
            _ => Ok(()),
        }
    }

    /// A reply as it may go to another machine.
    pub(super) fn veiled(&self, reply: Reply) -> Reply {
        if self.visitor.is_none() {
            return reply;
        }
        let node = &self.node;
        match reply {
            Reply::Session(view) => Reply::Session(Box::new(session(node, *view))),
            Reply::Sessions(views) => {
                Reply::Sessions(views.into_iter().map(|view| session(node, view)).collect())
            }
            Reply::Run(view) => Reply::Run(Box::new(self.run(*view))),
            Reply::Runs(views) => Reply::Runs(views.into_iter().map(|view| self.run(view)).collect()),
            other => other,
        }
    }

    fn run(&self, view: RunView) -> RunView {
        match self.looked.plan_of(&self.node, &view.run) {
            Some(plan) => leaving(&plan, view),
            None => view,
        }
    }
}

fn kept(message: String) -> Refusal {
    let help = Some("ask for it on that machine".to_owned());
    Refusal { code: RefusalCode::NotAllowed, message, help }
}

fn session(node: &Node, view: SessionView) -> SessionView {
    if egress_of(node, &view.session) == Egress::All {
        return view;
    }
    SessionView {
        rule: STAYS.to_owned(),
        excerpt: String::new(),
        dialog: None,
        choices: Vec::new(),
        contacts: Vec::new(),
        ..view
    }
}

/// A run as another machine may see it.
pub(crate) fn run(node: &Node, view: RunView) -> RunView {
    match plan_of(node, &view.run) {
        Some(plan) => leaving(&plan, view),
        None => view,
    }
}

fn leaving(plan: &Plan, mut view: RunView) -> RunView {
    let mut stays = false;
    for phase in &mut view.phases {
        let planned = plan.phases.iter().find(|planned| planned.name == phase.phase);
        for worker in &mut phase.workers {
            let own = planned
                .and_then(|phase| phase.work.workers().into_iter().find(|one| one.name == worker.worker));
            let egress = own.map_or(Egress::All, |own| own.session.egress);
            if egress == Egress::All {
                continue;
            }
            stays = true;
            worker.last_line = None;
            for attempt in &mut worker.attempts {
                attempt.evidence = None;
                if egress == Egress::None || attempt.outcome != Some(Outcome::Done) {
                    attempt.excerpt = None;
                }
                attempt.outcome = attempt.outcome.take().map(Outcome::leaving);
            }
            if egress == Egress::None {
                worker.outputs.clear();
            }
        }
    }
    if stays {
        // Reasons of a phase or a run are made of those of its workers.
        view.reason = view.reason.map(|_| STAYS.to_owned());
        view.warnings.clear();
        for phase in &mut view.phases {
            phase.outcome = phase.outcome.take().map(niia_spec::course::PhaseOutcome::leaving);
        }
    }
    view
}

//! Where a run has its home: here, on the machine that is named, or on the one that is proposed.

use std::collections::BTreeMap;

use niia_spec::name::Slug;
use niia_spec::plan::draw::{Surroundings, is_one_of};
use niia_spec::plan::{MachineChoice, PhaseWork, Plan, TreePlan};

use super::person::Person;
use crate::command::Caller;
use crate::control::words::{MachinesRequest, Reply, Request};
use crate::failure::Failure;

/// The machine that is named, unless that is this one. The plan is drawn for that place: names that mean it there mean
/// "here".
pub async fn wanted(
    caller: &Caller,
    named: Option<&str>,
    around: &mut Surroundings,
) -> Result<Option<String>, Failure> {
    let Some(name) = named.filter(|name| !is_one_of(name, &around.hosts)) else { return Ok(None) };
    let request = MachinesRequest::Peer { name: name.to_owned() };
    let Reply::Peer(peer) = caller.ask(Request::Machines(request)).await? else {
        return Err(Failure::out_of_turn("run --home"));
    };
    around.hosts = peer.announced.iter().cloned().chain([peer.name.clone(), name.to_owned()]).collect();
    Ok(Some(peer.fingerprint))
}

/// A single session for a person has no checkout on another machine: it works in a folder of its own there.
pub fn without_checkout(plan: &mut Plan) {
    for phase in &mut plan.phases {
        if let PhaseWork::Session { worker } = &mut phase.work
            && worker.tree == TreePlan::Checkout
        {
            worker.tree = TreePlan::Folder;
        }
    }
}

/// Where nobody works on this machine, it need not stay awake: the machine where most of them work is proposed.
pub fn proposed(plan: &Plan, around: &Surroundings, person: Person) -> Result<Option<String>, Failure> {
    let Some(host) = elsewhere(plan, around) else { return Ok(None) };
    let told = format!(
        "no worker of this run works on this machine, but the run's home is here: it waits while this machine sleeps. `--home {host}` gives it a home there"
    );
    let question = format!(
        "no worker of this run works on this machine. Let its home be {host}, so that this one may sleep? [y]es / [n]o"
    );
    match person.ask_key(&question, &['y', 'n'])? {
        Some('y') => Ok(Some(host)),
        Some(_) => Ok(None),
        None => {
            eprintln!("note: {told}");
            Ok(None)
        }
    }
}

/// The host where most workers are to work, where none of them works here.
fn elsewhere(plan: &Plan, around: &Surroundings) -> Option<String> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for worker in plan.phases.iter().flat_map(|phase| phase.work.workers()) {
        let MachineChoice::Named(name) = worker.machine.first()? else { continue };
        let alias = Slug::new(name).ok().and_then(|name| plan.machines.get(&name));
        let host = alias.map_or(name.as_str(), |machine| machine.host.as_str());
        if around.is_here(host) {
            return None;
        }
        *count.entry(host.to_owned()).or_default() += 1;
    }
    let first = |host: &String| std::cmp::Reverse(host.clone());
    count.into_iter().max_by_key(|(host, n)| (*n, first(host))).map(|(host, _)| host)
}

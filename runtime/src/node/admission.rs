//! Whether a run may begin here: every bound is checked before anything of it exists.

use niia_spec::plan::draw::is_one_of;
use niia_spec::plan::{MachineChoice, NetworkPlan, PhasePlan, PhaseWork, Plan, WorkerPlan};

use crate::control::words::{Refusal, RefusalCode};

/// Runs that wait for a person keep their trees, their variables and an actor; past this many nobody looks at them.
pub const RUNS_WAITING_MAX: u32 = 256;

/// What a node has left to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub sessions_live: u32,
    pub runs_waiting: u32,
    pub sessions_max: u32,
    pub memory_free_mib: u64,
    pub memory_floor_mib: u64,
}

/// Whether sessions can be confined at all, as far as the node's own user goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandboxes {
    Possible,
    /// The node is root, and nobody is named whom the sessions could be.
    NoUser,
}

/// The most sessions of this plan that can be live at a time, before other phases are counted in.
pub fn peak(plan: &Plan) -> u32 {
    let widest = plan.phases.iter().map(|phase| {
        let width = match &phase.work {
            PhaseWork::Workers { parallel: false, .. } => 1,
            // One speaks at a time.
            PhaseWork::Dialogue { .. } | PhaseWork::Meeting { .. } => 1,
            work => work.workers().len(),
        };
        let width = width.max(usize::from(!phase.steps.is_empty()));
        let width = u32::try_from(width).unwrap_or(u32::MAX);
        width.min(phase.limits.max_parallel.unwrap_or(u32::MAX))
    });
    widest.max().unwrap_or(0).min(plan.limits.max_parallel.unwrap_or(u32::MAX))
}

/// Refuses a plan that this node has no room for, with the number that stands in the way.
pub fn admit(plan: &Plan, room: Room) -> Result<(), Refusal> {
    let wanted = peak(plan);
    let free = room.sessions_max.saturating_sub(room.sessions_live);
    if wanted > free {
        return Err(Refusal {
            code: RefusalCode::Limit,
            message: format!(
                "`{}` wants {wanted} sessions at a time, this node has room for {free}: {} of {} (sessions_max) are live",
                plan.name, room.sessions_live, room.sessions_max
            ),
            help: Some(
                "set `limits.max_parallel` in the document, or `sessions_max` in niia.toml".to_owned(),
            ),
        });
    }
    if room.runs_waiting >= RUNS_WAITING_MAX {
        return Err(Refusal {
            code: RefusalCode::Limit,
            message: format!("{} runs wait for a person (at most {RUNS_WAITING_MAX})", room.runs_waiting),
            help: Some(
                "`niia runs` shows them; resume or cancel some with `niia resume`, `niia cancel`".to_owned(),
            ),
        });
    }
    if room.memory_free_mib < room.memory_floor_mib {
        return Err(Refusal {
            code: RefusalCode::Limit,
            message: format!(
                "this machine has {} MiB of memory free, a run begins only with {} MiB (memory_floor_mib)",
                room.memory_free_mib, room.memory_floor_mib
            ),
            help: Some("end something, or lower `memory_floor_mib` in niia.toml".to_owned()),
        });
    }
    Ok(())
}

/// Refuses what this version cannot do, by name, before anything starts. `own` are the names of this machine.
pub fn can_do(
    plan: &Plan,
    own: &[String],
    reaches: &dyn Fn(&str) -> bool,
    sandboxes: Sandboxes,
) -> Result<(), Refusal> {
    for phase in &plan.phases {
        for worker in phase.everybody() {
            is_reached(plan, phase, worker, own, reaches)?;
            // What another machine can enforce is asked of it, when it is offered the work.
            if works_here(plan, worker, own) {
                can_do_worker(phase, worker, sandboxes)?;
            }
        }
    }
    Ok(())
}

/// Whether a worker may work on this machine at all.
pub fn works_here(plan: &Plan, worker: &WorkerPlan, own: &[String]) -> bool {
    let hosts = worker.machine.iter().flat_map(|choice| crate::remote::hosts_of(plan, choice));
    worker.machine.is_empty() || hosts.into_iter().any(|(host, _)| is_one_of(host, own))
}

/// The same for one worker of another machine's run.
pub fn can_do_here(plan: &Plan, worker: &WorkerPlan, sandboxes: Sandboxes) -> Result<(), Refusal> {
    let works = |phase: &&PhasePlan| phase.everybody().any(|own| own.name == worker.name);
    plan.phases.iter().find(works).map_or(Ok(()), |phase| can_do_worker(phase, worker, sandboxes))
}

fn can_do_worker(phase: &PhasePlan, worker: &WorkerPlan, sandboxes: Sandboxes) -> Result<(), Refusal> {
    let session = &worker.session;
    let refuse = |property: &str, why: &str, help: &str| {
        let message = format!("REFUSED: {property}: `{}/{}` {why}", phase.name, worker.name);
        Err(unsupported(message, help))
    };
    if session.sandbox.is_some() && sandboxes == Sandboxes::NoUser {
        let help = "run the node as a plain user, or set `[sandbox] run_as = \"USER\"` in niia.toml";
        return refuse("user", "asks for `sandbox: true`, and niia runs as root", help);
    }
    if session.sandbox.is_none() && session.network != NetworkPlan::Open {
        let help = "set `sandbox` to true, or leave `network` out";
        return refuse("network", "asks for a narrower network without a sandbox", help);
    }
    Ok(())
}

/// Work meant for another machine is never done on this one instead: what lies there may not be here, and the other
/// way round. Where several machines are named in order, this one among them does.
fn is_reached(
    plan: &Plan,
    phase: &PhasePlan,
    worker: &WorkerPlan,
    own: &[String],
    reaches: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let hosts = |choice| crate::remote::hosts_of(plan, choice);
    let mut wanted = worker.machine.iter().flat_map(hosts);
    if worker.machine.is_empty() || wanted.any(|(host, _)| is_one_of(host, own) || reaches(host)) {
        return Ok(());
    }
    // As the document writes it, with the host an alias stands for.
    let told = worker.machine.iter().map(|choice| {
        let hosts: Vec<&str> = hosts(choice).into_iter().map(|(host, _)| host).collect();
        match choice {
            MachineChoice::Named(name) if [name.as_str()] == hosts[..] => name.clone(),
            MachineChoice::Named(name) => format!("{name} ({})", hosts.join(", ")),
            MachineChoice::Labels(_) if hosts.is_empty() => "a machine with labels that none has".to_owned(),
            MachineChoice::Labels(_) => format!("one of {} (by its labels)", hosts.join(", ")),
        }
    });
    let told: Vec<String> = told.collect();
    Err(unsupported(
        format!(
            "machine: `{}/{}` is to work on {}, which is not paired with this machine",
            phase.name,
            worker.name,
            told.join(", else ")
        ),
        "`niia pair` on both pairs them; or leave `machine` out",
    ))
}

fn unsupported(message: String, help: &str) -> Refusal {
    Refusal { code: RefusalCode::Unsupported, message, help: Some(help.to_owned()) }
}

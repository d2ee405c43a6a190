//! The parts of a plan in words.

use std::collections::BTreeMap;

use crate::name::Slug;
use crate::plan::draw::Surroundings;
use crate::plan::{
    Egress, Limits, MachineChoice, MergeRule, ModelPlan, NetworkPlan, OnBreach, OnDialog, OnFailure, OnLost,
    Overlap, Permission, PhasePlan, PhaseWork, Plan, Require, SchedulePlan, SessionPlan, TreePlan,
};

/// A text in one line, not longer than a person reads.
pub(super) fn line(text: &str) -> String {
    const LINE_CHARS_MAX: usize = 100;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= LINE_CHARS_MAX {
        return flat;
    }
    flat.chars().take(LINE_CHARS_MAX).chain(['…']).collect()
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

pub(super) fn work(work: &PhaseWork) -> String {
    match work {
        PhaseWork::Workers { workers, .. } if workers.len() == 1 => "1 worker".to_owned(),
        PhaseWork::Workers { workers, parallel } => {
            let order = if *parallel { "in parallel" } else { "one after the other" };
            format!("{} {order}", counted(workers.len(), "worker"))
        }
        PhaseWork::Dialogue { rounds, until, .. } => {
            let until = until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
            format!("dialogue, {}{until}", counted(*rounds as usize, "round"))
        }
        PhaseWork::Meeting { participants, agenda, moderator } => {
            let topics = agenda
                .iter()
                .map(|one| format!("{} ({})", line(&one.topic), counted(one.rounds as usize, "round")));
            let moderator = moderator.as_ref().map(|who| format!(", {who} decides")).unwrap_or_default();
            let about = topics.collect::<Vec<_>>().join("; ");
            format!("meeting of {} on {about}{moderator}", participants.len())
        }
        PhaseWork::Mesh { agents, star, broadcast, persistent, quiet_ms, .. } => {
            let shape = if *star { "star" } else { "mesh" };
            let broadcast = if *broadcast { ", may broadcast" } else { "" };
            let end = if *persistent {
                "until it is ended".to_owned()
            } else {
                format!("until quiet for {}", time(*quiet_ms))
            };
            format!("{shape} of {}{broadcast}, {end}", counted(agents.len(), "agent"))
        }
        PhaseWork::Session { .. } => "one interactive session".to_owned(),
        PhaseWork::Connector { path, .. } => format!("runs {path}"),
        PhaseWork::Steps => "steps alone".to_owned(),
    }
}

/// Whether the first choice is this machine.
pub(super) fn is_here(choices: &[MachineChoice], plan: &Plan, around: &Surroundings) -> bool {
    match choices.first() {
        None => true,
        Some(MachineChoice::Labels(_)) => false,
        Some(MachineChoice::Named(name)) => {
            let alias = Slug::new(name).ok().and_then(|name| plan.machines.get(&name));
            around.is_here(alias.map_or(name, |machine| &machine.host))
        }
    }
}

/// The program a model means; where it lies is known of this machine alone.
pub(super) fn program(model: &ModelPlan, around: &Surroundings, here: bool) -> String {
    let profile = around.profile(&model.profile);
    let Some(program) = profile.and_then(|profile| profile.program.as_ref()) else {
        return model.args.join(" ");
    };
    match profile.and_then(|profile| profile.installed.as_ref()) {
        _ if !here => program.clone(),
        Some(path) => path.display().to_string(),
        None => format!("{program} (not on PATH)"),
    }
}

pub(super) fn machine(choices: &[MachineChoice]) -> String {
    if choices.is_empty() {
        return "here".to_owned();
    }
    let words = choices.iter().map(|choice| match choice {
        MachineChoice::Named(name) => name.clone(),
        MachineChoice::Labels(labels) => {
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        }
    });
    words.collect::<Vec<_>>().join(", else ")
}

pub(super) fn tree(tree: &TreePlan, shared: &BTreeMap<&Slug, usize>) -> String {
    match tree {
        TreePlan::Own { slug } => slug.to_string(),
        TreePlan::Result => "result".to_owned(),
        TreePlan::ReadOnly => "result, read-only".to_owned(),
        TreePlan::Shared { slug, line } => {
            let by = shared.get(slug).copied().unwrap_or_default();
            let by = if by > 1 { format!(", shared by {by}") } else { String::new() };
            let line = if *line { ", a line of its own" } else { "" };
            format!("{slug}{by}{line}")
        }
        TreePlan::Checkout => "the checkout itself".to_owned(),
        TreePlan::Folder => "the current folder".to_owned(),
    }
}

/// Whether a session can come to a question for a person.
pub(super) fn may_ask(session: &SessionPlan) -> bool {
    session.on_dialog == OnDialog::Ask
        && matches!(session.permission, Permission::Ask | Permission::WorkspaceWrite)
}

pub(super) fn session(session: &SessionPlan) -> String {
    let mut words = Vec::new();
    if session.sandbox.is_some() {
        words.push("sandbox".to_owned());
    }
    words.push(match &session.network {
        NetworkPlan::None => "no network".to_owned(),
        NetworkPlan::Provider => "provider only".to_owned(),
        NetworkPlan::Hosts(hosts) => format!("reaches {}", hosts.join(" ")),
        NetworkPlan::Open => "open network".to_owned(),
    });
    words.push(match session.permission {
        Permission::Ask => "asks".to_owned(),
        Permission::ReadOnly => "reads only".to_owned(),
        Permission::WorkspaceWrite => "writes".to_owned(),
        Permission::Full => "full permission".to_owned(),
    });
    match session.egress {
        Egress::All => {}
        Egress::Result => words.push("only its result leaves".to_owned()),
        Egress::None => words.push("nothing leaves".to_owned()),
    }
    words.push(time(session.timeout_ms));
    words.join(", ")
}

pub(super) fn rules(phase: &PhasePlan) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |on: bool, text: String| {
        if on {
            lines.push(text);
        }
    };
    say(phase.approve, "begins when a person approves".to_owned());
    match phase.require {
        Require::All => {}
        Require::Any => say(true, "done when any worker is".to_owned()),
        Require::AtLeast(least) => say(true, format!("done when {least} workers are")),
    }
    say(phase.on_failure == OnFailure::Continue, "the run goes on when it fails".to_owned());
    let again = format!(
        "failed workers are started again, {} at most, after {}",
        phase.retry.max,
        time(phase.retry.backoff_ms)
    );
    say(phase.retry.max > 0, again);
    say(phase.merge == MergeRule::Stop, "a conflict stops the run".to_owned());
    say(phase.merge == MergeRule::Keep, "conflicting branches are kept apart".to_owned());
    say(
        phase.on_lost == OnLost::Restart,
        format!("a lost worker is restarted after {}", time(phase.grace_ms)),
    );
    say(phase.on_lost == OnLost::Fail, format!("a lost worker fails after {}", time(phase.grace_ms)));
    if let Some(output) = &phase.output {
        say(true, format!("answer goes to {output}"));
    }
    let tools: Vec<&str> = phase.mcp.iter().map(|server| server.name.as_str()).collect();
    say(!tools.is_empty(), format!("tools {}", tools.join(", ")));
    lines
}

pub(super) fn machines(plan: &Plan) -> String {
    let words = plan.machines.iter().map(|(name, machine)| {
        let port = machine.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{name} = {}{port}", machine.host)
    });
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn limits(limits: &Limits) -> String {
    let mut words = vec![format!("{} agents", limits.max_total_agents)];
    words.extend(limits.max_parallel.map(|count| format!("{count} at a time")));
    words.push(format!("depth {}", limits.max_depth));
    words.extend(limits.max_cost_usd.map(|usd| format!("{usd} USD")));
    if limits.deny_unknown_cost {
        words.push("no model of unknown cost".to_owned());
    }
    words.extend(limits.timeout_per_agent_ms.map(|ms| format!("{} each", time(ms))));
    words.push(format!("{} letters", limits.max_messages));
    words.push(format!("{} turns", limits.max_turns));
    words.push(if limits.on_breach == OnBreach::Pause { "pauses at one" } else { "stops at one" }.to_owned());
    if !limits.may_spawn {
        words.push("agents start no runs".to_owned());
    }
    if limits.may_end {
        words.push("agents may end the run".to_owned());
    }
    words.join(", ")
}

pub(super) fn tools(plan: &Plan) -> String {
    let words = plan.mcp.iter().map(|server| match &server.source {
        Some(source) => format!("{} (from {source})", server.name),
        None => format!("{} (found nowhere)", server.name),
    });
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn schedule(schedule: &SchedulePlan) -> String {
    let zone = schedule.timezone.as_deref().unwrap_or("the node's time zone");
    let missed =
        if schedule.catch_up_once { "a missed one is made up for" } else { "a missed one is skipped" };
    let overlap = match schedule.overlap {
        Overlap::Skip => "skipped while the last goes on",
        Overlap::Queue => "queued while the last goes on",
        Overlap::Parallel => "beside the last",
    };
    let late = match schedule.jitter_ms {
        0 => String::new(),
        ms => format!(", up to {ms} ms late"),
    };
    format!("{} in {zone}, {missed}, {overlap}{late}", schedule.cron)
}

/// A time in the largest unit that has no rest.
pub(super) fn time(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match UNITS.iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

//! Plans written down in a few lines.
//!
//! ```text
//! run: max_parallel 2; max_total_agents 5; on_breach stop
//! work/1: claude, gemini
//! work/2: codex
//! work: require any; retry 2 100; after triage; condition triage.kind == auth
//! talk: dialogue 3 last.from == '1' | meeting 2 1; moderator 1 | mesh 500; agent 2 after 1
//! ```
//!
//! A phase comes after the one before it unless `after` says otherwise; `after nothing` lets it begin at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use niia_spec::course::{Outputs, Verdict};
use niia_spec::name::Slug;
use niia_spec::plan::{
    AgendaPlan, AgentPlan, Egress, Limits, MergeRule, ModelPlan, NetworkPlan, OnBreach, OnDialog, OnFailure,
    OnLost, PLAN_VERSION, Permission, PhasePlan, PhaseWork, Plan, Require, Retry, SessionPlan, TreePlan,
    WorkerPlan,
};

/// The time limit of a session for which a test says nothing; transcripts leave it out.
pub const TIMEOUT_MS: u64 = 7_200_000;

pub fn slug(text: &str) -> Slug {
    Slug::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn plan(text: &str) -> Arc<Plan> {
    let mut plan = empty_plan();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, rest) = line.split_once(':').unwrap_or_else(|| panic!("no colon in `{line}`"));
        match head.split_once('/') {
            _ if head == "run" => rest.split(';').for_each(|word| limit(&mut plan.limits, word.trim())),
            Some((phase, name)) => {
                let models = rest.split(',').map(str::trim);
                workers(phase_of(&mut plan, phase)).push(worker(name, models));
            }
            None => rest.split(';').for_each(|word| option(phase_of(&mut plan, head), word.trim())),
        }
    }
    Arc::new(plan)
}

fn phase_of<'a>(plan: &'a mut Plan, name: &str) -> &'a mut PhasePlan {
    let known = plan.phases.iter().position(|phase| phase.name.as_str() == name);
    let at = known.unwrap_or_else(|| {
        let mut phase = empty_phase(name, &plan.limits);
        phase.after.extend(plan.phases.last().map(|before| before.name.clone()));
        plan.phases.push(phase);
        plan.phases.len() - 1
    });
    &mut plan.phases[at]
}

fn workers(phase: &mut PhasePlan) -> &mut Vec<WorkerPlan> {
    match &mut phase.work {
        PhaseWork::Workers { workers, .. } => workers,
        other => panic!("{other:?} has no workers"),
    }
}

fn limit(limits: &mut Limits, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["max_parallel", n] => limits.max_parallel = Some(number(n)),
        ["max_total_agents", n] => limits.max_total_agents = number(n),
        ["timeout_per_agent_ms", n] => limits.timeout_per_agent_ms = Some(u64::from(number(n))),
        ["max_turns", n] => limits.max_turns = number(n),
        ["max_messages", n] => limits.max_messages = number(n),
        ["max_cost_usd", n] => limits.max_cost_usd = Some(f64::from(number(n))),
        ["deny", "unknown", "cost"] => limits.deny_unknown_cost = true,
        ["on_breach", "stop"] => limits.on_breach = OnBreach::Stop,
        _ => panic!("no limit: {text}"),
    }
}

fn option(phase: &mut PhasePlan, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["require", "any"] => phase.require = Require::Any,
        ["require", n] => phase.require = Require::AtLeast(number(n)),
        ["retry", max, backoff] => {
            phase.retry = Retry { max: number(max), backoff_ms: u64::from(number(backoff)) };
        }
        ["one", "by", "one"] => {
            if let PhaseWork::Workers { parallel, .. } = &mut phase.work {
                *parallel = false;
            }
        }
        ["after", "nothing"] => phase.after = Vec::new(),
        ["after", ..] => phase.after = words[1..].iter().map(|name| slug(name)).collect(),
        ["condition", ..] => phase.condition = Some(words[1..].join(" ")),
        ["approve"] => phase.approve = true,
        ["on_failure", "continue"] => phase.on_failure = OnFailure::Continue,
        ["on_lost", "restart"] => phase.on_lost = OnLost::Restart,
        ["on_lost", "fail"] => phase.on_lost = OnLost::Fail,
        ["merge", "stop"] => phase.merge = MergeRule::Stop,
        ["merge", "keep"] => phase.merge = MergeRule::Keep,
        ["timeout", ms] => {
            let ms = u64::from(number(ms));
            phase.work.workers_mut().into_iter().for_each(|worker| worker.session.timeout_ms = ms);
        }
        ["dialogue", rounds, ref until @ ..] => {
            let participants = std::mem::take(workers(phase));
            let until = (!until.is_empty()).then(|| until.join(" "));
            phase.work = PhaseWork::Dialogue { participants, rounds: number(rounds), until };
        }
        ["meeting", ref rounds @ ..] => {
            let participants = std::mem::take(workers(phase));
            let topic = |rounds: &&str| AgendaPlan { topic: "a topic".to_owned(), rounds: number(rounds) };
            let agenda = rounds.iter().map(topic).collect();
            phase.work = PhaseWork::Meeting { participants, agenda, moderator: None };
        }
        ["moderator", name] => {
            if let PhaseWork::Meeting { moderator, .. } = &mut phase.work {
                *moderator = Some(slug(name));
            }
        }
        ["mesh", quiet] => {
            let agents = std::mem::take(workers(phase)).into_iter();
            let agents = agents.map(|worker| AgentPlan { worker, after: Vec::new(), watch: Vec::new() });
            phase.work = PhaseWork::Mesh {
                agents: agents.collect(),
                star: false,
                any_to_any: true,
                broadcast: true,
                quiet_ms: if quiet == "persistent" { 1 } else { u64::from(number(quiet)) },
                persistent: quiet == "persistent",
            };
        }
        ["agent", name, "after", ref before @ ..] => {
            if let PhaseWork::Mesh { agents, .. } = &mut phase.work {
                let agent = agents.iter_mut().find(|agent| agent.worker.name.as_str() == name);
                agent
                    .into_iter()
                    .for_each(|agent| agent.after = before.iter().map(|name| slug(name)).collect());
            }
        }
        ["session"] => {
            let worker = workers(phase).remove(0);
            phase.work = PhaseWork::Session { worker };
        }
        _ => limit(&mut phase.limits, text),
    }
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

pub fn worker<'a>(name: &str, models: impl Iterator<Item = &'a str>) -> WorkerPlan {
    WorkerPlan {
        name: slug(name),
        models: models.map(model).collect(),
        prompt: None,
        machine: Vec::new(),
        session: session(),
        tree: TreePlan::Folder,
    }
}

fn model(reference: &str) -> ModelPlan {
    ModelPlan {
        reference: reference.to_owned(),
        profile: reference.to_owned(),
        model: None,
        args: Vec::new(),
        env: BTreeMap::new(),
        because: String::new(),
        cost: None,
    }
}

pub fn empty_plan() -> Plan {
    Plan {
        version: PLAN_VERSION,
        name: slug("test"),
        description: None,
        task: None,
        flow: None,
        phases: Vec::new(),
        machines: BTreeMap::new(),
        limits: limits(),
        mcp: Vec::new(),
        trusted_domains: Vec::new(),
        schedule: None,
        triggers: Vec::new(),
        event: None,
        mailbox: true,
        connectors: BTreeMap::new(),
        is_inside: false,
        places: niia_spec::plan::Places::default(),
    }
}

fn limits() -> Limits {
    Limits {
        max_depth: 8,
        max_total_agents: 200,
        max_parallel: None,
        max_cost_usd: None,
        timeout_per_agent_ms: None,
        max_messages: 500,
        max_turns: 200,
        on_breach: OnBreach::Pause,
        deny_unknown_cost: false,
        may_spawn: false,
        may_end: false,
    }
}

pub fn empty_phase(name: &str, limits: &Limits) -> PhasePlan {
    PhasePlan {
        name: slug(name),
        after: Vec::new(),
        condition: None,
        work: PhaseWork::Workers { workers: Vec::new(), parallel: true },
        steps: Vec::new(),
        require: Require::All,
        on_failure: OnFailure::Stop,
        retry: Retry { max: 0, backoff_ms: 0 },
        approve: false,
        merge: MergeRule::Agent,
        on_lost: OnLost::Wait,
        grace_ms: 60_000,
        orphan_after_ms: 86_400_000,
        output: None,
        output_schema: None,
        publishes: Vec::new(),
        scratchpad: true,
        mailbox: true,
        limits: limits.clone(),
        mcp: Vec::new(),
    }
}

fn session() -> SessionPlan {
    SessionPlan {
        sandbox: None,
        network: NetworkPlan::Open,
        scratchpad: true,
        env: BTreeMap::new(),
        env_from_home: Vec::new(),
        permission: Permission::WorkspaceWrite,
        timeout_ms: TIMEOUT_MS,
        resume: None,
        egress: Egress::All,
        answer_within_ms: 600_000,
        on_dialog: OnDialog::Ask,
        include: Vec::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        ports: 0,
        plugins: Vec::new(),
        cols: 120,
        rows: 40,
        shell: None,
        cwd: None,
        record: true,
        recording_bytes_max: 1 << 30,
    }
}

/// Judges `phase.key == word`; `broken` cannot be judged.
pub fn judge(condition: &str, outputs: &Outputs) -> Verdict {
    let Some((path, wanted)) = condition.split_once(" == ") else {
        return Verdict::Broken(format!("`{condition}` compares nothing"));
    };
    let Some((phase, key)) = path.split_once('.') else {
        return Verdict::Broken(format!("`{path}` is no output"));
    };
    let of_phase = outputs.phases.iter().filter(|outputs| outputs.phase.as_str() == phase);
    let mut values =
        of_phase.flat_map(|outputs| &outputs.workers).filter_map(|worker| worker.values.get(key));
    match values.next() {
        None => Verdict::NeverSet(vec![path.to_owned()]),
        Some(value) if value.as_str() == Some(wanted) => Verdict::Holds,
        Some(_) => Verdict::DoesNotHold,
    }
}

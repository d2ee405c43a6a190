//! A rehearsal: a plan in which stand-ins take every model's part, so that the whole of it can be played without cost.
//!
//! A stand-in answers at once, publishes what conditions read of its phase, and fails on cue. What a plan wants of the
//! world besides (other machines, a sandbox, the user's own commands, a person's word) is taken for granted and said.

mod cues;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::name::{PhaseName, WorkerName};
use crate::plan::{
    ModelPlan, NetworkPlan, PhasePlan, PhaseWork, Plan, StepPlan, StepRule, TreePlan, WorkerPlan,
};

pub use cues::{CueError, Failing, Fault, Setting};
use cues::{FAILINGS, known};

/// The profile of the stand-ins. It is given to a rehearsal and nowhere else.
pub const PROFILE: &str = "rehearsal";
/// By this variable of a stand-in it is known for whom it stands.
const REHEARSED: &str = "REHEARSED_MODEL";
/// The hidden verb by which a stand-in is started.
pub const WORKER_VERB: &str = "rehearsal-worker";
/// A worker that is to run out of time has no more than this.
const TIMEOUT_MS: u64 = 1_500;
/// A mesh of stand-ins has said everything after so much quiet.
const QUIET_MS: u64 = 500;
/// Nobody waits between two tries of a stand-in.
const BACKOFF_MS: u64 = 50;

/// What one stand-in does; it is told as an argument of its program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    /// The model whose part it takes.
    pub model: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// A file of its tree it writes, so that its work is committed and merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whom it writes a letter in its first turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter_to: Option<String>,
}

/// A plan to be rehearsed, and what is taken for granted in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    pub plan: Plan,
    pub notes: Vec<String>,
}

/// The file of the stand-ins' profile; `program` is this program.
pub fn profile(program: &str) -> String {
    let mut text = format!(
        "id = \"{PROFILE}\"\nabout = \"a stand-in of a rehearsal\"\nprogram = {program}\nprompt = \"file\"\n\
         argv = [\"{WORKER_VERB}\", \"{{args}}\", \"{{prompt_file}}\"]\n\
         [sandboxed]\nbase_url_env = [\"{REHEARSED}\"]\n",
        program = toml::Value::from(program),
    );
    for (code, class) in FAILINGS.iter().filter_map(|(_, failing)| failing.exit()) {
        // A class is written as its word in every file.
        let class = serde_json::to_string(&class).unwrap_or_default();
        text.push_str(&format!("[[error]]\nclass = {class}\nexit = {code}\n"));
    }
    text
}

/// Gives every part of a plan to a stand-in.
pub fn rehearse(
    mut plan: Plan,
    faults: &[Fault],
    settings: &[Setting],
    program: &str,
) -> Result<Rehearsal, CueError> {
    known(&plan, faults, settings)?;
    let mut notes = Vec::new();
    let mut note = |wanted: bool, text: &str| {
        if wanted && !notes.iter().any(|known| known == text) {
            notes.push(text.to_owned());
        }
    };
    note(
        plan.schedule.is_some() || !plan.triggers.is_empty(),
        "its schedule and triggers are left out: it is played once",
    );
    (plan.schedule, plan.triggers) = (None, Vec::new());
    plan.limits.timeout_per_agent_ms = None;
    // Stand-ins cost nothing, which nobody needs to be told.
    plan.limits.deny_unknown_cost = false;
    for phase in &mut plan.phases {
        phase.limits.deny_unknown_cost = false;
        note(phase.approve, "phases that ask for approval get it");
        phase.approve = false;
        phase.retry.backoff_ms = phase.retry.backoff_ms.min(BACKOFF_MS);
        let stage = Stage { faults, settings, program };
        let outputs = stage.outputs(phase);
        note(!phase.steps.is_empty(), "steps run nothing");
        for step in &mut phase.steps {
            stage.step(step, &phase.name);
        }
        stage.work(phase, &outputs, &mut note);
        for worker in phase.work.workers_mut() {
            note(!worker.machine.is_empty(), "every machine is this one");
            note(worker.session.sandbox.is_some(), "no sandbox is made");
            note(
                !worker.session.setup.is_empty() || !worker.session.teardown.is_empty(),
                "setup and teardown run nothing",
            );
            plain(worker);
        }
    }
    Ok(Rehearsal { plan, notes })
}

struct Stage<'a> {
    faults: &'a [Fault],
    settings: &'a [Setting],
    program: &'a str,
}

impl Stage<'_> {
    /// What the workers of a phase publish: what was said on the command line, else the first value a condition compares
    /// it with.
    fn outputs(&self, phase: &PhasePlan) -> Map<String, Value> {
        let first = phase.publishes.iter().map(|published| {
            let text = published.compared_with.first();
            let value = text.map_or(Value::Bool(true), |text| match serde_json::from_str(text) {
                Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
                _ => Value::from(text.as_str()),
            });
            (published.key.clone(), value)
        });
        let said = self.settings.iter().filter(|setting| setting.phase == phase.name.as_str());
        let shaped = phase.output_schema.as_ref().map(example).and_then(|value| match value {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        let said = said.map(|setting| (setting.key.clone(), setting.value.clone()));
        shaped.into_iter().flatten().chain(first).chain(said).collect()
    }

    fn step(&self, step: &mut StepPlan, phase: &PhaseName) {
        step.argv = self.command(&Part { name: format!("{phase}: step {}", step.name), ..Part::default() });
        for model in &mut step.worker.models {
            model.args.clone_from(&step.argv);
        }
        plain(&mut step.worker);
        step.writes = false;
    }

    fn command(&self, part: &Part) -> Vec<String> {
        vec![self.program.to_owned(), WORKER_VERB.to_owned(), told(part)]
    }

    /// Gives a phase's work to stand-ins. What is no work of models becomes a step.
    fn work(&self, phase: &mut PhasePlan, outputs: &Map<String, Value>, note: &mut impl FnMut(bool, &str)) {
        match &mut phase.work {
            PhaseWork::Connector { worker, .. } => {
                note(true, "a connector within it is one stand-in");
                let worker = (**worker).clone();
                phase.work = PhaseWork::Workers { workers: vec![worker], parallel: true };
            }
            PhaseWork::Session { worker } => {
                note(true, "nobody sits at its session");
                phase.work = PhaseWork::Workers { workers: vec![worker.clone()], parallel: true };
            }
            PhaseWork::Mesh { agents, quiet_ms, persistent, .. } => {
                note(*persistent, "its mesh ends when nobody has anything more to say");
                (*persistent, *quiet_ms) = (false, QUIET_MS);
                agents.iter_mut().for_each(|agent| agent.watch.clear());
            }
            _ => {}
        }
        if matches!(phase.work, PhaseWork::Steps) && !outputs.is_empty() {
            self.steps_publish(phase, outputs);
        }
        self.cast(phase, outputs);
    }

    /// A phase of steps publishes by a rule of its last one.
    fn steps_publish(&self, phase: &mut PhasePlan, outputs: &Map<String, Value>) {
        if let Some(step) = phase.steps.last_mut() {
            let set: BTreeMap<String, Value> = outputs.clone().into_iter().collect();
            step.rules = vec![StepRule { when: "exit:0".to_owned(), next: None, set }];
        }
    }

    fn cast(&self, phase: &mut PhasePlan, outputs: &Map<String, Value>) {
        let mesh = matches!(phase.work, PhaseWork::Mesh { any_to_any: true, .. });
        let workers: Vec<WorkerName> =
            phase.work.workers().iter().map(|worker| worker.name.clone()).collect();
        let name = phase.name.clone();
        for (at, worker) in phase.work.workers_mut().into_iter().enumerate() {
            let next = &workers[(at + 1) % workers.len()];
            let part = Part {
                name: format!("{name}/{}", worker.name),
                outputs: outputs.clone(),
                file: works_in_a_tree(worker).then(|| format!("rehearsal/{name}-{}.md", worker.name)),
                letter_to: (mesh && *next != worker.name).then(|| next.to_string()),
                ..Part::default()
            };
            let failing = self.failing(&name, &worker.name);
            if failing == Some(Failing::Timeout) {
                worker.session.timeout_ms = TIMEOUT_MS;
            }
            for (at, model) in worker.models.iter_mut().enumerate() {
                let failing = failing.filter(|_| at == 0);
                let part = Part { model: model.reference.clone(), failing, ..part.clone() };
                *model = stand_in(model, &part);
            }
        }
    }

    fn failing(&self, phase: &PhaseName, worker: &WorkerName) -> Option<Failing> {
        let meant = |fault: &&Fault| {
            fault.phase == phase.as_str()
                && fault.worker.as_ref().is_none_or(|wanted| wanted == worker.as_str())
        };
        self.faults.iter().rfind(meant).map(|fault| fault.failing)
    }
}

fn stand_in(model: &ModelPlan, part: &Part) -> ModelPlan {
    ModelPlan {
        reference: model.reference.clone(),
        profile: PROFILE.to_owned(),
        model: None,
        args: vec![told(part)],
        // One that is refused says nothing about the providers of the others.
        env: BTreeMap::from([(REHEARSED.to_owned(), model.reference.clone())]),
        because: format!("a stand-in for {}", model.reference),
        cost: None,
    }
}

fn told(part: &Part) -> String {
    // A part is plain data and can always be written.
    serde_json::to_string(part).unwrap_or_default()
}

/// Those who must not write get nothing to write.
fn works_in_a_tree(worker: &WorkerPlan) -> bool {
    matches!(worker.tree, TreePlan::Own { .. } | TreePlan::Result | TreePlan::Shared { .. })
}

/// A session that needs nothing of the world.
fn plain(worker: &mut WorkerPlan) {
    worker.machine.clear();
    let session = &mut worker.session;
    session.sandbox = None;
    session.network = NetworkPlan::Open;
    session.resume = None;
    session.cwd = None;
    session.ports = 0;
    for list in [
        &mut session.setup,
        &mut session.teardown,
        &mut session.include,
        &mut session.plugins,
        &mut session.env_from_home,
    ] {
        list.clear();
    }
    // Variables of the caller may be missing where it is only rehearsed.
    session.env.retain(|_, value| !value.contains("${"));
}

/// The smallest value a schema describes, as far as that is plain.
fn example(schema: &Value) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|list| list.get(0)) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    let number = |name: &str| schema.get(name).and_then(Value::as_u64).unwrap_or(0);
    match kind.or_else(|| schema.get("properties").map(|_| "object")) {
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), example(schema))).collect()
        }
        Some("array") => {
            let item = schema.get("items").map_or(Value::Null, example);
            (0..number("minItems").min(64)).map(|_| item.clone()).collect()
        }
        Some("string") => {
            let text = "rehearsed".repeat(1 + usize::try_from(number("minLength") / 9).unwrap_or(0).min(64));
            Value::from(text)
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(Value::from(0)),
        Some("boolean") => Value::Bool(true),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;

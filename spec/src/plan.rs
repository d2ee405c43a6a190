//! The plan: a document with every default filled in and every name resolved.
//!
//! A plan is data. It is what a run keeps of its document, what travels to another machine, and what `niia plan`
//! prints. However a document is written, its plan is a list of phases: a mesh, dialogue, meeting or session at the
//! top of a document is a plan of one phase.

pub mod ceiling;
pub mod draw;
mod places;
mod run;
pub mod show;
mod tools;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Happened;
use crate::name::{MachineName, PhaseName, Slug, WorkerName};

/// The version of the plan's own form, written into every journalled run.
pub const PLAN_VERSION: u32 = 1;

pub use places::Places;
pub use run::expand_run;
pub use tools::{McpPlan, StepPlan, StepRule};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub name: Slug,
    pub description: Option<String>,
    /// The goal each agent is told.
    pub task: Option<String>,
    /// Markdown handed to each agent first (`agent.flow`).
    pub flow: Option<String>,
    /// In the order of the document.
    pub phases: Vec<PhasePlan>,
    pub machines: BTreeMap<MachineName, MachinePlan>,
    pub limits: Limits,
    pub mcp: Vec<McpPlan>,
    /// Hosts a sandboxed session may reach besides its provider.
    pub trusted_domains: Vec<String>,
    pub schedule: Option<SchedulePlan>,
    pub triggers: Vec<TriggerPlan>,
    /// What began this run, where an event did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<Happened>>,
    pub mailbox: bool,
    /// The plans of the documents that phases run, by where they lie. A run begun by such a phase has the same ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connectors: BTreeMap<String, Plan>,
    /// Its run is begun inside another one, whose bounds are its own as well.
    #[serde(default)]
    pub is_inside: bool,
    /// Where in its document each thing stands that a run begun inside it may not have wider.
    #[serde(default)]
    pub places: Places,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhasePlan {
    pub name: PhaseName,
    /// Begins when all of these are over. The phase before it where the document says nothing.
    pub after: Vec<PhaseName>,
    pub condition: Option<String>,
    pub work: PhaseWork,
    pub steps: Vec<StepPlan>,
    pub require: Require,
    pub on_failure: OnFailure,
    pub retry: Retry,
    pub approve: bool,
    pub merge: MergeRule,
    pub on_lost: OnLost,
    pub grace_ms: u64,
    /// How long a machine that lost its home goes on with this phase's workers.
    #[serde(default)]
    pub orphan_after_ms: u64,
    /// A file of the user's for this phase's answer.
    pub output: Option<String>,
    pub output_schema: Option<Value>,
    /// What later conditions read of this phase; its workers are told to publish these.
    pub publishes: Vec<Published>,
    pub scratchpad: bool,
    pub mailbox: bool,
    /// The tighter of the document's limits and the phase's own.
    pub limits: Limits,
    /// MCP servers this phase has besides the document's.
    #[serde(default)]
    pub mcp: Vec<McpPlan>,
}

impl Plan {
    /// The step of a phase that has this worker's name.
    pub fn step(&self, worker: &crate::name::WorkerId) -> Option<&StepPlan> {
        let phase = self.phases.iter().find(|phase| phase.name == worker.phase)?;
        phase.steps.iter().find(|step| step.worker.name == worker.worker)
    }
}

impl PhasePlan {
    /// Everybody who has sessions in it: its workers, then its steps.
    pub fn everybody(&self) -> impl Iterator<Item = &WorkerPlan> {
        self.work.workers().into_iter().chain(self.steps.iter().map(|step| &step.worker))
    }
}

/// What a phase does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseWork {
    Workers {
        workers: Vec<WorkerPlan>,
        parallel: bool,
    },
    Dialogue {
        participants: Vec<WorkerPlan>,
        rounds: u32,
        until: Option<String>,
    },
    Meeting {
        participants: Vec<WorkerPlan>,
        agenda: Vec<AgendaPlan>,
        moderator: Option<WorkerName>,
    },
    Mesh {
        agents: Vec<AgentPlan>,
        star: bool,
        any_to_any: bool,
        broadcast: bool,
        quiet_ms: u64,
        persistent: bool,
    },
    /// One interactive session, for a person.
    Session {
        worker: WorkerPlan,
    },
    /// A connector of its own: its run stands in the only seat, and the seat's session is the ceiling of that run.
    Connector {
        /// As the document writes it.
        path: String,
        /// Which of the plan's `connectors` it is.
        plan: Option<String>,
        worker: Box<WorkerPlan>,
    },
    /// Steps alone: no model is needed.
    Steps,
}

impl PhaseWork {
    /// The word a document uses for it.
    pub fn word(&self) -> &'static str {
        match self {
            PhaseWork::Workers { .. } => "pipeline",
            PhaseWork::Dialogue { .. } => "dialogue",
            PhaseWork::Meeting { .. } => "meeting",
            PhaseWork::Mesh { .. } => "mesh",
            PhaseWork::Session { .. } => "session",
            PhaseWork::Connector { .. } => "connector",
            PhaseWork::Steps => "steps",
        }
    }

    /// Everybody who works in it, in the order of the document.
    pub fn workers(&self) -> Vec<&WorkerPlan> {
        match self {
            PhaseWork::Workers { workers, .. } => workers.iter().collect(),
            PhaseWork::Dialogue { participants, .. } | PhaseWork::Meeting { participants, .. } => {
                participants.iter().collect()
            }
            PhaseWork::Mesh { agents, .. } => agents.iter().map(|agent| &agent.worker).collect(),
            PhaseWork::Session { worker } => vec![worker],
            PhaseWork::Connector { worker, .. } => vec![&**worker],
            PhaseWork::Steps => Vec::new(),
        }
    }

    /// The same, to be changed.
    pub fn workers_mut(&mut self) -> Vec<&mut WorkerPlan> {
        match self {
            PhaseWork::Workers { workers, .. } => workers.iter_mut().collect(),
            PhaseWork::Dialogue { participants, .. } | PhaseWork::Meeting { participants, .. } => {
                participants.iter_mut().collect()
            }
            PhaseWork::Mesh { agents, .. } => agents.iter_mut().map(|agent| &mut agent.worker).collect(),
            PhaseWork::Session { worker } => vec![worker],
            PhaseWork::Connector { worker, .. } => vec![&mut **worker],
            PhaseWork::Steps => Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerPlan {
    pub name: WorkerName,
    /// In order: the model asked for, then what it fails over to. Never empty.
    pub models: Vec<ModelPlan>,
    pub prompt: Option<String>,
    /// Tried in order; empty means this machine.
    pub machine: Vec<MachineChoice>,
    pub session: SessionPlan,
    pub tree: TreePlan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelPlan {
    /// As the document writes it.
    pub reference: String,
    /// The profile that drives it, such as `claude`.
    pub profile: String,
    /// The model the profile is asked for, such as `opus`.
    pub model: Option<String>,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// How the reference led here, for people: "alias security → claude".
    pub because: String,
    /// What the document says it costs; a cost nobody tells is unknown, never 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostPlan>,
}

impl ModelPlan {
    /// What a profile is asked for without anything more.
    pub fn plain(reference: &str, profile: &str, because: &str) -> ModelPlan {
        ModelPlan {
            reference: reference.to_owned(),
            profile: profile.to_owned(),
            model: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            because: because.to_owned(),
            cost: None,
        }
    }
}

/// What a model costs, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostPlan {
    PerSession(f64),
    /// A million tokens read, written, read from the provider's cache.
    PerMillionTokens {
        input: Option<f64>,
        output: Option<f64>,
        cached: Option<f64>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineChoice {
    /// An alias of the document, a host or a node's name.
    Named(String),
    Labels(BTreeMap<String, String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinePlan {
    pub host: String,
    pub port: Option<u16>,
    pub fingerprint: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub max_sessions: Option<u32>,
    pub dir: Option<String>,
    pub repo: Option<String>,
}

/// The tree a worker works in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreePlan {
    /// A tree of its own, merged after the phase.
    Own { slug: Slug },
    /// The run's line `result` itself.
    Result,
    /// A read-only tree of `result`.
    ReadOnly,
    /// One tree for everybody who names this slug; `line` is true for a rival prototype, never merged by itself.
    Shared { slug: Slug, line: bool },
    /// The user's own checkout, because the document says `"worktree": false`.
    Checkout,
    /// The current folder: there is no repository, so nothing is committed or merged.
    Folder,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionPlan {
    pub sandbox: Option<SandboxPlan>,
    pub network: NetworkPlan,
    pub scratchpad: bool,
    pub env: BTreeMap<String, String>,
    pub env_from_home: Vec<String>,
    pub permission: Permission,
    pub timeout_ms: u64,
    pub resume: Option<String>,
    pub egress: Egress,
    pub answer_within_ms: u64,
    pub on_dialog: OnDialog,
    pub include: Vec<String>,
    pub setup: Vec<String>,
    pub teardown: Vec<String>,
    /// How many free ports are exported.
    pub ports: u16,
    pub plugins: Vec<String>,
    pub cols: u16,
    pub rows: u16,
    pub shell: Option<String>,
    pub cwd: Option<String>,
    pub record: bool,
    pub recording_bytes_max: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    pub write: Vec<String>,
    pub read_deny: Vec<String>,
    pub memory_mb: Option<u64>,
    pub pids: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkPlan {
    /// Nothing but a local model's own endpoint, where the session has one.
    None,
    Provider,
    Hosts(Vec<String>),
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    Ask,
    ReadOnly,
    WorkspaceWrite,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    All,
    Result,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDialog {
    Ask,
    Allow,
    Deny,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgendaPlan {
    pub topic: String,
    pub rounds: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentPlan {
    pub worker: WorkerPlan,
    pub after: Vec<WorkerName>,
    pub watch: Vec<WatchPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchPlan {
    /// `worktree`, `refs` (any branch of the repository), a branch, or `remote/branch`.
    pub git: String,
    pub settle_ms: u64,
}

/// How many of a phase's workers must be done for the phase to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    All,
    Any,
    AtLeast(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Stop,
    Continue,
}

/// How often a worker that failed is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    pub max: u32,
    /// Before the first repetition; doubled before each further one.
    pub backoff_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeRule {
    /// A conflict goes to the phase's model, once.
    Agent,
    Stop,
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    Wait,
    Restart,
    Fail,
}

/// A key that a later condition reads, and the literals it is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub key: String,
    pub compared_with: Vec<String>,
}

/// Bounds over the whole tree of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub max_depth: u32,
    pub max_total_agents: u32,
    /// Live sessions at a time; nothing means as many as the node allows.
    pub max_parallel: Option<u32>,
    pub max_cost_usd: Option<f64>,
    /// The longest `timeout_ms` a session may have.
    pub timeout_per_agent_ms: Option<u64>,
    pub max_messages: u32,
    pub max_turns: u32,
    pub on_breach: OnBreach,
    pub deny_unknown_cost: bool,
    pub may_spawn: bool,
    pub may_end: bool,
}

impl Limits {
    /// Takes over what is tighter in the limits above. What happens at a bound, and by whom, is narrowed as well.
    pub fn narrow(&mut self, above: &Limits) {
        let least = |own: Option<u32>, above: Option<u32>| own.into_iter().chain(above).min();
        self.max_depth = self.max_depth.min(above.max_depth);
        self.max_total_agents = self.max_total_agents.min(above.max_total_agents);
        self.max_parallel = least(self.max_parallel, above.max_parallel);
        self.max_cost_usd = match (self.max_cost_usd, above.max_cost_usd) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        };
        let times = [self.timeout_per_agent_ms, above.timeout_per_agent_ms];
        self.timeout_per_agent_ms = times.into_iter().flatten().min();
        self.max_messages = self.max_messages.min(above.max_messages);
        self.max_turns = self.max_turns.min(above.max_turns);
        self.deny_unknown_cost |= above.deny_unknown_cost;
        self.may_spawn &= above.may_spawn;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    Pause,
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePlan {
    pub cron: String,
    /// An IANA name; nothing means the node's own zone.
    pub timezone: Option<String>,
    pub catch_up_once: bool,
    pub overlap: Overlap,
    pub jitter_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    Skip,
    Queue,
    Parallel,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerPlan {
    pub event: String,
    pub filter: Option<String>,
}

//! A document: what a connector.json says, and where it says it. Nothing is filled in yet.

mod model;
mod phase;
mod run;
mod session;
mod worker;

use std::sync::Arc;

pub use crate::read::map::Map;
pub use model::*;
pub use phase::*;
pub use run::*;
pub use session::*;
pub use worker::*;

use crate::condition::Read;
use crate::name::Slug;
use crate::read::map::SlugKey;
use crate::read::table::{record, words};
use crate::read::{At, Json};

/// The versions of the language this program knows; the last one is the newest.
pub const VERSIONS: [&str; 2] = ["2.0", "2.1"];

record! {
    /// One connector.json: which AI programs work together, on what, where, and in which order.
    pub struct Document {
        /// The version of this language, `2.0` or `2.1`.
        connector: String,
        /// The address of a schema, for editors; ignored.
        schema = "$schema": Json,
        /// The name of the document; the file's name where it is missing.
        name: Slug,
        /// What the document is for, told to each agent.
        description: String,
        /// The goal each agent is told; the command line may set another.
        task: String,
        /// How the agents work together; by default what the other fields say.
        kind = "type": Topology,
        /// Defaults for every session of the run.
        session: Session,
        /// Aliases for models.
        models: Map<SlugKey, ModelDef>,
        /// Aliases for machines.
        machines: Map<SlugKey, MachineDef>,
        /// Phases, one after the other, each with workers in parallel.
        pipeline: Pipeline,
        /// The agents of a mesh.
        agents: Vec<At<Agent>>,
        /// Who hears whom in a mesh.
        communication: Communication,
        /// Who takes part in a dialogue or meeting.
        participants: Vec<At<Participant>>,
        /// What a meeting talks about.
        agenda: Vec<At<Agenda>>,
        /// How often each participant of a dialogue speaks.
        rounds: Rounds,
        /// A condition that ends a dialogue early.
        until: String,
        /// The participant that closes each topic of a meeting with a decision.
        moderator: Slug,
        /// How long a mesh must be silent to be over.
        quiet_ms: DurationMs,
        /// Whether a mesh goes on until somebody ends it; at the top of a document it does.
        persistent: bool,
        /// Tools the agents may use.
        tools: Tools,
        /// What every agent is handed first.
        agent: AgentBlock,
        /// What a sandboxed session may reach.
        trust: Trust,
        /// When the document runs by itself.
        schedule: ScheduleSpec,
        /// Which events run it.
        trigger: TriggerSpec,
        /// What wakes an idle agent of a mesh.
        watch: Vec<At<WatchSpec>>,
        /// What agents may do besides their work.
        capabilities: Capabilities,
        /// Bounds over the whole tree of the run.
        limits: LimitsSpec,
    } and {
        /// The text it was read from.
        source: Source,
        /// The outputs its conditions read.
        reads: Vec<Read>,
        /// Which part of a document it is, where it is none itself.
        fragment: Option<Fragment>,
    }
}

words! { Topology {
    "pipeline" => Topology::Pipeline,
    "dialogue" => Topology::Dialogue,
    "meeting" => Topology::Meeting,
    "mesh" => Topology::Mesh,
    "session" => Topology::Session,
} }

/// The text a document was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub file: Arc<str>,
    pub text: Arc<str>,
}

/// A part of a document that was handed in as if it were one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// The value of `models`.
    Models,
    /// The value of `pipeline`.
    Pipeline,
}

impl Document {
    /// What the document is, by `type` or by the fields that are there.
    pub fn topology(&self) -> Topology {
        if let Some(kind) = &self.kind {
            return kind.value;
        }
        if self.pipeline.is_some() {
            Topology::Pipeline
        } else if self.agents.is_some() {
            Topology::Mesh
        } else if let Some(participants) = &self.participants {
            phase::conversation(participants.len(), self.agenda.is_some())
        } else {
            Topology::Session
        }
    }

    /// Sets the goal, as the command line may.
    pub fn set_task(&mut self, task: impl Into<String>) {
        self.task = Some(At { value: task.into(), span: self.span });
    }

    /// The phases of the pipeline; empty where there is none.
    pub fn phases(&self) -> &[At<Phase>] {
        let phases = self.pipeline.as_ref().and_then(|pipeline| pipeline.phases.as_ref());
        phases.map_or(&[], |phases| phases.value.as_slice())
    }
}

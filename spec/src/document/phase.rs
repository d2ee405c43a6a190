//! The phases of a pipeline.

use super::model::{Failover, MachineHost, ModelRef};
use super::run::{LimitsSpec, Tools};
use super::session::{DurationMs, Filled, Session};
use super::worker::{Agenda, Agent, Communication, Participant, Worker};
use crate::name::Slug;
use crate::plan::{MergeRule, OnFailure, OnLost};
use crate::read::map::{Map, OutputKey, SlugKey};
use crate::read::table::{bounds, record, union, words};
use crate::read::{At, Json, OneOrMany, PhaseLabel};

/// The most workers of one phase: each is a program, a terminal and a tree.
pub const WORKERS_MAX: u64 = 10_000;
/// The most rounds of a conversation: each round is a turn of every participant.
pub const ROUNDS_MAX: u64 = 1_000;
/// The most repetitions of a failed worker.
pub const RETRY_MAX: u64 = 100;

bounds! {
    /// A number of workers.
    WorkerCount = 1, WORKERS_MAX, "workers_max";
    /// A number of rounds.
    Rounds = 1, ROUNDS_MAX, "rounds_max";
    /// A number of repetitions.
    RetryCount = 0, RETRY_MAX, "retry_max";
    /// A number of workers that must be done.
    AtLeastCount = 1, WORKERS_MAX, "workers_max";
}

/// How agents work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    Pipeline,
    Dialogue,
    Meeting,
    Mesh,
    Session,
}

impl Topology {
    pub fn word(self) -> &'static str {
        match self {
            Topology::Pipeline => "pipeline",
            Topology::Dialogue => "dialogue",
            Topology::Meeting => "meeting",
            Topology::Mesh => "mesh",
            Topology::Session => "session",
        }
    }
}

/// What participants without a word about it are: two with no agenda talk, others meet.
pub(super) fn conversation(participants: usize, agenda: bool) -> Topology {
    if participants == 2 && !agenda { Topology::Dialogue } else { Topology::Meeting }
}

record! {
    /// One phase of a pipeline.
    pub struct Phase {
        /// Its name; `phase-<n>` where it is missing.
        name: PhaseLabel,
        /// How its workers work together; by default what its other fields say.
        kind = "type": Topology,
        /// The model of its workers.
        model: ModelRef,
        /// What its workers are told.
        prompt: String,
        /// How many workers alike, or each by itself; one where it is missing.
        workers: Workers,
        /// Whether its workers work at the same time; they do unless false.
        parallel: bool,
        /// Where its workers run.
        machine: MachineSpec,
        /// The surroundings of its workers.
        session: Session,
        /// Models that take over when its own cannot be had, in order.
        failover: Failover,
        /// A CEL expression over outputs of earlier phases; the phase is skipped where it does not hold.
        condition: String,
        /// Commands run before the workers; a phase of steps alone needs no model.
        steps: Vec<At<Step>>,
        /// Who takes part in a dialogue or meeting.
        participants: Vec<At<Participant>>,
        /// What a meeting talks about.
        agenda: Vec<At<Agenda>>,
        /// How often each participant of a dialogue speaks.
        rounds: Rounds,
        /// A CEL expression that ends a dialogue early.
        until: String,
        /// The participant that closes each topic of a meeting with a decision.
        moderator: Slug,
        /// The agents of a mesh.
        agents: Vec<At<Agent>>,
        /// Who hears whom in a mesh.
        communication: Communication,
        /// How long a mesh must be silent to be over.
        quiet_ms: DurationMs,
        /// Whether a mesh goes on until somebody ends it.
        persistent: bool,
        /// A document that is run as this phase.
        connector: Filled,
        /// Whether it has the run's shared folder.
        scratchpad: bool,
        /// Whether its workers may write to each other.
        mailbox: bool,
        /// Phases that must be over before it begins; the one before it where this is missing.
        after: OneOrMany<Slug>,
        /// What becomes of the run when the phase fails.
        on_failure: OnFailure,
        /// How often a failed worker is started again.
        retry: RetrySpec,
        /// How many workers must be done: `all`, `any`, or a number.
        require: RequireSpec,
        /// A JSON Schema its outputs must keep to.
        output_schema: Json,
        /// Whether a person is asked before it begins.
        approve: bool,
        /// A file for its answer.
        output: Filled,
        /// What becomes of a worker whose machine is lost.
        on_lost: OnLost,
        /// How long a lost machine is waited for.
        grace_ms: DurationMs,
        /// How long a machine that lost its home goes on.
        orphan_after_ms: DurationMs,
        /// Bounds of its own, within the document's.
        limits: LimitsSpec,
        /// Tools of its own.
        tools: Tools,
        /// What becomes of a conflict when its work is merged.
        merge: MergeRule,
    }
}

impl Phase {
    /// What the phase is, by `type` or by the fields that are there.
    pub fn topology(&self) -> Topology {
        if let Some(kind) = &self.kind {
            kind.value
        } else if self.agents.is_some() {
            Topology::Mesh
        } else if let Some(participants) = &self.participants {
            conversation(participants.len(), self.agenda.is_some())
        } else {
            Topology::Pipeline
        }
    }

    /// Whether it is nothing but steps.
    pub fn is_steps_alone(&self) -> bool {
        let works = self.model.is_some() || self.prompt.is_some() || self.workers.is_some();
        self.steps.as_ref().is_some_and(|steps| !steps.is_empty()) && !works
    }
}

union! {
    /// The workers of a phase.
    pub enum Workers {
        Count(WorkerCount),
        List(Vec<At<Worker>>),
    }
}

union! {
    /// Where something runs: one machine, one that has labels, or several in order.
    pub enum MachineSpec {
        Named(MachineHost),
        Labels(Labelled),
        InOrder(Vec<At<MachineRef>>),
    }
}

union! {
    /// One machine, or one that has labels.
    pub enum MachineRef {
        Named(MachineHost),
        Labels(Labelled),
    }
}

record! {
    /// Any machine that has these labels.
    pub struct Labelled {
        /// The labels it must have.
        labels: Map<SlugKey, String> [required],
    }
}

record! {
    /// How often a failed worker is started again.
    pub struct RetrySpec {
        /// How often at most.
        max: RetryCount [required],
        /// The pause before the first repetition; doubled before each further one.
        backoff_ms: DurationMs,
    }
}

/// A word for how many workers must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequireWord {
    All,
    Any,
}

words! { RequireWord {
    "all" => RequireWord::All,
    "any" => RequireWord::Any,
} }

union! {
    /// How many workers must be done.
    pub enum RequireSpec {
        Word(RequireWord),
        AtLeast(AtLeastCount),
    }
}

record! {
    /// A command run in a terminal before the workers.
    pub struct Step {
        /// Its name.
        name: Slug,
        /// A line for the shell, or a program and its arguments.
        run: Run,
        /// The program.
        binary: Filled,
        /// The program's arguments.
        args: Vec<At<String>>,
        /// Whether it writes.
        intent: Intent,
        /// The output its print is published as.
        output: Filled,
        /// What follows from its print and its exit code.
        rules: Vec<At<StepRuleSpec>>,
    }
}

union! {
    /// A line for the shell, or a program and its arguments.
    pub enum Run {
        Line(Filled),
        Arguments(Vec<At<String>>),
    }
}

/// Whether a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    Read,
    Write,
}

words! { Intent {
    "read" => Intent::Read,
    "write" => Intent::Write,
} }

record! {
    /// What follows from a step.
    pub struct StepRuleSpec {
        /// `lines_over:N`, `contains:TEXT`, `regex:PATTERN` or `exit:N`.
        when: String [required],
        /// The step that comes next, or `end`.
        next: Slug,
        /// Outputs to publish.
        set: Map<OutputKey, Json>,
    }
}

words! { OnFailure {
    "stop" => OnFailure::Stop,
    "continue" => OnFailure::Continue,
} }

words! { OnLost {
    "wait" => OnLost::Wait,
    "restart" => OnLost::Restart,
    "fail" => OnLost::Fail,
} }

words! { MergeRule {
    "agent" => MergeRule::Agent,
    "stop" => MergeRule::Stop,
    "keep" => MergeRule::Keep,
} }

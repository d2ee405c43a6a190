//! The course of a run: what happens next.
//!
//! An event comes in, commands go out; nothing here knows a clock, a file or a process. Whoever drives a course stores
//! the event together with the commands it led to before carrying them out, and after a crash applies what was stored.
//!
//! `RunCourse` holds the whole run and is the only way in. A `PhaseCourse` decides for one phase, a `WorkerCourse` keeps
//! the attempts of one worker.

mod budget;
mod contact;
mod crew;
mod dialogue;
mod egress;
mod failover;
mod halt;
mod map;
mod meeting;
mod mesh;
mod next;
mod note;
mod outputs;
mod phase;
mod run;
mod share;
mod steps;
mod take;
mod talk;
mod view;
mod worker;

pub use budget::{Budget, RESERVE_USD_MILLIONTHS};
pub use contact::{Access, Contact};
pub use egress::STAYS;
pub use failover::{ROUND_PAUSE_MS, ROUND_PAUSE_MS_MAX, ROUNDS_MAX};
pub use halt::Halt;
pub use map::CourseError;
pub use meeting::QUORUM;
pub use note::{CHILDREN_MAX, CLAIM_KEY_BYTES_MAX, CLAIMS_MAX, RUNS_LATER_MAX};
pub use outputs::{
    Judge, OUTPUT_KEY_BYTES_MAX, OUTPUT_KEYS_MAX, OUTPUT_VALUE_BYTES_MAX, Outputs, PhaseOutputs, Verdict,
    WorkerOutputs, take_within_bounds,
};
pub use phase::{PhaseCourse, PhaseState};
pub use run::{RunCourse, RunState};
pub use share::{Bound, COST_UNIT_USD_MILLIONTHS, Promise, Share, Withheld};
pub use steps::{STEP_RUNS_MAX, Stepped, StepsCourse, StepsEnd};
pub use talk::{Floor, Spoken, Talk, TalkEnd};
pub use worker::{
    Attempt, BACKOFF_MS_MAX, LOST_RESTARTS_MAX, MEND_MS_MAX, MENDER, Pause, Settling, Timer, WorkerCourse,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::later::RunsLater;
use crate::name::{AttemptId, PhaseName, RunId, WorkerId};
use crate::usage::Usage;

/// The version of events and commands as they are stored; a course that stores other words counts it up.
pub const COURSE_VERSION: u32 = 4;

/// What has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Begun,
    /// The attempt's program runs in its terminal.
    Started {
        attempt: AttemptId,
    },
    /// The attempt is over: nothing of it runs any more and its work is committed.
    Ended {
        attempt: AttemptId,
        ending: Ending,
    },
    /// An attempt published an output before its end.
    Published {
        worker: WorkerId,
        key: String,
        value: Value,
    },
    /// A worker took an item for itself; only the first one has it.
    Claimed {
        key: String,
        by: WorkerId,
    },
    /// What became of the phase's work when it was brought together.
    Gathered {
        phase: PhaseName,
        round: u32,
        gathering: Gathering,
    },
    /// The n-th letter of the run was sent; `to` is nobody where no worker reads it.
    Posted {
        number: u64,
        to: Option<WorkerId>,
    },
    /// A run was begun inside the session of this attempt, or is what the attempt consists of.
    Spawned {
        run: RunId,
        by: AttemptId,
    },
    /// The runs above have promised so much, all together.
    Reserved {
        of: Bound,
        total: u32,
    },
    /// A run above has no more of it.
    Withheld(Withheld),
    /// A run inside this one asks for so much, all together.
    Lends {
        to: RunId,
        of: Bound,
        total: u32,
    },
    /// Somebody says that a talk is done.
    Concluded {
        phase: PhaseName,
        by: String,
    },
    /// Nothing of a talk lives any more.
    Dismissed {
        phase: PhaseName,
    },
    /// A time that was asked for has passed.
    Expired {
        wake: Wake,
    },
    Approved {
        phase: PhaseName,
    },
    Denied {
        phase: PhaseName,
        reason: String,
    },
    Cancelled {
        reason: String,
    },
    /// A person has looked at what the n-th hold (from 1) waits for: the run goes on. Said of another hold, or of one
    /// that was resumed already, it changes nothing.
    Resumed {
        hold: u32,
        reason: String,
    },
}

/// What must be done about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Open {
        phase: PhaseName,
    },
    /// Start an attempt of a worker on its n-th model (from 0).
    Start {
        attempt: AttemptId,
        model: u32,
    },
    /// Take once more what an attempt left whose program came to a good end: nothing is started; its `Ended` is awaited.
    Settle {
        attempt: AttemptId,
    },
    /// End an attempt and everything that descends from it; its `Ended` is awaited.
    End {
        attempt: AttemptId,
        reason: EndReason,
    },
    /// End what a talk's workers keep open between their turns; its `Dismissed` is awaited.
    Dismiss {
        phase: PhaseName,
    },
    /// Commit shared trees and merge the phase's branches into `result`.
    Gather {
        phase: PhaseName,
        round: u32,
    },
    Wake {
        wake: Wake,
        after_ms: u64,
    },
    /// Ask every run above for so much, all together; `Reserved` or `Withheld` is awaited.
    Reserve {
        of: Bound,
        total: u32,
    },
    /// Ask a person whether the phase may begin.
    Ask {
        phase: PhaseName,
    },
    Close {
        phase: PhaseName,
        outcome: PhaseOutcome,
    },
    /// Wait for a person: nothing of the run lives any more and nothing starts before it is resumed or cancelled.
    Hold {
        reason: String,
    },
    Finish {
        outcome: RunOutcome,
    },
}

/// A time asked for, by what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// The attempt's own time limit.
    Timeout { attempt: AttemptId },
    /// The pause before the attempt with this number.
    Backoff { attempt: AttemptId },
    /// The n-th time that a mesh is quiet.
    Quiet { phase: PhaseName, number: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    TimedOut,
    Cancelled,
    /// The phase is decided without it: enough others are done, or too few of them still can be (`require`).
    NotNeeded,
}

/// How an attempt ended and what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub outcome: Outcome,
    /// The answer's first characters, for people; the whole of it lies in the scratchpad.
    pub excerpt: String,
    pub outputs: BTreeMap<String, Value>,
    /// The commit that holds its work, where there is one.
    pub commit: Option<String>,
    /// The outcome's evidence: which rule said so.
    pub evidence: String,
    /// Whom its programs asked for, where they were kept from the network; refused ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// Its program came to a good end, and only what it left could not be taken: when a person has looked at that, it
    /// is taken once more and no new attempt is made.
    #[serde(default)]
    pub answered: bool,
    /// After what time its provider is to be had again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_in_ms: Option<u64>,
    /// Its tool can go on with the conversation that was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumable: bool,
    /// What it used of its model, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The ref under which its work stands as it was when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// What it said and was not taken, in sentences: outputs past a bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untaken: Vec<String>,
    /// Of a step: how its program ended, and which of its rules hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Stepped>,
}

impl Ending {
    /// An ending that left nothing behind.
    pub fn plain(outcome: Outcome, evidence: &str) -> Ending {
        let (excerpt, outputs, commit) = (String::new(), BTreeMap::new(), None);
        let (evidence, contacts) = (evidence.to_owned(), Vec::new());
        Ending {
            outcome,
            excerpt,
            outputs,
            commit,
            evidence,
            contacts,
            answered: false,
            again_in_ms: None,
            resumable: false,
            usage: None,
            kept: None,
            untaken: Vec::new(),
            step: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Failed {
        reason: String,
    },
    /// The model could not be had: the next one is tried.
    Unavailable {
        class: Unavailable,
        reason: String,
    },
    /// It answered, and its outputs have not the shape they must have: it is told so, once.
    Misshapen {
        reason: String,
    },
    TimedOut,
    Cancelled,
    NeedsAttention {
        reason: String,
    },
    /// Its terminal or machine is gone and nobody can say how it ended.
    Lost {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unavailable {
    NotInstalled,
    NotLoggedIn,
    RateLimited,
    Quota,
    Overloaded,
    Network,
    BadModel,
    Crashed,
    /// It said nothing for so long that nobody waits any more.
    Hangs,
}

impl Gathering {
    /// Nothing was to be merged.
    pub fn nothing() -> Gathering {
        Gathering::Merged { commit: None, runs_later: Vec::new() }
    }
}

/// What became of a phase's branches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gathering {
    /// Merged; `commit` is the new tip of `result`, nothing where there is no repository.
    Merged {
        commit: Option<String>,
        /// Of all the run has changed so far.
        #[serde(default)]
        runs_later: Vec<RunsLater>,
    },
    Conflict {
        /// Whose branch does not go with what is there.
        #[serde(default)]
        branch: String,
        files: Vec<String>,
        reason: String,
    },
    /// What may not be committed lies in a tree: a person must look.
    Refused { reason: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseOutcome {
    Done,
    Skipped { reason: String },
    Failed { reason: String },
    NeedsAttention { reason: String },
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Done,
    Failed { reason: String },
    NeedsAttention { reason: String },
    Cancelled { reason: String },
}

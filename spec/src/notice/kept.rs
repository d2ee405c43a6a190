//! What is told of documents that are kept for a time or an event, of what has been, and of what is remembered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunState;
use crate::name::{RunId, Slug};

/// A document that runs by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptView {
    pub name: Slug,
    pub document: Option<PathBuf>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// The line of cron and its rules, in words.
    pub schedule: Option<String>,
    pub zone: Option<String>,
    pub triggers: Vec<String>,
    /// The next firings: milliseconds since 1970, and as the clocks of its zone show them.
    pub next: Vec<(u64, String)>,
    pub waiting: usize,
    /// When the node last looked whether its time has come.
    pub looked_at_ms: u64,
    /// Its runs that are going on.
    pub runs: Vec<RunId>,
    /// The newest last.
    pub firings: Vec<FiringView>,
    /// The file is not what it was when it was added.
    pub changed: bool,
    /// Why it cannot be run, where it cannot.
    pub trouble: Option<String>,
}

/// What came of one firing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiringView {
    pub number: u64,
    /// When it was dealt with.
    pub at_ms: u64,
    /// What for: a time of the schedule, an event, a person.
    pub occasion: String,
    pub came: Came,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It was decided, and its run is being begun.
    Begins {
        run: RunId,
    },
    Run {
        run: RunId,
        /// How the run stands, as far as it is known.
        state: Option<RunState>,
    },
    Missed {
        count: u32,
        at_least: bool,
    },
    Skipped {
        why: String,
    },
    Refused {
        why: String,
    },
}

/// What one kept document makes of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggeredView {
    pub name: Slug,
    pub came: Triggered,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Triggered {
    Run {
        run: RunId,
    },
    /// It is taken in and begins when there is room.
    Waits,
    /// Its filter does not hold.
    Passed,
    /// Its filter cannot be worked out over this payload.
    Broken {
        why: String,
    },
    /// As many wait as may.
    Full,
    /// It begins no run just now.
    Refused {
        why: String,
    },
}

/// A run that is over, as it is told to later ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    pub run: RunId,
    pub name: String,
    /// What began it, where no person did.
    pub occasion: Option<String>,
    pub begun_at_ms: u64,
    pub ended_at_ms: u64,
    pub state: RunState,
    pub reason: Option<String>,
    pub repository: Option<String>,
    pub task: Option<String>,
    pub phases: Vec<PastPhase>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastPhase {
    pub phase: String,
    pub outcome: String,
    /// What was said in it, where it was a talk.
    pub minutes: Option<String>,
    pub workers: Vec<PastWorker>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastWorker {
    pub worker: String,
    pub model: String,
    pub outcome: String,
    pub prompt: Option<String>,
    pub answer: Option<String>,
    pub outputs: BTreeMap<String, Value>,
    /// Its `egress` keeps what it said from going on.
    pub withheld: bool,
}

/// What a repository remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryView {
    pub folder: PathBuf,
    pub files: Vec<(String, u64)>,
    pub bytes: u64,
    /// It is past its bound, and nothing may be added.
    pub full: bool,
}

//! What a run tells whoever watches it: plain data, printed for people and, with `--json`, for programs.

mod kept;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::course::{Outcome, PhaseOutcome, RunOutcome};
use crate::name::{PhaseName, RunId, SessionId, WorkerName};
use crate::usage::{Total, Usage};

pub use kept::{
    Came, FiringView, KeptView, MemoryView, PastPhase, PastRun, PastWorker, Triggered, TriggeredView,
};

/// One run as it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub run: RunId,
    pub name: String,
    /// The session it was begun in, where that was one: its run is the one above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SessionId>,
    pub state: RunState,
    /// Why it is in that state, where there is more to say.
    pub reason: Option<String>,
    /// Wall clock, milliseconds since 1970, for people; nothing is decided by it.
    pub begun_at_ms: u64,
    pub ended_at_ms: Option<u64>,
    /// The folder the run was begun in.
    pub origin: String,
    /// What began it, where no person did: a time of its schedule, an event.
    #[serde(default)]
    pub occasion: Option<String>,
    /// The repository it works on, where there is one.
    pub repository: Option<String>,
    /// The folder in which niia keeps everything of this run.
    pub folder: String,
    /// `report.md`, once it is written.
    pub report: Option<String>,
    /// The branch its work is merged into.
    pub branch: Option<String>,
    pub phases: Vec<PhaseView>,
    pub warnings: Vec<String>,
    /// What its attempts used that have ended; what nobody knows is counted as unknown.
    #[serde(default)]
    pub usage: Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    Done,
    Failed,
    NeedsAttention,
    Cancelled,
    /// Its journal is damaged: nothing is done with it any more.
    Quarantined,
}

impl RunState {
    pub fn of(outcome: &RunOutcome) -> (RunState, Option<String>) {
        match outcome {
            RunOutcome::Done => (RunState::Done, None),
            RunOutcome::Failed { reason } => (RunState::Failed, Some(reason.clone())),
            RunOutcome::NeedsAttention { reason } => (RunState::NeedsAttention, Some(reason.clone())),
            RunOutcome::Cancelled { reason } => (RunState::Cancelled, Some(reason.clone())),
        }
    }

    /// Nothing will ever happen in it again.
    pub fn is_over(self) -> bool {
        !matches!(self, RunState::Running | RunState::NeedsAttention)
    }

    /// Nothing happens in it by itself: it is over, or it waits for a person.
    pub fn rests(self) -> bool {
        self != RunState::Running
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseView {
    pub phase: PhaseName,
    /// `pipeline`, `meeting`, …
    pub kind: String,
    pub state: PhaseState,
    pub outcome: Option<PhaseOutcome>,
    pub workers: Vec<WorkerView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseState {
    Waiting,
    /// A person must approve it.
    Asking,
    Working,
    Gathering,
    Over,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    pub worker: WorkerName,
    pub state: WorkerState,
    /// As the document writes it, of the attempt that counts.
    pub model: String,
    /// The session of the newest attempt.
    pub session: Option<SessionId>,
    /// When its first attempt began and when it was over: wall clock, milliseconds since 1970, for people.
    #[serde(default)]
    pub begun_at_ms: Option<u64>,
    #[serde(default)]
    pub ended_at_ms: Option<u64>,
    pub attempts: Vec<AttemptView>,
    pub outputs: BTreeMap<String, Value>,
    /// What it asks a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// The newest line on its terminal, where it was looked at.
    pub last_line: Option<String>,
    /// The tree it works in.
    pub tree: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    Waiting,
    Starting,
    Working,
    /// It shows a question that a person must answer.
    WaitingInput,
    Ending,
    Done,
    Failed,
    /// Its phase is over without it.
    NotStarted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    pub attempt: u32,
    pub model: String,
    pub outcome: Option<Outcome>,
    pub evidence: Option<String>,
    pub commit: Option<String>,
    /// First characters of the answer.
    pub excerpt: Option<String>,
    /// What it used, where that is known.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The ref under which its work stands as it was when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// One session as it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    pub session: SessionId,
    /// `starting`, `working`, `waiting_input`, `exited`, `lost`, `unknown`, …
    pub state: String,
    /// Which rule says so, and what it saw.
    pub rule: String,
    pub excerpt: String,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    pub profile: String,
    pub model: Option<String>,
    pub pid: Option<u32>,
    pub cwd: Option<String>,
    /// Bytes printed so far.
    pub printed_bytes: u64,
    pub folder: String,
    pub cols: u16,
    pub rows: u16,
    /// Who holds the writing lease, when a person does.
    pub held_by: Option<String>,
    /// It holds a conversation: a prompt has an end, and that end an answer.
    #[serde(default)]
    pub conversation: bool,
    /// The dialog it shows, by the name its profile has for it, and what may be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialog: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whom its programs asked for, where they are kept from the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<crate::course::Contact>,
    /// What its sandbox is made of, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxView>,
}

/// A sandbox that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxView {
    pub tier: u32,
    /// Each layer, with what showed that it is there.
    pub layers: BTreeMap<String, String>,
}

/// What became of a text that was sent to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    Queued,
    Typed,
    Submitted,
    TurnStarted,
    TurnEnded,
    /// Typed, but nothing shows that it was taken.
    TypedNotSubmitted {
        reason: String,
    },
    Undelivered {
        reason: String,
    },
    Unknown {
        reason: String,
    },
}

/// One thing that happened in a run, as its journal has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    pub seq: u64,
    pub at_ms: u64,
    pub event: Value,
    pub commands: Value,
}

/// A letter to people, and the run it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxView {
    pub run: RunId,
    pub letter: LetterView,
}

/// A letter between workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterView {
    pub id: String,
    pub from: String,
    pub to: String,
    pub text: String,
    pub at_ms: u64,
    pub read: bool,
    /// What became of it, in words: `unread`, `read`, `dead: …`.
    #[serde(default)]
    pub fate: String,
    /// The letter that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

//! What nodes say to each other on the streams of a link.

use std::collections::BTreeMap;

use niia_actors::git::{ObjectId, Tips};
use niia_spec::course::EndReason;
use niia_spec::name::SessionId;
use niia_spec::plan::{Plan, WorkerPlan};
use serde::{Deserialize, Serialize};

/// What a stream is for: its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The words of the node's own socket, within the rights of the node that asks.
    Control,
    /// The same, said by a program inside a session that this node gave away to the one that asks.
    Agent { session: SessionId },
    /// An attempt that is made here for a run of the node that asks. `repository` names its repository among those of
    /// that node.
    Work { session: SessionId, repository: Option<String> },
    /// Attempts that are kept here for the node that is asked: which of them does nobody want any more?
    Held { sessions: Vec<SessionId> },
}

/// Everything a machine needs to know of an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offer {
    pub plan: Plan,
    pub begun_at_ms: u64,
    /// Profiles of the user's own.
    pub profiles: Vec<(String, String)>,
    pub worker: WorkerPlan,
    pub model: usize,
    pub prompt: String,
    pub subject: String,
    pub tips: Option<Tips>,
    /// Variables that the document sends along.
    pub env: BTreeMap<String, String>,
    /// How long it goes on without a word from home.
    pub orphan_after_ms: u64,
}

/// A word about an attempt. Those that carry something are followed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    // From the machine that works.
    /// Never heard of; these commits are here.
    New {
        known: Vec<ObjectId>,
    },
    /// It is under way, or over: what came of it follows.
    Known,
    Accepted,
    Refused {
        reason: String,
    },
    Started,
    /// The answer as it was printed: bytes follow.
    Answer,
    /// How it ended, as JSON: bytes follow. After this there is no more.
    Over,
    // From home.
    /// An [`Offer`] as JSON: bytes follow.
    Offer,
    /// That was all that is needed to begin.
    Ready,
    End {
        reason: EndReason,
    },
    /// What came of it is safe at home.
    Collected,
    // From both.
    /// Still there.
    Beat,
    /// Commits that the other side lacks: a pack follows.
    Pack,
    /// A file of the scratchpad, and which version of it this one was made of: bytes follow.
    File {
        path: String,
        parent: Option<String>,
    },
    /// This version of that file is here now.
    Have {
        path: String,
        version: String,
    },
}

impl Word {
    /// Whether bytes follow.
    pub fn carries(&self) -> bool {
        matches!(self, Word::Answer | Word::Over | Word::Offer | Word::Pack | Word::File { .. })
    }
}

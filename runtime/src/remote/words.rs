//! What nodes say to each other on the streams of a link.

use std::collections::BTreeMap;

use niia_actors::git::{ObjectId, Tips};
use niia_net::identity::NodeId;
use niia_spec::course::EndReason;
use niia_spec::name::{RunId, SessionId};
use niia_spec::notice::RunView;
use niia_spec::origin::Origin;
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
    /// A run of the node that asks, which is to have its home here.
    Host { run: RunId, repository: Option<String> },
    /// A letter for people: it follows.
    Letter,
    /// A way to another peer of ours, whom the node that asks cannot dial.
    Relay { to: NodeId },
    /// The other end of such a way: that node wants to be let in.
    Relayed { from: NodeId },
    /// A file of ours.
    Get { path: String },
    /// A file for a place of ours, and what it is called where that is a folder.
    Put { path: String, name: String },
    /// What came of such a run: once it rests, or as it stands now.
    Collect { run: RunId, now: bool },
}

/// Whether a way over this node is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelaySaid {
    Ready,
    Refused { reason: String },
}

/// A run that is given a home, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostOffer {
    pub plan: Plan,
    /// Without its variables, but for those that the document sends along.
    pub origin: Origin,
}

/// How a run stands at its home, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    pub view: RunView,
    /// Its branches, by what follows the run's name in theirs.
    pub branches: Vec<(String, ObjectId)>,
    /// Why its branches stay where they are.
    pub withheld: Option<String>,
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
    /// What is new in this turn, where it is one of a talk.
    #[serde(default)]
    pub turn: Option<String>,
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
    /// How a run stands at its home, as JSON of `Told`: bytes follow.
    Stands,
    /// A file of the user's own that a phase of the run wrote: bytes follow.
    Written {
        path: String,
    },
    // From home.
    /// An `Offer` or a `HostOffer` as JSON: bytes follow.
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
        matches!(
            self,
            Word::Answer
                | Word::Over
                | Word::Offer
                | Word::Pack
                | Word::Stands
                | Word::File { .. }
                | Word::Written { .. }
        )
    }
}

#[cfg(test)]
mod thrown;

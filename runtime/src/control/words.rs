//! What may be asked of a node, and what it answers.
//!
//! A connection begins with a [`niia_net::wire`] hello from both sides. Then the caller sends one [`Request`] at a
//! time; each is answered by exactly one [`Reply`], except [`Request::Follow`] and [`Request::Attach`], which are
//! answered until [`Reply::End`] or until the caller leaves.

mod node;

use std::path::PathBuf;

use niia_net::trust::Rights;
use niia_spec::course::RunOutcome;
use niia_spec::detect::Turned;
use niia_spec::event::Happened;
use niia_spec::name::RunId;
use niia_spec::notice::{
    InboxView, JournalLine, KeptView, LetterView, MemoryView, PastRun, Receipt, RunView, SessionView,
    TriggeredView,
};
pub use niia_spec::origin::Origin;
use niia_spec::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use node::NodeView;

pub use crate::appointments::ToKeep;
pub use crate::network::PeerView;

/// A run by its id or an unambiguous beginning of it; nothing means the run the caller lives in, else the newest.
pub type RunName = Option<String>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Who are you, how are you?
    Node,
    /// Take this run; it is durable before the answer is sent.
    Run {
        plan: Box<Plan>,
        origin: Box<Origin>,
    },
    /// Give this run a home on another machine; it is durable there before the answer is sent.
    RunAbroad {
        machine: String,
        plan: Box<Plan>,
        origin: Box<Origin>,
    },
    /// Bring what there is of a run whose home is elsewhere.
    Fetch {
        run: RunName,
    },
    Runs {
        limit: u32,
    },
    Status {
        run: RunName,
    },
    /// The run's view now and after each change, until it is over.
    Follow {
        run: RunName,
    },
    Cancel {
        run: RunName,
        reason: String,
    },
    Approve {
        run: RunName,
        phase: Option<String>,
    },
    Deny {
        run: RunName,
        phase: Option<String>,
        reason: String,
    },
    /// Go on with a run that needs attention.
    Resume {
        run: RunName,
    },
    /// The journal of a run, for `explain` and `logs`.
    Journal {
        run: RunName,
        from_seq: u64,
    },
    Sessions {
        run: RunName,
        ended_too: bool,
    },
    /// One session with its evidence; the name may leave out what is unambiguous (`run/worker`, `worker`).
    Session {
        session: String,
    },
    /// Its screen as text.
    Read {
        session: String,
    },
    Write {
        session: String,
        text: String,
        enter: bool,
        urgent: bool,
    },
    /// Answers when the session has been quiet for that long, or is over.
    WaitIdle {
        session: String,
        quiet_ms: u64,
        within_ms: u64,
    },
    /// A further prompt of a conversation; answered when its turn is over.
    Turn {
        session: String,
        prompt: String,
        within_ms: u64,
    },
    /// End the turn under way early.
    Interrupt {
        session: String,
    },
    /// Answer the dialog a session shows.
    Dialog {
        session: String,
        allow: bool,
    },
    Resize {
        session: String,
        cols: u16,
        rows: u16,
    },
    /// End it and all that descends from it.
    Kill {
        session: String,
    },
    /// Watch; and write, once the first key comes.
    Attach {
        session: String,
        cols: u16,
        rows: u16,
        take: bool,
    },
    /// While attached: what the person does.
    Keys {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    View {
        cols: u16,
        rows: u16,
    },
    Take,
    /// While attached: the viewer fell behind and wants a fresh screen.
    Repaint,
    OutputSet {
        run: RunName,
        key: String,
        value: Value,
    },
    OutputGet {
        run: RunName,
        phase: Option<String>,
        key: Option<String>,
    },
    Claim {
        run: RunName,
        key: String,
    },
    ScratchpadList {
        run: RunName,
    },
    ScratchpadCat {
        run: RunName,
        path: String,
    },
    ScratchpadPut {
        run: RunName,
        path: String,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    MailboxSend {
        run: RunName,
        to: String,
        text: String,
        id: Option<String>,
        /// The letter it answers, where the sender names one.
        #[serde(default)]
        cause: Option<String>,
        /// It is told before the letters that are not.
        #[serde(default)]
        urgent: bool,
    },
    /// The letters somebody wrote, with what became of each.
    MailboxSent {
        run: RunName,
        /// Whose; without it the caller's own, or everybody's for a person.
        writer: Option<String>,
    },
    /// A program inside a session asks a person, and is answered when one has answered.
    AskPerson {
        question: String,
        choices: Vec<String>,
    },
    /// A person answers what a session asks.
    Answer {
        session: String,
        text: String,
    },
    /// What agents wrote to people, in every run.
    Inbox {
        all: bool,
        take: bool,
    },
    /// A talk is done.
    Conclude {
        run: RunName,
        phase: Option<String>,
    },
    MailboxList {
        run: RunName,
        reader: Option<String>,
    },
    MailboxRead {
        run: RunName,
        reader: Option<String>,
        /// A name the asker chose: asking again with it gives the same letters again, until they are said to have come.
        #[serde(default)]
        to: Option<String>,
    },
    /// The letters handed out under this name have come.
    MailboxCame {
        run: RunName,
        reader: Option<String>,
        to: String,
    },
    /// What was printed between two offsets, for those who cannot read the recording themselves.
    Printed {
        session: String,
        from: u64,
        to: u64,
    },
    /// Everything about other machines.
    Machines(MachinesRequest),
    /// From here on this connection speaks with another node, in the same words.
    Through {
        machine: String,
    },
    /// Everything about documents that run by themselves.
    Schedule(ScheduleRequest),
    /// Something has happened, at a place where it has one.
    Trigger {
        event: Box<Happened>,
        place: Option<PathBuf>,
    },
    /// What has been, and what is remembered.
    Past(PastRequest),
    /// Stop the node; the programs of its sessions go on unless they are to be ended too.
    Stop {
        end_sessions: bool,
    },
    /// A piece of a request that is too large for one frame; it is answered when its last piece is there.
    Part {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        last: bool,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Node(Box<NodeView>),
    Accepted {
        run: RunId,
        folder: PathBuf,
    },
    Runs(Vec<RunView>),
    Run(Box<RunView>),
    /// The end of a followed run.
    End {
        outcome: Option<RunOutcome>,
    },
    Journal(Vec<JournalLine>),
    Sessions(Vec<SessionView>),
    Session(Box<SessionView>),
    Screen {
        text: String,
        title: String,
        cursor: (u16, u16),
    },
    Receipt(Receipt),
    Turned(Turned),
    /// Attached: paint this, then go on reading the recording in `folder` from `offset`.
    Painted {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        offset: u64,
        folder: PathBuf,
        cols: u16,
        rows: u16,
    },
    /// The recording has grown to this offset.
    Grew {
        end: u64,
    },
    /// What was printed, from this offset on: for viewers on other machines, ahead of `Grew`.
    Output {
        from: u64,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// A code is shown; what becomes of it follows as `Peer`.
    Code {
        code: String,
        port: u16,
        fingerprint: String,
    },
    Peer(Box<PeerView>),
    Peers(Box<PeersView>),
    /// A line for the person who watches: held, taken over, refused.
    Word {
        text: String,
    },
    Value(Value),
    Claimed {
        first: bool,
        holder: String,
    },
    Paths(Vec<String>),
    Bytes {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    Letters(Vec<LetterView>),
    /// A letter is durable; a broadcast is one letter for each of its readers.
    Posted {
        id: String,
    },
    /// What a person answered.
    Answered {
        text: String,
        by: String,
    },
    Inbox(Vec<InboxView>),
    Kept(Vec<KeptView>),
    Triggered(Vec<TriggeredView>),
    /// Runs that are over, the oldest first; `unread` are pages that were left out, and why.
    History {
        runs: Vec<PastRun>,
        unread: Vec<String>,
    },
    Memory(MemoryView),
    Done,
    Refused(Refusal),
    /// A piece of a reply that is too large for one frame.
    Part {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        last: bool,
    },
}

/// What is asked about documents that run by themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleRequest {
    Add(Box<ToKeep>),
    List,
    Remove { name: String },
    RunNow { name: String },
}

/// What is asked about the past of a place: of the caller's own for a program inside a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastRequest {
    /// Of the time before now, as the node has it.
    History {
        place: PathBuf,
        back_ms: u64,
    },
    MemoryList {
        place: PathBuf,
    },
    MemoryCat {
        place: PathBuf,
        path: String,
    },
}

/// What is asked about other machines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachinesRequest {
    /// Show a code and wait until it was used. Rights as they are written on the command line.
    PairShow {
        rights: Rights,
    },
    /// Type a code that another machine shows.
    PairType {
        code: String,
        machine: Option<String>,
        rights: Rights,
    },
    Peers,
    /// The one peer that a name means.
    Peer {
        name: String,
    },
    PeerAdd {
        name: Option<String>,
        address: String,
        fingerprint: String,
        rights: Rights,
    },
    /// Reach a peer over another one from now on.
    PeerVia {
        name: String,
        via: String,
        fingerprint: Option<String>,
        rights: Rights,
    },
    PeerRemove {
        name: String,
    },
    PeerAllow {
        name: String,
        rights: Rights,
        /// Folders it may copy from and to, and profiles it may use; nothing leaves them as they are.
        #[serde(default)]
        folders: Option<Vec<String>>,
        #[serde(default)]
        models: Option<Vec<String>>,
    },
    /// Copy a file from that machine here, or from here to it.
    Copy {
        machine: String,
        there: String,
        here: PathBuf,
        fetch: bool,
    },
    /// Each peer, and whether it answers.
    Status {
        machine: Option<String>,
    },
}

/// This node among others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeersView {
    pub fingerprint: String,
    pub peers: Vec<PeerView>,
    /// What came of asking each, in the same order; empty where nobody was asked.
    pub answers: Vec<PeerAnswer>,
}

/// Whether a peer answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerAnswer {
    Up { version: String, round_trip_us: u64, sessions_live: u32, runs_live: u32 },
    Down { reason: String },
}

/// Why something was not done. The code is stable; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
    pub help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No such run, session, key or file.
    NotFound,
    /// The name fits several.
    Ambiguous,
    /// A bound of the node; the text has the number.
    Limit,
    /// It makes no sense in this state.
    State,
    /// The caller may not.
    NotAllowed,
    /// What the document asks for cannot be done here.
    Unsupported,
    /// The request itself is wrong.
    Wrong,
    /// The machine fails: disk, program, git.
    Trouble,
}

//! What the journal gives back.

use std::path::PathBuf;

use niia_spec::name::RunId;

use super::Seq;

/// What an opened journal holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The runs that are not over, oldest first.
    pub runs: Vec<RunRecord>,
    /// Runs whose rows are not what was written; they are kept as they are and take nothing more.
    pub quarantined: Vec<Quarantined>,
    /// What was wrong with the file as a whole, where something was.
    pub damage: Option<Damage>,
}

/// A file that could not be read as it was. All of it lies aside; what could be read of it is in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub reason: String,
    /// The folder that holds the damaged files as they were found.
    pub set_aside: PathBuf,
    /// How many rows, ends of chains and letters were read from it.
    pub rows_kept: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// As the file has it: damage may have touched the name itself.
    pub run: String,
    pub reason: String,
}

/// All of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub run: RunId,
    pub begun_at: String,
    pub plan: Vec<u8>,
    pub meta: Vec<u8>,
    pub steps: Vec<Step>,
    pub finish: Option<Finish>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub seq: Seq,
    pub at: String,
    pub version: u32,
    pub event: Vec<u8>,
    pub commands: Vec<u8>,
}

/// How a run ended, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    pub at: String,
    pub outcome: Vec<u8>,
}

/// One line of the list of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// As the file has it.
    pub run: String,
    pub begun_at: String,
    pub meta: Vec<u8>,
    pub rows: Seq,
    pub finish: Option<Finish>,
    /// Why its rows cannot be believed, where they cannot.
    pub quarantined: Option<String>,
}

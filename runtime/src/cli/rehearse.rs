//! The verb that rehearses a document, and the hidden one of its stand-ins.

use std::path::PathBuf;

use clap::Args;
use niia_spec::rehearsal::{Fault, Setting};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia rehearse review.connector.json
  niia rehearse triage.connector.json --set triage.classification=auth
  niia rehearse review.connector.json --fault review/1=rate_limited --fault build=crash

Faults: rate_limited quota overloaded network not_logged_in not_installed bad_model crash timeout refuse.
A fault is that of the worker's first model; what it fails over to takes its part.

Stand-ins take the part of every model, in a repository and a node of their own which are removed in the end: nothing is
paid, nothing of yours is touched, no command of the document is run.")]
pub struct Rehearse {
    /// The document; without it the one of this folder (`-` reads stdin)
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub file: Option<String>,
    /// The goal each stand-in is told
    #[arg(long)]
    pub task: Option<String>,
    /// Let a worker fail: PHASE/WORKER=FAILURE, or PHASE=FAILURE for all of a phase
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// What a phase publishes: PHASE.KEY=VALUE; JSON is taken as JSON, anything else as text
    #[arg(long, value_name = "SETTING")]
    pub set: Vec<Setting>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  niia rehearsal-worker '{\"name\":\"review/1\",\"model\":\"claude\"}' prompt.md"
)]
pub struct RehearsalWorker {
    /// What it does, as JSON
    pub part: String,
    /// The file that holds its prompt; a step has none
    pub prompt: Option<PathBuf>,
}

//! The verbs about documents and runs.

use std::path::PathBuf;

use clap::Args;

use super::complete;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  niia init                # writes ./connector.json, never over an existing one"
)]
pub struct Init {
    /// Where to write it
    #[arg(default_value = "connector.json")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia run review.connector.json
  niia run \"fix the failing test\"          # the document of this folder, with a task
  niia run review.connector.json --detach  # prints the run's id and leaves it to the node
  niia run review.connector.json --event $GITHUB_EVENT_PATH   # in CI
  niia run night.connector.json --home seoul-server   # this machine may sleep meanwhile

While it is followed, Ctrl-C asks whether to detach or to cancel; twice within two seconds cancels.")]
#[group(skip)]
pub struct Run {
    /// The document; without it the one connector.json or *.connector.json of this folder (`-` reads stdin)
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub file: Option<String>,
    /// The goal each agent is told
    #[arg(value_name = "TASK")]
    pub words: Option<String>,
    /// The goal each agent is told
    #[arg(long, conflicts_with = "words")]
    pub task: Option<String>,
    /// Print the run's id and do not follow it
    #[arg(long, short)]
    pub detach: bool,
    /// Give the run a home on a paired machine: it goes on there without this one
    #[arg(long, value_name = "MACHINE")]
    pub home: Option<String>,
    /// Take uncommitted changes along, as a snapshot; the checkout stays as it is
    #[arg(long)]
    pub include_dirty: bool,
    /// Copy the last answer to this file
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Run it for an event whose payload is this file, as CI has it (`$GITHUB_EVENT_PATH`); nothing is run where the
    /// document waits for another event
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub event: Option<PathBuf>,
    /// Which event that is, where neither the payload nor CI's own variables say
    #[arg(long, value_name = "EVENT", requires = "event")]
    pub event_name: Option<String>,
    /// Ask nothing, even in a terminal
    #[arg(long)]
    pub no_input: bool,
    /// Allow the MCP servers that the project's own file declares, and remember it
    #[arg(long)]
    pub allow_mcp: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia plan review.connector.json --json | jq '.phases[].name'")]
pub struct Plan {
    /// The document; without it the one of this folder
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub file: Option<String>,
    /// The goal each agent is told
    #[arg(long)]
    pub task: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia check *.connector.json")]
pub struct Check {
    /// The documents (`-` reads stdin)
    #[arg(required = true, value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia schema > connector.schema.json")]
pub struct Schema {}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  niia runs --limit 5\n  niia runs --tree         # what was begun inside what"
)]
pub struct Runs {
    /// Show each run below the one it was begun in
    #[arg(long)]
    pub tree: bool,
    /// How many, the newest first
    #[arg(long, short = 'n', default_value_t = 20)]
    pub limit: u32,
}

/// A run by its id or a beginning of it that fits only one.
#[derive(Debug, Args)]
pub struct RunName {
    /// The run, or a beginning of its id; without it the run this is called in, else the newest
    #[arg(value_name = "RUN", add = complete::runs())]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia status review-k3f9x")]
pub struct Status {
    #[command(flatten)]
    pub name: RunName,
    /// Stay and show each change until the run is over
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  niia logs review-k3f9x -n 50
  niia logs -f --worker find/1")]
pub struct Logs {
    #[command(flatten)]
    pub name: RunName,
    /// Go on with what is printed, until the run is over
    #[arg(long, short)]
    pub follow: bool,
    /// Only this worker (phase/worker)
    #[arg(long, short)]
    pub worker: Option<String>,
    /// How many lines of each worker's end
    #[arg(long, short = 'n', default_value_t = 20)]
    pub lines: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia cancel review-k3f9x --reason \"wrong branch\"")]
pub struct Cancel {
    #[command(flatten)]
    pub name: RunName,
    /// Kept in the run's journal
    #[arg(long, default_value = "cancelled by a person")]
    pub reason: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia resume review-k3f9x")]
pub struct Resume {
    #[command(flatten)]
    pub name: RunName,
    /// Do not follow it
    #[arg(long, short)]
    pub detach: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  niia explain review-k3f9x              # the run, from its journal alone
  niia explain review-k3f9x/find/1/1     # one session: its state and what says so
  niia explain --screen screen.txt --profile claude")]
pub struct Explain {
    /// A run, or a session (run/phase/worker/attempt)
    #[arg(value_name = "RUN|SESSION", add = complete::runs_and_sessions())]
    pub name: Option<String>,
    /// Try a profile's rules on this screen or recording instead
    #[arg(long, requires = "profile", conflicts_with = "name", value_name = "FILE")]
    pub screen: Option<PathBuf>,
    /// The profile whose rules are tried
    #[arg(long, requires = "screen")]
    pub profile: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia approve review-k3f9x --phase deploy")]
pub struct Approve {
    #[command(flatten)]
    pub name: RunName,
    /// The phase, where several ask
    #[arg(long)]
    pub phase: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia answer review-k3f9x/find/1 \"the second one\"")]
pub struct Answer {
    /// The session that asks, or an end of its name that only one has
    #[arg(value_name = "SESSION", add = complete::sessions())]
    pub session: String,
    /// The answer (`-` reads stdin)
    #[arg(allow_hyphen_values = true)]
    pub text: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia deny review-k3f9x --reason \"not before Monday\"")]
pub struct Deny {
    #[command(flatten)]
    pub name: RunName,
    /// The phase, where several ask
    #[arg(long)]
    pub phase: Option<String>,
    /// Kept in the run's journal
    #[arg(long, default_value = "denied by a person")]
    pub reason: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia diff review-k3f9x --stat")]
pub struct Diff {
    #[command(flatten)]
    pub name: RunName,
    /// Only which files changed, and by how much
    #[arg(long)]
    pub stat: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia merge review-k3f9x")]
pub struct Merge {
    #[command(flatten)]
    pub name: RunName,
}

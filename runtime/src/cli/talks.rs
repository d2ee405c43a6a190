//! The verbs about talks.

use clap::Args;

use super::complete;
use super::runs::RunName;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia done team-watch-k3f9x")]
pub struct Done {
    #[command(flatten)]
    pub name: RunName,
    /// The phase, where several talk
    #[arg(long)]
    pub phase: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  niia mesh --observe\n  niia mesh --broadcast \"the API is frozen\"\n  niia mesh --to builder \"also handle timeouts\""
)]
pub struct Mesh {
    /// Show what was said so far
    #[arg(long, conflicts_with_all = ["broadcast", "to"])]
    pub observe: bool,
    /// Write this to every agent (`-` reads stdin)
    #[arg(long, value_name = "TEXT", conflicts_with = "to", allow_hyphen_values = true)]
    pub broadcast: Option<String>,
    /// Write TEXT to this agent
    #[arg(long, value_name = "AGENT", requires = "text")]
    pub to: Option<String>,
    /// The text (`-` reads stdin)
    #[arg(requires = "to")]
    pub text: Option<String>,
    /// The run; without it the newest
    #[arg(long, value_name = "RUN", add = complete::runs())]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia inbox --all")]
pub struct Inbox {
    /// Those that were read before, too
    #[arg(long)]
    pub all: bool,
    /// Leave them unread
    #[arg(long)]
    pub keep: bool,
}

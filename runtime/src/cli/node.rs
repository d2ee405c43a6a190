//! The verbs about the node and about niia itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  niia daemon status
  niia daemon install       # systemd user unit or launchd agent

The node also starts by itself at the first command that needs it.")]
pub struct Daemon {
    #[command(subcommand)]
    pub verb: DaemonVerb,
}

#[derive(Debug, Subcommand)]
pub enum DaemonVerb {
    /// Be the node, in the foreground
    #[command(after_help = "Example:\n  niia daemon run")]
    Run(StateFolder),
    /// Start the node, unless it runs
    #[command(after_help = "Example:\n  niia daemon start")]
    Start(StateFolder),
    /// Stop the node; the programs of its sessions go on
    #[command(after_help = "Example:\n  niia daemon stop --end-sessions")]
    Stop {
        /// End the programs of all sessions, too
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        state: StateFolder,
    },
    /// Say whether the node runs, and how it is
    #[command(after_help = "Example:\n  niia daemon status --json")]
    Status(StateFolder),
    /// Have the node started at login, by systemd or launchd
    #[command(after_help = "Example:\n  niia daemon install --print")]
    Install {
        /// Only print what would be written
        #[arg(long)]
        print: bool,
    },
}

/// Where a node keeps everything.
#[derive(Debug, Args)]
pub struct StateFolder {
    /// Another state folder than this user's own
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia doctor")]
pub struct Doctor {}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  niia gc --dry-run\n  niia gc --older-than 7")]
pub struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Days since a run ended
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub older_than: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia top")]
pub struct Top {
    /// Print once and leave
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia completions bash >> ~/.bashrc")]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    pub shell: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  niia man | man -l -\n  niia man ~/.local/share/man/man1")]
pub struct Man {
    /// A folder for all pages; without it the first one is printed
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

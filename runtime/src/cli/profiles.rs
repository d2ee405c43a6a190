//! The verbs about profiles, and the one that tools call by themselves.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia profile ls
  niia profile show claude > ~/.config/niia/profiles/claude.toml   # keep the keys you change
  niia profile check my-tool.toml
  niia profile try claude                # one turn, and in plain words what is wrong")]
pub struct Profile {
    #[command(subcommand)]
    pub verb: ProfileVerb,
}

#[derive(Debug, Subcommand)]
pub enum ProfileVerb {
    /// List the tools niia knows how to drive
    #[command(after_help = "Example:\n  niia profile ls")]
    Ls,
    /// Print a profile as the files that make it
    #[command(after_help = "Example:\n  niia profile show codex")]
    Show {
        /// The profile
        id: String,
    },
    /// Say what is wrong in profile files, with line and column
    #[command(after_help = "Example:\n  niia profile check my-tool.toml")]
    Check {
        /// The files; without any, those of the user's folder
        #[arg(value_hint = clap::ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Ask a tool one question and say what is wrong with it, if anything is
    #[command(after_help = "Examples:\n  niia profile try claude\n  niia profile try claude/opus")]
    Try {
        /// A profile, or profile/model
        model: String,
        /// Seconds after which to give up
        #[arg(long, default_value_t = 120)]
        timeout: u64,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia hook Stop < event.json
  niia hook --from http://127.0.0.1:4096/event --login opencode:OPENCODE_SERVER_PASSWORD --only session.idle

Tools call it by themselves, inside a session. It always ends well, so that no tool waits or fails for niia.")]
pub struct Hook {
    /// What happened
    #[arg(required_unless_present = "from")]
    pub event: Option<String>,
    /// Tell the events of this stream of the tool's own, until the session ends
    #[arg(long, value_name = "URL", conflicts_with = "event")]
    pub from: Option<String>,
    /// Who asks for the stream, and the variable that holds the password
    #[arg(long, value_name = "USER:VARIABLE", requires = "from")]
    pub login: Option<String>,
    /// The events that are told
    #[arg(long, value_name = "EVENT", value_delimiter = ',', requires = "from")]
    pub only: Vec<String>,
    /// What is asked for with an event and told as `with`
    #[arg(long, value_name = "EVENT=/PATH", requires = "from")]
    pub with: Vec<String>,
}

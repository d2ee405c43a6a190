//! The verbs about sessions.

use std::path::PathBuf;

use clap::Args;

use super::complete;

/// A session as `run/phase/worker/attempt`; what is unambiguous may be left out.
#[derive(Debug, Args)]
pub struct SessionName {
    /// The session: run/phase/worker/attempt; what is unambiguous may be left out
    #[arg(value_name = "SESSION", add = complete::sessions())]
    pub session: String,
}

/// The same for verbs that only look: one that is the only one need not be named.
#[derive(Debug, Args)]
pub struct AnySession {
    /// The session: run/phase/worker/attempt; what is unambiguous may be left out, the only live one altogether
    #[arg(value_name = "SESSION", default_value = "", hide_default_value = true, add = complete::sessions())]
    pub session: String,
}

/// The same as an option, for the verbs whose words come after it.
#[derive(Debug, Args)]
pub struct SessionOption {
    /// The session: run/phase/worker/attempt; what is unambiguous may be left out
    #[arg(long = "session", short = 's', value_name = "ID", add = complete::sessions())]
    pub session: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia serve -- bash                       # any program in a terminal of its own
  niia serve --worktree my-feature         # the default model, in a tree of its own
  niia attach session/1                    # where only one has that name")]
pub struct Serve {
    /// Work in a tree of this name
    #[arg(long, value_name = "SLUG")]
    pub worktree: Option<String>,
    /// Keep it inside an OS-level sandbox
    #[arg(long)]
    pub sandbox: bool,
    /// Take uncommitted changes along into its tree, as a snapshot
    #[arg(long, requires = "worktree")]
    pub include_dirty: bool,
    /// The model that is started when no program is given
    #[arg(long, conflicts_with = "command")]
    pub model: Option<String>,
    /// The program and its arguments
    #[arg(last = true, value_name = "CMD", value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  niia sessions --all\n  niia sessions --machine seoul-server")]
pub struct Sessions {
    /// Only of this run
    #[arg(value_name = "RUN", add = complete::runs())]
    pub run: Option<String>,
    /// Those that are over, too
    #[arg(long, short)]
    pub all: bool,
    /// Those of a paired machine instead
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia attach                     # the only session there is
  niia attach review-k3f9x/find/1
  niia attach find/1 --take

Watches until the first key; that takes the right to write. Ctrl-\\ d detaches, Ctrl-\\ t takes over; the configuration
may name another key (`detach_key`).")]
pub struct Attach {
    #[command(flatten)]
    pub name: AnySession,
    /// Take over from whoever is writing
    #[arg(long)]
    pub take: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia read review-k3f9x/find/1")]
pub struct Read {
    #[command(flatten)]
    pub name: AnySession,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  niia write --session review-k3f9x/find/1 \"look at the tests, too\"

The exit code is 0 only when the text is known to have been taken.")]
pub struct Write {
    #[command(flatten)]
    pub name: SessionOption,
    /// The text (`-` reads stdin)
    pub text: String,
    /// Type it without pressing Enter
    #[arg(long)]
    pub no_enter: bool,
    /// Do not wait until the session is idle
    #[arg(long)]
    pub urgent: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia wait-idle --session find/1 --timeout 60")]
pub struct WaitIdle {
    #[command(flatten)]
    pub name: SessionOption,
    /// Seconds without a byte that count as quiet
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub quiet: f64,
    /// Seconds after which to give up
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub timeout: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia get-answer --session find/1 \"which file is it?\"")]
pub struct GetAnswer {
    #[command(flatten)]
    pub name: SessionOption,
    /// The question (`-` reads stdin)
    pub question: String,
    /// Seconds without a byte after which the answer counts as given
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub quiet: f64,
    /// Seconds after which to give up
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub timeout: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia interrupt review-k3f9x/find/1")]
pub struct Interrupt {
    #[command(flatten)]
    pub name: SessionName,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia resize --session find/1 160x50")]
pub struct Resize {
    #[command(flatten)]
    pub name: SessionOption,
    /// Columns x rows
    #[arg(value_name = "COLSxROWS", value_parser = size)]
    pub size: (u16, u16),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia kill review-k3f9x/find/1")]
pub struct Kill {
    #[command(flatten)]
    pub name: SessionName,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia replay find/1 --speed 4
  niia replay find/1 --at 12.5 --text      # the screen after 12.5 seconds
  niia replay find/1 --cast find.cast      # for asciinema")]
pub struct Replay {
    #[command(flatten)]
    pub name: SessionName,
    /// Show the screen after that many seconds instead
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub at: Option<f64>,
    /// Print text alone
    #[arg(long)]
    pub text: bool,
    /// How many times as fast
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Write an asciicast (version 3) instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["at", "text"], value_hint = clap::ValueHint::FilePath)]
    pub cast: Option<PathBuf>,
}

/// The longest time an option takes: a year.
const SECONDS_MAX: f64 = 365.0 * 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => Ok(seconds),
        Ok(_) => Err(format!("between 0 and {SECONDS_MAX} seconds")),
        Err(_) => Err("a number of seconds, such as 2.5".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a number between 0.01 and 1000".to_owned()),
    }
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let wrong = || "columns x rows, such as 120x40".to_owned();
    let (cols, rows) = text.split_once(['x', 'X']).ok_or_else(wrong)?;
    let part = |part: &str| part.parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(wrong);
    Ok((part(cols)?, part(rows)?))
}

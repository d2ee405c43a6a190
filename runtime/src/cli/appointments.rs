//! The verbs about documents that run by themselves, and about what has been.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::complete;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Schedule {
    #[command(subcommand)]
    pub verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// Keep a document that has a `schedule` or a `trigger`: it runs in this folder when its time or event comes
    #[command(after_help = "\
Examples:
  niia schedule add nightly.connector.json
  niia schedule add review.connector.json --task \"look at tests first\"

What is kept is the document as it is now, with the variables it needs; add it again once it has changed.
It runs only while the node does: `niia daemon install` has the node started at login.")]
    Add {
        /// The document; without it the one of this folder
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: Option<String>,
        /// The goal each agent is told
        #[arg(long)]
        task: Option<String>,
    },
    /// List what is kept, with the next three times and what came of the last one
    #[command(
        after_help = "Examples:\n  niia schedule ls\n  niia schedule ls nightly-dream   # its last firings, too"
    )]
    Ls {
        #[arg(add = complete::kept())]
        name: Option<String>,
    },
    /// Keep a document no longer; its runs go on
    #[command(after_help = "Example:\n  niia schedule rm nightly-dream")]
    Rm {
        #[arg(add = complete::kept())]
        name: String,
    },
    /// Run a kept document now, beside its times
    #[command(after_help = "Example:\n  niia schedule run-now nightly-dream --detach")]
    RunNow {
        #[arg(add = complete::kept())]
        name: String,
        /// Print the run's id and do not follow it
        #[arg(long, short)]
        detach: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia trigger github.pr.opened --payload pr.json
  curl -s https://example.com/state | niia trigger webhook.state --payload -

Events: github.pr.opened github.pr.updated github.pr.closed github.push
        git.commit git.push file.changed webhook.NAME

The payload is data: filters and conditions read it as `event`, agents as the file $NIIA_EVENT.")]
pub struct Trigger {
    /// The event
    pub event: String,
    /// A file of JSON (`-` reads stdin)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub payload: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  niia history --since 24h\n  niia history --since 7d --json | jq '.[].name'"
)]
pub struct History {
    /// How far back, such as 90m, 24h or 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = super::appointments::time)]
    pub since: std::time::Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  niia memory ls\n  niia memory cat notes.md")]
pub struct Memory {
    #[command(subcommand)]
    pub verb: MemoryVerb,
}

#[derive(Debug, Subcommand)]
pub enum MemoryVerb {
    /// List what this repository remembers
    #[command(after_help = "Example:\n  niia memory ls")]
    Ls,
    /// Print a file of it
    #[command(after_help = "Example:\n  niia memory cat notes.md")]
    Cat { path: String },
}

/// A time as people write it: a number and s, m, h or d.
pub fn time(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is no time: write a number and s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(std::time::Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(time("24h").unwrap().as_secs(), 86_400);
        assert_eq!(time("7d").unwrap().as_secs(), 604_800);
        for wrong in ["", "24", "h", "1.5h", "-1h", "1ü", "99999999999999999999d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}

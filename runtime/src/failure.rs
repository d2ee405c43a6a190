//! What went wrong on the command line, and the exit code that says so.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use serde_json::json;

use crate::control::words::{Refusal, RefusalCode};

/// What the exit code of the command line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    Document,
    Unreachable,
    Attention,
    Bug,
    /// Nobody reads what is printed any more; the code is the one shells give a program ended by SIGPIPE.
    NobodyReads,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Document => 3,
            Exit::Unreachable => 4,
            Exit::Attention => 5,
            Exit::Bug => 70,
            Exit::NobodyReads => 141,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// A command that could not do what it was asked: one sentence, how to go on, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub help: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), help: None, source: None }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// The machine failed at something: disk, terminal, program.
    pub fn trouble(message: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Failure {
        Failure::new(Exit::Failed, message).because(source)
    }

    /// The node answered a request with words that are no answer to it.
    pub fn out_of_turn(asked: &str) -> Failure {
        Failure::new(Exit::Bug, format!("the node's answer to `{asked}` makes no sense"))
            .help("the node may be of another version: `niia daemon stop`, then try again")
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Failure {
        self.source = Some(Box::new(source));
        self
    }

    /// As people read it: the sentence with its causes, then the help.
    pub fn for_people(&self) -> String {
        let mut text = format!("niia: {}", self.with_causes());
        if let Some(help) = &self.help {
            text.push_str("\n  help: ");
            text.push_str(help);
        }
        text
    }

    /// As programs read it, with `--json`.
    pub fn for_programs(&self) -> String {
        let error = json!({ "exit": self.exit.code(), "message": self.with_causes(), "help": self.help });
        json!({ "error": error }).to_string()
    }

    fn with_causes(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {}", self.message, chain(source.as_ref())),
            None => self.message.clone(),
        }
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_causes())
    }
}

impl Error for Failure {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let exit = match refusal.code {
            RefusalCode::NotFound | RefusalCode::Ambiguous | RefusalCode::Wrong => Exit::Usage,
            RefusalCode::Unsupported => Exit::Document,
            RefusalCode::Limit | RefusalCode::State | RefusalCode::NotAllowed | RefusalCode::Trouble => {
                Exit::Failed
            }
        };
        Failure { exit, message: refusal.message, help: refusal.help, source: None }
    }
}

/// Trouble with printing. A reader that left (`niia runs | head`) is no failure worth a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::NobodyReads, "nobody reads any more"),
            _ => Failure::trouble("could not print", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_and_how_to_go_on() {
        let cause = io::Error::other("disk full");
        let failure = Failure::trouble("could not write `a.json`", cause).help("make room");
        assert_eq!(failure.for_people(), "niia: could not write `a.json`: disk full\n  help: make room");
        let read: serde_json::Value = serde_json::from_str(&failure.for_programs()).unwrap();
        assert_eq!(read["error"]["exit"], 1);
        assert_eq!(read["error"]["help"], "make room");
    }

    #[test]
    fn a_name_that_fits_nothing_is_wrong_usage_and_a_document_that_cannot_be_done_is_a_wrong_document() {
        let refused = |code| Failure::from(Refusal { code, message: "m".into(), help: None }).exit.code();
        assert_eq!(refused(RefusalCode::NotFound), 2);
        assert_eq!(refused(RefusalCode::Unsupported), 3);
        assert_eq!(refused(RefusalCode::Limit), 1);
    }
}

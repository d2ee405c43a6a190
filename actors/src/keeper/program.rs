//! What is to be started in a terminal, and why it could not be.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::wire::{Failure, FailureAt};
use crate::{network, sandbox};

/// What is to be started in a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What the node calls the session; the program finds it as `NIIA_SESSION`.
    pub session: String,
    /// The program, looked for along the `PATH` of `env` unless it has a slash, and its arguments.
    pub argv: Vec<OsString>,
    /// Its whole environment. Nothing of it is written to a disk, and nothing of the node's own is added.
    pub env: Vec<(OsString, OsString)>,
    pub cwd: PathBuf,
    pub cols: u16,
    pub rows: u16,
    /// Without a recording only the newest output is kept, and only while the session lasts.
    pub record: bool,
    pub recording_bytes_max: u64,
    /// What it may do; without a policy, whatever its user may.
    pub sandbox: Option<sandbox::Policy>,
    /// What may be reached from inside it, at the ports where the policy listens.
    pub reach: Option<network::Rules>,
}

/// Why a program was not started. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("there is no program to start")]
    Empty,
    #[error("{what} holds a NUL byte")]
    Nul { what: String },
    #[error("`{name}` cannot be the name of an environment variable")]
    VariableName { name: String },
    #[error(
        "the arguments and environment of `{program}` have {bytes} bytes; at most {bytes_max} can be handed over"
    )]
    TooLarge { program: String, bytes: usize, bytes_max: usize },
    #[error("`{}` cannot be the working folder", cwd.display())]
    Cwd { cwd: PathBuf, source: io::Error },
    #[error("could not start `{program}`")]
    Program { program: String, source: io::Error },
    #[error(
        "could not start `{program}`: its file is there, but the interpreter its first line names is not"
    )]
    Interpreter { program: String },
    #[error("`{}` has a session already", folder.display())]
    Taken { folder: PathBuf },
    #[error("could not write the recording in `{}`", folder.display())]
    Record { folder: PathBuf, source: io::Error },
    #[error("could not open a terminal")]
    Terminal(#[source] io::Error),
    #[error("could not fork a process for the session")]
    Fork(#[source] io::Error),
    #[error("{used} of {limit} {what} are in use; a session needs {needed} more")]
    Limit { what: &'static str, limit: u64, used: u64, needed: u64 },
    #[error("could not start the keeper `{}`", executable.display())]
    Keeper { executable: PathBuf, source: io::Error },
    #[error("the keeper ended {times} times while it was starting the session")]
    KeeperEnded { times: u32 },
    #[error(transparent)]
    Refused(sandbox::Refusal),
    #[error("the helper of the sandbox broke")]
    Sandbox(#[source] io::Error),
    #[error("the session was lost while it was being started")]
    Lost,
}

impl Program {
    pub(super) fn name(&self) -> String {
        self.argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Whether the kernel could take it at all; what only it can say it says when the program is started.
    pub(super) fn check(&self) -> Result<(), StartError> {
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return Err(StartError::Empty);
        }
        let nul = |text: &OsStr| text.as_bytes().contains(&0);
        if let Some(at) = self.argv.iter().position(|argument| nul(argument)) {
            return Err(StartError::Nul { what: format!("argument {at}") });
        }
        if nul(self.cwd.as_os_str()) {
            return Err(StartError::Nul { what: "the working folder".to_owned() });
        }
        if self.session.contains('\0') {
            return Err(StartError::Nul { what: "the session's name".to_owned() });
        }
        for (name, value) in &self.env {
            if name.is_empty() || nul(name) || name.as_bytes().contains(&b'=') {
                return Err(StartError::VariableName { name: name.to_string_lossy().into_owned() });
            }
            if nul(value) {
                return Err(StartError::Nul { what: format!("the value of `{}`", name.to_string_lossy()) });
            }
        }
        Ok(())
    }

    pub(super) fn refused(&self, folder: &std::path::Path, failure: &Failure) -> StartError {
        let source = io::Error::from_raw_os_error(failure.errno);
        let folder = || folder.to_path_buf();
        match failure.at {
            FailureAt::Cwd => StartError::Cwd { cwd: self.cwd.clone(), source },
            FailureAt::Program => StartError::Program { program: self.name(), source },
            FailureAt::Interpreter => StartError::Interpreter { program: self.name() },
            FailureAt::Taken => StartError::Taken { folder: folder() },
            FailureAt::Record => StartError::Record { folder: folder(), source },
            FailureAt::Terminal => StartError::Terminal(source),
            FailureAt::Fork => StartError::Fork(source),
            FailureAt::Sandbox => match &failure.refusal {
                Some(refusal) => StartError::Refused(refusal.clone()),
                None => StartError::Sandbox(source),
            },
            FailureAt::Terminals { limit, used } => StartError::Limit {
                what: "terminals of this machine (kernel.pty.max)",
                limit,
                used,
                needed: 1,
            },
        }
    }
}

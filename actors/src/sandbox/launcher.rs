//! The side of whoever starts the helper.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::wire::{self, FromHelper, GO, Made};
use super::{ENV_PREFIX, HELPER_VERB, LINE_DESCRIPTOR, Policy, Refusal};

/// A sandbox is made in milliseconds; a machine that swaps takes longer, one that takes so long hangs.
const HELPER_TIME: Duration = Duration::from_secs(20);

/// Why the program does not run in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The sandbox is there; its program cannot be started in it.
    #[error("the program cannot be started in its sandbox")]
    Program(#[source] io::Error),
    #[error("the helper of the sandbox ended without a word")]
    Lost,
    #[error("the helper of the sandbox cannot be spoken to")]
    Line(#[source] io::Error),
}

/// The line to a helper that is to be started.
#[derive(Debug)]
pub struct Line {
    ours: OwnedFd,
    theirs: OwnedFd,
}

/// The line to a helper that has been started.
#[derive(Debug)]
pub struct Begun(OwnedFd);

/// Makes the line, with the policy waiting in it.
pub fn begin(policy: &[u8]) -> io::Result<Line> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    wire::send_bytes(&ours, policy, &[])?;
    Ok(Line { ours, theirs })
}

/// What starts a program in a sandbox: the executable `helper`, told what to do. The caller adds folder and streams,
/// spawns it, and goes on with [`Line::begun`].
pub fn command<Name: AsRef<OsStr>, Value: AsRef<OsStr>>(
    helper: &Path,
    policy: &Policy,
    argv: &[impl AsRef<OsStr>],
    env: impl IntoIterator<Item = (Name, Value)>,
) -> io::Result<(Command, Line)> {
    let line = begin(&serde_json::to_vec(policy)?)?;
    let mut command = Command::new(helper);
    command.arg(HELPER_VERB).arg("--").args(argv);
    clothe(&mut command, env);
    line.attach(&mut command)?;
    Ok((command, line))
}

/// Gives a helper its program's environment, under names that mean nothing to the helper itself: what a program's
/// environment makes a loader do must not be done before there is a sandbox.
pub fn clothe<Name: AsRef<OsStr>, Value: AsRef<OsStr>>(
    command: &mut Command,
    env: impl IntoIterator<Item = (Name, Value)>,
) {
    command.env_clear();
    command.envs(env.into_iter().map(|(name, value)| {
        let mut wrapped = OsString::from(ENV_PREFIX);
        wrapped.push(name);
        (wrapped, value)
    }));
}

impl Line {
    /// Lets the command's process find the line where the helper looks for it.
    pub fn attach(&self, command: &mut Command) -> io::Result<()> {
        // The library reports a failing exec through a descriptor of its own, which must not get the helper's number:
        // so that number is taken already before the fork.
        let taken = rustix::io::fcntl_dupfd_cloexec(&self.theirs, LINE_DESCRIPTOR)?;
        let number = self.theirs.as_raw_fd();
        let place = move || super::kernel::place(number, LINE_DESCRIPTOR);
        // SAFETY: what runs between fork and exec only calls the kernel. `taken` lives as long as the command.
        unsafe {
            command.pre_exec(move || {
                let _held = &taken;
                place()
            })
        };
        Ok(())
    }

    /// To be called when the helper has been spawned: its end of the line is then its alone.
    #[must_use]
    pub fn begun(self, command: Command) -> Begun {
        drop((self.theirs, command));
        Begun(self.ours)
    }
}

impl Begun {
    /// What the helper made, and the listeners of the policy in their order.
    pub fn made(&self) -> Result<(Made, Vec<OwnedFd>), EntryError> {
        let mut descriptors = Vec::new();
        match self.hear(&mut descriptors)? {
            Some(FromHelper::Made(made)) => Ok((made, descriptors)),
            Some(other) => Err(other.into_error()),
            None => Err(EntryError::Lost),
        }
    }

    /// Lets the program start, and waits until it has.
    pub fn go(&self) -> Result<(), EntryError> {
        wire::send_bytes(&self.0, GO, &[]).map_err(EntryError::Line)?;
        match self.hear(&mut Vec::new())? {
            // The helper's end of the line is closed by the program's start.
            None => Ok(()),
            Some(other) => Err(other.into_error()),
        }
    }

    fn hear(&self, descriptors: &mut Vec<OwnedFd>) -> Result<Option<FromHelper>, EntryError> {
        match wire::receive(&self.0, Instant::now() + HELPER_TIME, descriptors) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(EntryError::Line(error.into())),
            },
            Err(error) => Err(EntryError::Line(error)),
        }
    }
}

impl FromHelper {
    fn into_error(self) -> EntryError {
        match self {
            FromHelper::Refused(refusal) => EntryError::Refused(refusal),
            FromHelper::Failed { errno } => EntryError::Program(io::Error::from_raw_os_error(errno)),
            FromHelper::Made(_) => EntryError::Line(io::ErrorKind::InvalidData.into()),
        }
    }
}

//! Starting the node, once, however many callers need it at the same moment.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::FdFlags;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::Client;
use crate::config::Folders;
use crate::trace;

/// Names the descriptor on which a node that was started by a caller says `ready`, or why it is not.
pub const READY_VARIABLE: &str = "NIIA_READY_FD";

/// How long a node may take until it is ready: it may have many runs to take up again.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long a caller waits for others that are starting the node.
const TURN_WITHIN: Duration = Duration::from_secs(60);

/// The longest word a node says before it is ready.
const READY_BYTES_MAX: u64 = 4096;

/// How much of the node's log is quoted when it ended without a word.
const LOG_QUOTE_BYTES: u64 = 600;

/// What the node's own environment is made of. The rest of the caller's stays with the caller: sessions get theirs from
/// each run, and a secret of this shell has no business in a process that outlives it.
const KEPT: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Beginnings of the names of variables that are kept, too.
const KEPT_BEGINNINGS: &[&str] = &["NIIA_", "XDG_", "RUST_BACKTRACE"];

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not lock `{}`", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("others have been starting it for {TURN_WITHIN:?}")]
    Turn,
    #[error("could not run `{}`", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("could not open its log `{}`", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("could not make the pipe it answers on")]
    Pipe(#[source] io::Error),
    #[error("it was not ready within {READY_WITHIN:?}; its log is `{}`", log.display())]
    Slow { log: PathBuf },
    #[error("{0}")]
    Said(String),
    #[error("it ended before it was ready; the end of `{}`:\n{quote}", log.display())]
    Ended { log: PathBuf, quote: String },
}

/// Starts the node unless another caller has done so by now, and waits until it is ready.
pub(super) async fn start(folders: &Folders) -> Result<(), super::ClientError> {
    folders.open_state()?;
    let _turn = turn(folders).await?;
    if Client::connect(folders).await.is_ok() {
        return Ok(());
    }
    let ready = spawn(folders)?;
    Ok(tokio::time::timeout(READY_WITHIN, wait(ready, folders))
        .await
        .map_err(|_| StartError::Slow { log: folders.node_log() })??)
}

/// One caller at a time; the lock is let go of when the file is closed.
async fn turn(folders: &Folders) -> Result<File, StartError> {
    let path = folders.run().join("start.lock");
    let locking = tokio::task::spawn_blocking(move || {
        let locked = trace::open_log(&path).and_then(|file| {
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        locked.map_err(|source| StartError::Lock { path, source })
    });
    match tokio::time::timeout(TURN_WITHIN, locking).await {
        Ok(Ok(locked)) => locked,
        Ok(Err(_)) | Err(_) => Err(StartError::Turn),
    }
}

/// Begins the node's program; the end of the pipe on which it says how it goes.
fn spawn(folders: &Folders) -> Result<OwnedFd, StartError> {
    let program =
        std::env::current_exe().map_err(|source| StartError::Spawn { program: "niia".into(), source })?;
    let log_path = folders.node_log();
    let log = |source| StartError::Log { path: log_path.clone(), source };
    trace::put_aside_when_full(&log_path).map_err(log)?;
    let out = trace::open_log(&log_path).map_err(log)?;
    let err = out.try_clone().map_err(log)?;
    let (ready, says) = pipe_for_child().map_err(StartError::Pipe)?;
    let mut command = Command::new(&program);
    command.args(["daemon", "run", "--state"]).arg(&folders.state).current_dir(&folders.state);
    command.env_clear().envs(kept_environment()).env(READY_VARIABLE, says.as_raw_fd().to_string());
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    // Its end is nobody's business here: it makes itself a session of its own and outlives the caller.
    drop(command.spawn().map_err(|source| StartError::Spawn { program, source })?);
    Ok(ready)
}

/// A pipe whose writing end is inherited by the program that is started next.
fn pipe_for_child() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
    rustix::io::fcntl_setfd(&write, FdFlags::empty())?;
    Ok((read, write))
}

fn kept_environment() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        KEPT.contains(&name.as_ref()) || KEPT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    })
}

async fn wait(ready: OwnedFd, folders: &Folders) -> Result<(), StartError> {
    let reader = pipe::Receiver::from_owned_fd(ready).map_err(StartError::Pipe)?;
    let mut said = String::new();
    let mut reader = tokio::io::BufReader::new(reader).take(READY_BYTES_MAX);
    tokio::io::AsyncBufReadExt::read_line(&mut reader, &mut said).await.map_err(StartError::Pipe)?;
    match said.trim() {
        "ready" => Ok(()),
        "" => Err(StartError::Ended { quote: quote(&folders.node_log()), log: folders.node_log() }),
        reason => Err(StartError::Said(crate::report::neutral(reason))),
    }
}

/// The end of the log, for people.
fn quote(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_QUOTE_BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    };
    match read() {
        Ok(end) => crate::report::neutral_lines(end.trim_end()),
        Err(error) => format!("(could not be read: {error})"),
    }
}

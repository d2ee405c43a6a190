//! The lock of a state folder: one node at a time. The kernel holds it, so it ends with its process whatever happens.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::StateFolder;

/// How long the winner of a race is waited for until it has written who it is.
const NAME_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{}", taken(.pid))]
    Taken { pid: Option<u32> },
    #[error("the lock {path} cannot be used")]
    File { path: PathBuf, source: io::Error },
}

fn taken(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("a node runs here already, with process id {pid}"),
        None => "a node runs here already".to_owned(),
    }
}

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    state: StateFolder,
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(state: &StateFolder) -> Result<Lock, LockError> {
        let path = state.run_folder().join("lock");
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let mut file = options.open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Taken { pid: holder(&mut file) }),
            Err(error) => return Err(failed(error.into())),
        }
        sign(&mut file).map_err(failed)?;
        Ok(Lock { state: state.clone(), _file: file })
    }

    /// The folder that is held.
    pub fn state(&self) -> &StateFolder {
        &self.state
    }
}

/// For messages alone: who holds the lock is the kernel's business.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let since = Instant::now();
    loop {
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
        let pid = read.ok().and_then(|_| text.strip_suffix('\n')?.parse().ok());
        if pid.is_some() || since.elapsed() > NAME_TIMEOUT {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

//! Locks that processes hold against each other, and threads of one process too.
//!
//! A lock is a file under `flock`. Each taking opens the file anew, so that two threads exclude each other as two
//! processes do. A program started meanwhile may be given a share: the lock is free when the last holder is gone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::error::GitError;

/// Longer than any step done under a lock but for a checkout of a huge tree, which is given the same bound as git.
const PATIENCE: Duration = super::program::LONG;
/// The pause between two tries grows up to this.
const PAUSE_MAX: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock. A file is made where it is missing, and stays; a folder can be locked as well.
    pub(super) fn take(path: &Path) -> Result<Lock, GitError> {
        Lock::take_within(path, PATIENCE)
    }

    pub(super) fn take_within(path: &Path, patience: Duration) -> Result<Lock, GitError> {
        let file = match path.is_dir() {
            true => File::open(path),
            false => OpenOptions::new().create(true).read(true).append(true).open(path),
        };
        let file = file.map_err(GitError::file(path))?;
        Lock::wait(file, path, patience)
    }

    fn wait(file: File, path: &Path, patience: Duration) -> Result<Lock, GitError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock { file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(GitError::file(path)(error.into())),
            }
            if begin.elapsed() > patience {
                return Err(GitError::Busy { path: path.to_owned(), after: patience });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The same lock for a program that is started.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }
}

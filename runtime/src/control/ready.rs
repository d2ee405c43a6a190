//! How a node that was started by a caller tells it that it is ready, or why it is not.

use std::env;
use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::FileType;
use rustix::io::FdFlags;

use super::client::READY_VARIABLE;

/// The caller's pipe. Dropped without a word, it tells the caller that the node ended early.
#[derive(Debug)]
pub struct Ready(Option<File>);

impl Ready {
    /// Takes the pipe the environment names; without one, nobody waits. To be called once, before anything else opens
    /// files: from then on the descriptor belongs to this value and is inherited by nobody.
    pub fn from_environment() -> Ready {
        let named = env::var(READY_VARIABLE).ok().and_then(|text| text.parse::<RawFd>().ok());
        Ready(named.filter(|fd| *fd > 2).and_then(take_pipe))
    }

    /// Whether this node was started by a caller and is to live on without its terminal.
    pub fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// The node takes requests from now on.
    pub fn ready(self) {
        self.say("ready");
    }

    /// The node will not come up, for this reason.
    pub fn failed(self, reason: &str) {
        self.say(&reason.replace('\n', " "));
    }

    /// The pipe itself, for whoever says it in their own time.
    pub fn into_descriptor(self) -> Option<OwnedFd> {
        self.0.map(OwnedFd::from)
    }

    fn say(self, word: &str) {
        if let Some(mut pipe) = self.0 {
            // A caller that gave up waiting is no trouble of the node's.
            drop(pipe.write_all(format!("{word}\n").as_bytes()));
        }
    }
}

fn take_pipe(fd: RawFd) -> Option<File> {
    // SAFETY: the descriptor is only asked whether it is open and a pipe; it is not closed by this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let found = rustix::fs::fstat(borrowed).ok()?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Fifo {
        return None;
    }
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open (just asked), and whoever set the variable made this pipe for this process to own.
    Some(unsafe { File::from_raw_fd(fd) })
}

//! Looking a name up without waiting for it.
//!
//! The system's resolver waits as long as it likes, so each name is looked up by a child of its own, which is killed
//! when its time is over. A child also keeps what a hostile answer could break away from the carrier.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::keeper::kernel::{self, Fork};

/// A name of a large service has some twenty addresses; the first few are enough to reach it.
const ADDRESSES_MAX: usize = 8;
/// As many lines of addresses, or one that says what went wrong.
const ANSWER_BYTES_MAX: usize = 1024;
/// The descriptor by which the child answers.
const ANSWER_DESCRIPTOR: i32 = 3;
/// What stands before an error in an answer.
const TROUBLE: char = '!';

/// Somebody who can look names up.
pub(super) trait Resolve {
    fn begin(&mut self, host: &str) -> io::Result<Lookup>;
}

/// The system's resolver, in a child. Only for a process with a single thread.
pub(super) struct System;

/// A name that is being looked up.
pub(super) struct Lookup {
    answer: OwnedFd,
    child: Option<Pid>,
    heard: Vec<u8>,
}

pub(super) type Found = Result<Vec<IpAddr>, String>;

impl Resolve for System {
    fn begin(&mut self, host: &str) -> io::Result<Lookup> {
        let (answer, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        match kernel::fork()? {
            Fork::Parent(child) => Ok(Lookup { answer, child: Some(child), heard: Vec::new() }),
            Fork::Child => {
                let told = std::panic::catch_unwind(|| answer_by(&tell, host));
                kernel::leave(i32::from(!matches!(told, Ok(Ok(())))))
            }
        }
    }
}

fn answer_by(tell: &OwnedFd, host: &str) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let tell = kernel::keep_only(tell.as_fd(), ANSWER_DESCRIPTOR)?;
    // The port is of no matter; the library wants one.
    let text = match (host, 443).to_socket_addrs() {
        Ok(found) => found.take(ADDRESSES_MAX).map(|address| format!("{}\n", address.ip())).collect(),
        Err(error) => format!("{TROUBLE}{error}"),
    };
    let bytes = text.as_bytes();
    rustix::io::write(&tell, &bytes[..bytes.len().min(ANSWER_BYTES_MAX)])?;
    Ok(())
}

impl Lookup {
    /// An answer that is known already.
    pub fn known(text: &str) -> io::Result<Lookup> {
        let (answer, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        rustix::io::write(&tell, text.as_bytes())?;
        Ok(Lookup { answer, child: None, heard: Vec::new() })
    }

    /// An answer that comes when the other end is written to and dropped.
    #[cfg(test)]
    pub fn pending() -> io::Result<(Lookup, OwnedFd)> {
        let (answer, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok((Lookup { answer, child: None, heard: Vec::new() }, tell))
    }

    pub fn answer(&self) -> &OwnedFd {
        &self.answer
    }

    /// What was found, when it was.
    pub fn hear(&mut self) -> Option<Found> {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        loop {
            match rustix::io::read(&self.answer, &mut bytes) {
                Ok(0) => return Some(self.read()),
                Ok(count) if self.heard.len() + count <= ANSWER_BYTES_MAX => {
                    self.heard.extend_from_slice(&bytes[..count]);
                }
                Ok(_) => return Some(Err("the answer is too long".to_owned())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(errno) => return Some(Err(errno.to_string())),
            }
        }
    }

    fn read(&self) -> Found {
        let text = String::from_utf8_lossy(&self.heard);
        if let Some(trouble) = text.strip_prefix(TROUBLE) {
            return Err(trouble.to_owned());
        }
        let mut found: Vec<IpAddr> = text.lines().filter_map(|line| line.parse().ok()).collect();
        found.dedup();
        if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let Some(child) = self.child else { return };
        // Nobody else waits for this child, so its number is its own until it has been waited for here.
        let _ = kill_process(child, Signal::KILL);
        while matches!(waitpid(Some(child), WaitOptions::empty()), Err(Errno::INTR)) {}
    }
}

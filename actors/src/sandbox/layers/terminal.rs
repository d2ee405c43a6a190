//! The session's terminal: held by the program alone, with job control.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::sandbox::Refusal;
use crate::sandbox::kernel;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;

/// What the helper was given as a terminal.
#[derive(Debug)]
pub(in super::super) struct Terminal {
    is_there: bool,
    /// Whether it can be handed on: it steers this process, which leads its kernel session.
    is_ours: bool,
    path: Option<PathBuf>,
}

impl Terminal {
    pub fn find() -> Terminal {
        let stdin = rustix::stdio::stdin();
        if !rustix::termios::isatty(stdin) {
            return Terminal { is_there: false, is_ours: false, path: None };
        }
        let own = rustix::process::getpid();
        let is_ours = rustix::process::getsid(None).is_ok_and(|session| session == own)
            && rustix::termios::tcgetsid(stdin).is_ok_and(|session| session == own);
        let path = std::fs::read_link("/proc/self/fd/0").ok().filter(|path| is_terminal(path));
        Terminal { is_there: true, is_ours, path }
    }

    /// Where it lies in the machine's `/dev`.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Lets the program take it. The hang-up that goes with this is held back.
    pub fn let_go(&self) {
        if self.is_ours {
            // Where it stays, the program cannot take it, and that is said then.
            let _ = kernel::leave_terminal(rustix::stdio::stdin());
        }
    }

    /// Makes the calling process the leader of a session of its own that the terminal steers.
    pub fn take(&self, layers: &mut Layers) -> Result<(), Refusal> {
        let cure = "start the session in a terminal of its own";
        let refuse = |what: &str, errno: Errno| Refusal::new("terminal", at(what, errno), cure);
        let own =
            rustix::process::setsid().map_err(|errno| refuse("there is no session of its own", errno))?;
        let stdin = rustix::stdio::stdin();
        let word = if self.is_ours {
            rustix::process::ioctl_tiocsctty(stdin).map_err(|errno| refuse("it cannot be taken", errno))?;
            let steers = rustix::termios::tcgetsid(stdin).is_ok_and(|session| session == own);
            let is_ahead = rustix::termios::tcgetpgrp(stdin).is_ok_and(|group| group == own);
            if !(steers && is_ahead) {
                return Err(Refusal::new("terminal", "it does not steer the program", cure));
            }
            "of its own, with job control; input cannot be forged"
        } else if self.is_there {
            "belongs to who started the session: no job control; input cannot be forged"
        } else {
            "none"
        };
        layers.insert("terminal".to_owned(), word.to_owned());
        Ok(())
    }
}

fn is_terminal(path: &Path) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    let device = rustix::fs::fstat(rustix::stdio::stdin()).map(|stat| stat.st_rdev);
    metadata.file_type().is_char_device() && device == Ok(metadata.rdev())
}

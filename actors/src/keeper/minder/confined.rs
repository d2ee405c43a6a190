//! A program in a sandbox: the minder starts the helper in its place and hears from it what was made.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::Pid;
use serde_bytes::ByteBuf;

use super::super::wire::{Failure, FailureAt, Order};
use super::launch::{failed, furnish, not_started, pid_of};
use crate::network::{Carried, Rules};
use crate::sandbox::{self, Begun, EntryError, Made, Policy, Refusal};

/// Where the session's folder tells what its sandbox is made of.
pub(in super::super) const MADE_FILE: &str = "sandbox.json";
/// This very executable, also where its file has been replaced since.
const HELPER: &str = "/proc/self/exe";
/// How it is called in a list of processes.
const HELPER_NAME: &str = "niia";
/// A refusal travels in one message, with room for the rest of it.
const WORD_BYTES_MAX: usize = 240;

/// A helper that makes its sandbox.
pub(super) struct Confined {
    helper: Child,
    begun: Begun,
    policy: ByteBuf,
}

/// Starts the helper in the terminal and the current folder.
pub(super) fn spawn(
    order: &Order,
    policy: &ByteBuf,
    umask: u32,
    slave: OwnedFd,
) -> io::Result<(Pid, Confined)> {
    let line = sandbox::begin(policy)?;
    let mut command = Command::new(HELPER);
    command.arg0(HELPER_NAME).arg(sandbox::HELPER_VERB).arg("--");
    command.args(order.argv.iter().map(|argument| OsStr::from_bytes(argument)));
    furnish(&mut command, umask, slave)?;
    let text = OsStr::from_bytes;
    sandbox::clothe(&mut command, order.env.iter().map(|(name, value)| (text(name), text(value))));
    line.attach(&mut command)?;
    let helper = command.spawn()?;
    let begun = line.begun(command);
    Ok((pid_of(&helper)?, Confined { helper, begun, policy: policy.clone() }))
}

impl Confined {
    /// Lets the program start once what was made is written down, in the current folder; nothing of it is left where it
    /// does not.
    pub fn enter(mut self, order: &Order) -> Result<Carried, Failure> {
        let entered =
            self.begun.made().map_err(|error| judged(order, error)).and_then(|(made, listeners)| {
                keep(&made).map_err(failed(FailureAt::Record))?;
                let carried = self.carry(order, listeners)?;
                self.begun.go().map_err(|error| judged(order, error))?;
                Ok(carried)
            });
        match entered {
            Ok(carried) => Ok(carried),
            Err(failure) => {
                // One that has ended by itself cannot be killed any more.
                let _ = self.helper.kill();
                let _ = self.helper.wait();
                Err(failure)
            }
        }
    }

    /// Whoever answers at the listeners is there before the program is.
    fn carry(&self, order: &Order, listeners: Vec<OwnedFd>) -> Result<Carried, Failure> {
        let broke = |_| Failure::new(FailureAt::Sandbox, libc::EINVAL);
        let policy: Policy =
            serde_json::from_slice(&self.policy).map_err(|error| broke(error.to_string()))?;
        let ports = policy.listen.iter().map(|listen| listen.port);
        let rules = order.reach.as_ref().map(|bytes| Rules::from_bytes(bytes)).transpose();
        let rules = rules.map_err(|error| broke(error.to_string()))?;
        Carried::start(rules, ports.zip(listeners).collect(), policy.run_as).map_err(failed(FailureAt::Fork))
    }
}

fn keep(made: &Made) -> io::Result<()> {
    std::fs::write(MADE_FILE, serde_json::to_vec(made)?)
}

fn judged(order: &Order, error: EntryError) -> Failure {
    let broke = |errno: Option<i32>| Failure::new(FailureAt::Sandbox, errno.unwrap_or(libc::EPIPE));
    match error {
        EntryError::Refused(Refusal { property, why, cure }) => {
            let refusal = Refusal { property: short(property), why: short(why), cure: short(cure) };
            Failure { refusal: Some(refusal), ..broke(Some(libc::EPERM)) }
        }
        EntryError::Program(error) => not_started(order, error),
        EntryError::Line(error) => broke(error.raw_os_error()),
        EntryError::Lost => broke(None),
    }
}

fn short(mut text: String) -> String {
    if text.len() > WORD_BYTES_MAX {
        let end = (0..=WORD_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

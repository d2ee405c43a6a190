//! The last steps of the process that becomes the program.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Order;
use crate::sandbox::kernel;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::{self, FromHelper, GO, Made};
use crate::sandbox::{EXIT_NOT_STARTED, EXIT_REFUSED, Refusal};

/// Whoever started the helper notes what was made, and then lets it go on.
const GO_WAIT: Duration = Duration::from_secs(20);

/// Takes the terminal, tells what was made, waits for the word, and becomes the program. Comes back where it cannot.
pub(super) fn become_program(order: &mut Order, line: &OwnedFd, listeners: &[OwnedFd]) -> u8 {
    let ready = order.terminal.take(&mut order.layers).and_then(|()| check_descriptors());
    let made = match ready {
        Ok(()) => FromHelper::Made(Made { tier: 1, layers: std::mem::take(&mut order.layers) }),
        Err(refusal) => {
            drop(writeln!(io::stderr(), "{refusal}"));
            drop(wire::send(line, &FromHelper::Refused(refusal), &[]));
            return EXIT_REFUSED;
        }
    };
    let descriptors: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
    if wire::send(line, &made, &descriptors).is_err() {
        return EXIT_REFUSED;
    }
    match wire::receive(line, Instant::now() + GO_WAIT, &mut Vec::new()) {
        Ok(Some(word)) if word == GO => {}
        // Nobody noted what was made, so nobody may rely on it.
        _ => return EXIT_REFUSED,
    }
    let error = start(order);
    drop(wire::send(line, &FromHelper::Failed { errno: error.raw_os_error().unwrap_or(libc::EIO) }, &[]));
    EXIT_NOT_STARTED
}

fn start(order: &Order) -> io::Error {
    if let Err(error) = kernel::hold_no_signal_back() {
        return error;
    }
    let Some((program, arguments)) = order.argv.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let env = order.env.iter().map(|(name, value)| (name, value));
    Command::new(program).args(arguments).env_clear().envs(env).exec()
}

/// Nothing but the three streams reaches the program.
fn check_descriptors() -> Result<(), Refusal> {
    let cure = "please report this with the output of `niia doctor`";
    let refuse = |why: String| Refusal::new("descriptors", why, cure);
    let entries =
        std::fs::read_dir("/proc/self/fd").map_err(|error| refuse(at("they cannot be listed", error)))?;
    for entry in entries {
        let name = entry.map_err(|error| refuse(at("they cannot be listed", error)))?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if number > 2 && !kernel::is_closed_by_exec(number) {
            return Err(refuse(format!("number {number} would be passed on")));
        }
    }
    Ok(())
}

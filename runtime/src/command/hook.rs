//! `niia hook EVENT`: a tool tells what happened. It always ends well and at once, whatever becomes of the word.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use niia_actors::session::hooks::{BODY_BYTES_MAX, FOLDER_VARIABLE, tell};

use crate::cli::profiles::Hook;
use crate::failure::{Exit, Failure};

mod relay;

/// The same for whoever wrote more than the event.
pub fn hook(words: &Hook) -> Result<Exit, Failure> {
    match (&words.event, &words.from) {
        (Some(event), _) => Ok(told(event)),
        (None, Some(from)) => {
            let relay = relay::Relay::new(from, words.login.as_deref(), &words.only, &words.with)?;
            Ok(relay.run())
        }
        (None, None) => Err(Failure::usage("nothing happened: name an event")),
    }
}

/// Taken up before anything else is: tools wait for their hooks.
pub fn asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let (verb, event, more) = (words.next(), words.next(), words.next());
    let event = event.filter(|_| verb.as_deref() == Some(OsStr::new("hook")) && more.is_none())?;
    let event = event.to_str().filter(|event| !event.starts_with('-'))?;
    Some(told(event).into())
}

/// Outside of a session nobody listens, and what cannot be written down is lost: neither is the tool's trouble.
pub fn told(event: &str) -> Exit {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return Exit::Done };
    let mut body = Vec::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        // What was read so far is told all the same.
        drop(stdin.take(BODY_BYTES_MAX).read_to_end(&mut body));
    }
    drop(tell(folder.as_ref(), event, &body));
    Exit::Done
}

//! `niia hook EVENT`: a tool tells what happened. It always ends well and at once, whatever becomes of the word.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use niia_actors::session::hooks::{self, BODY_BYTES_MAX, FOLDER_VARIABLE, tell};
use niia_spec::permission::told as told_of;
use serde_json::Value;

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
    let folder = Path::new(&folder);
    drop(tell(folder, event, &body));
    if let Some(answer) = decided(folder, event, &body) {
        // Without an answer the tool asks by its own dialog.
        drop(writeln!(std::io::stdout(), "{answer}"));
    }
    Exit::Done
}

/// What the session's policy says to a question, told as well; nothing where it is no question, or a person's.
fn decided(folder: &Path, event: &str, body: &[u8]) -> Option<String> {
    let policy = hooks::policy(folder)?;
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let decision = policy.decide(event, &body, &real)?;
    let answer = policy.answer(&decision)?;
    if let Some(fields) = body.as_object_mut() {
        fields.extend(told_of(&decision).into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    drop(tell(folder, &format!("{event}:decided"), body.to_string().as_bytes()));
    Some(answer)
}

/// Where a path leads, links followed as far as it is there.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|there| {
            let rest = path.strip_prefix(there).ok()?;
            Some(there.canonicalize().ok()?.join(rest))
        })
        .unwrap_or_else(|| path.to_owned())
}

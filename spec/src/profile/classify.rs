//! What the end of a program means.

use serde::{Deserialize, Serialize};

use crate::course::{Outcome, Unavailable};
use crate::profile::{ErrorRule, Profile};

/// An error is looked for in this many last lines: further up stands the answer, and answers quote error texts.
pub const ERROR_LINES_MAX: usize = 10;
/// As much of a matching line as an outcome quotes.
const EXCERPT_CHARS_MAX: usize = 200;
/// What a shell says of a program it did not find.
const EXIT_NOT_FOUND: i32 = 127;
/// What a shell says of a program it could not execute.
const EXIT_NOT_EXECUTABLE: i32 = 126;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It never ran: there is no such program here, or it is none the system can execute.
    NotFound {
        reason: String,
    },
    /// Nobody can say.
    Unknown {
        reason: String,
    },
}

/// The outcome of an attempt, and which rule said so.
///
/// `tail` is the end of the answer's text. An end that niia itself brought about (a time limit, a cancel) is not put
/// to this function: whoever ended the program knows why.
pub fn classify(profile: &Profile, exit: &Exit, tail: &str) -> (Outcome, String) {
    let id = &profile.id;
    match exit {
        Exit::Code(0) => match profile.zero_may_lie.then(|| matching(profile, 0, tail)).flatten() {
            Some(found) => found,
            None => (Outcome::Done, "exit code 0".to_owned()),
        },
        Exit::Code(EXIT_NOT_FOUND) => unavailable(
            Unavailable::NotInstalled,
            last_line(tail),
            format!("exit code 127: {id} was not found"),
        ),
        Exit::Code(EXIT_NOT_EXECUTABLE) => unavailable(
            Unavailable::NotInstalled,
            last_line(tail),
            format!("exit code 126: {id} is not executable"),
        ),
        Exit::Code(code) => matching(profile, *code, tail).unwrap_or_else(|| {
            let evidence = format!("exit code {code}");
            let line = last_line(tail);
            let reason = if line.is_empty() { evidence.clone() } else { format!("{evidence}: {line}") };
            (Outcome::Failed { reason }, evidence)
        }),
        Exit::Signal(signal) => {
            let reason = format!("{id} was ended by {}", signal_name(*signal));
            unavailable(Unavailable::Crashed, reason, format!("signal {signal}"))
        }
        Exit::NotFound { reason } => {
            unavailable(Unavailable::NotInstalled, reason.clone(), format!("{id} could not be started"))
        }
        Exit::Unknown { reason } => {
            (Outcome::Lost { reason: reason.clone() }, "no exit was recorded".to_owned())
        }
    }
}

/// The class of an error a tool told of: by its code first, then by its text.
///
/// The text is the tool's own word about its error, never an answer, so all of it counts.
pub fn class_of(profile: &Profile, code: Option<&str>, text: &str) -> Option<(Unavailable, String)> {
    let rules = || profile.errors.iter().enumerate();
    let by_code = code.and_then(|code| {
        rules().find_map(|(n, rule)| rule.code.as_ref()?.is_match(code).then_some((n, rule)))
    });
    let by_text = || {
        let matches =
            |rule: &ErrorRule| rule.exit.is_none() && rule.pattern.as_ref().is_some_and(|p| p.is_match(text));
        rules().find(|(_, rule)| matches(rule))
    };
    let (n, rule) = match (by_code, by_text()) {
        (Some((_, code)), Some(text)) if code.coarse && is_finer(text.1.class, code.class) => text,
        (by_code, by_text) => by_code.or(by_text)?,
    };
    Some((rule.class, format!("error {} of profile {}", n + 1, profile.id)))
}

/// Some codes are coarse: what is a used-up quota, or nobody there at all, is only said in words.
fn is_finer(text: Unavailable, code: Unavailable) -> bool {
    matches!(
        (text, code),
        (Unavailable::Quota, Unavailable::RateLimited) | (Unavailable::Network, Unavailable::Overloaded)
    )
}

fn unavailable(class: Unavailable, reason: String, evidence: String) -> (Outcome, String) {
    let reason = if reason.is_empty() { evidence.clone() } else { reason };
    (Outcome::Unavailable { class, reason }, evidence)
}

/// The first rule that holds, in the order of the profile.
fn matching(profile: &Profile, code: i32, tail: &str) -> Option<(Outcome, String)> {
    let lines = last_lines(tail);
    profile.errors.iter().enumerate().find_map(|(n, rule)| {
        let line = holds(rule, code, &lines)?;
        let said = match &rule.pattern {
            Some(pattern) => {
                format!("error {} of profile {}: /{pattern}/, exit code {code}", n + 1, profile.id)
            }
            None => format!("error {} of profile {}: exit code {code}", n + 1, profile.id),
        };
        Some(unavailable(rule.class, excerpt(line), said))
    })
}

/// The line a rule holds for.
fn holds<'a>(rule: &ErrorRule, code: i32, lines: &[&'a str]) -> Option<&'a str> {
    if rule.code.is_some() || rule.exit.is_some_and(|exit| exit != code) {
        return None;
    }
    match &rule.pattern {
        Some(pattern) => lines.iter().copied().find(|line| pattern.is_match(line)),
        None => Some(lines.first().copied().unwrap_or_default()),
    }
}

/// The last lines that say something, the very last first.
fn last_lines(tail: &str) -> Vec<&str> {
    tail.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(ERROR_LINES_MAX).collect()
}

fn last_line(tail: &str) -> String {
    last_lines(tail).first().map(|line| excerpt(line)).unwrap_or_default()
}

fn excerpt(line: &str) -> String {
    line.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// The names people know; the others go by number, since numbers differ between systems.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

//! A session as people see it: its state, which rule says so, and what that rule saw.

use std::path::Path;

use niia_spec::detect::{self, Detected, Evidence, Process, State, Statuses, Told};
use niia_spec::name::SessionId;
use niia_spec::notice::{self, SandboxView, SessionView};
use niia_spec::profile::Profile;

use super::delivery::{self, Readiness};
use super::facts::SessionFacts;
use crate::network;
use crate::recording::{Exit, ExitStatus, Read, Recording};
use crate::run::session_folder;

/// Characters of a screen or an answer that stand for evidence.
const EXCERPT_CHARS_MAX: usize = 200;
/// The end of a recording in which its last line is looked for.
const LAST_LINE_BYTES: usize = 1024;

/// What can be seen of a program from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub screen: String,
    pub title: String,
    pub statuses: Statuses,
    pub hooks: Vec<Told>,
    pub records: Vec<Told>,
    pub quiet_ms: u64,
    pub now_ms: u64,
    pub printed_bytes: u64,
    pub size: (u16, u16),
    pub held_by: Option<String>,
}

pub(super) fn live_view(facts: &SessionFacts, seen: &Seen, detected: &Detected) -> SessionView {
    let Evidence { rule, excerpt, since_ms } = &detected.evidence;
    let place = facts.place();
    SessionView {
        session: facts.session.clone(),
        state: word(&detected.state).to_owned(),
        rule: rule.clone(),
        excerpt: shortened(excerpt),
        since_ms: seen.now_ms.saturating_sub(*since_ms),
        profile: facts.profile.clone(),
        model: facts.model.clone(),
        pid: facts.program(),
        cwd: place.cwd.map(|cwd| cwd.display().to_string()),
        printed_bytes: seen.printed_bytes,
        folder: facts.folder.display().to_string(),
        cols: seen.size.0,
        rows: seen.size.1,
        held_by: seen.held_by.clone(),
        contacts: network::contacts(&facts.folder),
        sandbox: sandbox(&facts.folder),
    }
}

/// A session that has no terminal yet.
pub(super) fn waiting_view(facts: &SessionFacts) -> SessionView {
    SessionView {
        session: facts.session.clone(),
        state: "starting".to_owned(),
        rule: facts.place().doing,
        excerpt: String::new(),
        since_ms: 0,
        profile: facts.profile.clone(),
        model: facts.model.clone(),
        pid: None,
        cwd: None,
        printed_bytes: 0,
        folder: facts.folder.display().to_string(),
        cols: 0,
        rows: 0,
        held_by: None,
        contacts: Vec::new(),
        sandbox: None,
    }
}

/// A session that is over, from what it left on disk; nothing where it left nothing.
pub fn ended_view(run_folder: &Path, session: &SessionId) -> Option<SessionView> {
    let folder = session_folder(run_folder, &session.attempt);
    let recording = Recording::open(&folder).ok()?;
    let exit = recording.exit().ok().flatten();
    let (state, rule) = match exit {
        Some(exit) => ("exited", ending(&exit)),
        None => ("lost", "its minder was killed before it could say how the program ended".to_owned()),
    };
    let start = recording.start();
    Some(SessionView {
        session: session.clone(),
        state: state.to_owned(),
        rule,
        excerpt: tail_line(&folder).map(|line| shortened(&line)).unwrap_or_default(),
        since_ms: 0,
        profile: String::new(),
        model: None,
        pid: None,
        cwd: None,
        printed_bytes: recording.len().unwrap_or_default(),
        folder: folder.display().to_string(),
        cols: start.cols,
        rows: start.rows,
        held_by: None,
        contacts: network::contacts(&folder),
        sandbox: sandbox(&folder),
    })
}

/// What its minder wrote down of its sandbox.
fn sandbox(folder: &Path) -> Option<SandboxView> {
    let made = crate::keeper::made(folder).ok().flatten()?;
    Some(SandboxView { tier: made.tier, layers: made.layers })
}

fn ending(exit: &Exit) -> String {
    match exit.status {
        ExitStatus::Code(code) => format!("exit code {code}"),
        ExitStatus::Signal { number, .. } => format!("ended by signal {number}"),
    }
}

/// The last line that was printed, as text; nothing of a session that prints nothing.
pub fn last_line(facts: &SessionFacts, chars_max: usize) -> Option<String> {
    if facts.printed_bytes() == 0 {
        return Some(facts.place().doing).filter(|doing| doing != "runs");
    }
    tail_line(&facts.folder).map(|line| line.chars().take(chars_max).collect())
}

fn tail_line(folder: &Path) -> Option<String> {
    let mut recording = Recording::open(folder).ok()?;
    let end = recording.len().ok()?;
    let from = end.saturating_sub(LAST_LINE_BYTES as u64);
    let mut bytes = [0; LAST_LINE_BYTES];
    let count = match recording.read_at(from, &mut bytes).ok()? {
        Read::Bytes(count) => count,
        Read::Gap { .. } => return None,
    };
    let text = super::answer::answer_of(&bytes[..count], super::screen::Size::clamped(500, 50)).text;
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

fn shortened(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// What the session is doing, and which rule says so.
pub(super) fn detected(profile: Option<&Profile>, seen: &Seen, before: Option<&Detected>) -> Detected {
    let process = Process::Running { has_printed: seen.printed_bytes > 0 };
    match profile {
        Some(profile) => {
            let Seen { screen, title, statuses, quiet_ms, now_ms, .. } = seen;
            let (quiet_ms, now_ms) = (*quiet_ms, *now_ms);
            let (hooks, records) = (&seen.hooks, &seen.records);
            let seen =
                detect::Seen { screen, title, statuses, hooks, records, process: &process, quiet_ms, now_ms };
            detect::detect(profile, &seen, before)
        }
        None => {
            let rule = "its profile is gone".to_owned();
            let evidence = Evidence { rule, excerpt: String::new(), since_ms: seen.now_ms };
            Detected { state: State::Unknown, evidence, dialog: None }
        }
    }
}

/// The word for a state.
fn word(state: &State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Working => "working",
        State::WaitingInput { .. } => "waiting_input",
        State::RateLimited { .. } => "rate_limited",
        State::Exited { .. } => "exited",
        State::Lost { .. } => "lost",
        State::Unknown => "unknown",
    }
}

/// What the program would do with a text now.
///
/// A program that is not understood counts as ready once it has been quiet for a while; a dialog is never typed into.
pub(super) fn readiness(state: &State, quiet: bool) -> Readiness {
    match state {
        State::WaitingInput { .. } => Readiness::Dialog,
        State::Ready => Readiness::Accepts,
        State::Unknown | State::Starting if quiet => Readiness::Accepts,
        _ => Readiness::Busy,
    }
}

/// A receipt in the words that everybody uses.
pub(super) fn receipt(receipt: &delivery::Receipt) -> notice::Receipt {
    use delivery::Receipt;
    match receipt {
        Receipt::Queued | Receipt::Held => notice::Receipt::Queued,
        Receipt::Typed => notice::Receipt::Typed,
        Receipt::Submitted => notice::Receipt::Submitted,
        Receipt::TurnStarted { .. } => notice::Receipt::TurnStarted,
        Receipt::TurnEnded { .. } => notice::Receipt::TurnEnded,
        Receipt::Undelivered { reason } => notice::Receipt::Undelivered { reason: reason.clone() },
        Receipt::TypedNotSubmitted { reason } => {
            notice::Receipt::TypedNotSubmitted { reason: reason.clone() }
        }
        Receipt::Unknown { reason } => notice::Receipt::Unknown { reason: reason.clone() },
    }
}

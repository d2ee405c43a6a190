//! What a session is doing, and what says so.
//!
//! One pure function from what can be seen to a state. What nobody has described is `unknown`: never idle, never
//! working. A state carries its evidence, so that a wrong one can be traced to the rule that spoke.

pub mod answer;
pub mod status;
pub mod word;
pub mod work;

use serde::{Deserialize, Serialize};

pub use status::{Report, ReportState, Statuses};
pub use word::{
    BY_DRAWING, Told, TurnEnd, Turned, goes_on_trying, is_foreign, is_receipt, is_taken, session_name,
    takes_a_prompt, tells_interruption, transcript_told, turn_end,
};

use crate::profile::{DialogRule, Exit, Profile, ScreenMeaning, ScreenRule};

/// As much of the screen as evidence quotes.
pub const EXCERPT_CHARS_MAX: usize = 200;
/// A tool that has drawn for so long that it goes on trying what fails has failed: what is over sooner was a moment's.
pub const DRAWN_FAILURE_MS: u64 = 6_000;
/// A dialog with more choices than there are digits is none.
pub const CHOICES_MAX: usize = 9;

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs and has printed nothing yet.
    Starting,
    /// It waits for a text.
    Ready,
    Working,
    WaitingInput {
        kind: Asked,
        choices: Vec<String>,
    },
    RateLimited {
        until: Option<String>,
    },
    Exited {
        exit: Exit,
    },
    /// Its terminal or machine is gone.
    Lost {
        reason: String,
    },
    /// Nobody has described what is to be seen.
    Unknown,
}

impl State {
    /// The word people know it by.
    pub fn word(&self) -> &'static str {
        match self {
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
}

/// What somebody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    Permission,
    Question,
    Login,
    Trust,
}

/// What says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that spoke.
    pub rule: String,
    /// What it spoke about.
    pub excerpt: String,
    /// Since when it says so, on the clock of whoever looks.
    pub since_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    pub state: State,
    pub evidence: Evidence,
    /// The dialog of the profile that is to be seen, by which keys answer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialog: Option<String>,
}

/// What is known of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    Running { has_printed: bool },
    Exited(Exit),
    Lost { reason: String },
}

/// What can be seen of a session at one moment.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    pub screen: &'a str,
    pub title: &'a str,
    pub statuses: &'a Statuses,
    /// The hooks it called, the oldest first.
    pub hooks: &'a [Told],
    /// The end of its transcript, the oldest first.
    pub records: &'a [Told],
    pub process: &'a Process,
    /// For how long nothing was printed.
    pub quiet_ms: u64,
    pub now_ms: u64,
}

/// What the session is doing. `before` is what was found last: the same again keeps its beginning.
pub fn detect(profile: &Profile, seen: &Seen<'_>, before: Option<&Detected>) -> Detected {
    let Verdict { state, rule, excerpt, dialog } = state_of(profile, seen);
    let same = before.filter(|before| before.state == state);
    let since_ms = same.map_or(seen.now_ms, |before| before.evidence.since_ms);
    Detected { state, evidence: Evidence { rule, excerpt: shortened(&excerpt), since_ms }, dialog }
}

struct Verdict {
    state: State,
    rule: String,
    excerpt: String,
    dialog: Option<String>,
}

fn verdict(state: State, rule: impl Into<String>, excerpt: impl Into<String>) -> Verdict {
    Verdict { state, rule: rule.into(), excerpt: excerpt.into(), dialog: None }
}

/// The strongest evidence speaks: the program's end, its own word that it is blocked, a dialog on the screen, its other
/// words, the rest of the screen. A dialog on the screen counts before a word of idleness, since several tools show
/// questions their words do not know of; while a tool says that it works, what looks like a dialog is something
/// quoted, unless the profile says that the tool does not know of this one.
fn state_of(profile: &Profile, seen: &Seen<'_>) -> Verdict {
    let process = match seen.process {
        Process::Exited(exit) => Some(verdict(State::Exited { exit: exit.clone() }, "exit", "")),
        Process::Lost { reason } => Some(verdict(State::Lost { reason: reason.clone() }, "lost", reason)),
        Process::Running { .. } => None,
    };
    let word = word::word(profile, seen);
    let works = word.as_ref().is_some_and(|word| word.is == ScreenMeaning::Working);
    let dialog = || dialog(profile, seen, works);
    let blocked = || {
        let word = word.as_ref().filter(|word| asks(word.is))?;
        // The dialog on the screen knows better what is asked; the word is the better evidence that something is.
        let dialog = dialog();
        let state = dialog.as_ref().map_or_else(|| meant(word.is, seen), |dialog| dialog.state.clone());
        let dialog = dialog.and_then(|dialog| dialog.dialog);
        Some(Verdict { state, rule: word.rule.clone(), excerpt: word.excerpt.clone(), dialog })
    };
    process
        .or_else(blocked)
        .or_else(dialog)
        .or_else(|| by_screen(profile, seen, asks))
        .or_else(|| word.as_ref().map(|word| verdict(meant(word.is, seen), &*word.rule, &*word.excerpt)))
        .or_else(|| by_screen(profile, seen, |is| !asks(is)))
        .unwrap_or_else(|| match seen.process {
            Process::Running { has_printed: false } => {
                verdict(State::Starting, "nothing was printed yet", "")
            }
            _ => {
                let rule = format!("no rule of profile {} matches", profile.id);
                verdict(State::Unknown, rule, last_line(seen.screen))
            }
        })
}

/// Whether somebody has to do something.
fn asks(is: ScreenMeaning) -> bool {
    !matches!(is, ScreenMeaning::Ready | ScreenMeaning::Working)
}

fn meant(is: ScreenMeaning, seen: &Seen<'_>) -> State {
    let asked = |kind| State::WaitingInput { kind, choices: choices(seen.screen) };
    match is {
        ScreenMeaning::Ready => State::Ready,
        ScreenMeaning::Working => State::Working,
        ScreenMeaning::Permission => asked(Asked::Permission),
        ScreenMeaning::Question => asked(Asked::Question),
        ScreenMeaning::Login => asked(Asked::Login),
        ScreenMeaning::Trust => asked(Asked::Trust),
        ScreenMeaning::RateLimited => State::RateLimited { until: None },
    }
}

/// The first dialog of the profile that is to be seen.
fn dialog(profile: &Profile, seen: &Seen<'_>, works: bool) -> Option<Verdict> {
    let mut rules = profile.dialogs.iter().filter(|rule| rule.silent || !works);
    let (rule, excerpt) = rules.find_map(|rule| Some((rule, shown(rule, seen)?)))?;
    let state = State::WaitingInput { kind: rule.kind, choices: choices(seen.screen) };
    let named = format!("dialog {} of profile {}", rule.id, profile.id);
    Some(Verdict { state, rule: named, excerpt, dialog: Some(rule.id.clone()) })
}

/// All that is drawn of the dialog that was detected.
#[must_use]
pub fn drawn<'a>(profile: &Profile, detected: &Detected, screen: &'a str) -> Option<&'a str> {
    profile.dialog(detected.dialog.as_deref()?)?.screen.find(screen)
}

/// Where a dialog is to be seen.
fn shown(rule: &DialogRule, seen: &Seen<'_>) -> Option<String> {
    if rule.title.as_ref().is_some_and(|title| !title.is_match(seen.title))
        || rule.unless.as_ref().is_some_and(|unless| unless.is_match(seen.screen))
    {
        return None;
    }
    Some(rule.screen.find(seen.screen)?.trim().to_owned())
}

fn by_screen(profile: &Profile, seen: &Seen<'_>, wanted: impl Fn(ScreenMeaning) -> bool) -> Option<Verdict> {
    let mut rules = profile.screens.iter().enumerate().filter(|(_, rule)| wanted(rule.is));
    let (n, rule, excerpt) = rules.find_map(|(n, rule)| Some((n, rule, holds(rule, seen)?)))?;
    let named = format!("screen {} of profile {}", n + 1, profile.id);
    Some(verdict(meant(rule.is, seen), named, excerpt))
}

/// The place a rule holds for.
fn holds(rule: &ScreenRule, seen: &Seen<'_>) -> Option<String> {
    if seen.quiet_ms < rule.quiet_ms
        || rule.unless.as_ref().is_some_and(|unless| unless.is_match(seen.screen))
    {
        return None;
    }
    let title = match &rule.title {
        Some(pattern) => Some(pattern.find(seen.title)?),
        None => None,
    };
    let screen = match &rule.screen {
        Some(pattern) => Some(pattern.find(seen.screen)?),
        None => None,
    };
    Some(screen.or(title).unwrap_or_default().trim().to_owned())
}

/// The numbered choices of a dialog: the last run of lines that count up from 1.
fn choices(screen: &str) -> Vec<String> {
    let mut choices: Vec<String> = Vec::new();
    for line in screen.lines() {
        let line = line.trim().trim_start_matches(['❯', '>', '›', '│', '┃', '|', '●', '*', ' ']);
        let Some((number, text)) = line.split_once(['.', ')']) else { continue };
        match number.parse::<usize>() {
            Ok(1) => choices = vec![shortened(text.trim_matches([' ', '│', '┃', '|']))],
            Ok(n) if n == choices.len() + 1 && n <= CHOICES_MAX => {
                choices.push(shortened(text.trim_matches([' ', '│', '┃', '|'])));
            }
            _ => {}
        }
    }
    if choices.len() < 2 { Vec::new() } else { choices }
}

fn last_line(screen: &str) -> String {
    screen.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn shortened(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;

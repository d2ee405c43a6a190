//! What a session is doing, and what says so.
//!
//! One pure function from what can be seen to a state. What nobody has described is `unknown`: never idle, never
//! working. A state carries its evidence, so that a wrong one can be traced to the rule that spoke.

pub mod status;

use serde::{Deserialize, Serialize};

pub use status::{Report, ReportState, Statuses};

use crate::profile::{Exit, Profile, ScreenMeaning, ScreenRule};

/// As much of the screen as evidence quotes.
pub const EXCERPT_CHARS_MAX: usize = 200;
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
    pub process: &'a Process,
    /// For how long nothing was printed.
    pub quiet_ms: u64,
    pub now_ms: u64,
}

/// What the session is doing. `before` is what was found last: the same again keeps its beginning.
pub fn detect(profile: &Profile, seen: &Seen<'_>, before: Option<&Detected>) -> Detected {
    let (state, rule, excerpt) = state_of(profile, seen);
    let same = before.filter(|before| before.state == state);
    let since_ms = same.map_or(seen.now_ms, |before| before.evidence.since_ms);
    Detected { state, evidence: Evidence { rule, excerpt: shortened(&excerpt), since_ms } }
}

type Verdict = (State, String, String);

/// The strongest evidence speaks: the program's end, its own word that it is blocked, a dialog on the screen, its other
/// words, the rest of the screen. A dialog on the screen counts before a report of idleness, since several tools show
/// questions their reports do not know of.
fn state_of(profile: &Profile, seen: &Seen<'_>) -> Verdict {
    let process = match seen.process {
        Process::Exited(exit) => {
            Some((State::Exited { exit: exit.clone() }, "exit".to_owned(), String::new()))
        }
        Process::Lost { reason } => {
            Some((State::Lost { reason: reason.clone() }, "lost".to_owned(), reason.clone()))
        }
        Process::Running { .. } => None,
    };
    let report = seen.statuses.strongest();
    let blocked =
        || report.filter(|report| report.state == ReportState::Blocked).map(|report| reported(report, seen));
    process
        .or_else(blocked)
        .or_else(|| by_screen(profile, seen, asks))
        .or_else(|| report.map(|report| reported(report, seen)))
        .or_else(|| by_screen(profile, seen, |is| !asks(is)))
        .unwrap_or_else(|| match seen.process {
            Process::Running { has_printed: false } => {
                (State::Starting, "nothing was printed yet".to_owned(), String::new())
            }
            _ => {
                (State::Unknown, format!("no rule of profile {} matches", profile.id), last_line(seen.screen))
            }
        })
}

/// Whether somebody has to do something.
fn asks(is: ScreenMeaning) -> bool {
    !matches!(is, ScreenMeaning::Ready | ScreenMeaning::Working)
}

fn reported(report: &Report, seen: &Seen<'_>) -> Verdict {
    let state = match report.state {
        ReportState::Idle | ReportState::Done | ReportState::Error => State::Ready,
        ReportState::Working => State::Working,
        ReportState::Blocked => {
            let kind = report.kind.unwrap_or(Asked::Question);
            State::WaitingInput { kind, choices: choices(seen.screen) }
        }
    };
    (state, format!("the program reports {}", report.state.word()), report.message.clone())
}

fn by_screen(profile: &Profile, seen: &Seen<'_>, wanted: impl Fn(ScreenMeaning) -> bool) -> Option<Verdict> {
    let rules = profile.screens.iter().enumerate().filter(|(_, rule)| wanted(rule.is));
    let (n, rule, excerpt) = rules.into_iter().find_map(|(n, rule)| Some((n, rule, holds(rule, seen)?)))?;
    let asked = |kind| State::WaitingInput { kind, choices: choices(seen.screen) };
    let state = match rule.is {
        ScreenMeaning::Ready => State::Ready,
        ScreenMeaning::Working => State::Working,
        ScreenMeaning::Permission => asked(Asked::Permission),
        ScreenMeaning::Question => asked(Asked::Question),
        ScreenMeaning::Login => asked(Asked::Login),
        ScreenMeaning::Trust => asked(Asked::Trust),
        ScreenMeaning::RateLimited => State::RateLimited { until: None },
    };
    Some((state, format!("screen {} of profile {}", n + 1, profile.id), excerpt))
}

/// The place a rule holds for.
fn holds(rule: &ScreenRule, seen: &Seen<'_>) -> Option<String> {
    if seen.quiet_ms < rule.quiet_ms {
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

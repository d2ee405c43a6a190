//! Cues of a rehearsal: who fails how, and what is published.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::course::Unavailable;
use crate::plan::Plan;

/// How a worker fails on cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    RateLimited,
    Quota,
    Overloaded,
    Network,
    NotLoggedIn,
    NotInstalled,
    BadModel,
    /// It is ended by a signal before it has answered.
    Crash,
    /// It never answers.
    Timeout,
    /// It will not do it.
    Refuse,
}

/// The words of `--fault`, with what each means.
pub(super) const FAILINGS: [(&str, Failing); 10] = [
    ("rate_limited", Failing::RateLimited),
    ("quota", Failing::Quota),
    ("overloaded", Failing::Overloaded),
    ("network", Failing::Network),
    ("not_logged_in", Failing::NotLoggedIn),
    ("not_installed", Failing::NotInstalled),
    ("bad_model", Failing::BadModel),
    ("crash", Failing::Crash),
    ("timeout", Failing::Timeout),
    ("refuse", Failing::Refuse),
];

impl Failing {
    /// The exit code by which a stand-in says so, and what it is taken for; nothing where it says so otherwise.
    pub fn exit(self) -> Option<(u8, Unavailable)> {
        Some(match self {
            Failing::RateLimited => (101, Unavailable::RateLimited),
            Failing::Quota => (102, Unavailable::Quota),
            Failing::Overloaded => (103, Unavailable::Overloaded),
            Failing::Network => (104, Unavailable::Network),
            Failing::NotLoggedIn => (105, Unavailable::NotLoggedIn),
            Failing::NotInstalled => (106, Unavailable::NotInstalled),
            Failing::BadModel => (107, Unavailable::BadModel),
            Failing::Crash | Failing::Timeout | Failing::Refuse => return None,
        })
    }
}

/// `PHASE/WORKER=FAILURE`; `PHASE=FAILURE` is all of its workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub phase: String,
    pub worker: Option<String>,
    pub failing: Failing,
}

/// `PHASE.KEY=VALUE`: what the phase's workers publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub phase: String,
    pub key: String,
    pub value: Value,
}

/// Why something cannot be rehearsed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CueError {
    #[error("`{0}` is no fault: write `PHASE/WORKER=rate_limited`, or another of: {list}", list = failings())]
    Fault(String),
    #[error("`{0}` is no setting: write `PHASE.KEY=VALUE`")]
    Setting(String),
    #[error("the document has no phase `{phase}`; there are: {known}")]
    NoPhase { phase: String, known: String },
    #[error("phase `{phase}` has no worker `{worker}`; there are: {known}")]
    NoWorker { phase: String, worker: String, known: String },
}

fn failings() -> String {
    FAILINGS.map(|(word, _)| word).join(", ")
}

impl FromStr for Fault {
    type Err = CueError;

    fn from_str(text: &str) -> Result<Fault, CueError> {
        let wrong = || CueError::Fault(text.to_owned());
        let (who, word) = text.split_once('=').ok_or_else(wrong)?;
        let (_, failing) = FAILINGS.into_iter().find(|(known, _)| *known == word).ok_or_else(wrong)?;
        let (phase, worker) = match who.split_once('/') {
            Some((phase, worker)) => (phase, Some(worker.to_owned())),
            None => (who, None),
        };
        Ok(Fault { phase: phase.to_owned(), worker, failing })
    }
}

impl FromStr for Setting {
    type Err = CueError;

    fn from_str(text: &str) -> Result<Setting, CueError> {
        let wrong = || CueError::Setting(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        // The key is no slug and may hold no dot; a phase may.
        let (phase, key) = name.rsplit_once('.').ok_or_else(wrong)?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok(Setting { phase: phase.to_owned(), key: key.to_owned(), value })
    }
}

/// Who and what a cue names must be there.
pub(super) fn known(plan: &Plan, faults: &[Fault], settings: &[Setting]) -> Result<(), CueError> {
    let find = |wanted: &str| {
        plan.phases.iter().find(|phase| phase.name.as_str() == wanted).ok_or_else(|| CueError::NoPhase {
            phase: wanted.to_owned(),
            known: names(plan.phases.iter().map(|phase| phase.name.to_string())),
        })
    };
    for setting in settings {
        find(&setting.phase)?;
    }
    for fault in faults {
        let phase = find(&fault.phase)?;
        let workers = phase.work.workers();
        let Some(wanted) = &fault.worker else { continue };
        if !workers.iter().any(|worker| worker.name.as_str() == wanted) {
            return Err(CueError::NoWorker {
                phase: fault.phase.clone(),
                worker: wanted.clone(),
                known: names(workers.iter().map(|worker| worker.name.to_string())),
            });
        }
    }
    Ok(())
}

fn names(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

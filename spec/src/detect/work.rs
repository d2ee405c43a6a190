//! What becomes of a worker that holds a conversation: it goes on, it is done, somebody must be asked, or it is given
//! up. Whoever follows the terminal looks; what the look means is decided here.

use serde::{Deserialize, Serialize};

use super::{Asked, TurnEnd};
use crate::course::{Outcome, Unavailable};
use crate::plan::OnDialog;
use crate::profile::TurnEnds;

/// After a turn's end so long something may still begin another one: a prompt that waited in the tool, a hook of the
/// user's that goes on.
pub const SETTLE_MS: u64 = 150;
/// Whoever has just written may write again.
pub const PERSON_MS: u64 = 3_000;
/// A dialog that is answered by a hook is drawn for a moment.
pub const DIALOG_MS: u64 = 400;
/// As much of a screen as an ending quotes.
const EXCERPT_CHARS_MAX: usize = 200;

/// What is seen of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worker<'a> {
    /// A turn is under way, or a text on its way into the tool.
    pub in_turn: bool,
    /// How the last turn ended, and how long ago.
    pub last: Option<(&'a TurnEnd, u64)>,
    /// Somebody holds the keyboard.
    pub held: bool,
    /// How long ago somebody wrote.
    pub written_ms: Option<u64>,
    /// What it shows that somebody must answer.
    pub asks: Option<Asks<'a>>,
    /// For how long the tool has said nothing.
    pub silent_ms: u64,
    /// A command of its own runs; that may take as long as it likes.
    pub tool_runs: bool,
}

/// A question of the tool's.
#[derive(Clone, Debug, PartialEq)]
pub struct Asks<'a> {
    pub kind: Asked,
    /// The dialog of its profile, where it is one.
    pub dialog: Option<&'a str>,
    pub excerpt: &'a str,
    /// For how long it is to be seen.
    pub ms: u64,
}

/// What the document and the profile say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub on_dialog: OnDialog,
    pub answer_within_ms: u64,
    pub silent_max_ms: u64,
}

/// How a conversation came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub evidence: String,
    /// The exact answer, where the tool told it.
    #[serde(default)]
    pub answer: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing before so long has passed, unless something happens.
    Wait { ms: u64 },
    /// Somebody must answer; it is told once, and looked at again after so long.
    Ask { ms: u64 },
    /// The dialog is answered by its keys.
    Answer { allow: bool },
    /// It is over; its program is ended.
    End(Box<Verdict>),
}

/// What becomes of it now.
pub fn next(worker: &Worker<'_>, rules: &Rules) -> Next {
    if let Some(asks) = worker.asks.as_ref().filter(|asks| asks.kind != Asked::Login || worker.last.is_none())
    {
        return asked(asks, worker.held, rules);
    }
    if worker.held {
        return Next::Wait { ms: PERSON_MS };
    }
    match (worker.in_turn, worker.last) {
        (false, Some((last, ago_ms))) => ended(last, ago_ms, worker.written_ms, rules),
        _ if worker.tool_runs => Next::Wait { ms: rules.silent_max_ms },
        _ => match rules.silent_max_ms.checked_sub(worker.silent_ms) {
            Some(ms) if ms > 0 => Next::Wait { ms },
            _ => hangs(rules.silent_max_ms),
        },
    }
}

fn ended(last: &TurnEnd, ago_ms: u64, written_ms: Option<u64>, rules: &Rules) -> Next {
    let person = written_ms.map_or(0, |ago| PERSON_MS.saturating_sub(ago));
    if last.ends == TurnEnds::Interrupted {
        let left = rules.answer_within_ms.saturating_sub(ago_ms);
        if left > 0 {
            return Next::Ask { ms: left };
        }
        let reason =
            format!("its turn was interrupted, and nobody went on within {} ms", rules.answer_within_ms);
        return end(Outcome::NeedsAttention { reason }, &last.source, None);
    }
    let left = SETTLE_MS.saturating_sub(ago_ms).max(person);
    if left > 0 { Next::Wait { ms: left } } else { Next::End(Box::new(Verdict::of(last))) }
}

fn asked(asks: &Asks<'_>, held: bool, rules: &Rules) -> Next {
    let what = asks.dialog.map_or_else(|| "its screen".to_owned(), |dialog| format!("dialog {dialog}"));
    let excerpt: String = asks.excerpt.chars().take(EXCERPT_CHARS_MAX).collect();
    if asks.ms < DIALOG_MS {
        return Next::Wait { ms: DIALOG_MS - asks.ms };
    }
    if asks.kind == Asked::Login {
        // Another model may have a login; a person who is here types one.
        let reason = format!("it wants a login: {excerpt}");
        let class = Unavailable::NotLoggedIn;
        return if held {
            Next::Ask { ms: PERSON_MS }
        } else {
            end(Outcome::Unavailable { class, reason }, &what, None)
        };
    }
    match rules.on_dialog {
        OnDialog::Allow if asks.dialog.is_some() && !held => return Next::Answer { allow: true },
        OnDialog::Deny if asks.dialog.is_some() && !held => return Next::Answer { allow: false },
        OnDialog::Fail => {
            let reason = format!("it asked, and `on_dialog` is fail: {excerpt}");
            return end(Outcome::NeedsAttention { reason }, &what, None);
        }
        _ => {}
    }
    match rules.answer_within_ms.checked_sub(asks.ms) {
        Some(ms) if ms > 0 => Next::Ask { ms },
        _ => {
            let within = rules.answer_within_ms;
            let reason = format!("it asked, and nobody answered within {within} ms: {excerpt}");
            end(Outcome::NeedsAttention { reason }, &what, None)
        }
    }
}

fn hangs(silent_max_ms: u64) -> Next {
    let reason = format!("it said nothing for {silent_max_ms} ms (`silent_max_ms` of its profile)");
    end(Outcome::Unavailable { class: Unavailable::Hangs, reason }, "no word of the tool", None)
}

fn end(outcome: Outcome, evidence: &str, answer: Option<String>) -> Next {
    Next::End(Box::new(Verdict { outcome, evidence: evidence.to_owned(), answer }))
}

impl Verdict {
    /// That of its last turn.
    pub fn of(turn: &TurnEnd) -> Verdict {
        let reason =
            if turn.reason.is_empty() { "it does not say why".to_owned() } else { turn.reason.clone() };
        let outcome = match (turn.ends, turn.class) {
            (TurnEnds::Answered, _) => Outcome::Done,
            (TurnEnds::Interrupted, _) => {
                Outcome::Failed { reason: "its last turn was interrupted".to_owned() }
            }
            (TurnEnds::Failed, Some(class)) => Outcome::Unavailable { class, reason },
            (TurnEnds::Failed, None) => Outcome::Failed { reason },
        };
        Verdict { outcome, evidence: turn.source.clone(), answer: turn.answer.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { on_dialog: OnDialog::Ask, answer_within_ms: 60_000, silent_max_ms: 600_000 };

    fn turn(ends: TurnEnds, class: Option<Unavailable>) -> TurnEnd {
        TurnEnd { ends, answer: Some("42".into()), class, reason: "why".into(), source: "hook:Stop".into() }
    }

    fn told(worker: &Worker<'_>, rules: &Rules) -> String {
        match next(worker, rules) {
            Next::Wait { ms } => format!("wait {ms}"),
            Next::Ask { ms } => format!("ask {ms}"),
            Next::Answer { allow } => format!("answer {allow}"),
            Next::End(verdict) => match verdict.outcome {
                Outcome::Done => format!("done {}", verdict.answer.unwrap_or_default()),
                Outcome::Unavailable { class, .. } => format!("unavailable {class:?}"),
                Outcome::NeedsAttention { reason } => format!("attention {reason}"),
                other => format!("{other:?}"),
            },
        }
    }

    #[test]
    fn a_worker_is_done_when_its_last_turn_was_answered_and_nobody_writes() {
        let answered = turn(TurnEnds::Answered, None);
        let ended = Worker { last: Some((&answered, 1_000)), ..Worker::default() };
        assert_eq!(told(&ended, &RULES), "done 42");
        let rows: [(Worker<'_>, &str); 7] = [
            (Worker { last: Some((&answered, 50)), ..ended.clone() }, "wait 100"),
            (Worker { held: true, ..ended.clone() }, "wait 3000"),
            (Worker { written_ms: Some(1_000), ..ended.clone() }, "wait 2000"),
            (Worker { written_ms: Some(3_000), ..ended.clone() }, "done 42"),
            (Worker { in_turn: true, silent_ms: 1_000, ..ended.clone() }, "wait 599000"),
            (Worker { in_turn: true, silent_ms: 600_000, ..ended.clone() }, "unavailable Hangs"),
            (Worker { in_turn: true, tool_runs: true, silent_ms: 900_000, ..ended }, "wait 600000"),
        ];
        for (worker, wanted) in rows {
            assert_eq!(told(&worker, &RULES), wanted, "{worker:?}");
        }
    }

    #[test]
    fn a_turn_that_failed_says_what_of_and_an_interrupted_one_waits_for_a_person() {
        let failed = turn(TurnEnds::Failed, Some(Unavailable::RateLimited));
        let worker = Worker { last: Some((&failed, 1_000)), ..Worker::default() };
        assert_eq!(told(&worker, &RULES), "unavailable RateLimited");
        let unknown = turn(TurnEnds::Failed, None);
        let worker = Worker { last: Some((&unknown, 1_000)), ..Worker::default() };
        assert_eq!(told(&worker, &RULES), "Failed { reason: \"why\" }");
        let interrupted = turn(TurnEnds::Interrupted, None);
        let worker = Worker { last: Some((&interrupted, 1_000)), ..Worker::default() };
        assert_eq!(told(&worker, &RULES), "ask 59000");
        let worker = Worker { last: Some((&interrupted, 60_000)), ..Worker::default() };
        assert!(told(&worker, &RULES).starts_with("attention its turn was interrupted"));
    }

    #[test]
    fn a_dialog_is_answered_by_policy_by_a_person_or_in_the_end_by_nobody() {
        let asks = |kind, dialog, ms| {
            let asks = Some(Asks { kind, dialog, excerpt: "Do you want to proceed?", ms });
            Worker { in_turn: true, asks, ..Worker::default() }
        };
        let rules = |on_dialog| Rules { on_dialog, ..RULES };
        let (tool, trust) = (Asked::Permission, Asked::Trust);
        for (worker, on_dialog, wanted) in [
            (asks(tool, Some("tool"), 100), OnDialog::Allow, "wait 300"),
            (asks(tool, Some("tool"), 400), OnDialog::Allow, "answer true"),
            (asks(trust, Some("trust"), 400), OnDialog::Deny, "answer false"),
            (asks(tool, Some("tool"), 400), OnDialog::Ask, "ask 59600"),
            (asks(tool, None, 400), OnDialog::Allow, "ask 59600"),
            (
                asks(tool, Some("tool"), 60_000),
                OnDialog::Ask,
                "attention it asked, and nobody answered within 60000 ms: Do you want to proceed?",
            ),
            (
                asks(tool, Some("tool"), 400),
                OnDialog::Fail,
                "attention it asked, and `on_dialog` is fail: Do you want to proceed?",
            ),
            (asks(Asked::Login, Some("sign-in"), 400), OnDialog::Ask, "unavailable NotLoggedIn"),
            (Worker { held: true, ..asks(tool, Some("tool"), 400) }, OnDialog::Allow, "ask 59600"),
        ] {
            assert_eq!(told(&worker, &rules(on_dialog)), wanted, "{worker:?} {on_dialog:?}");
        }
    }
}

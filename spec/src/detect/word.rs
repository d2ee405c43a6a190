//! A tool's own word: a hook it called, a record it wrote into its transcript, a report of the status protocol.
//!
//! The newest word counts, and of words of one moment the one with more authority: hook before transcript before
//! report.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, ReportState, Seen, Statuses};
use crate::course::Unavailable;
use crate::profile::drive::text_of;
use crate::profile::{AnswerIs, Profile, ReportRule, ScreenMeaning, TurnEnds, WordRule, class_of};

/// A word with less authority counts before an older one with more once it is so much later, or has stood so long:
/// the same thing is told by several ways, and they take that long at most.
pub const LATER_BY_MS: u64 = 300;
/// What a transcript says of an end comes with the hook that tells of it, or so much later at most.
pub const RECORD_WITHIN_MS: u64 = 1_500;
/// The source of an end that the screen alone tells of.
pub const BY_DRAWING: &str = "screen";
/// An answer that a hook or record holds.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A hook's call, or a record of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The hook's event; of a record nothing.
    pub event: String,
    pub body: Value,
    pub at_ms: u64,
}

/// What the newest word that counts says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub is: ScreenMeaning,
    pub rule: String,
    pub excerpt: String,
    pub at_ms: u64,
}

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEnd {
    pub ends: TurnEnds,
    /// The exact answer, where the source has it.
    pub answer: Option<String>,
    /// What the error means, of a turn that failed.
    pub class: Option<Unavailable>,
    /// What the tool says of the error.
    pub reason: String,
    /// Which rule said so.
    pub source: String,
}

/// What became of a prompt of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// The turn is over: answered, interrupted or failed, and what said so.
    Ended(TurnEnd),
    /// Nothing of the prompt was typed.
    Undelivered { reason: String },
    /// Nobody can say; the prompt is not put again.
    Unknown { reason: String },
}

/// What the tool itself says it does.
pub(super) fn word(profile: &Profile, seen: &Seen<'_>) -> Option<Word> {
    let hook = newest(&profile.hooks, seen.hooks, seen);
    let hook = hook.map(|(n, rule, told)| said(n, rule, told, "hook"));
    let record = newest(&profile.records, seen.records, seen);
    let record = record.map(|(n, rule, told)| said(n, rule, told, "record"));
    let report = report(profile, seen.statuses);
    [hook.flatten(), record.flatten(), report].into_iter().flatten().reduce(|best, next| {
        let later = next.at_ms >= best.at_ms.saturating_add(LATER_BY_MS);
        // Nothing with more authority came after it in the time that such a word may take.
        let stands = next.at_ms > best.at_ms && seen.now_ms >= next.at_ms.saturating_add(LATER_BY_MS);
        if later || stands { next } else { best }
    })
}

/// The last word that a rule is about and that says what the tool does.
fn newest<'a>(
    rules: &'a [WordRule],
    told: &'a [Told],
    seen: &Seen<'_>,
) -> Option<(usize, &'a WordRule, &'a Told)> {
    told.iter().rev().find_map(|told| {
        let mut rules = rules.iter().enumerate().filter(|(_, rule)| rule.is.is_some());
        let holds = |rule: &WordRule| {
            rule.holds(&told.event, &told.body) && rule.is_shown(seen.screen, seen.quiet_ms)
        };
        let (n, rule) = rules.find(|(_, rule)| holds(rule))?;
        Some((n, rule, told))
    })
}

fn said(n: usize, rule: &WordRule, told: &Told, of: &str) -> Option<Word> {
    // What still goes on in the background makes a finished turn no end.
    let is = if rule.is_pending(&told.body) { ScreenMeaning::Working } else { rule.is? };
    let excerpt = [&rule.answer, &rule.code, &rule.receipt]
        .into_iter()
        .flatten()
        .find_map(|path| text_of(&told.body, path))
        .or_else(|| text_of(&told.body, "tool_name"))
        .unwrap_or_default();
    let rule = if told.event.is_empty() { format!("{of} {}", n + 1) } else { format!("{of} {}", told.event) };
    Some(Word { is, rule, excerpt, at_ms: told.at_ms })
}

fn report(profile: &Profile, statuses: &Statuses) -> Option<Word> {
    let report = statuses.strongest()?;
    let is = match report_rule(profile, report.state, report.kind) {
        Some(rule) => rule.is,
        None => match report.state {
            ReportState::Idle | ReportState::Done | ReportState::Error => ScreenMeaning::Ready,
            ReportState::Working => ScreenMeaning::Working,
            ReportState::Blocked => match report.kind.unwrap_or(Asked::Question) {
                Asked::Permission => ScreenMeaning::Permission,
                Asked::Question => ScreenMeaning::Question,
                Asked::Login => ScreenMeaning::Login,
                Asked::Trust => ScreenMeaning::Trust,
            },
        },
    };
    let rule = format!("the program reports {}", report.state.word());
    Some(Word { is, rule, excerpt: report.message.clone(), at_ms: report.at_ms })
}

fn report_rule(profile: &Profile, state: ReportState, kind: Option<Asked>) -> Option<&ReportRule> {
    profile.reports.iter().find(|rule| rule.state == state && (rule.kind.is_none() || rule.kind == kind))
}

/// How the turn ended, if it has: from what was told since its prompt was taken.
///
/// A record or a report alone counts once it is `LATER_BY_MS` old, since the hook of the same end says more.
pub fn turn_end(profile: &Profile, seen: &Seen<'_>, since_ms: u64) -> Option<TurnEnd> {
    let told_end = |rules: &'_ [WordRule], told: &'_ [Told], of: &str| {
        let mut of_turn = of_turn(rules, told, since_ms);
        of_turn.find_map(|told| {
            let ends = |rule: &&WordRule| rule.ends.is_some() && rule.holds(&told.event, &told.body);
            let rule = rules.iter().find(ends)?;
            let counts = !rule.is_pending(&told.body) && rule.is_shown(seen.screen, seen.quiet_ms);
            let end = counts.then(|| ended(profile, rule, told, of)).flatten()?;
            Some((end, rule.from_records, told.at_ms))
        })
    };
    if let Some((end, from_records, at_ms)) = told_end(&profile.hooks, seen.hooks, "hook") {
        return if from_records { with_records(profile, seen, since_ms, (end, at_ms)) } else { Some(end) };
    }
    let hooks_say_more = profile.hooks.iter().any(|rule| rule.ends.is_some());
    let stands = |at_ms: u64| !hooks_say_more || seen.now_ms >= at_ms.saturating_add(LATER_BY_MS);
    told_end(&profile.records, seen.records, "record")
        .filter(|(_, _, at_ms)| stands(*at_ms))
        .map(|(end, ..)| end)
        .or_else(|| by_report(profile, seen, since_ms))
        .or_else(|| by_drawing(profile, seen))
}

/// A tool that goes on trying for ever says so on its screen alone.
fn by_drawing(profile: &Profile, seen: &Seen<'_>) -> Option<TurnEnd> {
    let mut rules = profile.screens.iter().filter_map(|rule| Some((rule, rule.ends?)));
    let (ends, reason) = rules.find_map(|(rule, ends)| Some((ends, super::holds(rule, seen)?)))?;
    let class = class_of(profile, None, &reason).map(|(class, _)| class);
    Some(TurnEnd { ends, answer: None, class, reason, source: BY_DRAWING.to_owned() })
}

/// What was told of the turn under way, the newest first: a prompt that was taken begins a turn of its own.
fn of_turn<'a>(
    rules: &'a [WordRule],
    told: &'a [Told],
    since_ms: u64,
) -> impl Iterator<Item = &'a Told> + use<'a> {
    let begins =
        move |told: &Told| rules.iter().any(|rule| rule.begins_turn() && rule.holds(&told.event, &told.body));
    told.iter().rev().take_while(move |told| told.at_ms >= since_ms && !begins(told))
}

/// Whether a tool whose turn has failed goes on trying by itself.
pub fn goes_on_trying(profile: &Profile, seen: &Seen<'_>, since_ms: u64) -> bool {
    if by_drawing(profile, seen).is_some() {
        return true;
    }
    let tries = |rules: &[WordRule], told: &[Told]| {
        of_turn(rules, told, since_ms)
            .any(|told| rules.iter().any(|rule| rule.stops && rule.holds(&told.event, &told.body)))
    };
    tries(&profile.hooks, seen.hooks) || tries(&profile.records, seen.records)
}

/// An end of which the transcript says more; nothing while it may still be written.
fn with_records(
    profile: &Profile,
    seen: &Seen<'_>,
    since_ms: u64,
    (end, at_ms): (TurnEnd, u64),
) -> Option<TurnEnd> {
    let holds = |told: &Told, rule: &WordRule| rule.holds(&told.event, &told.body);
    let source = format!("{}, record", end.source);
    let other = of_turn(&profile.records, seen.records, since_ms).find_map(|told| {
        let rule = profile.records.iter().find(|rule| rule.ends.is_some() && holds(told, rule))?;
        ended(profile, rule, told, "record")
    });
    let texts = of_turn(&profile.records, seen.records, since_ms).filter_map(|told| {
        let rule = profile.records.iter().find(|rule| rule.answer.is_some() && holds(told, rule))?;
        text_of(&told.body, rule.answer.as_ref()?).filter(|text| !text.is_empty())
    });
    let mut texts: Vec<String> = texts.collect();
    let answer = match profile.transcript.as_ref().map(|transcript| transcript.answer) {
        Some(AnswerIs::All) => {
            texts.reverse();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => texts.into_iter().next(),
    };
    match (other, answer) {
        (Some(other), answer) => Some(TurnEnd { answer: other.answer.or(answer), source, ..other }),
        (None, Some(answer)) => Some(TurnEnd { answer: Some(answer), source, ..end }),
        (None, None) if seen.now_ms < at_ms.saturating_add(RECORD_WITHIN_MS) => None,
        (None, None) => Some(end),
    }
}

fn ended(profile: &Profile, rule: &WordRule, told: &Told, of: &str) -> Option<TurnEnd> {
    let text = |path: &Option<String>| path.as_ref().and_then(|path| text_of(&told.body, path));
    let answer = text(&rule.answer).filter(|answer| answer.len() <= ANSWER_BYTES_MAX);
    let code = text(&rule.code);
    let mut ends = rule.ends?;
    // A record of an end that carries an error is a failure, whatever it is called.
    if ends == TurnEnds::Answered && code.is_some() {
        ends = TurnEnds::Failed;
    }
    let reason = if ends == TurnEnds::Failed {
        code.clone().into_iter().chain(answer.clone()).collect::<Vec<_>>().join(": ")
    } else {
        String::new()
    };
    let class = (ends == TurnEnds::Failed)
        .then(|| class_of(profile, code.as_deref(), &reason))
        .flatten()
        .map(|(class, _)| class);
    let source = if told.event.is_empty() { of.to_owned() } else { format!("{of}:{}", told.event) };
    Some(TurnEnd { ends, answer, class, reason, source })
}

fn by_report(profile: &Profile, seen: &Seen<'_>, since_ms: u64) -> Option<TurnEnd> {
    let report = seen.statuses.strongest()?;
    let late = seen.now_ms >= report.at_ms.saturating_add(LATER_BY_MS);
    if report.at_ms < since_ms || !late {
        return None;
    }
    let rule = report_rule(profile, report.state, report.kind)?;
    let ends = rule.ends?;
    let drawn = rule.reason.as_ref().and_then(|reason| reason.find_last(seen.screen));
    let reason = drawn.map_or_else(|| report.message.clone(), str::to_owned);
    let class = (ends == TurnEnds::Failed).then(|| class_of(profile, None, &reason)).flatten();
    let source = format!("report:{}", report.state.word());
    let class = class.map(|(class, _)| class);
    Some(TurnEnd { ends, answer: None, class, reason, source })
}

/// Whether the tool's own word says that it has taken this prompt.
pub fn is_receipt(profile: &Profile, told: &Told, prompt: &str) -> bool {
    let rules = profile.hooks.iter().chain(&profile.records);
    rules.filter_map(|rule| Some((rule, rule.receipt.as_ref()?))).any(|(rule, path)| {
        rule.holds(&told.event, &told.body)
            && text_of(&told.body, path).is_some_and(|taken| same_text(&taken, prompt))
    })
}

/// Whether this word says that some prompt was taken.
pub fn takes_a_prompt(profile: &Profile, told: &Told) -> bool {
    let mut rules = profile.hooks.iter().chain(&profile.records);
    rules.any(|rule| rule.receipt.is_some() && rule.holds(&told.event, &told.body))
}

/// Tools trim a prompt, so white space at its ends does not count.
///
/// Some divide it into lines elsewhere, or put blanks in a tab's place: that it was taken is known all the same.
fn same_text(taken: &str, sent: &str) -> bool {
    let (taken, sent) = (taken.trim(), sent.trim());
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    !sent.is_empty() && (taken == sent || taken.contains(sent) || bare(taken).contains(&bare(sent)))
}

/// Whether the tool's own word says that it has taken a prompt, whichever it was.
pub fn is_taken(profile: &Profile, told: &Told) -> bool {
    let mut rules = profile.hooks.iter().chain(&profile.records);
    rules.any(|rule| rule.takes && rule.holds(&told.event, &told.body))
}

/// Whether this hook tells that a turn was interrupted.
pub fn tells_interruption(profile: &Profile, told: &Told) -> bool {
    let ends = |rule: &&WordRule| rule.ends.is_some() && rule.holds(&told.event, &told.body);
    profile.hooks.iter().find(ends).is_some_and(|rule| rule.ends == Some(TurnEnds::Interrupted))
}

/// Whether a word is about another conversation than this one: a part of the work that the tool gives to a helper.
pub fn is_foreign(profile: &Profile, told: &Told, name: &str) -> bool {
    let mut rules = profile.hooks.iter().filter(|rule| rule.holds(&told.event, &told.body));
    rules.any(|rule| {
        let own = rule.own.as_ref().and_then(|path| text_of(&told.body, path));
        own.is_some_and(|of| of != name)
    })
}

/// Where the tool says that its transcript lies.
pub fn transcript_told(profile: &Profile, told: &Told) -> Option<String> {
    let mut rules = profile.hooks.iter().filter(|rule| rule.holds(&told.event, &told.body));
    rules.find_map(|rule| text_of(&told.body, rule.transcript.as_ref()?))
}

/// The tool's own name of the conversation, from whatever told it last.
pub fn session_name(profile: &Profile, told: &[Told]) -> Option<String> {
    told.iter().rev().find_map(|told| {
        let mut rules = profile.hooks.iter().chain(&profile.records);
        rules.find_map(|rule| {
            text_of(&told.body, rule.session.as_ref().filter(|_| rule.holds(&told.event, &told.body))?)
        })
    })
}

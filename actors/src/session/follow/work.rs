//! A worker that holds a conversation: looks whether it is done, asks for somebody, or is to be given up, and does what
//! `detect::work` says about it.

use niia_spec::course::{Outcome, Unavailable};
use niia_spec::detect::State;
use niia_spec::detect::work::{self, Asks, Next, Rules, Verdict};
use niia_spec::profile::Profile;
use tokio::time::{Duration, Instant};

use super::{Follow, GRACE, profile_of};
use crate::machine::News;
use crate::session::{Turned, clock, finish};

/// A screen on which something was drawn is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// An answer takes its time to be seen.
const ANSWERED: Duration = Duration::from_secs(1);
/// A tool that asks more often than this is left to a person.
const ANSWERS_MAX: u32 = 100;

/// What is remembered between two looks.
pub(super) struct Work {
    rules: Rules,
    /// When it is looked at next.
    next: Instant,
    /// How far the terminal was looked at.
    seen_end: u64,
    answers: u32,
    /// The question somebody was told of.
    told: Option<String>,
    written_ms: Option<u64>,
    /// Its prompt did not reach the tool.
    unasked: Option<Verdict>,
    over: bool,
}

impl Follow<'_> {
    /// A session with a prompt is somebody's work and ends by itself; one without stays for whoever talks to it.
    pub(super) fn begin_work(&mut self) {
        let assignment = &self.life.assignment;
        if self.talk.is_none() || assignment.prompt.is_empty() {
            return;
        }
        let Some(profile) = profile_of(assignment) else { return };
        let rules = Rules {
            on_dialog: assignment.worker.session.on_dialog,
            answer_within_ms: assignment.worker.session.answer_within_ms,
            silent_max_ms: profile.silent_max_ms,
        };
        self.work = Some(Work {
            rules,
            next: Instant::now(),
            seen_end: 0,
            answers: 0,
            told: None,
            written_ms: None,
            unasked: None,
            over: false,
        });
    }

    pub(super) fn work_due(&self) -> Option<Instant> {
        let work = self.work.as_ref().filter(|work| !work.over && self.dialogue.is_none())?;
        let drawn = (self.end != work.seen_end).then(|| Instant::now() + LOOK_EVERY);
        Some(drawn.map_or(work.next, |drawn| drawn.min(work.next)))
    }

    /// A person wrote: what comes of it is waited for.
    pub(super) fn somebody_wrote(&mut self) {
        if let Some(work) = &mut self.work {
            work.written_ms = Some(clock::now_ms());
            work.next = Instant::now();
        }
    }

    /// The prompt it was started for did not reach the tool: another one may have it, where nothing of it was typed.
    pub(super) fn was_not_asked(&mut self, how: &Turned) {
        let Some(work) = &mut self.work else { return };
        let outcome = match how {
            Turned::Undelivered { reason } => {
                let reason = format!("it did not take its prompt: {reason}");
                Outcome::Unavailable { class: Unavailable::Hangs, reason }
            }
            Turned::Unknown { reason } => Outcome::NeedsAttention { reason: format!("its prompt: {reason}") },
            Turned::Ended(_) => return,
        };
        work.unasked = Some(Verdict { outcome, evidence: "the prompt's delivery".to_owned(), answer: None });
        work.next = Instant::now();
    }

    /// Something happened of which the next look may make more.
    pub(super) fn look_soon(&mut self) {
        if let Some(work) = &mut self.work {
            work.next = Instant::now();
        }
    }

    /// Looks, where a look is due, and does what follows.
    pub(super) async fn mind_work(&mut self) {
        let Some(profile) = profile_of(&self.life.assignment).cloned() else { return };
        let due = self.work.as_ref().is_some_and(|work| !work.over && work.next <= Instant::now());
        if !due || self.dialogue.is_some() || self.life.ordered.is_some() || self.life.unsure.is_some() {
            return;
        }
        let unasked = self.work.as_mut().and_then(|work| work.unasked.take());
        let next = match unasked {
            Some(verdict) => Next::End(Box::new(verdict)),
            None => self.decided(&profile),
        };
        let end = self.end;
        let Some(work) = &mut self.work else { return };
        work.seen_end = end;
        let wait = |ms: u64| {
            Instant::now() + Duration::from_millis(ms.max(1)).min(LOOK_EVERY.max(Duration::from_secs(5)))
        };
        match next {
            Next::Wait { ms } => {
                work.next = wait(ms);
                self.nobody_is_asked();
            }
            Next::Ask { ms } => {
                work.next = wait(ms);
                self.ask_somebody();
            }
            Next::Answer { allow } => {
                work.next = Instant::now() + ANSWERED;
                work.answers += 1;
                self.answer_by_policy(allow);
            }
            Next::End(verdict) => self.end_work(&verdict).await,
        }
    }

    fn decided(&mut self, profile: &Profile) -> Next {
        let now_ms = clock::now_ms();
        let seen = self.seen();
        let detected = self.detect(&seen);
        let told_ms = self.last_word_ms(profile);
        let Some((work, talk)) = self.work.as_ref().zip(self.talk.as_ref()) else {
            return Next::Wait { ms: u64::MAX };
        };
        let asks = match &detected.state {
            State::WaitingInput { kind, .. } => Some(Asks {
                kind: *kind,
                dialog: detected.dialog.as_deref(),
                excerpt: &detected.evidence.excerpt,
                ms: now_ms.saturating_sub(detected.evidence.since_ms),
            }),
            _ => None,
        };
        let on_its_way =
            !self.texts.is_empty() || self.now.as_ref().is_some_and(|now| !now.delivery.is_over());
        let worker = work::Worker {
            in_turn: talk.is_in_turn() || on_its_way || detected.state == State::Working,
            last: talk.last().map(|(last, at_ms)| (last, now_ms.saturating_sub(at_ms))),
            held: self.desk.held(now_ms).is_some(),
            written_ms: work.written_ms.map(|at_ms| now_ms.saturating_sub(at_ms)),
            asks,
            silent_ms: now_ms.saturating_sub(told_ms),
            tool_runs: talk.tool_runs(profile),
        };
        let mut rules = work.rules;
        if work.answers >= ANSWERS_MAX {
            rules.on_dialog = niia_spec::plan::OnDialog::Ask;
        }
        work::next(&worker, &rules)
    }

    /// When the tool last said something of itself. One that says little is heard by what it prints.
    fn last_word_ms(&self, profile: &Profile) -> u64 {
        let tells = profile.hooks.iter().any(|rule| rule.receipt.is_some());
        let report = self.reached.glass.statuses().strongest().map(|report| report.at_ms);
        let hook = self.talk.as_ref().map(super::talk::Talk::heard_ms);
        let printed = (!tells).then_some(self.grew_ms);
        [report, hook, printed].into_iter().flatten().max().unwrap_or_default()
    }

    /// Says once that a person is needed, and for what.
    fn ask_somebody(&mut self) {
        let what = match &self.detected {
            Some(detected) => {
                let dialog = detected.dialog.as_deref().map(|id| format!("{id}: ")).unwrap_or_default();
                format!(
                    "{dialog}{}",
                    detected.evidence.excerpt.split_whitespace().collect::<Vec<_>>().join(" ")
                )
            }
            None => String::new(),
        };
        self.life.facts.asks(Some(what.clone()));
        let Some(work) = self.work.as_mut().filter(|work| work.told.as_ref() != Some(&what)) else { return };
        work.told = Some(what.clone());
        let attempt = self.life.assignment.attempt().clone();
        // A phase that is gone tells nobody; the next node asks again.
        let _ = self.life.parent.told(attempt, News::Asks(what));
    }

    fn nobody_is_asked(&mut self) {
        if let Some(work) = &mut self.work
            && work.told.take().is_some()
        {
            self.life.facts.asks(None);
        }
    }

    fn answer_by_policy(&mut self, allow: bool) {
        let session = &self.life.assignment.session;
        tracing::info!(%session, allow, "a dialog is answered as `on_dialog` says");
        self.answer_dialog(allow, None);
    }

    /// The dialog takes no answer by keys: somebody is asked.
    pub(super) fn is_not_answered(&mut self) {
        if let Some(work) = &mut self.work {
            work.answers = ANSWERS_MAX;
            work.next = Instant::now();
        }
    }

    /// The verdict is on disk before the program is ended.
    async fn end_work(&mut self, verdict: &Verdict) {
        if let Err(error) = finish::conclude(&self.life.facts.folder, Some(verdict)) {
            tracing::error!(session = %self.life.assignment.session, %error, "its end cannot be written down");
            // Without it the end would count as a cancel; a full disk may have room in a moment.
            if let Some(work) = &mut self.work {
                work.next = Instant::now() + Duration::from_secs(5);
            }
            return;
        }
        if let Some(work) = &mut self.work {
            work.over = true;
        }
        self.life.facts.asks(None);
        self.life.facts.does("is being ended");
        crate::failpoint::hit("session.after_conclude");
        if let Err(error) = self.reached.terminal.end(GRACE).await {
            tracing::debug!(session = %self.life.assignment.session, %error, "it ended before the order reached it");
        }
    }

    /// An earlier node had come to a verdict and was ended before the program was.
    pub(super) async fn goes_on_ending(&mut self) {
        if !finish::is_concluded(&self.life.facts.folder) {
            return;
        }
        if let Some(work) = &mut self.work {
            work.over = true;
        }
        if let Err(error) = self.reached.terminal.end(GRACE).await {
            tracing::debug!(session = %self.life.assignment.session, %error, "it ended before the order reached it");
        }
    }
}

//! Turns of a conversation: each prompt is put once, and its end is told by the tool's own word.

use std::path::PathBuf;

use niia_spec::detect::answer::{BETWEEN_KEYS_MS, split_keys};
use niia_spec::detect::word::{LATER_BY_MS, RECORD_WITHIN_MS};
use niia_spec::detect::{self, BY_DRAWING, DRAWN_FAILURE_MS, Process, Told, TurnEnd};
use niia_spec::profile::{Profile, PromptBy, ScreenMeaning, TurnEnds};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use super::texts::Outgoing;
use super::{Follow, PROMPT_MARK, profile_of};
use crate::session::delivery::{self, DeliveryEvent};
use crate::session::hooks::{Conversation, Hooks, TOLD_MAX};
use crate::session::transcript::{Records, Tail};
use crate::session::{Turned, clock, hooks};

/// Marks of prompts that have a number of their caller's: far above those that niia counts itself.
pub(super) const TURN_MARKS: u64 = 1 << 32;
/// After a word of the tool what else it tells of the same is looked for so often.
const LOOK_EVERY_MS: u64 = 100;
/// Tools tell of an interruption more than once; what comes so soon after one and before the next prompt was taken is told
/// of that one.
const TOLD_AGAIN_WITHIN_MS: u64 = 5_000;
/// Between two keys: in one burst they may be taken for one.
const BETWEEN_KEYS: Duration = Duration::from_millis(BETWEEN_KEYS_MS);

/// What is known of the conversation.
pub(super) struct Talk {
    hooks: Hooks,
    pub(super) told: Vec<Told>,
    pub(super) records: Records,
    tail: Option<Tail>,
    /// When the tool told something last.
    news_ms: u64,
    turn: Option<Turn>,
    last: Option<TurnEnd>,
    /// When that was.
    ended_ms: u64,
    /// Who waits for the end of the turn under way.
    waiting: Vec<oneshot::Sender<Turned>>,
    name: Option<String>,
}

struct Turn {
    prompt: String,
    since_ms: u64,
    /// When the tool said that it has the prompt.
    taken_ms: Option<u64>,
    reply: Option<oneshot::Sender<Turned>>,
}

impl Follow<'_> {
    /// Begins to listen to the tool's hooks. A prompt that went along as an argument is the first turn.
    pub(super) fn begin_talk(&mut self) {
        if !self.life.assignment.conversation {
            return;
        }
        let hooks = match Hooks::open(&self.life.facts.folder) {
            Ok(hooks) => hooks,
            Err(error) => {
                let session = &self.life.assignment.session;
                tracing::warn!(%session, %error, "its hooks cannot be heard; its screen has to do");
                return;
            }
        };
        let drawn = &self.reached.drawn.talk;
        let begin = if self.reached.taken_up { Tail::new } else { Tail::at_end };
        let (name, tail) = (drawn.name.clone(), drawn.transcript.clone().map(begin));
        let mut talk = Talk {
            hooks,
            told: Vec::new(),
            records: Records::default(),
            tail,
            news_ms: clock::now_ms(),
            turn: None,
            last: None,
            ended_ms: 0,
            waiting: Vec::new(),
            name: None,
        };
        if let (Some(name), Some(profile)) = (name, profile_of(&self.life.assignment)) {
            talk.is_called(&profile.id, name);
        }
        self.talk = Some(talk);
        if self.reached.taken_up {
            return self.take_up_talk();
        }
        if self.reached.drawn.prompt == PromptBy::Argument {
            self.begin_turn(self.first_prompt(), None);
        }
    }

    /// The prompt the tool began with, as it was given it.
    fn first_prompt(&self) -> String {
        let assignment = &self.life.assignment;
        profile_of(assignment).map(|profile| profile.as_typed(&assignment.prompt)).unwrap_or_default()
    }

    /// What an earlier node heard says whether a turn is under way.
    fn take_up_talk(&mut self) {
        let Some(profile) = profile_of(&self.life.assignment).cloned() else { return };
        let argument = self.reached.drawn.prompt == PromptBy::Argument;
        let prompt = self.first_prompt();
        let Some(talk) = &mut self.talk else { return };
        talk.last = hooks::last_turn(&self.life.facts.folder, &profile);
        talk.news(&profile, clock::now_ms());
        let words = talk.told.iter().map(|told| (told, &profile.hooks));
        let mut words = words.chain(talk.records.told().iter().map(|told| (told, &profile.records)));
        let begun = words.any(|(told, rules)| {
            rules.iter().any(|rule| rule.begins_turn() && rule.holds(&told.event, &told.body))
        });
        // One that was an argument is on its way, whether the tool has said so yet or not.
        if talk.last.is_none() && (begun || argument) {
            talk.turn = Some(Turn { prompt, since_ms: 0, taken_ms: begun.then_some(0), reply: None });
        }
    }

    /// A prompt was asked for: it is typed when those before it are answered.
    pub(super) fn queue_turn(&mut self, id: Option<u64>, prompt: &str, reply: oneshot::Sender<Turned>) {
        let Some(profile) = profile_of(&self.life.assignment).filter(|_| self.talk.is_some()) else {
            let reason = "this session holds no conversation".to_owned();
            return drop(reply.send(Turned::Undelivered { reason }));
        };
        let text = profile.as_typed(prompt);
        let mark = match id {
            Some(id) => TURN_MARKS + id,
            None => {
                self.next_mark += 1;
                self.next_mark - 1
            }
        };
        if id.is_some() && self.was_typed(mark) {
            return self.wait_turn(reply);
        }
        self.texts.push_back(Outgoing { text, first_line: None, mark, reply: None, turn: Some(reply) });
    }

    /// Whether any of this text was typed, by this node or by an earlier one.
    fn was_typed(&mut self, mark: u64) -> bool {
        let waits = self.texts.iter().any(|text| text.mark == mark);
        waits || self.reached.glass.marks().iter().any(|there| there.id == mark)
    }

    pub(super) fn begin_turn(&mut self, prompt: String, reply: Option<oneshot::Sender<Turned>>) {
        let Some(talk) = &mut self.talk else { return };
        talk.turn = Some(Turn { prompt, since_ms: clock::now_ms(), taken_ms: None, reply });
        if let Err(error) = talk.hooks.keep_turn(None) {
            tracing::warn!(session = %self.life.assignment.session, %error, "a turn's end stays on disk");
        }
    }

    pub(super) fn is_in_turn(&self) -> bool {
        self.talk.as_ref().is_some_and(Talk::is_in_turn)
    }

    /// Somebody wants to know how the turn under way ends, or the last one ended.
    pub(super) fn wait_turn(&mut self, reply: oneshot::Sender<Turned>) {
        let Some(talk) = &mut self.talk else {
            let reason = "this session holds no conversation".to_owned();
            return drop(reply.send(Turned::Unknown { reason }));
        };
        match (&talk.turn, &talk.last) {
            (None, Some(last)) => drop(reply.send(Turned::Ended(last.clone()))),
            _ => talk.waiting.push(reply),
        }
    }

    /// Ends the turn under way early, by the tool's own key.
    pub(super) async fn interrupt(&mut self) {
        let keys = profile_of(&self.life.assignment).map(|profile| profile.typing.interrupt.clone());
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return };
        if let Err(error) = self.press(&keys).await {
            tracing::warn!(session = %self.life.assignment.session, %error, "it could not be interrupted");
        }
    }

    /// Presses keys one after the other: several in one burst may be taken for one, or for a paste.
    async fn press(&self, keys: &str) -> std::io::Result<()> {
        for (n, key) in split_keys(keys).into_iter().enumerate() {
            if n > 0 {
                tokio::time::sleep(BETWEEN_KEYS).await;
            }
            self.write_soon(key.as_bytes()).await?;
        }
        Ok(())
    }

    /// An interrupted prompt may stand in the composer again: it is taken out before the next one is typed.
    pub(super) async fn clear_composer(&mut self) {
        let interrupted = self.talk.as_ref().and_then(|talk| talk.last.as_ref());
        if interrupted.is_none_or(|last| last.ends != TurnEnds::Interrupted) {
            return;
        }
        let keys = profile_of(&self.life.assignment).map(|profile| profile.typing.clear.clone());
        if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
            // A composer that takes no key takes no prompt either, which is noticed then.
            drop(self.write_soon(keys.as_bytes()).await);
        }
    }

    /// Hears what the hooks told.
    pub(super) async fn hear(&mut self) {
        let Some(profile) = profile_of(&self.life.assignment).cloned() else { return };
        let Some(talk) = &mut self.talk else { return };
        let before_ms = talk.news_ms;
        let taken = talk.news(&profile, clock::now_ms());
        if talk.news_ms != before_ms {
            self.life.starting = None;
            self.look_soon();
        }
        if taken {
            self.deliver(DeliveryEvent::Working).await;
        }
    }

    /// When a report or a record alone may count as the turn's end, or the rest of a word may have come.
    pub(super) fn turn_due(&self) -> Option<Instant> {
        let talk = self.talk.as_ref()?;
        let turn = talk.turn.as_ref()?;
        let now_ms = clock::now_ms();
        let report = self.reached.glass.statuses().strongest().map(|report| report.at_ms);
        let report = report.filter(|at_ms| *at_ms >= turn.since_ms && at_ms + LATER_BY_MS > now_ms);
        let report = report.map(|at_ms| at_ms + LATER_BY_MS - now_ms + 1);
        let recent =
            talk.news_ms >= turn.since_ms && now_ms < talk.news_ms + RECORD_WITHIN_MS + LOOK_EVERY_MS;
        let left_ms = report.into_iter().chain(recent.then_some(LOOK_EVERY_MS)).min()?;
        Some(Instant::now() + Duration::from_millis(left_ms))
    }

    /// Ends the turn under way if the tool's word says that it has ended.
    pub(super) async fn settle_turn(&mut self) {
        let Some(profile) = profile_of(&self.life.assignment).cloned() else { return };
        let Some((end, goes_on)) = self.turn_ended(&profile) else { return };
        if goes_on {
            self.interrupt().await;
        }
        if let Some(talk) = &mut self.talk {
            talk.last = Some(end.clone());
            talk.ended_ms = clock::now_ms();
            if let Err(error) = talk.hooks.keep_turn(Some(&end)) {
                tracing::warn!(session = %self.life.assignment.session, %error, "a turn's end cannot be kept");
            }
        }
        self.look_soon();
        self.turned(&Turned::Ended(end));
        self.deliver(DeliveryEvent::Working).await;
        self.deliver(DeliveryEvent::Idle).await;
    }

    /// How the turn under way has ended, and whether the tool goes on trying nevertheless.
    fn turn_ended(&mut self, profile: &Profile) -> Option<(TurnEnd, bool)> {
        let since_ms = self.talk.as_ref()?.turn.as_ref()?.since_ms;
        let now_ms = clock::now_ms();
        let end = self.end;
        let report = self.reached.glass.statuses().strongest().map(|report| report.at_ms);
        let looks = profile.hooks.iter().chain(&profile.records).any(|rule| rule.screen.is_some())
            || profile.screens.iter().any(|rule| rule.ends.is_some());
        let screen = if looks || report.is_some_and(|at_ms| at_ms >= since_ms) {
            self.reached.glass.screen_at(end).map(|screen| screen.text()).unwrap_or_default()
        } else {
            String::new()
        };
        let process = Process::Running { has_printed: true };
        let seen = detect::Seen {
            screen: &screen,
            title: self.reached.glass.title(),
            statuses: self.reached.glass.statuses(),
            hooks: &self.talk.as_ref()?.told,
            records: self.talk.as_ref()?.records.told(),
            process: &process,
            quiet_ms: now_ms.saturating_sub(self.grew_ms),
            now_ms,
        };
        let end = detect::turn_end(profile, &seen, since_ms);
        if end.as_ref().is_none_or(|end| end.source != BY_DRAWING) {
            self.failing_ms = None;
        } else if now_ms < *self.failing_ms.get_or_insert(now_ms) + DRAWN_FAILURE_MS {
            return None;
        }
        let end = end?;
        // A tool that has just started says that it is idle more than once: only after it has the prompt is that an end.
        let taken_ms = self.talk.as_ref()?.turn.as_ref()?.taken_ms;
        let early = report.is_none_or(|at_ms| taken_ms.is_none_or(|taken_ms| at_ms <= taken_ms));
        let is_old = end.ends == TurnEnds::Interrupted && end.source.starts_with("report:") && early;
        let goes_on = end.ends == TurnEnds::Failed && detect::goes_on_trying(profile, &seen, since_ms);
        (!is_old).then_some((end, goes_on))
    }

    /// The turn under way is over; whoever waits hears how.
    pub(super) fn turned(&mut self, how: &Turned) {
        let Some(talk) = &mut self.talk else { return };
        let reply = talk.turn.take().and_then(|turn| turn.reply);
        // Whoever asked may have given up waiting; the turn is over nevertheless.
        for reply in reply.into_iter().chain(talk.waiting.drain(..)) {
            drop(reply.send(how.clone()));
        }
    }

    /// A prompt that did not reach the tool is no turn.
    pub(super) fn turn_receipt(&mut self, receipt: &delivery::Receipt) {
        use delivery::Receipt;
        if !self.is_in_turn() {
            return;
        }
        let how = match receipt {
            Receipt::Undelivered { reason } => Turned::Undelivered { reason: reason.clone() },
            Receipt::TypedNotSubmitted { reason } | Receipt::Unknown { reason } => {
                Turned::Unknown { reason: reason.clone() }
            }
            _ => return,
        };
        self.turned(&how);
        if self.now.as_ref().is_some_and(|typing| typing.mark == PROMPT_MARK) {
            self.was_not_asked(&how);
        }
    }

    /// Waits for a hook; for ever in a session that holds no conversation.
    pub(super) async fn poked(talk: Option<&Talk>) {
        match talk {
            Some(talk) => talk.hooks.poked().await,
            None => std::future::pending().await,
        }
    }
}

impl Talk {
    pub(super) fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// How the last turn ended, and when.
    pub(super) fn last(&self) -> Option<(&TurnEnd, u64)> {
        self.last.as_ref().map(|last| (last, self.ended_ms))
    }

    /// Whether since then the tool told something else than that it asks.
    pub(super) fn went_on(&self, profile: &Profile, since_ms: u64) -> bool {
        let asks = |told: &Told| {
            let mut rules = profile.hooks.iter().filter(|rule| rule.holds(&told.event, &told.body));
            rules.any(|rule| rule.is == Some(ScreenMeaning::Permission))
        };
        self.told.iter().rev().take_while(|told| told.at_ms > since_ms).any(|told| !asks(told))
    }

    /// When the tool told something last.
    pub(super) fn heard_ms(&self) -> u64 {
        self.news_ms
    }

    /// Whether the tool's last word was that a command of its own runs.
    pub(super) fn tool_runs(&self, profile: &Profile) -> bool {
        let Some(last) = self.told.last() else { return false };
        profile.hooks.iter().any(|rule| rule.runs && rule.holds(&last.event, &last.body))
    }

    /// Takes what the tool told since; true where the prompt of the turn under way was taken.
    fn news(&mut self, profile: &Profile, now_ms: u64) -> bool {
        let mut taken = false;
        for told in self.hooks.news(now_ms) {
            if self.name.as_ref().is_some_and(|name| detect::is_foreign(profile, &told, name)) {
                continue;
            }
            if self.is_told_again(profile, &told) {
                continue;
            }
            if let Some(path) = detect::transcript_told(profile, &told).map(PathBuf::from)
                && self.tail.as_ref().is_none_or(|tail| !tail.is_at(&path))
            {
                self.tail = Some(Tail::new(path));
            }
            // A person typed it, or it had waited in the tool.
            if self.turn.is_none() && detect::takes_a_prompt(profile, &told) {
                let since_ms = told.at_ms;
                let taken_ms = Some(since_ms);
                self.turn = Some(Turn { prompt: String::new(), since_ms, taken_ms, reply: None });
            }
            taken |= self.takes(profile, &told);
            self.news_ms = now_ms;
            self.told.push(told);
        }
        let old = self.told.len().saturating_sub(TOLD_MAX);
        self.told.drain(..old);
        self.learn_name(profile);
        if let (Some(tail), Some(transcript)) = (&mut self.tail, &profile.transcript) {
            let records = tail.news(transcript);
            for told in self.records.take(profile, records, now_ms) {
                taken |= self.takes(profile, &told);
                self.news_ms = now_ms;
            }
        }
        taken
    }

    /// Whether this tells once more of the interruption of the turn before, which may have been niia's own after a failure:
    /// it is no end of the one under way.
    fn is_told_again(&self, profile: &Profile, told: &Told) -> bool {
        let interrupted = self.last.as_ref().is_some_and(|last| last.ends != TurnEnds::Answered);
        let soon = told.at_ms < self.ended_ms.saturating_add(TOLD_AGAIN_WITHIN_MS);
        let untaken = self.turn.as_ref().is_some_and(|turn| turn.taken_ms.is_none());
        interrupted && soon && untaken && detect::tells_interruption(profile, told)
    }

    /// Whether this word says that the prompt of the turn under way was taken.
    fn takes(&mut self, profile: &Profile, told: &Told) -> bool {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.taken_ms.is_none()) else { return false };
        let taken = detect::is_receipt(profile, told, &turn.prompt) || detect::is_taken(profile, told);
        turn.taken_ms = taken.then_some(told.at_ms);
        taken
    }

    fn learn_name(&mut self, profile: &Profile) {
        if let Some(name) = detect::session_name(profile, &self.told) {
            self.is_called(&profile.id, name);
        }
    }

    fn is_called(&mut self, profile: &str, name: String) {
        if self.name.as_ref() == Some(&name) {
            return;
        }
        let conversation = Conversation { profile: profile.to_owned(), name: name.clone() };
        match self.hooks.keep(&conversation) {
            Ok(()) => self.name = Some(name),
            Err(error) => tracing::warn!(%error, "the conversation's name cannot be kept"),
        }
    }
}

//! Texts on their way into a program: one at a time, each typed once.

use std::collections::VecDeque;
use std::time::Duration;

use niia_spec::detect::State;
use niia_spec::notice::Receipt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Follow, PROMPT_MARK, QUIET_MS, WRITE_WAIT, WRITE_WAIT_MAX};
use crate::recording::{Mark, MarkKind};
use crate::session::delivery::{self, Delivery, DeliveryEvent, DeliveryStep, DeliveryWake, Readiness};
use crate::session::{Turned, clock, look};

/// Put before a prompt so that its first character is never a command.
pub(super) const FIRST_LINE: &str = "[niia]";

/// A text on its way, and who waits to hear of it.
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) first_line: Option<&'static str>,
    pub(super) mark: u64,
    pub(super) reply: Option<oneshot::Sender<Receipt>>,
    /// It is a turn of a conversation, and this one waits for its end.
    pub(super) turn: Option<oneshot::Sender<Turned>>,
}

pub(super) struct Typing {
    pub(super) delivery: Delivery,
    pub(super) mark: u64,
    pub(super) marked: bool,
    pub(super) wake: Option<(Instant, DeliveryWake)>,
    /// What the terminal did not take yet: it is offered again in a moment.
    pub(super) refused: Option<Vec<u8>>,
    pub(super) reply: Option<oneshot::Sender<Receipt>>,
    pub(super) bytes: u64,
    /// Enter is about to be pressed, and that is marked.
    pub(super) entering: bool,
}

impl Follow<'_> {
    pub(super) fn queue(&mut self, text: String, urgent: bool, reply: oneshot::Sender<Receipt>) {
        let mark = self.next_mark;
        self.next_mark += 1;
        let first_line = self.reached.drawn.prefix_line.then_some(FIRST_LINE);
        let outgoing = Outgoing { text, first_line, mark, reply: Some(reply), turn: None };
        if urgent {
            self.texts.push_front(outgoing);
        } else {
            self.texts.push_back(outgoing);
        }
    }

    /// Types without Enter, as a person who is not done yet.
    pub(super) async fn type_plain(&mut self, text: &str, reply: oneshot::Sender<Receipt>) {
        let bytes = niia_spec::profile::neutralise(text).into_bytes();
        let receipt = match self.write_soon(&bytes).await {
            Ok(()) => Receipt::Typed,
            Err(error) => Receipt::TypedNotSubmitted { reason: error.to_string() },
        };
        drop(reply.send(receipt));
    }

    /// Writes all of it, or says how much the terminal took in the time there is.
    pub(super) async fn write_soon(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut written = 0;
        let terminal = &self.reached.terminal;
        match tokio::time::timeout(WRITE_WAIT_MAX, terminal.write_all(bytes, &mut written)).await {
            Ok(done) => done,
            Err(_) => {
                let text =
                    format!("the program reads nothing: {written} of {} bytes were taken", bytes.len());
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
            }
        }
    }

    /// Tells the text on its way how the program stands, and begins the next one when none is on its way.
    pub(super) async fn move_texts(&mut self) {
        if self.now.is_some() {
            self.tell_readiness().await;
        }
        while self.now.as_ref().is_none_or(|typing| typing.delivery.is_over()) && !self.is_in_turn() {
            self.now = None;
            let Some(next) = self.texts.pop_front() else { break };
            self.begin(next).await;
            self.tell_readiness().await;
        }
        self.tell_idle();
    }

    async fn begin(&mut self, next: Outgoing) {
        let bytes = next.text.len() as u64;
        let (delivery, steps) = Delivery::new(&next.text, next.first_line);
        let delivery = match super::profile_of(&self.life.assignment).filter(|_| self.talk.is_some()) {
            Some(profile) => delivery.typed_for(&profile.typing),
            None => delivery,
        };
        let (mark, reply) = (next.mark, next.reply);
        if next.turn.is_some() || (mark == PROMPT_MARK && self.talk.is_some()) {
            self.clear_composer().await;
            self.begin_turn(next.text, next.turn);
        }
        self.now = Some(Typing {
            delivery,
            mark,
            marked: false,
            wake: None,
            refused: None,
            reply,
            bytes,
            entering: false,
        });
        self.steps(steps).await;
    }

    async fn tell_readiness(&mut self) {
        let held = self.desk.held(clock::now_ms()).is_some();
        self.deliver(if held { DeliveryEvent::PersonTyped } else { DeliveryEvent::PersonLeft }).await;
        let line_mode = self.reached.terminal.line_mode().unwrap_or_default();
        let terminal = delivery::Terminal { bracketed_paste: self.reached.glass.takes_pastes(), line_mode };
        self.deliver(DeliveryEvent::Terminal(terminal)).await;
        let (readiness, works) = self.readiness();
        if works {
            self.deliver(DeliveryEvent::Working).await;
        }
        self.deliver(DeliveryEvent::Readiness(readiness)).await;
        if readiness == Readiness::Accepts {
            // What waits for a text again is done with the last one.
            self.deliver(DeliveryEvent::Idle).await;
        }
    }

    /// What it would do with a text, and whether it works.
    pub(super) fn readiness(&mut self) -> (Readiness, bool) {
        // Of a tool that holds a conversation it is known how it looks when it is ready: silence is no sign.
        let quiet = self.talk.is_none() && clock::now_ms().saturating_sub(self.grew_ms) >= QUIET_MS;
        let seen = self.seen();
        let detected = self.detect(&seen);
        // Where the tool's own word says that a turn has begun, a drawing proves nothing.
        let by_word = self.talk.is_some()
            && super::profile_of(&self.life.assignment).is_some_and(|p| p.typing.confirmed_by_word);
        let drawn = by_word && detected.evidence.rule.starts_with("screen ");
        (look::readiness(&detected.state, quiet), detected.state == State::Working && !drawn)
    }

    pub(super) async fn deliver(&mut self, event: DeliveryEvent) {
        if let Some(typing) = &mut self.now {
            let steps = typing.delivery.on(event);
            self.steps(steps).await;
        }
    }

    pub(super) async fn steps(&mut self, steps: Vec<DeliveryStep>) {
        let mut steps = VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                DeliveryStep::Write(bytes) => {
                    let taken = self.write_piece(&bytes).await;
                    let Some(typing) = &mut self.now else { return };
                    match taken {
                        Ok(0) => typing.refused = Some(bytes),
                        Ok(bytes) => steps.extend(typing.delivery.on(DeliveryEvent::Written { bytes })),
                        Err(_) => steps.extend(typing.delivery.on(DeliveryEvent::Ended)),
                    }
                }
                DeliveryStep::Wake { wake, after_ms } => {
                    if let Some(typing) = &mut self.now {
                        typing.wake = Some((Instant::now() + Duration::from_millis(after_ms), wake));
                    }
                }
                DeliveryStep::Receipt(receipt) => self.receipt(receipt).await,
            }
        }
    }

    /// Writes a piece of a text; before its first byte the intent is on disk.
    async fn write_piece(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(typing) = &mut self.now
            && !typing.marked
        {
            let mark = Mark { kind: MarkKind::Typing, id: typing.mark, bytes: typing.bytes };
            self.reached.terminal.mark(mark).await.map_err(std::io::Error::other)?;
            typing.marked = true;
            crate::failpoint::hit("session.mid_prompt");
        }
        self.mark_enter().await?;
        // When the time is over, nothing of this piece was typed.
        let written = tokio::time::timeout(WRITE_WAIT, self.reached.terminal.write(bytes)).await;
        let entered = self.now.as_ref().is_some_and(|typing| typing.entering);
        crate::failpoint::hit(if entered { "session.after_enter" } else { "session.piece_typed" });
        written.unwrap_or(Ok(0))
    }

    /// Before the first Enter its intent is on disk: without it the text is known to wait for one.
    async fn mark_enter(&mut self) -> std::io::Result<()> {
        if let Some(typing) = &mut self.now
            && typing.delivery.is_entering()
            && !typing.entering
        {
            typing.entering = true;
            let mark = Mark { kind: MarkKind::Submitting, id: typing.mark, bytes: typing.bytes };
            self.reached.terminal.mark(mark).await.map_err(std::io::Error::other)?;
            crate::failpoint::hit("session.before_enter");
        }
        Ok(())
    }

    async fn receipt(&mut self, receipt: delivery::Receipt) {
        let session = &self.life.assignment.session;
        tracing::debug!(%session, ?receipt, "a text is on its way");
        self.turn_receipt(&receipt);
        let Some(typing) = &mut self.now else { return };
        let kind = matches!(receipt, delivery::Receipt::Typed).then_some(MarkKind::Typed);
        let mark = typing.mark;
        let told = look::receipt(&receipt);
        if let delivery::Receipt::TypedNotSubmitted { reason } = &receipt
            && (mark, self.reached.taken_up) == (PROMPT_MARK, true)
        {
            self.give_prompt_up(reason).await;
        }
        let Some(typing) = &mut self.now else { return };
        let settled = matches!(receipt, delivery::Receipt::TurnStarted { .. }) || receipt.is_last();
        if settled && let Some(reply) = typing.reply.take() {
            drop(reply.send(told));
        }
        if let Some(kind) = kind {
            let bytes = typing.bytes;
            // A node that takes this up need not ask how much of it was typed.
            drop(self.reached.terminal.mark(Mark { kind, id: mark, bytes }).await);
        }
    }
}

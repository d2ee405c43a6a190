//! Following a terminal from the moment it is reached to the end of its program.
//!
//! One loop takes what the minder tells, what is ordered, and the times that were asked for. What to do about them is
//! decided elsewhere: by the glass (questions to the terminal), the desk (who may write) and a delivery (a text's way
//! into the program).

mod answering;
mod doubt;
mod interrupted;
mod talk;
mod texts;
mod work;

use std::collections::VecDeque;
use std::time::Duration;

use niia_spec::course::EndReason;
use niia_spec::detect::Detected;
use niia_spec::detect::work::Verdict;
use niia_spec::notice::SessionView;
use niia_spec::profile::PromptBy;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::delivery::{DeliveryEvent, DeliveryStep};
use super::desk::{Desk, Keys, Painted, ScreenText, ViewerEvent, ViewerId};
use super::finish::{self, Over, profile_of};
use super::life::{Life, Reached};
use super::prepare::Drawn;
use super::{Order, Turned, clock, look};
use crate::keeper::Notice;
use crate::launch::Prepared;
use crate::recording::{Mark, MarkKind};
use answering::Dialogue;
use interrupted::Doubt;
use talk::{TURN_MARKS, Talk};
use texts::{FIRST_LINE, Outgoing, Typing};

/// Between the order to end and the kill of what has not ended by itself.
const GRACE: Duration = Duration::from_secs(5);
/// A program nobody understands counts as ready for a text once it has been quiet for so long.
const QUIET_MS: u64 = 600;
/// A terminal whose program reads nothing is offered input for so long at a time: the loop must go round meanwhile.
const WRITE_WAIT: Duration = Duration::from_millis(20);
/// Keys and answers that a terminal does not take within this time are given up, and that is said.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(1);
/// The prompt's own number among the marks in a recording; texts of people and workers come after it.
const PROMPT_MARK: u64 = 1;

pub(super) struct Follow<'a> {
    life: &'a mut Life,
    reached: Reached,
    desk: Desk,
    /// The recording's end as far as it was told.
    end: u64,
    grew_ms: u64,
    texts: VecDeque<Outgoing>,
    now: Option<Typing>,
    next_mark: u64,
    waiting: Vec<(u64, oneshot::Sender<SessionView>)>,
    /// The prompt, where it is typed only once the program asks for pastes.
    when_asked: Option<Outgoing>,
    /// An earlier node was about to type the prompt, and whether it did is not decided yet.
    doubt: Option<Doubt>,
    detected: Option<Detected>,
    /// Of a session that holds a conversation.
    talk: Option<Talk>,
    /// Of one that is a worker's.
    work: Option<work::Work>,
    /// The dialog that is being answered.
    dialogue: Option<Dialogue>,
    /// What is denied by itself was looked for at this end of the recording; next at this time.
    denied_look: (u64, Instant),
    /// Since when its screen says that it goes on trying what fails.
    failing_ms: Option<u64>,
}

impl<'a> Follow<'a> {
    pub(super) fn new(life: &'a mut Life, reached: Reached) -> Follow<'a> {
        let now_ms = clock::now_ms();
        let mut follow = Follow {
            life,
            end: reached.terminal.end_of_log(),
            reached,
            desk: Desk::default(),
            grew_ms: now_ms,
            texts: VecDeque::new(),
            now: None,
            next_mark: PROMPT_MARK + 1,
            waiting: Vec::new(),
            when_asked: None,
            doubt: None,
            detected: None,
            talk: None,
            work: None,
            dialogue: None,
            denied_look: (0, Instant::now()),
            failing_ms: None,
        };
        follow.plan_prompt();
        follow.begin_talk();
        follow.begin_work();
        follow
    }

    /// A prompt that is to be typed is typed once in the session's life: an earlier node's mark says that it was begun.
    fn plan_prompt(&mut self) {
        let by = self.reached.drawn.prompt;
        if !matches!(by, PromptBy::Typed | PromptBy::WhenAsked) {
            return;
        }
        if self.reached.taken_up {
            let marks = self.reached.glass.marks();
            let own = marks.iter().map(|mark| mark.id).filter(|id| *id < TURN_MARKS);
            self.next_mark = own.max().unwrap_or(PROMPT_MARK) + 1;
            if self.goes_on_with_prompt() {
                return;
            }
        }
        let prompt = self.prompt();
        match by {
            PromptBy::WhenAsked => self.when_asked = Some(prompt),
            _ => self.texts.push_back(prompt),
        }
    }

    fn prompt(&self) -> Outgoing {
        let assignment = &self.life.assignment;
        let talks = profile_of(assignment).filter(|_| assignment.conversation);
        Outgoing {
            text: talks.map_or_else(
                || assignment.prompt.to_string(),
                |profile| profile.as_typed(&assignment.prompt),
            ),
            first_line: (talks.is_none() && self.reached.drawn.prefix_line).then_some(FIRST_LINE),
            mark: PROMPT_MARK,
            reply: None,
            turn: None,
        }
    }

    pub(super) async fn until_over(mut self) -> (Over, Drawn, Prepared) {
        if self.reached.taken_up {
            self.goes_on_ending().await;
        }
        let over = loop {
            let terminal = self.reached.terminal.clone();
            let deadline = self.deadline();
            tokio::select! {
                notice = terminal.next() => match notice {
                    Notice::Grew { end } => self.grew(end).await,
                    Notice::Exited(exit) => break Over::Exited(exit),
                    Notice::Lost(lost) => break Over::Lost(lost),
                    Notice::Stalled { errno } => self.stalled(errno),
                    Notice::Stopped { .. } => self.life.facts.does("is stopped by a signal"),
                    Notice::Resumed | Notice::Continued => self.life.facts.does("runs"),
                },
                order = self.life.orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    // Every handle is gone: so is the actor, which ends this task.
                    None => std::future::pending().await,
                },
                () = Follow::poked(self.talk.as_ref()) => {}
                () = sleep_until(deadline), if deadline.is_some() => self.tick().await,
            }
            if self.talk.is_some() {
                self.hear().await;
                self.settle_turn().await;
            }
            self.deny_by_itself();
            self.mind_dialogue().await;
            self.move_texts().await;
            self.mind_work().await;
            self.rest();
        };
        self.ended(&over).await;
        (over, self.reached.drawn, self.reached.prepared)
    }

    /// A screen is for those who look at it all the time: a viewer, a text on its way into the program.
    fn rest(&mut self) {
        if self.desk.is_empty() && self.now.is_none() && self.doubt.is_none() && self.dialogue.is_none() {
            self.reached.glass.let_go();
        }
    }

    /// The next moment at which something is due by itself.
    fn deadline(&self) -> Option<Instant> {
        let wake = self.now.as_ref().and_then(|typing| match typing.refused {
            Some(_) => Some(Instant::now() + WRITE_WAIT),
            None => typing.wake.map(|(at, _)| at),
        });
        let quiet_for = |ms: u64| {
            let left = (self.grew_ms + ms).saturating_sub(clock::now_ms());
            Instant::now() + Duration::from_millis(left.max(1))
        };
        let waits = self.now.as_ref().is_some_and(|typing| !typing.delivery.is_typing());
        let ready = waits.then(|| self.next_quiet()).flatten().map(quiet_for);
        let idle = self.waiting.iter().map(|(ms, _)| quiet_for(*ms)).min();
        let doubt = self.doubt.as_ref().map(|doubt| doubt.next);
        let dialogue = self.dialogue.as_ref().map(|dialogue| dialogue.next);
        [wake, ready, idle, doubt, dialogue, self.denial_due(), self.turn_due(), self.work_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next time of quiet after which the program may count as ready.
    fn next_quiet(&self) -> Option<u64> {
        let mut quiets =
            profile_of(&self.life.assignment).map(|profile| profile.quiets()).unwrap_or_default();
        quiets.push(QUIET_MS);
        let so_far = clock::now_ms().saturating_sub(self.grew_ms);
        quiets.into_iter().filter(|ms| *ms > so_far).min()
    }

    async fn grew(&mut self, end: u64) {
        self.end = end;
        self.grew_ms = clock::now_ms();
        self.life.facts.printed(end);
        if self.talk.is_none() {
            self.life.starting = None;
        }
        self.desk.tell(&ViewerEvent::Grew { end });
        match self.reached.glass.look(end, self.grew_ms) {
            Ok(answers) => {
                for answer in answers {
                    self.answer(&answer.bytes, answer.at_offset).await;
                }
            }
            Err(error) => {
                tracing::warn!(session = %self.life.assignment.session, %error, "the recording cannot be read");
            }
        }
        if self.when_asked.is_some() && self.reached.glass.takes_pastes() {
            self.texts.extend(self.when_asked.take());
        }
        self.deliver(DeliveryEvent::Output).await;
    }

    /// Answers a question to the terminal once: the mark says so to the next node.
    async fn answer(&mut self, bytes: &[u8], at_offset: u64) {
        if self.now.as_ref().is_some_and(|typing| typing.delivery.is_typing()) {
            return; // An answer would stand in the middle of a text; programs ask again or go on without.
        }
        let mark = Mark { kind: MarkKind::Answer, id: at_offset, bytes: bytes.len() as u64 };
        let done = match self.reached.terminal.mark(mark).await {
            Ok(()) => self.write_soon(bytes).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = done {
            tracing::debug!(session = %self.life.assignment.session, %error, "a question stays unanswered");
        }
    }

    fn stalled(&mut self, errno: i32) {
        let error = std::io::Error::from_raw_os_error(errno);
        self.life.facts.does(&format!("waits: its output cannot be recorded ({error})"));
        tracing::warn!(session = %self.life.assignment.session, %error, "output cannot be recorded; the program waits");
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::End(reason) => self.end_by(reason).await,
            // Whoever asked may have given up waiting; that harms nobody.
            Order::Look(reply) => drop(reply.send(self.look())),
            Order::Screen(reply) => drop(reply.send(self.screen())),
            Order::Write { text, enter: true, urgent, reply } => {
                self.somebody_wrote();
                self.queue(text, urgent, reply);
            }
            Order::Write { text, enter: false, reply, .. } => self.type_plain(&text, reply).await,
            Order::Turn { id, prompt, reply } => self.queue_turn(id, &prompt, reply),
            Order::TurnEnd(reply) => self.wait_turn(reply),
            Order::Interrupt => self.interrupt().await,
            Order::Conclude => self.conclude().await,
            Order::Dialog { allow, reply } => {
                self.somebody_wrote();
                self.answer_dialog(allow, Some(reply));
            }
            Order::WaitIdle { quiet_ms, reply } => self.waiting.push((quiet_ms, reply)),
            Order::Resize { cols, rows } => self.resize((cols, rows)).await,
            Order::Attach { take, size, events, reply } => {
                let viewer = self.desk.sit(events);
                if take {
                    self.desk.take(viewer, clock::now_ms());
                }
                self.follow_size(size).await;
                let painted = self.paint(viewer);
                drop(reply.send(painted));
            }
            Order::Keys { viewer, bytes } => self.keys(viewer, &bytes).await,
            Order::View { size } => self.follow_size(size).await,
            Order::Take { viewer } => self.desk.take(viewer, clock::now_ms()),
            Order::Repaint { viewer, reply } => {
                let painted = self.paint(viewer);
                drop(reply.send(painted));
            }
            Order::Leave { viewer } => self.desk.leave(viewer),
        }
    }

    async fn end_by(&mut self, reason: EndReason) {
        self.life.ordered.get_or_insert(reason);
        self.life.facts.does("is being ended");
        if let Err(error) = self.reached.terminal.end(GRACE).await {
            tracing::debug!(session = %self.life.assignment.session, %error, "it ended before the order reached it");
        }
    }

    /// The word that this end is a good one is on disk before the program is ended.
    async fn conclude(&mut self) {
        let verdict = self.talk.as_ref().and_then(Talk::last).map(|(last, _)| Verdict::of(last));
        if let Err(error) = finish::conclude(&self.life.facts.folder, verdict.as_ref()) {
            tracing::warn!(session = %self.life.assignment.session, %error, "its end cannot be written down");
        }
        self.life.facts.does("is being ended");
        if let Err(error) = self.reached.terminal.end(GRACE).await {
            tracing::debug!(session = %self.life.assignment.session, %error, "it ended before the order reached it");
        }
    }

    fn look(&mut self) -> SessionView {
        let seen = self.seen();
        let detected = self.detect(&seen);
        look::live_view(&self.life.facts, &seen, &detected)
    }

    fn detect(&mut self, seen: &look::Seen) -> Detected {
        let detected = look::detected(profile_of(&self.life.assignment), seen, self.detected.as_ref());
        self.detected.insert(detected).clone()
    }

    /// What can be said of the program by looking at it now.
    fn seen(&mut self) -> look::Seen {
        let now_ms = clock::now_ms();
        let end = self.end;
        let size = self.reached.glass.size();
        let screen = match self.reached.glass.screen_at(end) {
            Ok(screen) => screen.text(),
            Err(_) => String::new(),
        };
        look::Seen {
            screen,
            title: self.reached.glass.title().to_owned(),
            statuses: self.reached.glass.statuses().clone(),
            hooks: self.talk.as_ref().map(|talk| talk.told.clone()).unwrap_or_default(),
            records: self.talk.as_ref().map(|talk| talk.records.told().to_vec()).unwrap_or_default(),
            quiet_ms: now_ms.saturating_sub(self.grew_ms),
            now_ms,
            printed_bytes: end,
            size,
            conversation: self.talk.is_some(),
            held_by: self.desk.held(now_ms).map(|(viewer, _)| format!("viewer {viewer}")),
        }
    }

    fn screen(&mut self) -> ScreenText {
        let end = self.end;
        match self.reached.glass.screen_at(end) {
            Ok(screen) => {
                let (row, column) = screen.cursor();
                ScreenText { text: screen.text(), title: screen.title().to_owned(), cursor: (column, row) }
            }
            Err(error) => {
                ScreenText { text: format!("the recording cannot be read: {error}"), ..Default::default() }
            }
        }
    }

    fn paint(&mut self, viewer: ViewerId) -> Painted {
        let end = self.end;
        let folder = self.life.facts.folder.clone();
        let (cols, rows) = self.reached.glass.size();
        let bytes = match self.reached.glass.screen_at(end) {
            Ok(screen) => screen.repaint(),
            Err(error) => format!("the recording cannot be read: {error}\r\n").into_bytes(),
        };
        Painted { viewer, bytes, offset: end, folder, cols, rows }
    }

    /// The terminal takes the size of whoever looks at it last, as terminals do.
    async fn follow_size(&mut self, size: (u16, u16)) {
        if size != (0, 0) && size != self.reached.glass.size() {
            self.resize(size).await;
        }
    }

    async fn resize(&mut self, size: (u16, u16)) {
        let size = crate::keeper::clamp_size(size.0, size.1);
        match self.reached.terminal.resize(size.0, size.1).await {
            Ok(()) => self.reached.glass.resized(size),
            Err(error) => tracing::debug!(session = %self.life.assignment.session, %error, "no resize"),
        }
    }

    async fn keys(&mut self, viewer: ViewerId, bytes: &[u8]) {
        let now_ms = clock::now_ms();
        self.desk.sweep();
        if self.now.as_ref().is_some_and(|typing| typing.delivery.is_typing()) {
            let word = "a prompt is being typed; your keys were not taken".to_owned();
            return self.desk.tell_one(viewer, ViewerEvent::Word(word));
        }
        match self.desk.keys(viewer, bytes, now_ms) {
            Keys::Typed => {
                self.somebody_wrote();
                self.dialogue_is_left("somebody answers it by hand");
                if let Err(error) = self.write_soon(bytes).await {
                    self.desk
                        .tell_one(viewer, ViewerEvent::Word(format!("your keys were not taken: {error}")));
                }
                self.deliver(DeliveryEvent::PersonTyped).await;
            }
            Keys::Held => {
                let word = "somebody else writes just now; `--take` takes over".to_owned();
                self.desk.tell_one(viewer, ViewerEvent::Word(word));
            }
        }
    }

    async fn tick(&mut self) {
        self.decide().await;
        let refused = self.now.as_mut().and_then(|typing| typing.refused.take());
        if let Some(bytes) = refused {
            return self.steps(vec![DeliveryStep::Write(bytes)]).await;
        }
        let due = self.now.as_ref().and_then(|typing| typing.wake).filter(|(at, _)| *at <= Instant::now());
        if let Some((_, wake)) = due {
            if let Some(typing) = &mut self.now {
                typing.wake = None;
            }
            self.deliver(DeliveryEvent::Expired(wake)).await;
        }
    }

    fn tell_idle(&mut self) {
        let quiet_ms = clock::now_ms().saturating_sub(self.grew_ms);
        if self.waiting.iter().any(|(wanted, _)| quiet_ms >= *wanted) {
            let view = self.look();
            for (wanted, reply) in std::mem::take(&mut self.waiting) {
                if quiet_ms >= wanted {
                    drop(reply.send(view.clone()));
                } else {
                    self.waiting.push((wanted, reply));
                }
            }
        }
    }

    async fn ended(&mut self, over: &Over) {
        if let Over::Exited(exit) = over {
            self.life.facts.printed(exit.log_end);
            self.desk.tell(&ViewerEvent::Grew { end: exit.log_end });
        }
        self.deliver(DeliveryEvent::Ended).await;
        self.dialogue_is_left("the program ended");
        if self.talk.is_some() {
            self.hear().await;
            self.settle_turn().await;
            self.turned(&Turned::Unknown { reason: "the program ended".to_owned() });
        }
        self.desk.tell(&ViewerEvent::Ended);
        for (_, reply) in std::mem::take(&mut self.waiting) {
            let view = self.look();
            drop(reply.send(view));
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(at) = deadline {
        tokio::time::sleep_until(at).await;
    }
}

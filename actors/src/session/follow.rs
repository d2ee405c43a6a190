//! Following a terminal from the moment it is reached to the end of its program.
//!
//! One loop takes what the minder tells, what is ordered, and the times that were asked for. What to do about them is
//! decided elsewhere: by the glass (questions to the terminal), the desk (who may write) and a delivery (a text's way
//! into the program).

use std::collections::VecDeque;
use std::time::Duration;

use niia_spec::course::EndReason;
use niia_spec::notice::{Receipt, SessionView};
use niia_spec::profile::PromptBy;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::delivery::{self, Delivery, DeliveryEvent, DeliveryStep, DeliveryWake, Readiness};
use super::desk::{Desk, Keys, Painted, ScreenText, ViewerEvent, ViewerId};
use super::finish::Over;
use super::life::{Life, Reached};
use super::prepare::Drawn;
use super::{Order, clock, view};
use crate::keeper::Notice;
use crate::launch::Prepared;
use crate::recording::{Mark, MarkKind};

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
}

/// A text on its way, and who waits to hear of it.
struct Outgoing {
    text: String,
    first_line: Option<&'static str>,
    mark: u64,
    reply: Option<oneshot::Sender<Receipt>>,
}

struct Typing {
    delivery: Delivery,
    mark: u64,
    marked: bool,
    wake: Option<(Instant, DeliveryWake)>,
    /// What the terminal did not take yet: it is offered again in a moment.
    refused: Option<Vec<u8>>,
    reply: Option<oneshot::Sender<Receipt>>,
    bytes: u64,
}

/// Put before a prompt so that its first character is never a command.
const FIRST_LINE: &str = "[niia]";

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
        };
        follow.plan_prompt();
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
            let typed = marks.iter().any(|mark| mark.kind == MarkKind::Typing && mark.id == PROMPT_MARK);
            self.next_mark = marks.iter().map(|mark| mark.id).max().unwrap_or(PROMPT_MARK) + 1;
            if typed {
                return;
            }
        }
        let prompt = Outgoing {
            text: self.life.assignment.prompt.to_string(),
            first_line: self.reached.drawn.prefix_line.then_some(FIRST_LINE),
            mark: PROMPT_MARK,
            reply: None,
        };
        match by {
            PromptBy::WhenAsked => self.when_asked = Some(prompt),
            _ => self.texts.push_back(prompt),
        }
    }

    pub(super) async fn to_the_end(mut self) -> (Over, Drawn, Prepared) {
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
                () = sleep_until(deadline), if deadline.is_some() => self.tick().await,
            }
            self.move_texts().await;
        };
        self.ended(&over).await;
        (over, self.reached.drawn, self.reached.prepared)
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
        let ready = self.now.as_ref().filter(|typing| !typing.delivery.is_typing()).map(|_| quiet_for(QUIET_MS));
        let ready = ready.filter(|_| clock::now_ms() < self.grew_ms + QUIET_MS);
        let idle = self.waiting.iter().map(|(ms, _)| quiet_for(*ms)).min();
        [wake, ready, idle].into_iter().flatten().min()
    }

    async fn grew(&mut self, end: u64) {
        self.end = end;
        self.grew_ms = clock::now_ms();
        self.life.facts.printed(end);
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
            Order::Write { text, enter: true, urgent, reply } => self.queue(text, urgent, reply),
            Order::Write { text, enter: false, reply, .. } => self.type_plain(&text, reply).await,
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
            Order::View { size, .. } => self.follow_size(size).await,
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

    fn look(&mut self) -> SessionView {
        let seen = self.seen();
        view::live_view(&self.life.assignment, &self.life.facts, &seen)
    }

    /// What can be said of the program by looking at it now.
    fn seen(&mut self) -> view::Seen {
        let now_ms = clock::now_ms();
        let end = self.end;
        let size = self.reached.glass.size();
        let screen = match self.reached.glass.screen_at(end, now_ms) {
            Ok(screen) => screen.text(),
            Err(_) => String::new(),
        };
        view::Seen {
            screen,
            title: self.reached.glass.title().to_owned(),
            status: self.reached.glass.status().map(str::to_owned),
            quiet_ms: now_ms.saturating_sub(self.grew_ms),
            printed_bytes: end,
            size,
            held_by: self.desk.held(now_ms).map(|(viewer, _)| format!("viewer {viewer}")),
        }
    }

    fn screen(&mut self) -> ScreenText {
        let end = self.end;
        match self.reached.glass.screen_at(end, clock::now_ms()) {
            Ok(screen) => {
                let (row, column) = screen.cursor();
                ScreenText { text: screen.text(), title: screen.title().to_owned(), cursor: (column, row) }
            }
            Err(error) => ScreenText { text: format!("the recording cannot be read: {error}"), ..Default::default() },
        }
    }

    fn paint(&mut self, viewer: ViewerId) -> Painted {
        let end = self.end;
        let folder = self.life.facts.folder.clone();
        let (cols, rows) = self.reached.glass.size();
        let bytes = match self.reached.glass.screen_at(end, clock::now_ms()) {
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
                if let Err(error) = self.write_soon(bytes).await {
                    self.desk.tell_one(viewer, ViewerEvent::Word(format!("your keys were not taken: {error}")));
                }
                self.deliver(DeliveryEvent::PersonTyped).await;
            }
            Keys::Held => {
                let word = "somebody else writes just now; `--take` takes over".to_owned();
                self.desk.tell_one(viewer, ViewerEvent::Word(word));
            }
        }
    }

    fn queue(&mut self, text: String, urgent: bool, reply: oneshot::Sender<Receipt>) {
        let mark = self.next_mark;
        self.next_mark += 1;
        let first_line = self.reached.drawn.prefix_line.then_some(FIRST_LINE);
        let outgoing = Outgoing { text, first_line, mark, reply: Some(reply) };
        if urgent {
            self.texts.push_front(outgoing);
        } else {
            self.texts.push_back(outgoing);
        }
    }

    /// Types without Enter, as a person who is not done yet.
    async fn type_plain(&mut self, text: &str, reply: oneshot::Sender<Receipt>) {
        let bytes = niia_spec::profile::neutralise(text).into_bytes();
        let receipt = match self.write_soon(&bytes).await {
            Ok(()) => Receipt::Typed,
            Err(error) => Receipt::TypedNotSubmitted { reason: error.to_string() },
        };
        drop(reply.send(receipt));
    }

    /// Writes all of it, or says how much the terminal took in the time there is.
    async fn write_soon(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut written = 0;
        let terminal = &self.reached.terminal;
        match tokio::time::timeout(WRITE_WAIT_MAX, terminal.write_all(bytes, &mut written)).await {
            Ok(done) => done,
            Err(_) => {
                let text = format!("the program reads nothing: {written} of {} bytes were taken", bytes.len());
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
            }
        }
    }

    /// Begins the next text when none is on its way, and tells the one on its way how the program stands.
    async fn move_texts(&mut self) {
        if self.now.as_ref().is_some_and(|typing| typing.delivery.is_over()) {
            self.now = None;
        }
        if self.now.is_none()
            && let Some(next) = self.texts.pop_front()
        {
            let bytes = next.text.len() as u64;
            let (delivery, steps) = Delivery::new(&next.text, next.first_line);
            let (mark, reply) = (next.mark, next.reply);
            self.now = Some(Typing { delivery, mark, marked: false, wake: None, refused: None, reply, bytes });
            self.steps(steps).await;
        }
        if self.now.is_some() {
            self.tell_readiness().await;
        }
        self.tell_idle();
    }

    async fn tell_readiness(&mut self) {
        let held = self.desk.held(clock::now_ms()).is_some();
        self.deliver(if held { DeliveryEvent::PersonTyped } else { DeliveryEvent::PersonLeft }).await;
        let line_mode = self.reached.terminal.line_mode().unwrap_or_default();
        let terminal = delivery::Terminal { bracketed_paste: self.reached.glass.takes_pastes(), line_mode };
        self.deliver(DeliveryEvent::Terminal(terminal)).await;
        let readiness = self.readiness();
        self.deliver(DeliveryEvent::Readiness(readiness)).await;
    }

    fn readiness(&mut self) -> Readiness {
        let quiet = clock::now_ms().saturating_sub(self.grew_ms) >= QUIET_MS;
        let seen = self.seen();
        view::readiness(&self.life.assignment, &seen, quiet)
    }

    async fn deliver(&mut self, event: DeliveryEvent) {
        if let Some(typing) = &mut self.now {
            let steps = typing.delivery.on(event);
            self.steps(steps).await;
        }
    }

    async fn steps(&mut self, steps: Vec<DeliveryStep>) {
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
        // When the time is over, nothing of this piece was typed.
        tokio::time::timeout(WRITE_WAIT, self.reached.terminal.write(bytes)).await.unwrap_or(Ok(0))
    }

    async fn receipt(&mut self, receipt: delivery::Receipt) {
        let session = &self.life.assignment.session;
        tracing::debug!(%session, ?receipt, "a text is on its way");
        let Some(typing) = &mut self.now else { return };
        let kind = match &receipt {
            delivery::Receipt::Typed => Some(MarkKind::Typed),
            delivery::Receipt::Submitted => Some(MarkKind::Submitting),
            _ => None,
        };
        let mark = typing.mark;
        let told = view::receipt(&receipt);
        let settled = matches!(receipt, delivery::Receipt::TurnStarted { .. }) || receipt.is_last();
        if settled && let Some(reply) = typing.reply.take() {
            drop(reply.send(told));
        }
        if let Some(kind) = kind {
            let bytes = typing.bytes;
            // Only evidence for people: what counts was marked before the first byte.
            drop(self.reached.terminal.mark(Mark { kind, id: mark, bytes }).await);
        }
    }

    async fn tick(&mut self) {
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

//! How a run comes to rest: it ends, or it waits for a person and is gone on with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use niia_spec::course::{Event, RunOutcome};
use niia_spec::name::{AttemptId, PhaseName, RunId, SessionId};
use niia_spec::notice::{self, RunView};
use ractor::RpcReplyPort;
use tokio::task::JoinHandle;

use super::{OVER, RunMessage, RunState, Then, changed, report, view_of};
use crate::ask::tell;

/// A run that nobody has come back to for so long is given up: what it keeps for going on, the caller's variables among
/// it, does not stay for ever. Its work does.
pub const HELD_DAYS_MAX: u64 = 30;
const HELD_MAX: Duration = Duration::from_secs(HELD_DAYS_MAX * 24 * 60 * 60);

/// What is told of a run to whoever does not look at it.
#[derive(Clone, Debug)]
pub enum RunNews {
    /// A person is asked whether the phase may begin.
    Asks { run: RunId, phase: PhaseName },
    /// One of its sessions shows a question.
    Shows { session: SessionId, what: String },
    /// It waits for a person.
    Waits { run: RunId },
    /// Its end is durable. Of one that was begun inside another run, that one's end tells.
    Over { run: RunId, state: notice::RunState, inside: bool },
}

impl RunState {
    /// A session waits for a person; whoever watches sees it in the worker's state.
    pub(super) fn asked(&self, attempt: AttemptId, what: String) {
        self.tell(RunNews::Shows { session: self.context.session_id(&attempt), what });
        changed(&self.changes);
    }

    pub(super) fn tell(&self, news: RunNews) {
        tracing::info!(?news, "news of a run");
        // Nobody listens in a node that is going down.
        drop(self.news.send(news));
    }

    /// A run is shown as waiting once its report says for what.
    pub(super) fn look(&self) -> RunView {
        let mut view = view_of(&self.context, &self.course, &self.times);
        if self.course.waits().is_some() && self.hold_told.load(Ordering::Acquire) != self.course.holds() {
            view.state = notice::RunState::Running;
        }
        view
    }

    /// Goes on with a run that waits for a person; answers whether it did, once that is durable.
    pub(super) fn resume(&mut self, reason: String, reply: RpcReplyPort<bool>) {
        if self.course.waits().is_none() {
            // Somebody who gave up waiting for the answer asks again.
            return drop(reply.send(false));
        }
        self.context.live.note_waiting(&self.context.run, false);
        let event = Event::Resumed { hold: self.course.holds(), reason };
        self.happened(event, Some(Then::Resumed(reply)));
    }

    /// Nothing lives any more: lets go of everything but what going on needs, and says in the report what is asked.
    pub(super) fn hold(&mut self, reason: String) -> JoinHandle<()> {
        self.let_go();
        self.context.live.note_waiting(&self.context.run, true);
        self.give_up_later();
        let outcome = RunOutcome::NeedsAttention { reason };
        let (end, context) =
            (report::End::of(&self.context, &self.course, outcome), Arc::clone(&self.context));
        let changes = self.changes.clone();
        let (told, hold) = (Arc::clone(&self.hold_told), self.course.holds());
        tokio::task::spawn_blocking(move || {
            end.tell(&context);
            told.store(hold, Ordering::Release);
            changed(&changes);
        })
    }

    /// The pause is counted on a clock that no hand can set; only what passed before the node was started is taken from
    /// the journal's times.
    fn give_up_later(&mut self) {
        let passed = self.times.held().map_or(0, |at| crate::session::wall_ms().saturating_sub(at));
        let left = HELD_MAX.saturating_sub(Duration::from_millis(passed));
        let (run, hold) = (self.me.clone(), self.course.holds());
        let clock = tokio::spawn(async move {
            tokio::time::sleep(left).await;
            // A run that is gone meanwhile is taken up with what is left of its time.
            let _ = tell(&run.0, RunMessage::Waited(hold));
        });
        let clock = clock.abort_handle();
        if let Some(before) = self.held_clock.replace(clock) {
            before.abort();
        }
    }

    /// Nobody came back to it in all that time.
    pub(super) fn waited(&mut self, hold: u32) {
        if self.course.waits().is_some() && self.course.holds() == hold {
            let reason = format!("nobody resumed it within {HELD_DAYS_MAX} days");
            self.happened(Event::Cancelled { reason }, None);
        }
    }

    fn let_go(&mut self) {
        for (_, clock) in self.clocks.drain() {
            clock.abort();
        }
        self.watches.clear();
        for (_, phase) in self.phases.drain() {
            phase.stop();
        }
    }

    pub(super) fn finish(&mut self, outcome: RunOutcome) {
        self.let_go();
        self.end_descendants();
        if let Some(mailbox) = &self.mailbox {
            mailbox.close("the run ended before it was told");
        }
        self.context.live.note_waiting(&self.context.run, false);
        let word = notice::RunState::of(&outcome).0;
        let end = report::End::of(&self.context, &self.course, outcome);
        let (journal, context) = (self.journal.clone(), Arc::clone(&self.context));
        let (news, changes) = (self.news.clone(), self.changes.clone());
        tokio::task::spawn_blocking(move || {
            end.write(&context, &journal);
            context.live.family.leave(&context.run);
            changes.send_replace(OVER);
            // A node that is going down reads the run's end in the journal.
            let inside = !context.lineage.is_empty();
            drop(news.send(RunNews::Over { run: context.run.clone(), state: word, inside }));
        });
    }
}

//! How a run comes to rest: it ends, or it waits for a person and is gone on with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use niia_spec::course::{Event, RunOutcome};
use niia_spec::notice::{self, RunView};
use ractor::RpcReplyPort;
use tokio::task::JoinHandle;

use super::{OVER, RunState, Then, changed, report, view_of};

impl RunState {
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
        let event = Event::Resumed { hold: self.course.holds(), reason };
        self.happened(event, Some(Then::Resumed(reply)));
    }

    /// Nothing lives any more: lets go of everything but what going on needs, and says in the report what is asked.
    pub(super) fn hold(&mut self, reason: String) -> JoinHandle<()> {
        self.let_go();
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

    fn let_go(&mut self) {
        for (_, clock) in self.clocks.drain() {
            clock.abort();
        }
        for (_, phase) in self.phases.drain() {
            phase.stop();
        }
    }

    pub(super) fn finish(&mut self, outcome: RunOutcome) {
        self.let_go();
        let end = report::End::of(&self.context, &self.course, outcome);
        let (journal, context) = (self.journal.clone(), Arc::clone(&self.context));
        let (over, changes) = (self.over.clone(), self.changes.clone());
        tokio::task::spawn_blocking(move || {
            end.write(&context, &journal);
            changes.send_replace(OVER);
            // A node that is going down reads the run's end in the journal.
            drop(over.send(context.run.clone()));
        });
    }
}

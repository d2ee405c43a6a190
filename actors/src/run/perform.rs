//! Carrying out what the course decided: phases are opened, attempts started and ended, work is gathered.

use std::sync::Arc;
use std::time::Duration;

use niia_spec::course::{Command, Event, Wake, WorkerCourse};
use niia_spec::name::{AttemptId, PhaseName};

use tokio::sync::mpsc;

use super::{LETTERS_MAX, RunNews, RunState, assign, gather, tell_letters};
use crate::mailbox::{MailboxArguments, MailboxHandle};
use crate::phase::{PhaseArguments, PhaseHandle};

impl RunState {
    pub(super) async fn perform(&mut self, command: Command) {
        match command {
            Command::Open { phase } => self.open(phase).await,
            Command::Start { attempt, model } => self.start(attempt, model).await,
            Command::Settle { attempt } => self.settle(attempt).await,
            Command::End { attempt, reason } => {
                self.end_children(&attempt, reason);
                if let Some(phase) = self.phases.get(&attempt.worker.phase) {
                    let _ = phase.end(attempt, reason);
                }
            }
            Command::Dismiss { phase } => self.dismiss(phase).await,
            Command::Gather { phase, round } => self.gather(phase, round),
            Command::Wake { wake, after_ms } => self.wake(wake, after_ms),
            Command::Reserve { of, total } => self.reserve(of, total),
            Command::Ask { phase } => self.tell(RunNews::Asks { run: self.context.run.clone(), phase }),
            Command::Close { phase, .. } => self.close(&phase),
            Command::Hold { reason } => {
                self.tell(RunNews::Waits { run: self.context.run.clone() });
                drop(self.hold(reason));
            }
            Command::Finish { outcome } => self.finish(outcome),
        }
    }

    pub(super) async fn open(&mut self, phase: PhaseName) {
        if self.phases.contains_key(&phase) {
            return;
        }
        let arguments = PhaseArguments { run: self.me.clone(), machines: Arc::clone(&self.machines) };
        match PhaseHandle::spawn(arguments, self.cell.clone()).await {
            Ok(handle) => {
                let watching = self.watch_for(&phase);
                self.watches.extend(watching.map(|watching| (phase.clone(), watching)));
                self.phases.insert(phase, handle);
            }
            Err(error) => tracing::error!(run = %self.context.run, %phase, %error, "a phase did not open"),
        }
    }

    pub(super) async fn start(&mut self, attempt: AttemptId, model: u32) {
        self.open(attempt.worker.phase.clone()).await;
        let Some(phase) = self.phases.get(&attempt.worker.phase) else {
            return;
        };
        let phase = phase.clone();
        let words = self.turn_words(&attempt).await;
        let assigned =
            words.and_then(|words| assign::assignment(&self.context, &self.course, &attempt, model, words));
        match assigned {
            Ok(assignment) => {
                if let Some(watching) = self.watches.get(&attempt.worker.phase) {
                    watching.board.begins(&attempt.worker.worker);
                }
                let _ = phase.start(assignment);
            }
            Err(ending) => self.happened(Event::Ended { attempt, ending: *ending }, None),
        }
    }

    /// Ends what a talk's workers keep open. Its minutes are whole by now.
    pub(super) async fn dismiss(&mut self, phase: PhaseName) {
        self.minute(&phase);
        self.watches.remove(&phase);
        self.open(phase.clone()).await;
        if let Some(handle) = self.phases.get(&phase) {
            let _ = handle.dismiss(phase);
        }
    }

    /// Its terminal is known to be over, so nothing starts: its answer and its work are taken once more.
    pub(super) async fn settle(&mut self, attempt: AttemptId) {
        let attempts = self.course.worker(&attempt.worker).map(WorkerCourse::attempts).unwrap_or_default();
        if let Some(model) = attempts.last().map(|last| last.model) {
            self.start(attempt, model).await;
        }
    }

    pub(super) async fn mailbox(&mut self) -> Option<MailboxHandle> {
        if self.mailbox.is_none() {
            let (posted, letters) = mpsc::unbounded_channel();
            let arguments = MailboxArguments {
                run: self.context.run.clone(),
                journal: self.journal.clone(),
                letters_max: LETTERS_MAX,
                messages_max: self.course.letters_max(),
                posted: Some(posted),
            };
            match MailboxHandle::start(arguments, Some(self.cell.clone())).await {
                Ok(mailbox) => {
                    tokio::spawn(tell_letters(letters, self.me.clone()));
                    self.mailbox = Some(mailbox);
                }
                Err(error) => tracing::error!(run = %self.context.run, %error, "the mailbox did not open"),
            }
        }
        self.mailbox.clone()
    }

    pub(super) fn gather(&mut self, phase: PhaseName, round: u32) {
        let work = gather::work(&self.context, &self.course, &phase, round);
        let me = self.me.clone();
        tokio::task::spawn_blocking(move || {
            crate::failpoint::hit("run.before_gather");
            let gathering = gather::gather(&work);
            crate::failpoint::hit("run.after_gather");
            me.happened(Event::Gathered { phase, round, gathering });
        });
    }

    pub(super) fn wake(&mut self, wake: Wake, after_ms: u64) {
        let after = self.context.left_of(&wake, Duration::from_millis(after_ms));
        let (me, what) = (self.me.clone(), wake.clone());
        let clock = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            me.happened(Event::Expired { wake: what });
        });
        if let Some(earlier) = self.clocks.insert(wake, clock.abort_handle()) {
            earlier.abort();
        }
    }

    pub(super) fn close(&mut self, phase: &PhaseName) {
        self.watches.remove(phase);
        if let Some(handle) = self.phases.remove(phase) {
            handle.stop();
        }
        self.clocks.retain(|wake, clock| {
            let of = match wake {
                Wake::Timeout { attempt } | Wake::Backoff { attempt } => &attempt.worker.phase,
                Wake::Quiet { phase, .. } => phase,
            };
            let over = of == phase;
            if over {
                clock.abort();
            }
            !over
        });
    }
}

//! Runs that were begun inside sessions of this one. None of them outlives the session it was begun in.

use niia_spec::course::{Bound, EndReason, Event, Outcome, Withheld};
use niia_spec::name::AttemptId;
use niia_spec::plan::{PhasePlan, PhaseWork};
use ractor::RpcReplyPort;

use super::{OVER, RunHandle, RunState, Then};

mod kin;

pub use kin::{Family, TreePlace};

impl RunState {
    /// What a session of this run tells. Its end counts once nothing lives that was begun in it.
    pub(super) fn heard(&mut self, event: Event, durable: Option<RpcReplyPort<()>>) {
        let event = self.shaped(event);
        let then = |durable: Option<RpcReplyPort<()>>| durable.map(Then::Recorded);
        let Event::Ended { attempt, ending } = &event else {
            return self.happened(event, then(durable));
        };
        // A run that stands for the attempt waits on for its person.
        if matches!(ending.outcome, Outcome::NeedsAttention { .. }) && self.is_connector(attempt) {
            return self.happened(event, then(durable));
        }
        let session = self.context.session_id(attempt);
        let children = self.context.live.family.children(&session);
        if children.is_empty() {
            return self.happened(event, then(durable));
        }
        let me = self.me.clone();
        tokio::spawn(async move {
            let reason = format!("the session {session}, in which it was begun, is over");
            for child in children {
                end(&child, &reason).await;
            }
            match durable {
                Some(reply) => me.record_for(event, reply),
                None => me.happened(event),
            }
        });
    }

    /// A good end whose outputs have not the shape that the document asks for is none. What was published meanwhile
    /// counts as well.
    fn shaped(&self, mut event: Event) -> Event {
        let Event::Ended { attempt, ending } = &mut event else { return event };
        let phase = self.context.plan.phases.iter().find(|phase| phase.name == attempt.worker.phase);
        let works = |phase: &&PhasePlan| {
            ending.outcome == Outcome::Done
                && phase.work.workers().iter().any(|worker| worker.name == attempt.worker.worker)
                && self.course.talk(&phase.name).is_none()
        };
        let Some(phase) = phase.filter(works) else { return event };
        let Some(schema) = &phase.output_schema else { return event };
        let mut outputs = self.course.outputs_of(&attempt.worker).cloned().unwrap_or_default();
        outputs.extend(ending.outputs.clone());
        if let Some(wrong) = niia_spec::shape::misfit(schema, &outputs) {
            let reason = format!("its outputs do not fit `output_schema`: {wrong}");
            // The run of a document is not begun anew for that.
            ending.outcome = match phase.work {
                PhaseWork::Connector { .. } => Outcome::Failed { reason },
                _ => Outcome::Misshapen { reason },
            };
        }
        event
    }

    /// Asks every run above, the outermost first, for so much of a bound.
    pub(super) fn reserve(&self, of: Bound, total: u32) {
        let (me, family) = (self.me.clone(), self.context.live.family.clone());
        let (run, lineage) = (self.context.run.clone(), self.context.lineage.clone());
        tokio::spawn(async move {
            for session in &lineage {
                // A run above that is gone has this one ended, and needs no answer for that.
                let Some(above) = family.up(&session.run).await else { return };
                match above.lend(run.clone(), of, total).await {
                    Ok(Ok(())) => {}
                    Ok(Err(limit)) => {
                        let by = session.run.clone();
                        return me.happened(Event::Withheld(Withheld { of, limit, by }));
                    }
                    Err(error) => return tracing::debug!(%run, %error, "a run above is gone"),
                }
            }
            me.happened(Event::Reserved { of, total });
        });
    }

    fn is_connector(&self, attempt: &AttemptId) -> bool {
        let phase = self.context.plan.phases.iter().find(|phase| phase.name == attempt.worker.phase);
        phase.is_some_and(|phase| matches!(phase.work, PhaseWork::Connector { .. }))
    }

    /// The run is over: what was begun in it and still waits for a person waits in vain.
    pub(super) fn end_descendants(&self) {
        for child in self.context.live.family.below(&self.context.run) {
            let reason = format!("the run {}, in which it was begun, is over", self.context.run);
            child.happened(Event::Cancelled { reason });
        }
    }

    /// An attempt is ended by order: whatever was begun in it is, at the same time.
    pub(super) fn end_children(&self, attempt: &AttemptId, reason: EndReason) {
        let why = match reason {
            EndReason::TimedOut => "ran out of time",
            EndReason::Cancelled => "was cancelled",
            EndReason::NotNeeded => "is not needed any more",
        };
        let session = self.context.session_id(attempt);
        for child in self.context.live.family.children(&session) {
            let reason = format!("the session {session}, in which it was begun, {why}");
            child.happened(Event::Cancelled { reason });
        }
    }
}

/// Cancels a run and waits until its end is durable.
async fn end(run: &RunHandle, reason: &str) {
    // A run that is gone is over.
    let Ok(mut changes) = run.watch().await else { return };
    if run.record(Event::Cancelled { reason: reason.to_owned() }).await.is_ok() {
        let _ = changes.wait_for(|version| *version == OVER).await;
    }
}

//! The runs of a node that live, in which sessions they were begun, and how many sessions each tree of them may have.
//!
//! A bound on sessions holds over a run and everything inside it. A run inside is given one place when it is taken in
//! and keeps it, so that it always gets on; for more its sessions wait until there is room in every run above.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_spec::name::{RunId, SessionId};
use tokio::sync::Notify;

use crate::run::RunHandle;

/// How long a run that is taken up waits for those above: they follow within a moment.
const UP_TRIES_MAX: u32 = 300;
const UP_PAUSE: Duration = Duration::from_millis(100);

/// The live runs of a node. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Family(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    members: Mutex<HashMap<RunId, Member>>,
    /// A session has ended, or a run.
    room: Notify,
}

#[derive(Clone, Debug)]
struct Member {
    handle: RunHandle,
    lineage: Vec<SessionId>,
    max_parallel: Option<u32>,
    /// Sessions of it that have a place.
    placed: u32,
}

impl Member {
    /// The places it takes in the runs above.
    fn takes(&self) -> u32 {
        if self.lineage.is_empty() { self.placed } else { self.placed.max(1) }
    }

    fn is_within(&self, run: &RunId) -> bool {
        self.lineage.iter().any(|session| session.run == *run)
    }
}

/// A place among the sessions of a tree, until it is dropped.
#[derive(Debug)]
pub struct TreePlace {
    family: Family,
    run: RunId,
}

impl Drop for TreePlace {
    fn drop(&mut self) {
        self.family.with(|all| {
            if let Some(member) = all.get_mut(&self.run) {
                member.placed = member.placed.saturating_sub(1);
            }
        });
        self.family.0.room.notify_waiters();
    }
}

impl Family {
    pub(in crate::run) fn enter(
        &self,
        run: &RunId,
        handle: &RunHandle,
        lineage: &[SessionId],
        max_parallel: Option<u32>,
    ) {
        let (handle, lineage) = (handle.clone(), lineage.to_vec());
        self.with(|all| {
            // A run whose actor was replaced has its sessions still.
            let placed = all.get(run).map_or(0, |before| before.placed);
            all.insert(run.clone(), Member { handle, lineage, max_parallel, placed });
        });
    }

    pub(in crate::run) fn leave(&self, run: &RunId) {
        self.with(|all| all.remove(run));
        self.0.room.notify_waiters();
    }

    /// Whether one more run may be begun in the innermost of these sessions; else the run that has no room, and its bound.
    pub fn has_room(&self, lineage: &[SessionId]) -> Result<(), (RunId, u32)> {
        self.with(|all| {
            let above = lineage.iter().map(|session| session.run.clone());
            above.into_iter().try_for_each(|run| full(all, &run).map_or(Ok(()), |max| Err((run, max))))
        })
    }

    /// Waits for a place for a session of this run.
    pub(crate) async fn place(&self, run: &RunId) -> TreePlace {
        loop {
            let changed = self.0.room.notified();
            tokio::pin!(changed);
            // Asked for before it is looked, so that no change in between is missed.
            changed.as_mut().enable();
            if self.with(|all| try_place(all, run)) {
                return TreePlace { family: self.clone(), run: run.clone() };
            }
            changed.await;
        }
    }

    /// A session that lives already has its place, whatever the bounds.
    pub(crate) fn has_place(&self, run: &RunId) -> TreePlace {
        self.with(|all| {
            if let Some(member) = all.get_mut(run) {
                member.placed += 1;
            }
        });
        TreePlace { family: self.clone(), run: run.clone() }
    }

    /// The live runs that were begun by this session itself.
    pub fn children(&self, session: &SessionId) -> Vec<RunHandle> {
        self.members(session).into_iter().map(|(_, handle)| handle).collect()
    }

    /// The same with their names.
    pub fn members(&self, session: &SessionId) -> Vec<(RunId, RunHandle)> {
        self.with(|all| {
            let begun = all.iter().filter(|(_, member)| member.lineage.last() == Some(session));
            begun.map(|(run, member)| (run.clone(), member.handle.clone())).collect()
        })
    }

    /// A live run. After a restart the inner ones are there before those above.
    pub(in crate::run) async fn up(&self, run: &RunId) -> Option<RunHandle> {
        for _ in 0..UP_TRIES_MAX {
            if let Some(found) = self.with(|all| all.get(run).map(|member| member.handle.clone())) {
                return Some(found);
            }
            tokio::time::sleep(UP_PAUSE).await;
        }
        None
    }

    /// The live runs that were begun by sessions of this run.
    pub(in crate::run) fn below(&self, run: &RunId) -> Vec<RunHandle> {
        self.with(|all| {
            let of_run = |member: &&Member| member.lineage.last().is_some_and(|session| session.run == *run);
            all.values().filter(of_run).map(|member| member.handle.clone()).collect()
        })
    }

    /// The sessions a live run was begun in, the outermost first.
    pub fn lineage(&self, run: &RunId) -> Option<Vec<SessionId>> {
        self.with(|all| all.get(run).map(|member| member.lineage.clone()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<RunId, Member>) -> T) -> T {
        look(&mut self.0.members.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bound of a run that has no room for one more.
fn full(all: &HashMap<RunId, Member>, run: &RunId) -> Option<u32> {
    let own = all.get(run)?;
    let max = own.max_parallel?.max(1);
    let inside: u32 = all.values().filter(|member| member.is_within(run)).map(Member::takes).sum();
    (own.placed + inside >= max).then_some(max)
}

fn try_place(all: &mut HashMap<RunId, Member>, run: &RunId) -> bool {
    let Some(member) = all.get(run) else { return true };
    // The first session of a run inside has the place that was kept for it.
    let kept = member.placed == 0 && !member.lineage.is_empty();
    let above: Vec<RunId> = member.lineage.iter().map(|session| session.run.clone()).collect();
    let refused = above.iter().any(|run| full(all, run).is_some()) && !kept;
    if refused || full(all, run).is_some() {
        return false;
    }
    if let Some(member) = all.get_mut(run) {
        member.placed += 1;
    }
    true
}

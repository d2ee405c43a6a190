//! Starts of tools, a few of one kind at a time: seventeen that start at once each take as long as all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Tools of one profile that start at the same time.
pub const STARTS_MAX: usize = 4;
/// A start that is not over by then holds nobody up any more.
const START_MAX: Duration = Duration::from_secs(20);

/// Clones share the turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Starts(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

/// A start that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Start {
    _over: oneshot::Sender<()>,
}

impl Starts {
    /// Waits for a turn among the starts of this profile.
    pub(crate) async fn turn(&self, profile: &str) -> Option<Start> {
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(profile.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(STARTS_MAX))))
        };
        // The semaphore is never closed.
        let turn = turns.acquire_owned().await.ok()?;
        let (over, is_over) = oneshot::channel();
        tokio::spawn(hold(turn, is_over));
        Some(Start { _over: over })
    }
}

async fn hold(turn: OwnedSemaphorePermit, is_over: oneshot::Receiver<()>) {
    // Over is over, be it said or dropped; so is a start that takes too long.
    drop(tokio::time::timeout(START_MAX, is_over).await);
    drop(turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn few_start_at_a_time_and_one_that_hangs_holds_nobody_up_for_long() {
        let starts = Starts::default();
        let mut held = Vec::new();
        for _ in 0..STARTS_MAX {
            held.push(starts.turn("claude").await);
        }
        let waits = |ms| tokio::time::timeout(Duration::from_millis(ms), starts.turn("claude"));
        assert!(waits(1_000).await.is_err(), "all turns are taken");
        assert!(tokio::time::timeout(Duration::from_millis(1), starts.turn("codex")).await.is_ok());
        drop(held.pop());
        assert!(waits(1_000).await.is_ok());
        assert!(waits(30_000).await.is_ok(), "the others are taken to be over");
    }
}

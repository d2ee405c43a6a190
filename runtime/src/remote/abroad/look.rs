//! Looking after a run abroad: its result comes here when it rests, whether or not this machine was awake meanwhile.

use std::path::Path;
use std::sync::Arc;

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository};
use niia_actors::run::RunNews;
use niia_net::reconnect;
use niia_spec::name::RunId;
use niia_spec::notice::RunState;

use super::record::{Brought, Standing};
use super::{Abroad, GIVEN_WITHIN, REFUSALS_MAX, WAITING_PAUSE, heard, out_of_turn};
use crate::remote::carry::Trouble;
use crate::remote::guest::blocking;
use crate::remote::words::{Purpose, Told, Word};

impl Abroad {
    pub(super) async fn forget(&self, run: &RunId) {
        let Some(record) = self.with(|all| all.remove(run)) else { return };
        if let Err(error) = blocking(move || record.remove()).await {
            tracing::warn!(%run, %error, "what was prepared of a run abroad is not removed");
        }
    }

    /// Asks after a run until its result is here.
    pub(super) async fn look_after(self: Arc<Self>, run: RunId) {
        let mut failures = 0;
        let mut told = RunState::Running;
        loop {
            let pause = match self.collect(&run, false).await {
                Ok(state) => {
                    if state != told {
                        self.tell(&run, state);
                    }
                    if state.is_over() {
                        return;
                    }
                    (told, failures) = (state, 0);
                    WAITING_PAUSE
                }
                Err(Trouble::Refused(reason)) => {
                    tracing::warn!(%run, reason, "its home says nothing of a run");
                    failures += 1;
                    let offered = self.get(&run).is_none_or(|record| record.standing == Standing::Offered);
                    // What was offered a moment ago may still be on its way in.
                    if offered && failures > REFUSALS_MAX {
                        return self.forget(&run).await;
                    }
                    WAITING_PAUSE
                }
                Err(Trouble::Home(reason)) => {
                    tracing::error!(%run, reason, "what came of a run abroad cannot be kept");
                    failures += 1;
                    WAITING_PAUSE
                }
                Err(Trouble::Broken(reason)) => {
                    tracing::debug!(%run, reason, "the home of a run is not reached");
                    failures += 1;
                    reconnect::pause(failures, fastrand::u64(..))
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(&self, run: &RunId, state: RunState) {
        let news = match state {
            RunState::NeedsAttention => RunNews::Waits { run: run.clone() },
            state => RunNews::Over { run: run.clone(), state, inside: false },
        };
        // A node that goes down tells nobody.
        drop(self.news.send(news));
    }

    /// Brings what there is of a run: once it rests, or now.
    async fn collect(&self, run: &RunId, now: bool) -> Result<RunState, Trouble> {
        let record = self.get(run).ok_or_else(|| Trouble::Home("it is not known here".to_owned()))?;
        let mut talk = self.talk(&record.home, &Purpose::Collect { run: run.clone(), now }).await?;
        match heard(&mut talk).await? {
            (Word::Known, _) => {}
            (Word::New { .. }, _) => return Err(Trouble::Refused("it was never begun there".to_owned())),
            (Word::Refused { reason }, _) => return Err(Trouble::Refused(reason)),
            (word, _) => return Err(out_of_turn(&word)),
        }
        let root = record.repository.clone();
        let known = blocking(move || known_here(root.as_deref())).await;
        talk.say(&Word::New { known: known.map_err(|error| Trouble::Home(error.to_string()))? }).await?;
        let mut brought = Brought::default();
        let told: Told = loop {
            match heard(&mut talk).await? {
                (Word::Pack, bytes) => brought.pack = Some(bytes),
                (Word::Answer, bytes) => brought.report = Some(bytes),
                (Word::Written { path }, bytes) => brought.written.push((path, bytes)),
                (Word::Stands, bytes) => {
                    break serde_json::from_slice(&bytes).map_err(|error| {
                        Trouble::Broken(format!("how it stands cannot be read: {error}"))
                    })?;
                }
                (Word::Beat, _) => {}
                (Word::Refused { reason }, _) => return Err(Trouble::Refused(reason)),
                (word, _) => return Err(out_of_turn(&word)),
            }
        };
        let state = told.view.state;
        let _taking = self.taking.lock().await;
        let mut record = self.get(run).unwrap_or(record);
        let taken = blocking(move || {
            record.take(told, brought)?;
            Ok(record)
        });
        self.put(taken.await.map_err(|error| Trouble::Home(error.to_string()))?);
        // Home tells it once more where this word is lost.
        let _ = talk.say(&Word::Collected).await;
        Ok(state)
    }

    /// Brings what there is now, for somebody who asks.
    pub async fn fetch(&self, run: &RunId) -> Result<(), String> {
        if self.get(run).is_some_and(|record| record.standing == Standing::Collected) {
            return Ok(());
        }
        match tokio::time::timeout(GIVEN_WITHIN, self.collect(run, true)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Trouble::Broken(reason) | Trouble::Refused(reason) | Trouble::Home(reason))) => {
                Err(reason)
            }
            Err(_) => Err(format!("no answer within {GIVEN_WITHIN:?}")),
        }
    }
}

fn known_here(root: Option<&Path>) -> Result<Vec<ObjectId>, String> {
    let Some(root) = root else { return Ok(Vec::new()) };
    let repository = Repository::discover(root).map_err(|error| chain(&error))?;
    repository.known().map_err(|error| chain(&error))
}

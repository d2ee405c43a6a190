//! Runs that were begun here and have their home on another machine: given away whole, looked after from afar, and
//! their result brought back when it is there, whether or not this machine was awake meanwhile.

mod give;
mod look;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::run::RunNews;
use niia_net::identity::NodeId;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{RunState, RunView};
use tokio::sync::mpsc;

use super::carry::{BEAT, Trouble};
use super::talk::Talk;
use super::words::{Purpose, Word};
use crate::control::words::{Refusal, RefusalCode};
use crate::network::Network;
use record::{Record, Standing};

/// How long a home is looked for that was reached a moment ago.
const GIVEN_WITHIN: Duration = Duration::from_secs(30);
/// Without a word for so long the way to a home counts as broken: four beats.
const SILENT_AFTER: Duration = Duration::from_secs(8);
/// A home that was offered a run and does not know it so often has not taken it.
const REFUSALS_MAX: u32 = 6;
/// How often a run that waits for a person is asked after.
const WAITING_PAUSE: Duration = Duration::from_secs(10);

/// All runs that were begun here and live elsewhere.
#[derive(Debug)]
pub struct Abroad {
    folder: PathBuf,
    network: Option<Arc<Network>>,
    news: mpsc::UnboundedSender<RunNews>,
    all: Mutex<BTreeMap<RunId, Record>>,
    /// One result after the other is taken: somebody may ask while one comes by itself.
    taking: tokio::sync::Mutex<()>,
}

impl Abroad {
    /// What an earlier node of this machine had given away.
    pub fn open(
        state_folder: &Path,
        network: Option<Arc<Network>>,
        news: mpsc::UnboundedSender<RunNews>,
    ) -> Abroad {
        let folder = state_folder.join("abroad");
        let all = record::all(&folder).into_iter().map(|record| (record.run.clone(), record)).collect();
        Abroad { folder, network, news, all: Mutex::new(all), taking: tokio::sync::Mutex::default() }
    }

    /// Asks after everything whose result is not here.
    pub fn take_up(self: &Arc<Self>) {
        let open = |record: &&Record| record.standing != Standing::Collected;
        let runs: Vec<RunId> = self.with(|all| all.values().filter(open).map(|r| r.run.clone()).collect());
        for run in runs {
            tokio::spawn(Arc::clone(self).look_after(run));
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<RunId, Record>) -> T) -> T {
        look(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, run: &RunId) -> Option<Record> {
        self.with(|all| all.get(run).cloned())
    }

    fn put(&self, record: Record) {
        self.with(|all| drop(all.insert(record.run.clone(), record)));
    }

    /// The runs a name means: that one, or all that begin so.
    pub fn named(&self, name: &str) -> Vec<RunId> {
        self.with(|all| match all.keys().find(|run| run.as_str() == name) {
            Some(run) => vec![run.clone()],
            None => all.keys().filter(|run| run.as_str().starts_with(name)).cloned().collect(),
        })
    }

    /// The newest one, and when it was begun.
    pub fn newest(&self) -> Option<(RunId, u64)> {
        self.with(|all| all.values().max_by_key(|r| r.begun_at_ms).map(|r| (r.run.clone(), r.begun_at_ms)))
    }

    pub fn home_of(&self, run: &RunId) -> Option<NodeId> {
        self.get(run).map(|record| record.home)
    }

    fn home_name(&self, id: &NodeId) -> String {
        let known = self.network.as_ref().and_then(|network| network.trust().get(id));
        known.map_or_else(|| id.short(), |peer| peer.name)
    }

    /// A view that came from home, as it is shown here.
    pub fn shown(&self, view: RunView) -> RunView {
        match self.get(&view.run) {
            Some(record) => record.shown(view, &self.home_name(&record.home)),
            None => view,
        }
    }

    /// How a run stood when it was last heard of.
    pub fn last_seen(&self, run: &RunId) -> Option<RunView> {
        let record = self.get(run)?;
        let home = self.home_name(&record.home);
        let view = record.seen.clone().unwrap_or_else(|| unheard(&record));
        Some(record.shown(view, &home))
    }

    /// All, as they stood when they were last heard of.
    pub fn all_seen(&self) -> Vec<RunView> {
        let runs: Vec<RunId> = self.with(|all| all.keys().cloned().collect());
        runs.iter().filter_map(|run| self.last_seen(run)).collect()
    }

    /// Remembers how it stands.
    pub fn saw(&self, view: &RunView) {
        self.with(|all| {
            if let Some(record) = all.get_mut(&view.run) {
                record.seen = Some(view.clone());
            }
        });
    }

    fn network(&self) -> Result<&Arc<Network>, String> {
        self.network
            .as_ref()
            .ok_or_else(|| "this node's own key cannot be used, so it reaches nobody".to_owned())
    }

    async fn talk(&self, home: &NodeId, purpose: &Purpose) -> Result<Talk, Trouble> {
        let network = self.network().map_err(Trouble::Home)?;
        let link = network.reach(home).await.map_err(|error| Trouble::Broken(chain(&error)))?;
        let stream = link.open(purpose).await.map_err(|error| Trouble::Broken(chain(&error)))?;
        Ok(Talk::over(stream))
    }
}

async fn heard(talk: &mut Talk) -> Result<(Word, Vec<u8>), Trouble> {
    heard_within(talk, SILENT_AFTER + BEAT).await
}

async fn heard_within(talk: &mut Talk, within: Duration) -> Result<(Word, Vec<u8>), Trouble> {
    let heard = tokio::time::timeout(within, talk.next()).await;
    Ok(heard.map_err(|_| Trouble::Broken("it has gone silent".to_owned()))??)
}

fn out_of_turn(word: &Word) -> Trouble {
    Trouble::Broken(format!("it says {word:?} out of turn"))
}

/// A run of which nothing was heard yet.
fn unheard(record: &Record) -> RunView {
    let stem = record.run.as_str().rsplit_once('-').map_or(record.run.as_str(), |(stem, _)| stem);
    RunView {
        run: record.run.clone(),
        name: Slug::nearest(stem).to_string(),
        parent: None,
        state: RunState::Running,
        reason: (record.standing == Standing::Offered)
            .then(|| "whether it was taken is not known".to_owned()),
        begun_at_ms: record.begun_at_ms,
        ended_at_ms: None,
        occasion: None,
        origin: String::new(),
        repository: None,
        folder: String::new(),
        report: None,
        branch: None,
        phases: Vec::new(),
        usage: niia_spec::usage::Total::default(),
        warnings: Vec::new(),
    }
}

fn refusal(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, help: None }
}

//! Runs that were begun here and have their home on another machine: given away whole, looked after from afar, and
//! their result brought back when it is there, whether or not this machine was awake meanwhile.

mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository, RunTrees};
use niia_actors::run::RunNews;
use niia_net::identity::NodeId;
use niia_net::reconnect;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{RunState, RunView};
use niia_spec::origin::Origin;
use niia_spec::plan::Plan;
use tokio::sync::mpsc;

use super::carry::{BEAT, Trouble};
use super::guest::blocking;
use super::talk::Talk;
use super::words::{HostOffer, Purpose, Told, Word};
use crate::control::words::{Refusal, RefusalCode};
use crate::network::{Network, boottime};
use crate::node::accept;
use record::{Brought, Record, Standing};

/// How long a home is looked for that was reached a moment ago.
const GIVEN_WITHIN: Duration = Duration::from_secs(30);
/// Without a word for so long the way to a home counts as broken: four beats.
const SILENT_AFTER: Duration = Duration::from_secs(8);
/// How often a run that waits for a person is asked after.
const WAITING_PAUSE: Duration = Duration::from_secs(10);

/// All runs that were begun here and live elsewhere.
#[derive(Debug)]
pub struct Abroad {
    folder: PathBuf,
    network: Option<Arc<Network>>,
    news: mpsc::UnboundedSender<RunNews>,
    all: Mutex<BTreeMap<RunId, Record>>,
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
        Abroad { folder, network, news, all: Mutex::new(all) }
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

    /// Gives a run a home elsewhere. When this returns its name, it is durable there.
    pub async fn begin(
        self: &Arc<Self>,
        machine: &str,
        plan: Plan,
        origin: Origin,
    ) -> Result<(RunId, PathBuf), Refusal> {
        let network = self.network().map_err(|reason| refusal(RefusalCode::Trouble, reason))?;
        let home = network.named(machine).map_err(|message| Refusal {
            help: Some("`niia peer ls` lists them, `niia pair` adds one".to_owned()),
            ..refusal(RefusalCode::NotFound, message)
        })?;
        // Nothing is made here before the way there is known to be open.
        let reached = network.reach(&home).await;
        reached.map_err(|error| refusal(RefusalCode::State, chain(&error)))?;
        let run = accept::name(&plan.name);
        let (record, offer) = self.prepared(run.clone(), home, plan, origin).await?;
        self.put(record.clone());
        let given = self.given(&record, &offer).await;
        match given {
            Ok(()) => {
                let record = Record { standing: Standing::Taken, ..record };
                record.keep().map_err(|error| refusal(RefusalCode::Trouble, error.to_string()))?;
                let folder = record.folder.clone();
                self.put(record);
                tokio::spawn(Arc::clone(self).look_after(run.clone()));
                Ok((run, folder))
            }
            Err(Trouble::Broken(reason)) => {
                tokio::spawn(Arc::clone(self).look_after(run.clone()));
                let name = self.home_name(&home);
                let help = format!("`niia status {run}` says so once {name} is reached");
                let message = format!("nobody can say whether {name} has taken the run {run}: {reason}");
                Err(Refusal { help: Some(help), ..refusal(RefusalCode::State, message) })
            }
            Err(Trouble::Refused(reason) | Trouble::Home(reason)) => {
                self.forget(&run).await;
                let message = format!("{} refuses: {reason}", self.home_name(&home));
                Err(refusal(RefusalCode::Unsupported, message))
            }
        }
    }

    /// What is written down before the run is offered, and the offer.
    async fn prepared(
        &self,
        run: RunId,
        home: NodeId,
        mut plan: Plan,
        mut origin: Origin,
    ) -> Result<(Record, Vec<u8>), Refusal> {
        let mut outputs = BTreeMap::new();
        for (n, phase) in plan.phases.iter_mut().enumerate() {
            if let Some(path) = phase.output.take() {
                let name = format!("output-{n}");
                outputs.insert(name.clone(), origin.cwd.join(path));
                phase.output = Some(name);
            }
        }
        let mut record = Record {
            run: run.clone(),
            home,
            repository: origin.repository.take().filter(|_| accept::works_in_trees(&plan)),
            base: None,
            cwd: std::mem::take(&mut origin.cwd),
            outputs,
            output: origin.output.take(),
            begun_at_ms: niia_actors::session::wall_ms(),
            standing: Standing::Offered,
            seen: None,
            withheld: None,
            folder: self.folder.join(run.as_str()),
        };
        let made = tokio::task::spawn_blocking(move || {
            let trouble = |error: String| refusal(RefusalCode::Trouble, error);
            record.keep().map_err(|error| trouble(error.to_string()))?;
            if let Some(root) = &record.repository {
                let repository = Repository::discover(root).map_err(|error| trouble(chain(&error)))?;
                let git = record.folder.join("git");
                let base = accept::starting_point(&repository, &record.run, &git, origin.include_dirty);
                let base = base.inspect_err(|_| drop(std::fs::remove_dir_all(&record.folder)))?;
                RunTrees::begin(&repository, &record.run, &git, &base)
                    .map_err(|error| trouble(chain(&error)))?;
                (origin.base, record.base) = (Some(base.as_str().to_owned()), Some(base));
                record.keep().map_err(|error| trouble(error.to_string()))?;
            }
            let offer = serde_json::to_vec(&HostOffer { plan, origin });
            Ok((record, offer.map_err(|error| trouble(error.to_string()))?))
        });
        made.await.map_err(|error| refusal(RefusalCode::Trouble, error.to_string()))?
    }

    /// Offers it until it is known whether it was taken.
    async fn given(&self, record: &Record, offer: &[u8]) -> Result<(), Trouble> {
        let began = boottime();
        let mut failures = 0;
        loop {
            let trouble = match self.offered(record, offer).await {
                Err(Trouble::Broken(reason)) => reason,
                known => return known,
            };
            if boottime().saturating_sub(began) > GIVEN_WITHIN {
                return Err(Trouble::Broken(trouble));
            }
            failures += 1;
            tokio::time::sleep(reconnect::pause(failures, fastrand::u64(..))).await;
        }
    }

    async fn offered(&self, record: &Record, offer: &[u8]) -> Result<(), Trouble> {
        let repository = record.repository.as_ref().zip(record.base.as_ref());
        let name = repository.as_ref().map(|(root, _)| {
            let common = Repository::discover(root).map(|found| found.common_dir);
            super::repository_name(&common.unwrap_or_else(|_| root.to_path_buf()))
        });
        let purpose = Purpose::Host { run: record.run.clone(), repository: name };
        let mut talk = self.talk(&record.home, &purpose).await?;
        let known = match heard(&mut talk).await? {
            (Word::New { known }, _) => known,
            (Word::Known, _) => return Ok(()),
            (Word::Refused { reason }, _) => return Err(Trouble::Refused(reason)),
            (word, _) => return Err(out_of_turn(&word)),
        };
        talk.bring(&Word::Offer, offer).await?;
        if let Some((root, base)) = repository {
            let (root, base, folder) = (root.clone(), base.clone(), record.folder.clone());
            let pack = blocking(move || pack_of(&root, &folder, &base, &known)).await;
            if let Some(pack) = pack.map_err(|error| Trouble::Home(error.to_string()))? {
                talk.bring(&Word::Pack, &pack).await?;
            }
        }
        talk.say(&Word::Ready).await?;
        match heard_within(&mut talk, GIVEN_WITHIN).await? {
            (Word::Accepted, _) => Ok(()),
            (Word::Refused { reason }, _) => Err(Trouble::Refused(reason)),
            (word, _) => Err(out_of_turn(&word)),
        }
    }

    async fn talk(&self, home: &NodeId, purpose: &Purpose) -> Result<Talk, Trouble> {
        let network = self.network().map_err(Trouble::Home)?;
        let link = network.reach(home).await.map_err(|error| Trouble::Broken(chain(&error)))?;
        let stream = link.open(purpose).await.map_err(|error| Trouble::Broken(chain(&error)))?;
        Ok(Talk::over(stream))
    }

    async fn forget(&self, run: &RunId) {
        let Some(record) = self.with(|all| all.remove(run)) else { return };
        if let Err(error) = blocking(move || record.remove()).await {
            tracing::warn!(%run, %error, "what was prepared of a run abroad is not removed");
        }
    }

    /// Asks after a run until its result is here.
    async fn look_after(self: Arc<Self>, run: RunId) {
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
                    if self.get(&run).is_none_or(|record| record.standing == Standing::Offered) {
                        return self.forget(&run).await;
                    }
                    failures += 1;
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

fn pack_of(
    root: &Path,
    folder: &Path,
    base: &ObjectId,
    known: &[ObjectId],
) -> Result<Option<Vec<u8>>, String> {
    let repository = Repository::discover(root).map_err(|error| chain(&error))?;
    let room = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let pack =
        repository.pack(room.path(), std::slice::from_ref(base), known).map_err(|error| chain(&error))?;
    pack.map(std::fs::read).transpose().map_err(|error| error.to_string())
}

fn known_here(root: Option<&Path>) -> Result<Vec<ObjectId>, String> {
    let Some(root) = root else { return Ok(Vec::new()) };
    let repository = Repository::discover(root).map_err(|error| chain(&error))?;
    repository.known().map_err(|error| chain(&error))
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
        origin: String::new(),
        repository: None,
        folder: String::new(),
        report: None,
        branch: None,
        phases: Vec::new(),
        warnings: Vec::new(),
    }
}

fn refusal(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, help: None }
}

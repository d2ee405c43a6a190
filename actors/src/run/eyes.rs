//! Eyes on git: changes in git wake an idle agent of a mesh, with one letter for all that has come together.
//!
//! What an agent did to its tree itself is no news to it, as long as it worked alone; what others did while it was idle,
//! or at the same time as itself, is. Branches of people are changed by people: every change of theirs is news.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use niia_spec::name::{PhaseName, WorkerId, WorkerName};
use niia_spec::plan::{AgentPlan, PhasePlan, PhaseWork, TreePlan, WatchPlan};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::RunHandle;
use super::context::RunContext;
use crate::ask::chain;
use crate::git::{Diff, ObjectId, RunTrees, TreeName};
use crate::mailbox::{Draft, Party};

/// How often it is looked whether something has changed.
const PERIOD: Duration = Duration::from_millis(500);
/// A look may take this part of the time at most: a large repository is looked at less often.
const REST_TIMES: u32 = 20;
/// Bytes of a diff's statistics in a letter; the whole diff lies in the scratchpad.
const STAT_BYTES_MAX: usize = 8 * 1024;

/// Who is at work in a mesh, told by its run and read by its watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<(Mutex<AtWork>, Notify)>);

#[derive(Debug, Default)]
struct AtWork {
    working: BTreeSet<WorkerName>,
    /// Those of them beside whom somebody else worked.
    beside: BTreeSet<WorkerName>,
    /// Turns that ended, and whether they were made alone.
    ended: Vec<(WorkerName, bool)>,
    begun: BTreeSet<WorkerName>,
}

impl Board {
    /// It had its first turn before this node began.
    pub fn knows(&self, worker: &WorkerName) {
        self.with(|board| {
            board.begun.insert(worker.clone());
        });
    }

    pub fn begins(&self, worker: &WorkerName) {
        self.with(|board| {
            board.working.insert(worker.clone());
            board.begun.insert(worker.clone());
            if board.working.len() > 1 {
                board.beside.extend(board.working.iter().cloned());
            }
        });
    }

    pub fn ends(&self, worker: &WorkerName) {
        self.with(|board| {
            if board.working.remove(worker) {
                let alone = !board.beside.remove(worker);
                board.ended.push((worker.clone(), alone));
            }
        });
        // What is there now it has made itself: that is looked at before somebody else changes it.
        self.0.1.notify_one();
    }

    fn with<T>(&self, act: impl FnOnce(&mut AtWork) -> T) -> T {
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A watch at work; it ends with this handle.
#[derive(Debug)]
pub(super) struct Watching {
    pub board: Board,
    task: Option<AbortHandle>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Begins to watch for the agents of a mesh, where they want that.
pub(super) fn begin(context: &Arc<RunContext>, plan: &PhasePlan, run: &RunHandle) -> Option<Watching> {
    let PhaseWork::Mesh { agents, .. } = &plan.work else {
        return None;
    };
    let board = Board::default();
    let watched = agents.iter().any(|agent| !agent.watch.is_empty());
    let task = context.trees.clone().filter(|_| watched).map(|trees| {
        let eyes = agents.iter().flat_map(|agent| {
            agent
                .watch
                .iter()
                .enumerate()
                .map(|(number, watch)| Eye::new(context, &plan.name, agent, number, watch))
        });
        let watch = Watch {
            context: Arc::clone(context),
            phase: plan.name.clone(),
            trees,
            board: board.clone(),
            run: run.clone(),
            eyes: eyes.collect(),
        };
        tokio::spawn(watch.go_on()).abort_handle()
    });
    Some(Watching { board, task })
}

/// What one agent watches, and what it has seen of that.
#[derive(Debug)]
struct Eye {
    agent: WorkerName,
    target: Target,
    settle: Duration,
    kept: PathBuf,
    seen: Option<Sight>,
    /// Letters so far.
    letters: u64,
    changing: Option<(Sight, Instant)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Tree(String),
    /// Every branch of people, or the one with this full name.
    Refs(Option<Vec<String>>),
}

/// What was seen: of a tree its content, of branches where they stand.
type Sight = BTreeMap<String, ObjectId>;

/// The one name of what is seen of a tree.
const TREE: &str = "worktree";

impl Eye {
    fn new(
        context: &RunContext,
        phase: &PhaseName,
        agent: &AgentPlan,
        number: usize,
        watch: &WatchPlan,
    ) -> Eye {
        let target = match watch.git.as_str() {
            "worktree" => Target::Tree(agent.worker.name.to_string()),
            "refs" => Target::Refs(None),
            branch => {
                Target::Refs(Some(vec![format!("refs/heads/{branch}"), format!("refs/remotes/{branch}")]))
            }
        };
        let agent = agent.worker.name.clone();
        let kept = context.folder.join("watch").join(format!("{phase}-{agent}-{number}.json"));
        let (letters, seen) = match fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            Some::<(u64, BTreeMap<String, String>)>((letters, sight)) => {
                let sight = sight.into_iter().filter_map(|(name, id)| Some((name, ObjectId::new(&id).ok()?)));
                (letters, Some(sight.collect()))
            }
            None => (0, None),
        };
        let settle = Duration::from_millis(watch.settle_ms);
        Eye { agent, target, settle, kept, seen, letters, changing: None }
    }

    fn sees(&mut self, sight: Sight) {
        let told: BTreeMap<&String, &str> = sight.iter().map(|(name, id)| (name, id.as_str())).collect();
        let folder = self.kept.parent().map(fs::create_dir_all).transpose();
        let bytes = serde_json::to_vec(&(self.letters, told)).map_err(std::io::Error::other);
        let kept = folder.and(bytes).and_then(|bytes| fs::write(&self.kept, bytes));
        if let Err(error) = kept {
            tracing::warn!(path = %self.kept.display(), %error, "what was seen is not kept");
        }
        self.seen = Some(sight);
        self.changing = None;
    }
}

struct Watch {
    context: Arc<RunContext>,
    phase: PhaseName,
    trees: RunTrees,
    board: Board,
    run: RunHandle,
    eyes: Vec<Eye>,
}

impl Watch {
    async fn go_on(mut self) {
        loop {
            let began = Instant::now();
            let looked = tokio::task::spawn_blocking(move || {
                let news = self.look();
                (self, news)
            });
            let Ok((watch, news)) = looked.await else { return };
            self = watch;
            let rest = (began.elapsed() * REST_TIMES).max(PERIOD);
            for (worker, id, text) in news {
                self.tell(worker, id, text).await;
            }
            // Whether time has passed or a turn has ended, it is looked again.
            drop(tokio::time::timeout(rest, self.board.0.1.notified()).await);
        }
    }

    async fn tell(&self, worker: WorkerName, id: String, text: String) {
        let to = Party::Worker(WorkerId { phase: self.phase.clone(), worker });
        let draft = Draft { id, from: Party::Niia, to, text, cause: None, urgent: false };
        let sent = match self.run.mailbox().await {
            Ok(mailbox) => mailbox.send(draft).await.map(|sent| sent.map_err(|refusal| chain(&refusal))),
            Err(error) => Err(error),
        };
        match sent {
            Ok(Ok(_)) => {}
            Ok(Err(reason)) => {
                tracing::warn!(run = %self.context.run, reason, "news of changes is not delivered")
            }
            Err(error) => tracing::debug!(run = %self.context.run, %error, "news for a run that is gone"),
        }
    }

    /// What there is to tell: to whom, under which id, in which words.
    fn look(&mut self) -> Vec<(WorkerName, String, String)> {
        let (ended, working, begun) = self
            .board
            .with(|board| (std::mem::take(&mut board.ended), board.working.clone(), board.begun.clone()));
        let mut sights: BTreeMap<Target, Option<Sight>> = BTreeMap::new();
        let mut news = Vec::new();
        for at in 0..self.eyes.len() {
            let target = self.eyes[at].target.clone();
            let sight = sights.entry(target.clone()).or_insert_with(|| self.sight(&target)).clone();
            let Some(sight) = sight else { continue };
            let Some(seen) = self.eyes[at].seen.clone() else {
                let first = self.first(&target).unwrap_or(sight);
                self.eyes[at].sees(first);
                continue;
            };
            let eye = &mut self.eyes[at];
            let others = working.iter().any(|other| *other != eye.agent);
            let own = matches!(target, Target::Tree(_)) && !others;
            if own && ended.iter().any(|(worker, alone)| *worker == eye.agent && *alone) {
                eye.sees(sight);
                continue;
            }
            let idle = begun.contains(&eye.agent) && !working.contains(&eye.agent);
            if !idle || sight == seen {
                eye.changing = None;
                continue;
            }
            match &eye.changing {
                Some((changed, since)) if *changed == sight => {
                    if since.elapsed() >= eye.settle {
                        news.push(self.news(at, &seen, sight));
                    }
                }
                _ => eye.changing = Some((sight, Instant::now())),
            }
        }
        news
    }

    /// What there was to see before anybody worked.
    fn first(&self, target: &Target) -> Option<Sight> {
        match target {
            Target::Tree(_) => {
                let commit = self.trees.result().ok()?;
                Some(BTreeMap::from([(TREE.to_owned(), self.trees.content_at(&commit).ok()?)]))
            }
            Target::Refs(_) => None,
        }
    }

    fn sight(&self, target: &Target) -> Option<Sight> {
        match target {
            Target::Tree(agent) => {
                let name = self.tree_of(agent)?;
                match self.trees.content_now(&name) {
                    Ok(seen) => Some(BTreeMap::from([(TREE.to_owned(), seen?)])),
                    Err(error) => {
                        tracing::debug!(run = %self.context.run, error = chain(&error), "a tree cannot be looked at now");
                        None
                    }
                }
            }
            Target::Refs(wanted) => match self.trees.repository().branches() {
                Ok(branches) => {
                    let is_wanted =
                        |name: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
                    Some(branches.into_iter().filter(|(name, _)| is_wanted(name)).collect())
                }
                Err(error) => {
                    tracing::debug!(run = %self.context.run, error = chain(&error), "branches cannot be looked at now");
                    None
                }
            },
        }
    }

    fn tree_of(&self, agent: &str) -> Option<TreeName> {
        let phase = self.context.plan.phases.iter().find(|phase| phase.name == self.phase)?;
        let worker = phase.work.workers().into_iter().find(|worker| worker.name.as_str() == agent)?;
        match &worker.tree {
            TreePlan::Own { slug } | TreePlan::Shared { slug, .. } => Some(TreeName::Worker(slug.clone())),
            TreePlan::Result => Some(TreeName::Result),
            TreePlan::ReadOnly | TreePlan::Checkout | TreePlan::Folder => None,
        }
    }

    /// The letter about all that has come together since the agent looked last.
    fn news(&mut self, at: usize, seen: &Sight, sight: Sight) -> (WorkerName, String, String) {
        let eye = &mut self.eyes[at];
        eye.letters += 1;
        let (agent, letters) = (eye.agent.clone(), eye.letters);
        eye.sees(sight.clone());
        let id = format!("watch.{}.{agent}.{at}.{letters}", self.phase);
        let path = format!("{}/watch/{agent}-{letters}.diff", self.phase);
        let mut told = Vec::new();
        let mut diffs = Vec::new();
        for (name, new) in &sight {
            if seen.get(name) == Some(new) {
                continue;
            }
            let short = name.trim_start_matches("refs/heads/").trim_start_matches("refs/remotes/");
            let Some(old) = seen.get(name) else {
                told.push(format!("`{short}` is new, at {}", new.as_str()));
                continue;
            };
            if name == TREE {
                told.push("The work tree has changed.".to_owned());
            } else {
                let commits = self.trees.commits_between(old, new).unwrap_or_default();
                told.push(format!("`{short}` went from {} to {}:\n{commits}", old.as_str(), new.as_str()));
            }
            told.push(self.diff(old, new, Diff::Stat));
            diffs.push(self.diff(old, new, Diff::Patch));
        }
        let gone = seen.keys().filter(|name| !sight.contains_key(*name));
        told.extend(gone.map(|name| format!("`{name}` is gone")));
        if !diffs.is_empty() {
            match self.context.scratchpad.put_copy(&path, diffs.concat().as_bytes()) {
                Ok(()) => {
                    let path = self.context.scratchpad_folder().join(&path);
                    told.push(format!("The whole diff is in `{}`.", path.display()));
                }
                Err(error) => {
                    tracing::warn!(run = %self.context.run, error = chain(&error), "a diff is not kept")
                }
            }
        }
        (agent, id, told.join("\n"))
    }

    fn diff(&self, old: &ObjectId, new: &ObjectId, how: Diff) -> String {
        let text = match self.trees.diff_of(old, new, how, false) {
            Ok(diff) => String::from_utf8_lossy(&diff.bytes).into_owned(),
            Err(error) => format!("the difference cannot be told: {}\n", chain(&error)),
        };
        match how {
            Diff::Stat => text.chars().take(STAT_BYTES_MAX).collect(),
            _ => text,
        }
    }
}

//! What is given along with an attempt, and what is kept of what comes back.

use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex, PoisonError};

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, TreeName};
use niia_actors::machine::Assignment;
use niia_actors::session::finish::answer_path;
use niia_spec::course::{Ending, Outcome};
use niia_spec::plan::Egress;

use super::Trouble;
use crate::remote::pad::{Changed, Have, Pad, Take};
use crate::remote::talk::Mouth;
use crate::remote::words::{Offer, Word};

/// The home side of one attempt.
#[derive(Clone)]
pub(super) struct Home {
    assignment: Arc<Assignment>,
    orphan_after_ms: u64,
    pad: Arc<Mutex<Pad>>,
    /// Files that could not be kept, for the ending.
    trouble: Arc<Mutex<Vec<String>>>,
}

impl Home {
    pub fn new(assignment: Arc<Assignment>, orphan_after_ms: u64) -> Home {
        let pad = Arc::new(Mutex::new(Pad::new(Arc::clone(&assignment.context))));
        Home { assignment, orphan_after_ms, pad, trouble: Arc::default() }
    }

    /// A name for the repository that says nothing of its path.
    pub fn repository(&self) -> Option<String> {
        let trees = self.assignment.context.trees.as_ref()?;
        Some(crate::remote::repository_name(&trees.repository().common_dir))
    }

    fn tree(&self) -> Option<TreeName> {
        let worker = &self.assignment.attempt().worker;
        let reading = niia_spec::name::Slug::nearest(&format!("{}-{}", worker.phase, worker.worker));
        TreeName::of_plan(&self.assignment.worker.tree, &reading)
    }

    /// Gives the attempt away: what it is, the commits that are lacking there, the scratchpad.
    pub async fn give(&self, mouth: &mut Mouth, known: Vec<ObjectId>) -> Result<(), Trouble> {
        let this = self.clone();
        let packed = away(move || this.packed(&known)).await?;
        let (offer, pack) = packed;
        mouth.bring(&Word::Offer, &offer).await?;
        if let Some(pack) = pack {
            mouth.bring(&Word::Pack, &pack).await?;
        }
        if self.assignment.worker.session.scratchpad {
            self.send_files(mouth, true).await?;
        }
        mouth.say(&Word::Ready).await?;
        Ok(())
    }

    fn packed(&self, known: &[ObjectId]) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let context = &self.assignment.context;
        let tree = self.tree();
        let tips = match (&context.trees, &tree) {
            (Some(trees), Some(tree)) => Some(trees.tips(Some(tree)).map_err(|error| chain(&error))?),
            _ => None,
        };
        let pack = match (&context.trees, &tips) {
            (Some(trees), Some(tips)) => {
                let folder = tempfile::tempdir_in(&context.folder).map_err(|error| error.to_string())?;
                let pack = trees.repository().pack(folder.path(), &tips.commits(), known);
                let pack = pack.map_err(|error| chain(&error))?;
                pack.map(std::fs::read).transpose().map_err(|error| error.to_string())?
            }
            _ => None,
        };
        let mut worker = (*self.assignment.worker).clone();
        worker.machine.clear();
        let env = &context.origin.env;
        let sent = worker
            .session
            .env_from_home
            .iter()
            .filter_map(|name| Some((name.clone(), env.get(name)?.clone())));
        let offer = Offer {
            plan: (*context.plan).clone(),
            begun_at_ms: context.begun_at_ms,
            profiles: context.origin.profiles.clone(),
            env: sent.collect(),
            worker,
            model: self.assignment.model,
            prompt: self.assignment.prompt.to_string(),
            turn: self.assignment.turn.as_ref().map(ToString::to_string),
            subject: self.assignment.subject.clone(),
            tips,
            orphan_after_ms: self.orphan_after_ms,
        };
        Ok((serde_json::to_vec(&offer).map_err(|error| error.to_string())?, pack))
    }

    /// Sends what changed in the scratchpad here since the last time.
    pub async fn step(&self, mouth: &mut Mouth) -> Result<(), Trouble> {
        if self.assignment.worker.session.scratchpad {
            self.send_files(mouth, false).await?;
        }
        Ok(())
    }

    /// A new talk: what the last one may have swallowed is said again.
    pub fn begins_anew(&self) {
        lock(&self.pad).begins_anew();
    }

    /// The other side has this version of a file.
    pub fn has(&self, path: String, version: String) {
        lock(&self.pad).has(path, version);
    }

    async fn send_files(&self, mouth: &mut Mouth, all: bool) -> Result<(), Trouble> {
        let pad = Arc::clone(&self.pad);
        let changed = away(move || Ok(lock(&pad).changed(all))).await?;
        for Changed { path, parent, bytes } in changed {
            mouth.bring(&Word::File { path, parent }, &bytes).await?;
        }
        Ok(())
    }

    /// Whether anything but answer and outputs may come home.
    fn is_open(&self) -> bool {
        self.assignment.worker.session.egress == Egress::All
    }

    /// Takes a file of the scratchpad there; what is to be answered to it.
    pub async fn file(
        &self,
        path: String,
        parent: Option<String>,
        bytes: Vec<u8>,
    ) -> Result<Option<Have>, Trouble> {
        if !self.is_open() {
            return Ok(None);
        }
        let (pad, trouble) = (Arc::clone(&self.pad), Arc::clone(&self.trouble));
        let attempt = self.assignment.attempt();
        let who = format!("{}-{}", attempt.worker.phase, attempt.worker.worker);
        away(move || {
            let came = Changed { path, parent, bytes };
            match lock(&pad).take(&came, &who) {
                Ok(Take::Beside) => {
                    tracing::warn!(path = came.path, who, "both sides changed a file; both are kept")
                }
                Ok(_) => {}
                Err(reason) => {
                    tracing::warn!(path = came.path, who, reason, "refused: a file that may not be put here");
                    lock(&trouble).push(format!("{}: {reason}", came.path));
                    return Ok(None);
                }
            }
            Ok(Some(came.have()))
        })
        .await
    }

    /// Commits that were made there. They are kept by a branch once the ending names it.
    pub async fn pack(&self, bytes: Vec<u8>) -> Result<(), Trouble> {
        let this = self.clone();
        away(move || {
            let Some(trees) = this.assignment.context.trees.as_ref().filter(|_| this.is_open()) else {
                return Ok(());
            };
            let failed = |error: &dyn std::error::Error| {
                format!("the commits that came are not kept: {}", chain(error))
            };
            let file =
                tempfile::NamedTempFile::new_in(&this.assignment.context.folder).map_err(|e| failed(&e))?;
            std::fs::write(file.path(), bytes).map_err(|error| failed(&error))?;
            trees.repository().take_in(file.path(), &[]).map_err(|error| failed(&error))
        })
        .await
    }

    pub async fn answer(&self, bytes: Vec<u8>) -> Result<(), Trouble> {
        if self.assignment.worker.session.egress == Egress::None {
            return Ok(());
        }
        let assignment = Arc::clone(&self.assignment);
        away(move || {
            let folder = assignment.context.session_folder(assignment.attempt());
            let kept = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            let kept = kept.and_then(|()| std::fs::write(answer_path(&folder), &bytes));
            let kept = kept.and_then(|()| std::fs::File::open(answer_path(&folder))?.sync_all());
            kept.map_err(|error| format!("its answer could not be kept: {error}"))?;
            // What is said in a talk stands in its transcript.
            if assignment.worker.session.scratchpad && assignment.turn.is_none() {
                let worker = &assignment.attempt().worker;
                let path = format!("{}/{}.md", worker.phase, worker.worker);
                if assignment.context.scratchpad.cat(&path).is_err() {
                    assignment.context.scratchpad.put_copy(&path, &bytes).map_err(|error| chain(&error))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// How it ended; its branch is taken over when all of it is here.
    pub async fn over(&self, bytes: Vec<u8>) -> Result<Ending, Trouble> {
        let ending: Ending = serde_json::from_slice(&bytes)
            .map_err(|error| Trouble::Broken(format!("its ending cannot be read: {error}")))?;
        let this = self.clone();
        away(move || this.ended(ending)).await
    }

    fn ended(&self, ending: Ending) -> Result<Ending, String> {
        let mut ending = ending.leaving(self.assignment.worker.session.egress);
        if let (Some(commit), Some(trees), Some(tree)) =
            (&ending.commit, &self.assignment.context.trees, self.tree())
        {
            let commit = ObjectId::new(commit).map_err(|error| error.to_string())?;
            let failed = |error: &dyn std::error::Error| format!("its branch is not whole: {}", chain(error));
            trees.repository().check(std::slice::from_ref(&commit)).map_err(|error| failed(&error))?;
            trees.adopt(&tree, &commit).map_err(|error| failed(&error))?;
        } else if let (Some(trees), Some(tree)) = (&self.assignment.context.trees, self.tree()) {
            // Nothing was changed there: the branch stands where the run stands.
            let tips = trees.tips(Some(&tree)).map_err(|error| chain(&error))?;
            if tips.own.is_none() {
                trees.adopt(&tree, &tips.result).map_err(|error| chain(&error))?;
            }
        }
        let trouble = std::mem::take(&mut *lock(&self.trouble));
        if !trouble.is_empty() && ending.outcome == Outcome::Done {
            let reason = format!("files of its scratchpad could not be kept: {}", trouble.join("; "));
            ending.outcome = Outcome::NeedsAttention { reason };
        }
        Ok(ending)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work with files and git, away from the threads that everybody shares.
async fn away<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Trouble::Home),
        Err(error) => Err(Trouble::Home(format!("niia itself broke: {error}"))),
    }
}

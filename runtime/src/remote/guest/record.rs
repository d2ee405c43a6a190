//! What is on disk of an attempt that is made here for another machine.
//!
//! `guests/<node>/<run>/` is the run's folder, as at home; `attempts/` in it holds an offer for each attempt and, once it
//! is over, how it ended. `guests/<node>/repositories/<name>` holds the commits that came from there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository, RunTrees, TreeName};
use niia_actors::run::{LiveSessions, RunContext, RunMeta};
use niia_net::identity::NodeId;
use niia_spec::course::Ending;
use niia_spec::name::{SessionId, Slug};
use niia_spec::origin::Origin;
use niia_spec::profile::Profiles;
use serde::{Deserialize, Serialize};

use crate::remote::words::Offer;

/// One attempt, as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub session: SessionId,
    pub home: NodeId,
    pub repository: Option<String>,
    pub offer: Offer,
    #[serde(skip)]
    file: PathBuf,
}

/// Where the commits of a repository of another machine are kept.
pub fn repository_folder(guests: &Path, home: &NodeId, name: &str) -> PathBuf {
    guests.join(home.short()).join("repositories").join(Slug::nearest(name).as_str())
}

fn run_folder(guests: &Path, home: &NodeId, run: &str) -> PathBuf {
    guests.join(home.short()).join("runs").join(run)
}

/// All records of all machines; one that cannot be read is said and left where it is.
pub fn all(guests: &Path) -> Vec<Record> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    let runs = folders(guests).into_iter().flat_map(|home| folders(&home.join("runs")));
    let files = runs.flat_map(|run| folders(&run.join("attempts")));
    files
        .filter(|file| file.extension().is_some_and(|end| end == "offer"))
        .filter_map(|file| read(&file))
        .collect()
}

fn read(file: &Path) -> Option<Record> {
    let bytes = fs::read(file).map_err(io::Error::other);
    match bytes.and_then(|bytes| Ok(serde_json::from_slice::<Record>(&bytes)?)) {
        Ok(record) => Some(Record { file: file.to_owned(), ..record }),
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "an attempt of another machine's run cannot be read");
            None
        }
    }
}

impl Record {
    /// Writes an attempt down. When this returns it survives anything but its disk.
    pub fn keep(
        guests: &Path,
        home: NodeId,
        session: SessionId,
        repository: Option<String>,
        offer: Offer,
    ) -> io::Result<Record> {
        let folder = run_folder(guests, &home, session.run.as_str()).join("attempts");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let file = folder.join(format!("{}.offer", session.attempt.to_string().replace('/', "@")));
        let record = Record { session, home, repository, offer, file: file.clone() };
        write_whole(&file, &serde_json::to_vec(&record)?)?;
        Ok(record)
    }

    /// The run's folder here.
    pub fn run_folder(&self, guests: &Path) -> PathBuf {
        run_folder(guests, &self.home, self.session.run.as_str())
    }

    fn ending_file(&self) -> PathBuf {
        self.file.with_extension("over")
    }

    pub fn keep_ending(&self, ending: &Ending) -> io::Result<()> {
        write_whole(&self.ending_file(), &serde_json::to_vec(ending)?)
    }

    pub fn ending(&self) -> Option<Ending> {
        serde_json::from_slice(&fs::read(self.ending_file()).ok()?).ok()
    }

    /// The tree it works in.
    pub fn tree(&self) -> Option<TreeName> {
        let worker = &self.session.attempt.worker;
        let reading = Slug::nearest(&format!("{}-{}", worker.phase, worker.worker));
        TreeName::of_plan(&self.offer.worker.tree, &reading)
    }

    /// What the attempt needs to know of its run, made of what came with it and of this machine's own surroundings.
    pub fn context(&self, guests: &Path, live: LiveSessions) -> Result<RunContext, String> {
        let folder = self.run_folder(guests);
        let work = folder.join("work");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(|error| error.to_string())?;
        let mut origin = Origin { cwd: work, profiles: self.offer.profiles.clone(), ..Origin::default() };
        origin.env = self.environment()?;
        let mut base = None;
        if let (Some(name), Some(tips)) = (&self.repository, &self.offer.tips) {
            let at = repository_folder(guests, &self.home, name);
            let repository = Repository::empty(&at).map_err(|error| chain(&error))?;
            let git = folder.join("git");
            let trees = RunTrees::begin(&repository, &self.session.run, &git, &tips.base);
            let trees = trees.map_err(|error| chain(&error))?;
            let tree = self.tree();
            // A tree that is there already is further than what came.
            if !tree.as_ref().is_some_and(|tree| trees.is_here(tree)) {
                trees.stand_at(tree.as_ref(), tips).map_err(|error| chain(&error))?;
            }
            repository.keep_commit("carried", &tips.result).map_err(|error| chain(&error))?;
            (origin.repository, base) = (Some(at), Some(tips.base.as_str().to_owned()));
        }
        let meta = RunMeta { begun_at_ms: self.offer.begun_at_ms, origin, base, lineage: Vec::new() };
        let plan = Arc::new(self.offer.plan.clone());
        RunContext::open(&self.session.run, folder, plan, meta, live).map_err(|error| chain(&error))
    }

    /// Variables of this machine that its sessions may have, and those that were sent along.
    fn environment(&self) -> Result<BTreeMap<String, String>, String> {
        let own = self.offer.profiles.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let profiles =
            Profiles::built_in().and_then(|known| known.with(own)).map_err(|error| chain(&error))?;
        let mut env = crate::command::environment_of(&self.offer.worker, &profiles);
        env.extend(self.offer.env.clone());
        Ok(env)
    }

    /// The commits that were made here, as a pack; nothing where none were.
    pub fn work(&self, context: &RunContext, ending: &Ending) -> Result<Option<Vec<u8>>, String> {
        let (Some(trees), Some(commit), Some(tips)) = (&context.trees, &ending.commit, &self.offer.tips)
        else {
            return Ok(None);
        };
        let commit = ObjectId::new(commit).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir_in(&context.folder).map_err(|error| error.to_string())?;
        let pack = trees.repository().pack(folder.path(), &[commit], &tips.commits());
        pack.map_err(|error| chain(&error))?.map(fs::read).transpose().map_err(|error| error.to_string())
    }

    /// Takes back that it was accepted.
    pub fn discard(&self, guests: &Path, last: bool) -> io::Result<()> {
        fs::remove_file(&self.file)?;
        if last { fs::remove_dir_all(self.run_folder(guests)) } else { Ok(()) }
    }

    /// Removes it, and with the last one everything of its run but the commits that may be of use again.
    pub fn remove(&self, context: &RunContext, last: bool) -> io::Result<()> {
        for file in [self.file.clone(), self.ending_file()] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if !last {
            return Ok(());
        }
        fs::remove_dir_all(&context.folder)?;
        if let Some(trees) = &context.trees {
            trees.repository().forget_run(self.session.run.as_str()).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Whole or not at all, and durable.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

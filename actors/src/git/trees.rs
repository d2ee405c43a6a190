//! The trees of one run: where they lie, what their branches are called, and the run's line `result`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use niia_spec::name::{RunId, Slug};
use niia_spec::plan::TreePlan;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, write_whole};
use super::error::GitError;
use super::lock::Lock;
use super::marker::Marker;
use super::paths;
use super::private::PrivateRepository;
use super::refs;
use super::repository::{ObjectId, Repository};
use super::steps::step;

/// Which tree of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeName {
    /// A worker's own tree, or one shared by all who name this slug.
    Worker(Slug),
    /// The tree of the run's line: what is done in it is merged into `result` first.
    Result,
    /// A tree to look at, with a detached head. Nothing is ever committed from it.
    Reading(Slug),
    /// The tree in which a conflict is mended.
    Mending,
    /// The line of a run that was begun inside this one: a branch to be merged, and no tree.
    Child(RunId),
}

impl TreeName {
    /// The tree that a plan gives a worker; nothing where it works in a folder that is not niia's. `reading` names a
    /// tree that is only read.
    pub fn of_plan(plan: &TreePlan, reading: &Slug) -> Option<TreeName> {
        match plan {
            TreePlan::Own { slug } | TreePlan::Shared { slug, .. } => Some(TreeName::Worker(slug.clone())),
            TreePlan::Result => Some(TreeName::Result),
            TreePlan::ReadOnly => Some(TreeName::Reading(reading.clone())),
            TreePlan::Checkout | TreePlan::Folder => None,
        }
    }

    pub(super) fn of_file(name: &str) -> Option<TreeName> {
        match name.split_once('@') {
            None if name == "result" => Some(TreeName::Result),
            None => Slug::new(name).ok().map(TreeName::Worker),
            Some(("", "mending")) => Some(TreeName::Mending),
            Some((run, "run")) => Slug::new(run).ok().map(TreeName::Child),
            Some((slug, "read")) => Slug::new(slug).ok().map(TreeName::Reading),
            Some(_) => None,
        }
    }

    /// The name of its folder and of its files in the run's folder. A slug holds no `@`.
    pub(crate) fn file(&self) -> String {
        match self {
            TreeName::Worker(slug) => slug.to_string(),
            TreeName::Result => "result".to_owned(),
            TreeName::Reading(slug) => format!("{slug}@read"),
            TreeName::Mending => "@mending".to_owned(),
            TreeName::Child(run) => format!("{run}@run"),
        }
    }
}

/// Why a tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("`result` is the run's own line and no name for a tree")]
    ReservedName,
    #[error("the run `{run}` exists already, on another commit")]
    RunTaken { run: RunId },
    #[error("the run `{run}` was begun in another repository")]
    OtherRepository { run: RunId },
    #[error("the branch `{branch}` exists already and is not this run's")]
    BranchTaken { branch: String },
    #[error("the branch `{branch}` stands in the way of niia's own: rename it")]
    BranchInTheWay { branch: String },
    #[error("the branch `{branch}` is checked out in `{}`", path.display())]
    BranchElsewhere { branch: String, path: PathBuf },
    #[error("`{}` exists already and is not niia's", path.display())]
    PathTaken { path: PathBuf },
    #[error("in `{}` somebody has made a repository of its own: move it away first", path.display())]
    RepositoryInside { path: PathBuf },
    #[error("`{}` is in use: {user} holds `{}`", tree.display(), lock.display())]
    InUse { tree: PathBuf, lock: PathBuf, user: String },
    #[error("`{}` was left by a program that may still be running: remove it when nothing uses the tree", lock.display())]
    MaybeInUse { lock: PathBuf },
    #[error("the folder `{}` was removed by hand", path.display())]
    Gone { path: PathBuf },
    #[error("in `{}` there are changes that are not committed", path.display())]
    Dirty { path: PathBuf },
    #[error("in `{}` a {what} was begun and not finished", path.display())]
    Unfinished { path: PathBuf, what: &'static str },
    #[error("the session's repository `{}` is not as a repository must be: {what}", path.display())]
    Foreign { path: PathBuf, what: String },
    #[error("the commits in `{}` cannot be taken into the repository", path.display())]
    Import { path: PathBuf, source: GitError },
    #[error("there is no tree `{name}` in this run")]
    NoTree { name: String },
    #[error("the repository cannot be written: `{}`", path.display())]
    ReadOnly { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// A tree, ready to be worked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub name: TreeName,
    #[serde(with = "paths")]
    pub path: PathBuf,
    pub branch: Option<String>,
    /// The commit its branch stands at.
    pub at: ObjectId,
    /// The repository behind it, where that is not the user's own.
    #[serde(default)]
    pub private: Option<PrivateRepository>,
}

/// All that one run has in a repository.
#[derive(Clone, Debug)]
pub struct RunTrees {
    pub(super) repository: Repository,
    pub(super) run: RunId,
    pub(super) folder: PathBuf,
    pub(super) engine: Engine,
    pub(super) base: ObjectId,
    /// New trees get a private repository, and so do those that are entered.
    pub(super) private: bool,
}

/// What is kept of a run's beginning.
#[derive(Debug, Serialize, Deserialize)]
struct Beginning {
    run: RunId,
    /// The repository's folder: bytes, because a path need not be text.
    common_dir: Vec<u8>,
    base: ObjectId,
}

impl RunTrees {
    /// Begins a run on a commit: `HEAD`, or a snapshot. Called again for the same run and commit it changes nothing.
    ///
    /// `folder` is the run's own in niia's state; the trees will lie in it.
    pub fn begin(
        repository: &Repository,
        run: &RunId,
        folder: &Path,
        base: &ObjectId,
    ) -> Result<RunTrees, TreeError> {
        private_folder(folder)?;
        let folder = folder.canonicalize().map_err(GitError::file(folder))?;
        for part in ["trees", "index", "marks", "locks", "engine", "private", "incoming"] {
            private_folder(&folder.join(part))?;
        }
        let engine = Engine::open(repository, &folder.join("engine"))?;
        let trees = RunTrees {
            repository: repository.clone(),
            run: run.clone(),
            folder,
            engine,
            base: base.clone(),
            private: false,
        };
        let _lock = trees.lock_repository()?;
        trees.begin_refs()?;
        let common_dir = repository.common_dir.as_os_str().as_bytes().to_vec();
        let beginning = Beginning { run: run.clone(), common_dir, base: base.clone() };
        let file = trees.folder.join("run.json");
        if file.exists() {
            return Ok(trees);
        }
        let bytes = serde_json::to_vec(&beginning)
            .map_err(std::io::Error::from)
            .map_err(GitError::file(&trees.folder))?;
        write_whole(&file, &bytes)?;
        Ok(trees)
    }

    /// Takes up a run that was begun before.
    pub fn open(repository: &Repository, folder: &Path) -> Result<RunTrees, TreeError> {
        let file = folder.join("run.json");
        let bytes = fs::read(&file).map_err(GitError::file(&file))?;
        let beginning: Beginning =
            serde_json::from_slice(&bytes).map_err(std::io::Error::from).map_err(GitError::file(&file))?;
        if beginning.common_dir != repository.common_dir.as_os_str().as_bytes() {
            return Err(TreeError::OtherRepository { run: beginning.run });
        }
        RunTrees::begin(repository, &beginning.run, folder, &beginning.base)
    }

    /// The base is kept first: a run that has a base is ours, whatever else is there.
    fn begin_refs(&self) -> Result<(), TreeError> {
        let (base, result) = (self.base_ref(), self.result_ref());
        match refs::read(&self.repository, &base)? {
            Some(found) if found == self.base => {}
            Some(_) => return Err(TreeError::RunTaken { run: self.run.clone() }),
            None => {
                if refs::read(&self.repository, &result)?.is_some() {
                    return Err(TreeError::BranchTaken { branch: result });
                }
                refs::create(&self.repository, &base, &self.base, "niia: base of the run")?;
            }
        }
        step("git.begin.between_refs");
        if refs::read(&self.repository, &result)?.is_none() {
            refs::create(&self.repository, &result, &self.base, "niia: the run begins")
                .map_err(|error| self.in_the_way(error, &result))?;
        }
        Ok(())
    }

    /// A branch called `niia`, or like a part of the name, leaves no room for ours.
    pub(super) fn in_the_way(&self, error: GitError, wanted: &str) -> TreeError {
        let parts = wanted.match_indices('/').map(|(at, _)| &wanted[..at]).skip(2);
        for part in parts {
            if matches!(refs::read(&self.repository, part), Ok(Some(_))) {
                return TreeError::BranchInTheWay {
                    branch: part.trim_start_matches("refs/heads/").to_owned(),
                };
            }
        }
        error.into()
    }

    pub fn run(&self) -> &RunId {
        &self.run
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit the run began on.
    pub fn base(&self) -> &ObjectId {
        &self.base
    }

    /// The tip of the run's line.
    pub fn result(&self) -> Result<ObjectId, GitError> {
        let result = self.result_ref();
        refs::read(&self.repository, &result)?
            .ok_or_else(|| GitError::Moved { reference: result, found: "nothing".to_owned() })
    }

    /// The branch of the run's line, as a person writes it.
    pub fn result_branch(&self) -> String {
        format!("niia/{}/result", self.run)
    }

    pub(super) fn result_ref(&self) -> String {
        format!("refs/heads/{}", self.result_branch())
    }

    fn base_ref(&self) -> String {
        format!("refs/niia/{}/base", self.run)
    }

    /// The full name of a tree's branch; a tree with a detached head has none.
    pub fn branch_of(&self, name: &TreeName) -> Option<String> {
        match name {
            TreeName::Worker(slug) => Some(format!("refs/heads/niia/{}/w/{slug}", self.run)),
            TreeName::Result => Some(format!("refs/heads/niia/{}/w/result", self.run)),
            TreeName::Child(run) => Some(format!("refs/heads/niia/{run}/result")),
            TreeName::Reading(_) | TreeName::Mending => None,
        }
    }

    /// Where a tree lies, whether it is there or not.
    pub fn path_of(&self, name: &TreeName) -> PathBuf {
        self.folder.join("trees").join(name.file())
    }

    pub(super) fn index_of(&self, name: &TreeName) -> PathBuf {
        self.folder.join("index").join(name.file())
    }

    pub(super) fn mark_of(&self, name: &TreeName) -> PathBuf {
        self.folder.join("marks").join(format!("{}.json", name.file()))
    }

    pub(super) fn marker(&self, name: &TreeName) -> Result<Marker, TreeError> {
        Marker::read(&self.mark_of(name))?.ok_or_else(|| TreeError::NoTree { name: name.file() })
    }

    /// One act at a time on a tree; a git that outlives its niia goes on holding it.
    pub(super) fn lock_tree(&self, name: &TreeName) -> Result<Lock, GitError> {
        Lock::take(&self.folder.join("locks").join(name.file()))
    }

    /// One act at a time on what all work trees of a repository share, whoever's they are.
    pub(super) fn lock_repository(&self) -> Result<Lock, TreeError> {
        let folder = &self.repository.common_dir;
        let as_ourselves = rustix::fs::AtFlags::EACCESS;
        let writes = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        if let Err(error) = rustix::fs::accessat(rustix::fs::CWD, folder, writes, as_ourselves) {
            return Err(TreeError::ReadOnly { path: folder.clone(), source: error.into() });
        }
        match Lock::take(folder) {
            // Some network file systems lock no folders, and files only.
            Err(GitError::File { .. }) => Ok(Lock::take(&folder.join("niia.lock"))?),
            taken => Ok(taken?),
        }
    }
}

pub(super) fn private_folder(folder: &Path) -> Result<(), GitError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(GitError::file(folder))
}

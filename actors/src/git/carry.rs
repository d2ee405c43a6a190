//! Commits on their way between two repositories of one project: only what the other side lacks travels.

use std::fs;
use std::path::{Path, PathBuf};

use niia_spec::name::Slug;
use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::marker::Marker;
use super::program::Git;
use super::refs;
use super::repository::{DiscoverError, ObjectId, Repository};
use super::trees::{RunTrees, TreeError, TreeName};

/// Commits that are told to be here at most: the newest refs; what is not told travels once more.
pub const KNOWN_MAX: usize = 512;

/// Where a run stands, for a machine that works on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tips {
    pub base: ObjectId,
    pub result: ObjectId,
    /// The branch of the tree in question, where it has one already.
    pub own: Option<ObjectId>,
}

impl Tips {
    pub fn commits(&self) -> Vec<ObjectId> {
        [Some(&self.base), Some(&self.result), self.own.as_ref()].into_iter().flatten().cloned().collect()
    }
}

impl Repository {
    /// An empty repository, or the one that was made there before.
    pub fn empty(folder: &Path) -> Result<Repository, DiscoverError> {
        if !folder.join(".git").exists() {
            begin(folder)?;
        }
        Repository::discover(folder)
    }

    /// Commits that are here, by their refs.
    pub fn known(&self) -> Result<Vec<ObjectId>, GitError> {
        let count = format!("--count={KNOWN_MAX}");
        let sorted = ["--sort=-creatordate", "--format=%(objectname)", count.as_str()];
        let text = self.call("for-each-ref").args(sorted).bytes()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut known: Vec<ObjectId> = text.lines().filter_map(|line| ObjectId::new(line).ok()).collect();
        known.sort();
        known.dedup();
        Ok(known)
    }

    pub fn has(&self, commit: &ObjectId) -> Result<bool, GitError> {
        Ok(self.resolve(commit.as_str())?.is_some())
    }

    /// Packs what these commits need and the other side has not. Nothing where it has all of it.
    pub fn pack(
        &self,
        folder: &Path,
        wanted: &[ObjectId],
        there: &[ObjectId],
    ) -> Result<Option<PathBuf>, GitError> {
        let mut revisions = String::new();
        for commit in wanted {
            revisions += &format!("{commit}\n");
        }
        for commit in there {
            if self.has(commit)? {
                revisions += &format!("^{commit}\n");
            }
        }
        let news =
            self.call("rev-list").args(["--count", "--stdin"]).input(revisions.clone()).long().text()?;
        if news == "0" {
            return Ok(None);
        }
        fs::create_dir_all(folder).map_err(GitError::file(folder))?;
        let stem = folder.join("carried");
        let call = self.call("pack-objects").args(["--revs", "--quiet", "--delta-base-offset"]).arg(&stem);
        let name = call.input(revisions).long().text()?;
        let index = folder.join(format!("carried-{name}.idx"));
        fs::remove_file(&index).map_err(GitError::file(&index))?;
        Ok(Some(folder.join(format!("carried-{name}.pack"))))
    }

    /// Takes a pack in, and believes in it only when everything these commits need is there. It is foreign input: git
    /// checks each object.
    pub fn take_in(&self, pack: &Path, tips: &[ObjectId]) -> Result<(), GitError> {
        let bytes = fs::read(pack).map_err(GitError::file(pack))?;
        let name = blake3::hash(&bytes).to_hex();
        let folder = self.common_dir.join("objects/pack");
        fs::create_dir_all(&folder).map_err(GitError::file(&folder))?;
        let path = folder.join(format!("pack-{}.pack", &name[..40]));
        if !path.with_extension("idx").exists() {
            self.index(&bytes, &folder, &path)?;
        }
        self.check(tips)
    }

    /// Indexes a pack aside, and puts it in its place whole: the same pack may come twice at once.
    fn index(&self, bytes: &[u8], folder: &Path, path: &Path) -> Result<(), GitError> {
        let aside =
            tempfile::Builder::new().prefix("tmp_").tempdir_in(folder).map_err(GitError::file(folder))?;
        let pack = aside.path().join("taken.pack");
        fs::write(&pack, bytes).map_err(GitError::file(&pack))?;
        self.call("index-pack").arg("--strict").arg(&pack).long().done()?;
        // Git finds a pack by its index, which therefore comes last.
        for ending in ["rev", "pack", "idx"] {
            let from = pack.with_extension(ending);
            if from.exists() {
                fs::rename(&from, path.with_extension(ending)).map_err(GitError::file(path))?;
            }
        }
        Ok(())
    }

    /// Whether all that these commits need is here.
    pub fn check(&self, tips: &[ObjectId]) -> Result<(), GitError> {
        if tips.is_empty() {
            return Ok(());
        }
        let call =
            self.call("rev-list").args(["--objects", "--quiet"]).args(tips.iter().map(ObjectId::as_str));
        call.args(["--not", "--all"]).long().done()
    }

    /// Keeps a commit under niia's own refs.
    pub fn keep_commit(&self, name: &str, commit: &ObjectId) -> Result<(), GitError> {
        refs::keep(self, &format!("refs/niia/{name}"), commit)
    }

    /// Forgets every ref of a run; its commits stay as long as something else keeps them.
    pub fn forget_run(&self, run: &str) -> Result<(), GitError> {
        self.call("worktree").arg("prune").done()?;
        let below = [format!("refs/heads/niia/{run}/"), format!("refs/niia/{run}/")];
        let listed = self.call("for-each-ref").arg("--format=delete %(refname)").args(&below).bytes()?;
        if listed.is_empty() {
            return Ok(());
        }
        self.call("update-ref").arg("--stdin").input(listed).done()
    }
}

/// Makes a repository beside its place and puts it there whole: several may want it at once, and one of them wins.
fn begin(folder: &Path) -> Result<(), GitError> {
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(GitError::file(parent))?;
    let begun =
        tempfile::Builder::new().prefix(".niia-").tempdir_in(parent).map_err(GitError::file(parent))?;
    let call = Git::find()?.call("init").args(["--quiet", "--template=", "--initial-branch=none", "."]);
    call.in_folder(begun.path()).done()?;
    match fs::rename(begun.path(), folder) {
        Err(_) if folder.join(".git").exists() => Ok(()),
        moved => moved.map_err(GitError::file(folder)),
    }
}

impl RunTrees {
    /// Where the run stands, and a tree's own branch.
    pub fn tips(&self, tree: Option<&TreeName>) -> Result<Tips, GitError> {
        let own = match tree.and_then(|tree| self.branch_of(tree)) {
            Some(branch) => refs::read(self.repository(), &branch)?,
            None => None,
        };
        Ok(Tips { base: self.base().clone(), result: self.result()?, own })
    }

    /// Puts the run where it stands elsewhere, for a machine that works on a part of it. The tree itself is not there
    /// yet.
    pub fn stand_at(&self, tree: Option<&TreeName>, tips: &Tips) -> Result<(), TreeError> {
        refs::keep(self.repository(), &self.result_ref(), &tips.result)?;
        match (tree, &tips.own) {
            (Some(tree), Some(own)) => self.adopt(tree, own),
            _ => Ok(()),
        }
    }

    /// Takes over the branch that was worked on elsewhere. Where the tree itself is here, its files follow when it is
    /// entered next.
    pub fn adopt(&self, tree: &TreeName, commit: &ObjectId) -> Result<(), TreeError> {
        let Some(branch) = self.branch_of(tree) else { return Ok(()) };
        let _lock = self.lock_tree(tree)?;
        let marker = match Marker::read(&self.mark_of(tree))? {
            Some(marker) if self.is_here(tree) => Marker { moving: Some(commit.clone()), ..marker },
            _ => Marker::begun(self.path_of(tree), Some(branch.clone()), commit),
        };
        refs::keep(self.repository(), &branch, commit)?;
        Ok(marker.write(&self.mark_of(tree))?)
    }

    /// The run's branches: what follows its name in theirs, and where they stand.
    pub fn branches(&self) -> Result<Vec<(String, ObjectId)>, GitError> {
        let below = format!("refs/heads/niia/{}/", self.run());
        let call = self.repository().call("for-each-ref").arg("--format=%(objectname) %(refname)");
        let text = call.arg(&below).bytes()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let named = |line: &str| {
            let (commit, name) = line.split_once(' ')?;
            Some((name.strip_prefix(&below)?.to_owned(), ObjectId::new(commit).ok()?))
        };
        Ok(text.lines().filter_map(named).collect())
    }

    /// Puts the run's branches where they stand at its home. What they are called there is foreign input.
    pub fn take_over(&self, branches: &[(String, ObjectId)]) -> Result<(), TreeError> {
        let commits: Vec<ObjectId> = branches.iter().map(|(_, commit)| commit.clone()).collect();
        self.repository().check(&commits)?;
        for (name, commit) in branches {
            let slug = name.strip_prefix("w/").unwrap_or(name);
            if Slug::new(slug).is_err() {
                return Err(TreeError::NoTree { name: name.clone() });
            }
            refs::keep(self.repository(), &format!("refs/heads/niia/{}/{name}", self.run()), commit)?;
        }
        Ok(())
    }

    /// Whether a tree was worked in here at all, rather than on another machine alone.
    pub fn is_here(&self, tree: &TreeName) -> bool {
        self.path_of(tree).exists()
    }
}

//! Looking at what a run has: its trees, and what it changed.

use std::path::PathBuf;

use niia_spec::name::{RunId, Slug};
use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::marker::{Making, Marker};
use super::paths;
use super::program::failed;
use super::refs;
use super::repository::{ObjectId, Repository, object_id};
use super::trees::{RunTrees, TreeError, TreeName};

/// One tree of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub name: TreeName,
    #[serde(with = "paths")]
    pub path: PathBuf,
    pub branch: Option<String>,
    /// Its folder is there.
    pub there: bool,
    /// It was made to the end.
    pub ready: bool,
}

/// How changes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diff {
    Patch,
    Stat,
    Names,
}

/// Changes as text; `cut` where there is more than anybody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffText {
    pub bytes: Vec<u8>,
    pub cut: bool,
}

impl RunTrees {
    /// All trees of the run, by name.
    pub fn list(&self) -> Result<Vec<Listed>, TreeError> {
        let folder = self.folder.join("marks");
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(GitError::file(&folder))? {
            let file = entry.map_err(GitError::file(&folder))?.path();
            let stem =
                file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
            let Some(name) = stem.and_then(TreeName::of_file) else { continue };
            let Some(marker) = Marker::read(&file)? else { continue };
            listed.push(Listed {
                name,
                there: marker.path.symlink_metadata().is_ok(),
                ready: marker.making == Making::Ready,
                path: marker.path,
                branch: marker.branch,
            });
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// What the run changed: its base against its line.
    pub fn diff(&self, how: Diff, colour: bool) -> Result<DiffText, GitError> {
        self.diff_of(&self.base, &self.result()?, how, colour)
    }

    /// The same between any two commits.
    pub fn diff_of(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        how: Diff,
        colour: bool,
    ) -> Result<DiffText, GitError> {
        let how = match how {
            Diff::Patch => "--patch",
            Diff::Stat => "--stat",
            Diff::Names => "--name-status",
        };
        let colour = if colour { "--color=always" } else { "--color=never" };
        let call = self.engine.call("diff").args(["--no-ext-diff", "--no-textconv", how, colour]);
        let ran = call.arg(from).arg(to).arg("--").long().run()?;
        if !ran.status.success() {
            return Err(failed("diff", &ran));
        }
        Ok(DiffText { bytes: ran.output, cut: ran.output_cut })
    }
}

/// A branch of an earlier run that has something its run's line has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub run: RunId,
    pub commit: ObjectId,
}

impl Repository {
    /// The unfinished lines of this slug, of all runs in this repository, the newest first: what `resume` goes on from.
    pub fn unfinished(&self, slug: &Slug) -> Result<Vec<Unfinished>, GitError> {
        let call =
            self.call("for-each-ref").args(["--sort=-committerdate", "--format=%(refname) %(objectname)"]);
        let text = call.arg(format!("refs/heads/niia/*/w/{slug}")).text()?;
        let mut found = Vec::new();
        for line in text.lines() {
            let Some((name, commit)) = line.split_once(' ') else { continue };
            let run = name.trim_start_matches("refs/heads/niia/").split('/').next().unwrap_or_default();
            let Ok(run) = Slug::new(run) else { continue };
            let (commit, result) =
                (object_id("for-each-ref", commit)?, format!("refs/heads/niia/{run}/result"));
            let merged = self.call("merge-base").arg("--is-ancestor").arg(&commit).arg(&result);
            // A run whose line is gone has merged nothing.
            if refs::read(self, &result)?.is_none() || merged.maybe()?.is_none() {
                found.push(Unfinished { run, commit });
            }
        }
        Ok(found)
    }

    /// The trees that any niia has in this repository: path and branch, by git's own list.
    pub fn trees_of_niia(&self) -> Result<Vec<(PathBuf, Option<String>)>, GitError> {
        use std::os::unix::ffi::OsStringExt;
        let bytes = self.call("worktree").args(["list", "--porcelain", "-z"]).bytes()?;
        let mut found = Vec::new();
        let mut tree: Option<(PathBuf, Option<String>)> = None;
        let mut ours = false;
        for line in bytes.split(|b| *b == 0) {
            let after = |word: &[u8]| line.strip_prefix(word).map(<[u8]>::to_vec);
            if let Some(path) = after(b"worktree ") {
                tree = Some((PathBuf::from(std::ffi::OsString::from_vec(path)), None));
                ours = false;
            } else if let (Some(branch), Some(tree)) = (after(b"branch "), &mut tree) {
                ours |= branch.starts_with(b"refs/heads/niia/");
                tree.1 = Some(String::from_utf8_lossy(&branch).into_owned());
            } else if let Some(reason) = after(b"locked ") {
                ours |= reason.starts_with(b"niia run ");
            } else if line.is_empty() {
                found.extend(tree.take().filter(|_| ours));
            }
        }
        Ok(found)
    }
}

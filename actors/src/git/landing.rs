//! `niia merge`: the run's line into the branch the user has checked out. The one act that touches the checkout.
//!
//! The merged tree is made first, without the checkout. Only when it is clear that nothing of the user's would be
//! lost are the files brought to it; and git looks at them all once more before it writes the first.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::admin;
use super::create::lock_beside;
use super::error::GitError;
use super::lock::Lock;
use super::merge::Tried;
use super::repository::{ObjectId, Repository};
use super::steps::step;
use super::trees::{RunTrees, TreeError};

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landing {
    /// All of the run's work was there already.
    UpToDate,
    /// The branch (or the detached head) stands here now.
    Landed { commit: ObjectId, files: Vec<String> },
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    #[error("the branch has no commit yet")]
    NoCommit,
    #[error("a {what} is going on in the checkout: finish it first")]
    Unfinished { what: String },
    #[error("these have changes that are not committed: {}", files.join(", "))]
    Dirty { files: Vec<String> },
    #[error("these would be overwritten, and git does not know them: {}", files.join(", "))]
    InTheWay { files: Vec<String> },
    #[error("the run and the branch change the same lines: {}", files.join(", "))]
    Conflict { files: Vec<String> },
    #[error("the run and the branch share no history")]
    NoCommonHistory,
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<GitError> for LandError {
    fn from(error: GitError) -> LandError {
        LandError::Tree(error.into())
    }
}

impl RunTrees {
    /// Merges the run's line into what the user has checked out in `checkout`.
    pub fn land(&self, checkout: &Repository) -> Result<Landing, LandError> {
        let lock = Lock::take(&self.folder.join("locks").join("@landing"))?;
        let Some(head) = checkout.resolve("HEAD")? else { return Err(LandError::NoCommit) };
        if let Some(what) = admin::unfinished(&checkout.git_dir) {
            return Err(LandError::Unfinished { what: what.to_owned() });
        }
        let result = self.result()?;
        if self.is_ancestor(&result, &head)? {
            return Ok(Landing::UpToDate);
        }
        let target = self.merged_with(&head, &result)?;
        let files = self.changed_between(&head, &target)?;
        if !self.is_there_already(checkout, &target, &files, &lock)? {
            self.refuse_loss(checkout, &head, &files, &lock)?;
            let call = self.engine.on_tree("read-tree", &checkout.root, &checkout.git_dir.join("index"));
            call.args(["-m", "-u"]).arg(&head).arg(&target).holding(&lock).long().done()?;
        }
        step("git.land.files");
        let why = format!("niia merge {}", self.run);
        checkout.call("update-ref").args(["ORIG_HEAD", head.as_str()]).holding(&lock).done()?;
        let call = checkout.call("update-ref").args(["-m", &why, "HEAD", target.as_str(), head.as_str()]);
        call.holding(&lock).done()?;
        Ok(Landing::Landed { commit: target, files })
    }

    fn merged_with(&self, head: &ObjectId, result: &ObjectId) -> Result<ObjectId, LandError> {
        if self.is_ancestor(head, result)? {
            return Ok(result.clone());
        }
        match self.try_merge(head, result)? {
            Tried::Tree(tree) => {
                let message = self.message(&format!("Merge the run {}", self.run), &[]);
                Ok(self.write_commit(&tree, &[head, result], &message)?)
            }
            Tried::Conflict { files, .. } => Err(LandError::Conflict { files }),
            Tried::NoCommonHistory => Err(LandError::NoCommonHistory),
        }
    }

    fn changed_between(&self, from: &ObjectId, to: &ObjectId) -> Result<Vec<String>, GitError> {
        let call = self.engine.call("diff-tree").args(["-r", "-z", "--name-only", "--no-renames"]);
        Ok(names(&call.arg(from).arg(to).long().bytes()?))
    }

    /// The files were brought to the commit before, and only the branch was not moved any more.
    fn is_there_already(
        &self,
        checkout: &Repository,
        target: &ObjectId,
        files: &[String],
        lock: &Lock,
    ) -> Result<bool, GitError> {
        let touched: BTreeSet<&String> = files.iter().collect();
        Ok(!self.dirty(checkout, target, lock)?.iter().any(|file| touched.contains(file)))
    }

    fn refuse_loss(
        &self,
        checkout: &Repository,
        head: &ObjectId,
        files: &[String],
        lock: &Lock,
    ) -> Result<(), LandError> {
        let touched: BTreeSet<&String> = files.iter().collect();
        let dirty = self.dirty(checkout, head, lock)?;
        let concerned: Vec<String> = dirty.into_iter().filter(|file| touched.contains(file)).collect();
        if !concerned.is_empty() {
            return Err(LandError::Dirty { files: concerned });
        }
        let call = self.engine.call("ls-tree").args(["-r", "-z", "--name-only"]).arg(head);
        let known: BTreeSet<String> = names(&call.long().bytes()?).into_iter().collect();
        let in_the_way = |file: &&String| {
            !known.contains(*file) && checkout.root.join(PathBuf::from(file)).symlink_metadata().is_ok()
        };
        let in_the_way: Vec<String> = files.iter().filter(in_the_way).cloned().collect();
        if in_the_way.is_empty() { Ok(()) } else { Err(LandError::InTheWay { files: in_the_way }) }
    }

    /// What differs from a commit in the checkout or its index, by a copy of the index.
    fn dirty(&self, checkout: &Repository, commit: &ObjectId, lock: &Lock) -> Result<Vec<String>, GitError> {
        let index = self.folder.join("index").join("@landing");
        let of_user = checkout.git_dir.join("index");
        admin::remove_if_there(&lock_beside(&index))?;
        fs::copy(&of_user, &index).map_err(GitError::file(&of_user))?;
        let on_tree = |verb: &str| self.engine.on_tree(verb, &checkout.root, &index).holding(lock).long();
        // It ends with 1 where something differs, which is what is asked for next.
        on_tree("update-index").args(["-q", "--refresh", "--ignore-submodules"]).run()?;
        let call =
            on_tree("diff-index").args(["--name-only", "-z", "--no-renames", "--ignore-submodules=all"]);
        Ok(names(&call.arg(commit).arg("--").bytes()?))
    }
}

fn names(bytes: &[u8]) -> Vec<String> {
    let entries = bytes.split(|b| *b == 0).filter(|entry| !entry.is_empty());
    entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

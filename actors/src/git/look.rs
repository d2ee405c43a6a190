//! Looking at what changes: a tree while others work in it, and the branches of the repository.

use super::error::GitError;
use super::program::failed;
use super::repository::{ObjectId, Repository, object_id};
use super::trees::{RunTrees, TreeError, TreeName};

/// A commit, as an event tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTold {
    pub id: String,
    pub author: String,
    pub subject: String,
}

/// Commits that are named one by one; more of them are counted by whoever reads.
const COMMITS_TOLD_MAX: &str = "--max-count=30";

impl RunTrees {
    /// What a tree holds at this moment, committed or not, as a tree object; nothing where it is not there yet.
    ///
    /// Somebody may be at work in it: what cannot be read just now is an error, and is looked at again later.
    pub fn content_now(&self, name: &TreeName) -> Result<Option<ObjectId>, TreeError> {
        if !self.path_of(name).exists() {
            return Ok(None);
        }
        let lock = self.lock_tree(name)?;
        let marker = self.marker(name)?;
        Ok(Some(self.content(name, &marker).write(&marker.at, &lock)?))
    }

    /// What a commit holds, as a tree object.
    pub fn content_at(&self, commit: &ObjectId) -> Result<ObjectId, GitError> {
        self.tree_of(commit)
    }

    /// The commits that lead from one to another, the newest first, a line each.
    pub fn commits_between(&self, from: &ObjectId, to: &ObjectId) -> Result<String, GitError> {
        let range = format!("{}..{}", from.as_str(), to.as_str());
        let call = self.engine.call("log").args(["--no-color", "--format=%h %an: %s", COMMITS_TOLD_MAX]);
        let ran = call.arg(range).arg("--").long().run()?;
        if !ran.status.success() {
            return Err(failed("log", &ran));
        }
        Ok(String::from_utf8_lossy(&ran.output).into_owned())
    }
}

impl Repository {
    /// The branches of people, here and as they were last fetched, with where they stand. niia's own are left out.
    pub fn branches(&self) -> Result<Vec<(String, ObjectId)>, GitError> {
        let call = self.call("for-each-ref").args(["--format=%(refname) %(objectname)"]);
        let text = call.args(["refs/heads", "refs/remotes"]).text()?;
        let mut branches = Vec::new();
        for line in text.lines() {
            let Some((name, commit)) = line.split_once(' ') else { continue };
            if name.starts_with("refs/heads/niia/") || name.ends_with("/HEAD") {
                continue;
            }
            branches.push((name.to_owned(), object_id("for-each-ref", commit)?));
        }
        Ok(branches)
    }

    /// The commits that lead from one to another, the newest first, at most thirty of them.
    pub fn commits(&self, from: &ObjectId, to: &ObjectId) -> Result<Vec<CommitTold>, GitError> {
        let range = format!("{}..{}", from.as_str(), to.as_str());
        let call = self.call("log").args(["--no-color", "--format=%H%x00%an%x00%s", COMMITS_TOLD_MAX]);
        let text = call.arg(range).arg("--").long().text()?;
        let commits = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, '\0').map(str::to_owned);
            Some(CommitTold { id: parts.next()?, author: parts.next()?, subject: parts.next()? })
        });
        Ok(commits.collect())
    }

    /// The files of the user's checkout that are not as the index has them, the untracked ones among them; those that git
    /// ignores are not looked at.
    pub fn files_changed(&self) -> Result<Vec<String>, GitError> {
        let call = self.call("status").env("GIT_WORK_TREE", &self.root).env("GIT_OPTIONAL_LOCKS", "0");
        let call = call.in_folder(&self.root).args(["--porcelain=v1", "-z", "--no-renames", "-uall"]);
        let listed = call.long().bytes()?;
        let entries = listed.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
        Ok(entries.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }
}

//! The user's uncommitted changes: whether there are any, and a commit that holds them.
//!
//! Neither the checkout nor its index is touched: the snapshot is made by an index of its own.

use std::fs;
use std::path::Path;

use niia_spec::name::RunId;
use serde::{Deserialize, Serialize};

use super::content::{Content, Refusal};
use super::engine::Engine;
use super::error::GitError;
use super::lock::Lock;
use super::repository::{ObjectId, Repository, object_id};
use super::trees::{TreeError, private_folder};

/// One changed path of the user's checkout, by git's own two letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Such as `.M` (changed), `A.` (added to the index), `??` (unknown to git), `UU` (in conflict).
    pub state: String,
    pub path: String,
}

impl Change {
    pub fn is_conflict(&self) -> bool {
        self.state.contains('U') || self.state == "AA" || self.state == "DD"
    }
}

/// The commit a run with uncommitted changes begins on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// There is nothing uncommitted: this is the checkout's own commit.
    Clean {
        commit: ObjectId,
    },
    Commit {
        commit: ObjectId,
    },
    /// A person must look first.
    Refused {
        reasons: Vec<Refusal>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the repository has no commit yet")]
    NoCommit,
    #[error("a merge is going on in the checkout: {}", files.join(", "))]
    Conflict { files: Vec<String> },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<GitError> for SnapshotError {
    fn from(error: GitError) -> SnapshotError {
        SnapshotError::Tree(error.into())
    }
}

impl Repository {
    /// What is not committed in the user's checkout; what git ignores is no change.
    pub fn changes(&self) -> Result<Vec<Change>, GitError> {
        let call = self.in_checkout("status").args(["--porcelain=v2", "-z", "--ignore-submodules=all"]);
        let bytes = call.args(["--untracked-files=normal", "--no-renames"]).long().bytes()?;
        let entries = bytes.split(|b| *b == 0).filter(|entry| !entry.is_empty());
        Ok(entries.filter_map(change).collect())
    }

    /// A commit of everything in the checkout that git does not ignore. `folder` is the run's own.
    pub fn snapshot(&self, run: &RunId, folder: &Path) -> Result<Snapshot, SnapshotError> {
        let Some(head) = self.resolve("HEAD")? else { return Err(SnapshotError::NoCommit) };
        let changes = self.changes()?;
        let conflicts: Vec<String> =
            changes.iter().filter(|change| change.is_conflict()).map(|change| change.path.clone()).collect();
        if !conflicts.is_empty() {
            return Err(SnapshotError::Conflict { files: conflicts });
        }
        if changes.is_empty() {
            return Ok(Snapshot::Clean { commit: head });
        }
        for part in ["engine", "index", "locks"] {
            private_folder(&folder.join(part))?;
        }
        let folder = folder.canonicalize().map_err(GitError::file(folder))?;
        let engine = Engine::open(self, &folder.join("engine"))?;
        let lock = Lock::take(&folder.join("locks/@snapshot"))?;
        let index = folder.join("index/@snapshot");
        let content = Content { engine: &engine, tree: &self.root, index, hidden: Vec::new() };
        self.know_times(&content, &lock)?;
        let reasons = content.refusals(&head, &lock)?;
        if !reasons.is_empty() {
            return Ok(Snapshot::Refused { reasons });
        }
        let tree = content.write(&head, &lock)?;
        let message = format!("Uncommitted changes, as the run began\n\nNiia-Run: {run}\n");
        let call =
            engine.call("commit-tree").arg(&tree).arg("-p").arg(&head).args(["-F", "-"]).input(message);
        Ok(Snapshot::Commit { commit: object_id("commit-tree", &call.text()?)? })
    }

    /// The user's index tells which files cannot have changed, so that not all of them need be read. One that cannot be
    /// read from elsewhere (a split one) is done without.
    fn know_times(&self, content: &Content<'_>, lock: &Lock) -> Result<(), GitError> {
        let index = &content.index;
        match fs::copy(self.git_dir.join("index"), index) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(GitError::file(index)(error)),
        }
        let readable = content.engine.on_tree("ls-files", content.tree, index).args(["-z", "--", ":/.git"]);
        if readable.holding(lock).done().is_err() {
            super::admin::remove_if_there(index)?;
        }
        Ok(())
    }
}

fn change(entry: &[u8]) -> Option<Change> {
    let text = String::from_utf8_lossy(entry);
    let (fields, name) = match text.chars().next()? {
        '?' => return Some(Change { state: "??".to_owned(), path: text.get(2..)?.to_owned() }),
        // An ordinary change has eight fields before its path, a conflict ten.
        '1' => (8, 1),
        'u' => (10, 1),
        _ => return None,
    };
    let mut parts = text.splitn(fields + 1, ' ');
    let state = parts.nth(name)?.to_owned();
    Some(Change { state, path: parts.last()?.to_owned() })
}

//! Bringing branches together, without any checkout: `merge-tree` makes the merged tree, a commit holds it, a ref moves.
//!
//! The engine knows no merge driver, so none runs; the built-in ones (`union`, `binary`) are honoured where the
//! repository's own attributes name them.

use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::lock::Lock;
use super::program::failed;
use super::refs;
use super::repository::{ObjectId, object_id};
use super::steps::step;
use super::trees::{RunTrees, TreeError, TreeName};

/// What became of bringing branches into `result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merged {
    /// All of them are in it; this is its tip.
    Commit { commit: ObjectId },
    /// This branch does not go with what is there. Those before it are in, it and those after it are not; all are kept.
    Conflict(Conflict),
}

/// Two sides that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The tree whose branch it is.
    pub tree: TreeName,
    /// Nothing where the two share no history.
    pub files: Vec<String>,
    pub ours: ObjectId,
    pub theirs: ObjectId,
    pub reason: String,
}

/// One merge, tried.
pub(super) enum Tried {
    Tree(ObjectId),
    Conflict { tree: ObjectId, files: Vec<String> },
    NoCommonHistory,
}

/// A merge as far as it can be made without a person.
pub(super) enum Brought {
    To(ObjectId),
    Conflict { files: Vec<String>, reason: String },
}

impl RunTrees {
    /// Merges the branches of these trees into the run's line, in this order. Asked again after a crash it goes on
    /// where it stopped: what is in already is no news.
    pub fn merge(&self, trees: &[TreeName]) -> Result<Merged, TreeError> {
        let lock = Lock::take(&self.folder.join("locks").join("@result"))?;
        let mut ours = self.result()?;
        for name in trees {
            let Some(branch) = self.branch_of(name) else { continue };
            let theirs = refs::read(&self.repository, &branch)?;
            let brought = match (name, &theirs) {
                (TreeName::Child(run), _) => self.bring_child(&ours, run)?,
                (_, Some(theirs)) => Some(self.bring(&ours, theirs, name, "result")?),
                (_, None) => return Err(TreeError::NoTree { name: name.file() }),
            };
            let (Some(theirs), Some(brought)) = (theirs, brought) else { continue };
            match brought {
                Brought::To(commit) if commit == ours => {}
                Brought::To(commit) => {
                    step("git.merge.written");
                    let why = format!("niia: merge of {}", name.file());
                    refs::advance_holding(
                        &self.repository,
                        &self.result_ref(),
                        (&ours, &commit),
                        &why,
                        &lock,
                    )?;
                    step("git.merge.moved");
                    ours = commit;
                }
                Brought::Conflict { files, reason } => {
                    let tree = name.clone();
                    return Ok(Merged::Conflict(Conflict { tree, files, ours, theirs, reason }));
                }
            }
        }
        Ok(Merged::Commit { commit: ours })
    }

    /// `theirs` brought into `ours`: nothing to do, a step forward, or a merge.
    pub(super) fn bring(
        &self,
        ours: &ObjectId,
        theirs: &ObjectId,
        name: &TreeName,
        into: &str,
    ) -> Result<Brought, GitError> {
        if self.is_ancestor(theirs, ours)? {
            return Ok(Brought::To(ours.clone()));
        }
        if self.is_ancestor(ours, theirs)? {
            return Ok(Brought::To(theirs.clone()));
        }
        match self.try_merge(ours, theirs)? {
            Tried::Tree(tree) => {
                let message = self
                    .message(&format!("Merge {} into {into}", name.file()), &[("Niia-Tree", &name.file())]);
                Ok(Brought::To(self.write_commit(&tree, &[ours, theirs], &message)?))
            }
            Tried::Conflict { files, .. } => {
                let reason = format!("`{}` and `{into}` change the same lines", name.file());
                Ok(Brought::Conflict { files, reason })
            }
            Tried::NoCommonHistory => {
                let reason = format!("`{}` and `{into}` share no history", name.file());
                Ok(Brought::Conflict { files: Vec::new(), reason })
            }
        }
    }

    pub(super) fn try_merge(&self, ours: &ObjectId, theirs: &ObjectId) -> Result<Tried, GitError> {
        if self.engine.call("merge-base").arg(ours).arg(theirs).maybe()?.is_none() {
            return Ok(Tried::NoCommonHistory);
        }
        let call =
            self.engine.call("merge-tree").args(["--write-tree", "-z", "--name-only", "--no-messages"]);
        // Older gits do not know the variable and use no attributes of the repository's.
        let ran = call.arg(ours).arg(theirs).env("GIT_ATTR_SOURCE", ours).long().run()?;
        let mut parts = ran.output.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let tree = parts.next().unwrap_or_default();
        match ran.status.code() {
            Some(0) => Ok(Tried::Tree(object_id("merge-tree", &tree)?)),
            Some(1) => {
                let files = parts.filter(|name| !name.is_empty()).collect();
                Ok(Tried::Conflict { tree: object_id("merge-tree", &tree)?, files })
            }
            _ => Err(failed("merge-tree", &ran)),
        }
    }
}

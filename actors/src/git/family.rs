//! Runs within runs: where a child begins, and how its work comes home.

use super::content::Refusal;
use super::error::GitError;
use super::merge::Brought;
use super::refs;
use super::repository::ObjectId;
use super::snapshot::Snapshot;
use super::trees::{RunTrees, TreeError, TreeName};
use niia_spec::name::RunId;

impl RunTrees {
    /// A commit of everything that lies in a tree just now, for a run that is begun in it. Neither the tree nor its
    /// branch is touched, and whoever works in it goes on.
    pub fn snapshot_of(&self, name: &TreeName, child: &RunId) -> Result<Snapshot, TreeError> {
        let lock = self.lock_tree(name)?;
        let marker = self.marker(name)?;
        let tip = match self.branch_of(name) {
            Some(branch) => refs::read(&self.repository, &branch)?.unwrap_or_else(|| marker.at.clone()),
            None => marker.at.clone(),
        };
        let content = self.content(name, &marker);
        let reasons: Vec<Refusal> = content.refusals(&tip, &lock)?;
        if !reasons.is_empty() {
            return Ok(Snapshot::Refused { reasons });
        }
        let tree = content.write(&tip, &lock)?;
        if tree == self.tree_of(&tip)? {
            return Ok(Snapshot::Clean { commit: tip });
        }
        let message =
            self.message(&format!("{}: as {child} begins", name.file()), &[("Niia-Child", child.as_str())]);
        Ok(Snapshot::Commit { commit: self.write_commit(&tree, &[&tip], &message)? })
    }

    /// What a child run has changed, brought into `ours`; nothing where it has changed nothing.
    ///
    /// It began on what its parent's tree held then, which need not be a commit of any branch. What became of that in
    /// the parent's tree is in `ours` already and counts; so the child's beginning is taken for known, and only what
    /// the child itself did is new.
    pub(super) fn bring_child(&self, ours: &ObjectId, child: &RunId) -> Result<Option<Brought>, GitError> {
        let name = TreeName::Child(child.clone());
        let result = refs::read(&self.repository, &format!("refs/heads/niia/{child}/result"))?;
        let base = refs::read(&self.repository, &format!("refs/niia/{child}/base"))?;
        let (Some(theirs), Some(base)) = (result, base) else { return Ok(None) };
        if theirs == base || self.is_ancestor(&theirs, ours)? {
            return Ok(None);
        }
        if self.is_ancestor(&base, ours)? {
            return self.bring(ours, &theirs, &name, "result").map(Some);
        }
        let message = self.message(&format!("{child} begins"), &[("Niia-Child", child.as_str())]);
        let known = self.write_commit(&self.tree_of(ours)?, &[ours, &base], &message)?;
        self.bring(&known, &theirs, &name, "result").map(Some)
    }
}

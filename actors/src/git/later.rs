//! What a run's changes bring that could run something later, by the difference between commits alone.

use std::collections::BTreeSet;

use niia_spec::later::{Changed, RunsLater, runs_later};

use super::error::GitError;
use super::refs;
use super::repository::ObjectId;
use super::trees::{RunTrees, TreeName};

impl RunTrees {
    /// Of all that the run's line and the branches of these trees have beyond the run's base.
    pub fn runs_later(&self, trees: &[TreeName]) -> Result<Vec<RunsLater>, GitError> {
        let mut tips = BTreeSet::from([self.result()?]);
        for branch in trees.iter().filter_map(|name| self.branch_of(name)) {
            tips.extend(refs::read(&self.repository, &branch)?);
        }
        let mut found = BTreeSet::new();
        for tip in &tips {
            found.extend(runs_later(&self.changed_paths(&self.base, tip)?));
        }
        Ok(found.into_iter().collect())
    }

    /// The paths that differ and are there in the later commit.
    fn changed_paths(&self, from: &ObjectId, to: &ObjectId) -> Result<Vec<Changed>, GitError> {
        let call =
            self.engine.call("diff-tree").args(["-r", "-z", "--raw", "--no-renames", "--diff-filter=d"]);
        let bytes = call.arg(from).arg(to).long().bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut parts = text.split('\0');
        let mut changed = Vec::new();
        while let (Some(what), Some(path)) = (parts.next(), parts.next()) {
            // `:100644 100644 OLD NEW M`, by git-diff(1).
            let mut fields = what.trim_start_matches(':').split(' ');
            let (mode, status) = (fields.nth(1).unwrap_or_default(), fields.next_back().unwrap_or_default());
            changed.push(Changed { path: path.to_owned(), new: status == "A", mode: mode.to_owned() });
        }
        Ok(changed)
    }
}

//! Nothing uncommitted is ever lost: what would be is kept by a ref first.

use super::lock::Lock;
use super::marker::Marker;
use super::repository::ObjectId;
use super::trees::{RunTrees, TreeError, TreeName};

impl RunTrees {
    /// Keeps what lies in a tree by a ref, as it is now, and leaves the tree alone: before another attempt goes on in
    /// it. Nothing is answered where there is nothing beyond what is committed.
    pub fn keep_work(&self, name: &TreeName) -> Result<Option<ObjectId>, TreeError> {
        let lock = self.lock_tree(name)?;
        let mut marker = self.marker(name)?;
        self.bring_home(name, &mut marker)?;
        self.keep_changes(name, &marker, &lock)
    }

    /// Keeps what a tree holds beyond the commit it was last seen at, and says where.
    pub(super) fn keep_changes(
        &self,
        name: &TreeName,
        marker: &Marker,
        lock: &Lock,
    ) -> Result<Option<ObjectId>, TreeError> {
        if marker.path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let mut content = self.content(name, marker);
        let inside = content.repositories_inside(&marker.at, lock)?;
        content.hidden.extend(inside);
        let tree = content.write(&marker.at, lock)?;
        if tree == self.tree_of(&marker.at)? {
            return Ok(None);
        }
        let message =
            self.message(&format!("What was left in {}", name.file()), &[("Niia-Tree", &name.file())]);
        let commit = self.write_commit(&tree, &[&marker.at], &message)?;
        self.keep(&commit)?;
        Ok(Some(commit))
    }
}

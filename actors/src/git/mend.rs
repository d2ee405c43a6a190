//! Mending a conflict: a tree of its own with the merge begun in it, as a person would find it after `git merge`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::admin;
use super::commit::CommitInfo;
use super::content::Refusal;
use super::create::lock_beside;
use super::engine::write_whole;
use super::error::GitError;
use super::lock::Lock;
use super::marker::{Making, Marker};
use super::merge::{Conflict, Tried};
use super::refs;
use super::repository::ObjectId;
use super::steps::step;
use super::trees::{RunTrees, Tree, TreeError, TreeName};

/// Larger files are not looked through for marks: nobody mends them by hand.
const LOOKED_THROUGH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of a mending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mended {
    /// The run's line holds both sides now; this is its tip.
    Commit { commit: ObjectId },
    /// It is not done, or not fit to be committed. Everything is kept.
    Refused { reasons: Vec<Refusal> },
}

impl RunTrees {
    /// A tree in which the merge that did not go is begun. Asked again for the same conflict, it is the tree as it is.
    pub fn begin_mending(&self, conflict: &Conflict) -> Result<Tree, TreeError> {
        let name = TreeName::Mending;
        let sides = (conflict.ours.clone(), conflict.theirs.clone());
        let known = Marker::read(&self.mark_of(&name))?;
        let same = known.as_ref().is_some_and(|marker| marker.mends.as_ref() == Some(&sides));
        let tree = self.create(&name, &conflict.ours)?;
        if same {
            return Ok(tree);
        }
        let lock = self.lock_tree(&name)?;
        let mut marker = self.marker(&name)?;
        if marker.mends.is_some() {
            // An earlier conflict was mended here, or given up.
            self.keep_changes(&name, &marker, &lock)?;
            self.keep_head(&name, &marker)?;
        }
        marker.mends = None;
        marker.answered = None;
        marker.write(&self.mark_of(&name))?;
        self.lay_out(&mut marker, &sides, &lock)?;
        step("git.mend.laid_out");
        marker.at = conflict.ours.clone();
        marker.mends = Some(sides);
        marker.write(&self.mark_of(&name))?;
        Ok(Tree { at: conflict.ours.clone(), ..tree })
    }

    /// The files with their marks, and a git that knows of a merge that is going on.
    fn lay_out(
        &self,
        marker: &mut Marker,
        (ours, theirs): &(ObjectId, ObjectId),
        lock: &Lock,
    ) -> Result<(), TreeError> {
        let name = TreeName::Mending;
        if marker.private.is_some() {
            self.make_private(&name, marker, ours)?;
        }
        let (tree, stages) = self.conflicted(ours, theirs)?;
        self.populate(&name, marker, &tree, lock)?;
        step("git.mend.populated");
        let Some(admin) = &marker.admin else { return Ok(()) };
        if marker.private.is_none() {
            admin::set_head(&self.repository, admin, ours)?;
        }
        let index = self.folder.join("index").join("@mending.stages");
        admin::remove_if_there(&lock_beside(&index))?;
        std::fs::copy(self.index_of(&name), &index).map_err(GitError::file(&index))?;
        let call = self.engine.on_tree("update-index", &marker.path, &index).args(["-z", "--index-info"]);
        call.input(stages).done()?;
        admin::refuse_live_lock(&marker.path, admin)?;
        admin::replace_index(admin, &index)?;
        admin::remove_if_there(&index)?;
        write_whole(&admin.join("MERGE_MODE"), b"")?;
        let message = self.message(&format!("Merge {theirs} into result"), &[]);
        write_whole(&admin.join("MERGE_MSG"), message.as_bytes())?;
        write_whole(&admin.join("MERGE_HEAD"), format!("{theirs}\n").as_bytes())?;
        Ok(())
    }

    /// The merged tree with its marks, and what `update-index` must be told of both sides.
    fn conflicted(&self, ours: &ObjectId, theirs: &ObjectId) -> Result<(ObjectId, Vec<u8>), GitError> {
        let Tried::Conflict { tree, .. } = self.try_merge(ours, theirs)? else {
            return Err(GitError::Strange { verb: "merge-tree".to_owned(), text: "no conflict".to_owned() });
        };
        let call = self.engine.call("merge-tree").args(["--write-tree", "-z", "--no-messages"]);
        let ran = call.arg(ours).arg(theirs).env("GIT_ATTR_SOURCE", ours).long().run()?;
        let mut stages = Vec::new();
        for entry in ran.output.split(|b| *b == 0).skip(1) {
            let Some(tab) = entry.iter().position(|b| *b == b'\t') else { continue };
            // What stands at no stage goes first, once: git replaces it by the sides.
            stages.extend_from_slice(format!("0 {}\t", "0".repeat(ours.as_str().len())).as_bytes());
            stages.extend_from_slice(&entry[tab + 1..]);
            stages.push(0);
        }
        for entry in ran.output.split(|b| *b == 0).skip(1).filter(|entry| entry.contains(&b'\t')) {
            stages.extend_from_slice(entry);
            stages.push(0);
        }
        Ok((tree, stages))
    }

    /// Commits what was mended, with both sides as its parents, and moves the run's line to it.
    pub fn finish_mending(&self, info: &CommitInfo) -> Result<Mended, TreeError> {
        let name = TreeName::Mending;
        let lock = self.lock_tree(&name)?;
        let mut marker = self.marker(&name)?;
        let Some((ours, theirs)) = marker.mends.clone() else {
            return Err(TreeError::NoTree { name: name.file() });
        };
        let result = self.result()?;
        if self.is_ancestor(&theirs, &result)? {
            return Ok(Mended::Commit { commit: result });
        }
        if let Err(error) = self.bring_home(&name, &mut marker) {
            return Ok(Mended::Refused { reasons: vec![Refusal::of_foreign(error)?] });
        }
        let Tried::Conflict { tree: laid_out, files } = self.try_merge(&ours, &theirs)? else {
            return Err(TreeError::NoTree { name: name.file() });
        };
        let content = self.content(&name, &marker);
        let mut reasons = marks_left(&marker.path, &files);
        reasons.extend(content.refusals(&laid_out, &lock)?);
        if !reasons.is_empty() {
            return Ok(Mended::Refused { reasons });
        }
        let tree = content.write(&laid_out, &lock)?;
        let commit = self.mending_commit(&marker, &tree, (&ours, &theirs), info)?;
        step("git.mend.written");
        let why = "niia: a mended merge";
        refs::advance_holding(&self.repository, &self.result_ref(), (&ours, &commit), why, &lock)?;
        marker.at = commit.clone();
        marker.write(&self.mark_of(&name))?;
        Ok(Mended::Commit { commit })
    }

    /// As `finish_mending`, for a tree that no mender answers for: nothing where no mending goes on, or where nobody has
    /// touched what was laid out.
    pub fn finish_mending_by_hand(&self, info: &CommitInfo) -> Result<Option<Mended>, TreeError> {
        if !self.is_mending()? || !self.is_touched()? {
            return Ok(None);
        }
        self.finish_mending(info).map(Some)
    }

    /// Whether the mending tree is otherwise than it was laid out: its files, or its head holds the other side.
    fn is_touched(&self) -> Result<bool, TreeError> {
        let name = TreeName::Mending;
        let lock = self.lock_tree(&name)?;
        let marker = self.marker(&name)?;
        let Some((ours, theirs)) = &marker.mends else { return Ok(false) };
        let Tried::Conflict { tree: laid_out, .. } = self.try_merge(ours, theirs)? else { return Ok(false) };
        if let Some(admin) = &marker.admin
            && let Some(head) = admin::head(&self.repository, admin)?
            && self.is_ancestor(theirs, &head)?
        {
            return Ok(true);
        }
        Ok(self.content(&name, &marker).write(&laid_out, &lock)? != laid_out)
    }

    /// The mender may have committed by itself; what it left goes on top of that.
    fn mending_commit(
        &self,
        marker: &Marker,
        tree: &ObjectId,
        (ours, theirs): (&ObjectId, &ObjectId),
        info: &CommitInfo,
    ) -> Result<ObjectId, TreeError> {
        let (_, head) = self.worker_head(&TreeName::Mending, marker)?;
        let head = match head {
            Some(head) if self.is_ancestor(ours, &head)? => head,
            _ => ours.clone(),
        };
        let both = self.is_ancestor(theirs, &head)?;
        if both && self.tree_of(&head)? == *tree {
            return Ok(head);
        }
        let attempt = info.attempt.to_string();
        let message =
            self.message(&info.message, &[("Niia-Worker", &info.worker), ("Niia-Attempt", &attempt)]);
        let parents = if both { vec![&head] } else { vec![&head, theirs] };
        Ok(self.write_commit(tree, &parents, &message)?)
    }

    /// Whether a mending is going on.
    pub fn is_mending(&self) -> Result<bool, TreeError> {
        let marker = Marker::read(&self.mark_of(&TreeName::Mending))?;
        Ok(marker.is_some_and(|marker| marker.making == Making::Ready && marker.mends.is_some()))
    }
}

/// Files of the conflict that still have git's marks in them.
fn marks_left(tree: &Path, files: &[String]) -> Vec<Refusal> {
    let marked = |file: &&String| {
        let path = tree.join(file);
        let plain = path
            .symlink_metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() <= LOOKED_THROUGH_BYTES_MAX);
        let Some(bytes) = plain.then(|| std::fs::read(&path).ok()).flatten() else { return false };
        let begins = |mark: &[u8]| bytes.split(|b| *b == b'\n').any(|line| line.starts_with(mark));
        begins(b"<<<<<<< ") && begins(b">>>>>>> ")
    };
    files.iter().filter(marked).map(|file| Refusal::ConflictMarks { path: file.clone() }).collect()
}

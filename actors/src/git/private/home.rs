//! What a session has committed becomes part of the user's repository.
//!
//! One ref is moved: the tree's own branch. Whatever else the session made (other branches, tags, a stash, a head on no
//! branch) is kept by refs of niia's, so that nothing is lost with the private repository.

use std::collections::BTreeSet;

use super::foreign::{self, Head, Seen, Strange};
use super::{Known, TREE, is_folder};
use crate::git::error::GitError;
use crate::git::marker::Marker;
use crate::git::repository::ObjectId;
use crate::git::steps::step;
use crate::git::trees::{RunTrees, TreeError, TreeName};
use crate::git::{admin, refs};

/// More branches and tags than this of one session are not kept one by one; a person must look.
const KEPT_MAX: usize = 500;

impl RunTrees {
    /// Brings the commits of a tree's private repository into the user's, and its branch to where the session left it.
    ///
    /// Nothing is done where there is no private repository. Asked again it changes nothing.
    pub(in crate::git) fn bring_home(&self, name: &TreeName, marker: &mut Marker) -> Result<(), TreeError> {
        let Some(known) = marker.private.clone() else { return Ok(()) };
        let folder = self.private_folder_of(name);
        if !is_folder(&folder) {
            return Ok(());
        }
        let foreign =
            |strange: Strange| TreeError::Foreign { path: folder.clone(), what: strange.to_string() };
        let seen = foreign::read(&folder, TREE).map_err(foreign)?;
        let tip = marker.branch.as_ref().and_then(|branch| seen.refs.get(branch)).cloned();
        let given = foreign::parse_packed(&std::fs::read(self.given_of(name)).unwrap_or_default());
        let new = |name: &str, id: &ObjectId| given.get(name) != Some(id);
        let mut beside: BTreeSet<ObjectId> =
            seen.refs.iter().filter(|(name, id)| new(name, id)).map(|(_, id)| id.clone()).collect();
        beside.extend(seen.stashed.iter().cloned());
        let mut wanted = beside.clone();
        wanted.extend(seen.head_commit().cloned());
        let wanted: Vec<ObjectId> = wanted.into_iter().collect();
        let unknown = self.missing(&wanted)?;
        self.import_objects(name, &folder, &unknown)?;
        self.import_large_files(&folder)?;
        step("git.home.imported");
        beside.retain(|id| unknown.contains(id) && Some(id) != tip.as_ref());
        if beside.len() > KEPT_MAX {
            let what = format!(
                "it has {} branches, tags and stashes of its own, more than {KEPT_MAX}",
                beside.len()
            );
            return Err(TreeError::Foreign { path: folder, what });
        }
        for id in &beside {
            self.keep(id)?;
        }
        self.follow(name, marker, &known, tip)
    }

    /// The same for whoever holds no marker.
    pub(in crate::git) fn take_home(&self, name: &TreeName) -> Result<(), TreeError> {
        let _lock = self.lock_tree(name)?;
        let mut marker = self.marker(name)?;
        self.bring_home(name, &mut marker)
    }

    /// Moves the user's branch of this tree to where the session's stands, if the session moved it.
    fn follow(
        &self,
        name: &TreeName,
        marker: &mut Marker,
        known: &Known,
        tip: Option<ObjectId>,
    ) -> Result<(), TreeError> {
        let (Some(branch), Some(tip)) = (marker.branch.clone(), tip) else { return Ok(()) };
        if known.tip.as_ref() == Some(&tip) {
            return Ok(());
        }
        match refs::read(&self.repository, &branch)? {
            Some(at) if at == tip => {}
            Some(at) => {
                self.keep(&tip)?;
                if let Some(path) = admin::checked_out_in(&self.repository, &branch)? {
                    return Err(TreeError::BranchElsewhere { branch, path });
                }
                if !self.is_ancestor(&at, &tip)? {
                    self.keep(&at)?;
                }
                step("git.home.kept");
                refs::advance(&self.repository, &branch, &at, &tip, "niia: the session's commits")?;
            }
            None => refs::create(&self.repository, &branch, &tip, "niia: the session's commits")?,
        }
        step("git.home.moved");
        marker.private = Some(Known { tip: Some(tip) });
        marker.write(&self.mark_of(name))?;
        Ok(())
    }

    /// The branch the head of the worker's git is on, and the commit it is at.
    pub(in crate::git) fn worker_head(
        &self,
        name: &TreeName,
        marker: &Marker,
    ) -> Result<(Option<String>, Option<ObjectId>), TreeError> {
        if marker.private.is_none() {
            let Some(admin) = &marker.admin else { return Ok((None, None)) };
            let branch = admin::head_branch(&self.repository, admin)?;
            return Ok((branch, admin::head(&self.repository, admin)?));
        }
        let folder = self.private_folder_of(name);
        let seen = self.seen(name)?;
        let commit = seen.head_commit().cloned();
        // An object of another name than a commit's is nobody's head.
        let commit = commit
            .filter(|commit| matches!(self.missing(std::slice::from_ref(commit)), Ok(m) if m.is_empty()));
        match seen.head {
            None => Ok((None, None)),
            Some(Head::Branch(branch)) => Ok((Some(branch), commit)),
            Some(Head::Commit(_)) if commit.is_none() => {
                Err(TreeError::Foreign { path: folder, what: "its head is at no commit".to_owned() })
            }
            Some(Head::Commit(_)) => Ok((None, commit)),
        }
    }

    fn seen(&self, name: &TreeName) -> Result<Seen, TreeError> {
        let folder = self.private_folder_of(name);
        foreign::read(&folder, TREE)
            .map_err(|strange| TreeError::Foreign { path: folder, what: strange.to_string() })
    }

    /// Those of the objects that the user's repository has not.
    pub(in crate::git) fn missing(&self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, GitError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: String = ids.iter().map(|id| format!("{id}\n")).collect();
        // A name that a session made up is not asked for over the network.
        let call =
            self.engine.call("cat-file").arg("--batch-check=%(objectname)").env("GIT_NO_LAZY_FETCH", "1");
        let bytes = call.input(names).long().bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        let missing = text.lines().filter_map(|line| line.strip_suffix(" missing"));
        Ok(missing.filter_map(|id| ObjectId::new(id).ok()).collect())
    }
}

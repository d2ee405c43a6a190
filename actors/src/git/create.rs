//! Making a tree, and taking one up again.
//!
//! Every step can be the last one before a crash: the next call sees from the marker how far it came and goes on from
//! there. A tree without a marker is not ours and is left alone.

use std::fs;
use std::path::Path;

use super::admin;
use super::error::GitError;
use super::lock::Lock;
use super::marker::{Making, Marker};
use super::merge::{Brought, Conflict};
use super::private::is_folder;
use super::refs;
use super::repository::ObjectId;
use super::steps::step;
use super::trees::{RunTrees, Tree, TreeError, TreeName};

impl RunTrees {
    /// The tree of this name: made from the commit, or taken up as it is where it is there already.
    ///
    /// A tree that is only read is brought to the commit in both cases.
    pub fn create(&self, name: &TreeName, from: &ObjectId) -> Result<Tree, TreeError> {
        if matches!(name, TreeName::Worker(slug) | TreeName::Reading(slug) if slug.as_str() == "result") {
            return Err(TreeError::ReservedName);
        }
        let lock = self.lock_tree(name)?;
        let marker = match Marker::read(&self.mark_of(name))? {
            Some(marker) => match marker.making {
                Making::Ready => self.take_up(name, marker, &lock)?,
                Making::Begun => self.make(name, marker, &lock)?,
                Making::Removed => {
                    self.delete_files(name, &marker)?;
                    self.make_anew(name, marker, &lock)?
                }
            },
            None => {
                let marker = self.claim(name, from)?;
                self.make(name, marker, &lock)?
            }
        };
        let marker = match (name, marker.moving.clone()) {
            (TreeName::Reading(_), _) if marker.at != *from => self.show(name, marker, from, &lock)?,
            (_, Some(to)) => self.show(name, marker, &to, &lock)?,
            _ => marker,
        };
        self.tree(name, &marker)
    }

    /// The tree of this name, with the run's line merged into it: how a tree is entered in a later phase.
    ///
    /// On a conflict the tree stays as it was.
    pub fn enter(&self, name: &TreeName) -> Result<(Tree, Option<Conflict>), TreeError> {
        let result = self.result()?;
        let tree = self.create(name, &result)?;
        if tree.branch.is_none() || tree.at == result {
            return Ok((tree, None));
        }
        let lock = self.lock_tree(name)?;
        let marker = self.marker(name)?;
        let to = match self.bring(&tree.at, &result, &TreeName::Result, &name.file())? {
            Brought::To(commit) => commit,
            Brought::Conflict { files, reason } => {
                let conflict =
                    Conflict { tree: name.clone(), files, ours: tree.at.clone(), theirs: result, reason };
                return Ok((tree, Some(conflict)));
            }
        };
        if to == tree.at {
            return Ok((tree, None));
        }
        if self.content(name, &marker).write(&tree.at, &lock)? != self.tree_of(&tree.at)? {
            return Err(TreeError::Dirty { path: tree.path });
        }
        let marker = Marker { moving: Some(to.clone()), ..marker };
        marker.write(&self.mark_of(name))?;
        step("git.enter.announced");
        let marker = self.show(name, marker, &to, &lock)?;
        Ok((self.tree(name, &marker)?, None))
    }

    fn tree(&self, name: &TreeName, marker: &Marker) -> Result<Tree, TreeError> {
        let at = match &marker.branch {
            Some(branch) => refs::read(&self.repository, branch)?.unwrap_or_else(|| marker.at.clone()),
            None => marker.at.clone(),
        };
        let private = marker.private.as_ref().map(|_| self.private_repository(name));
        Ok(Tree { name: name.clone(), path: marker.path.clone(), branch: marker.branch.clone(), at, private })
    }

    /// Says in the marker that what comes next is ours, after a look that it is nobody else's.
    fn claim(&self, name: &TreeName, from: &ObjectId) -> Result<Marker, TreeError> {
        let path = self.path_of(name);
        if path.symlink_metadata().is_ok() {
            return Err(TreeError::PathTaken { path });
        }
        let branch = self.branch_of(name);
        if let Some(branch) = &branch {
            if let Some(path) = admin::checked_out_in(&self.repository, branch)? {
                return Err(TreeError::BranchElsewhere { branch: branch.clone(), path });
            }
            if refs::read(&self.repository, branch)?.is_some() {
                return Err(TreeError::BranchTaken { branch: branch.clone() });
            }
        }
        let marker = Marker {
            making: Making::Begun,
            path,
            branch,
            start: from.clone(),
            at: from.clone(),
            admin: None,
            overlays: Vec::new(),
            mends: None,
            moving: None,
            private: None,
            answered: None,
        };
        marker.write(&self.mark_of(name))?;
        step("git.create.claimed");
        Ok(marker)
    }

    /// Goes through with the making, from wherever it stands.
    fn make(&self, name: &TreeName, mut marker: Marker, lock: &Lock) -> Result<Marker, TreeError> {
        self.register(name, &mut marker)?;
        step("git.create.registered");
        self.populate(name, &marker, &marker.start.clone(), lock)?;
        step("git.create.populated");
        marker.making = Making::Ready;
        marker.at = marker.start.clone();
        marker.write(&self.mark_of(name))?;
        Ok(marker)
    }

    /// The branch, and git's own knowledge of the tree; no file of it yet.
    ///
    /// The branch is made by itself, so that no configuration of tracking is written: that is what parallel additions
    /// are known to race for.
    fn register(&self, name: &TreeName, marker: &mut Marker) -> Result<(), TreeError> {
        let lock = self.lock_repository()?;
        if let Some(branch) = &marker.branch {
            match refs::read(&self.repository, branch)? {
                None => refs::create(&self.repository, branch, &marker.at, "niia: a tree is made")
                    .map_err(|error| self.in_the_way(error, branch))?,
                Some(at) if at == marker.at => {}
                Some(_) => return Err(TreeError::BranchTaken { branch: branch.clone() }),
            }
        }
        step("git.create.branched");
        self.add(name, marker, &lock)
    }

    fn add(&self, name: &TreeName, marker: &mut Marker, lock: &Lock) -> Result<(), TreeError> {
        let elsewhere = match &marker.branch {
            Some(branch) => {
                admin::checked_out_in(&self.repository, branch)?.map(|path| (branch.clone(), path))
            }
            None => None,
        };
        if let Some((branch, path)) = elsewhere.filter(|(_, path)| *path != marker.path) {
            return Err(TreeError::BranchElsewhere { branch, path });
        }
        if self.private || marker.private.is_some() {
            return self.add_private(name, marker);
        }
        if let Some(found) = admin::of_tree(&self.repository.common_dir, &marker.path)? {
            if admin::is_whole(&self.repository, &found, marker) && admin::points_to(&marker.path, &found) {
                marker.admin = Some(found);
                return Ok(());
            }
            admin::forget(&found)?;
        }
        clear_half_made(&marker.path)?;
        admin::add(&self.repository, &self.run, marker, lock)?;
        marker.admin = Some(admin::pointer(&marker.path)?);
        Ok(())
    }

    /// The files of the commit, by niia's own index; the tree's index for its worker is a copy of that.
    pub(super) fn populate(
        &self,
        name: &TreeName,
        marker: &Marker,
        commit: &ObjectId,
        lock: &Lock,
    ) -> Result<(), TreeError> {
        let index = self.index_of(name);
        admin::remove_if_there(&lock_beside(&index))?;
        let call = self.engine.on_tree("read-tree", &marker.path, &index);
        call.args(["-u", "--reset"]).arg(commit).holding(lock).long().done()?;
        step("git.create.checked_out");
        self.hand_over_index(name, marker)
    }

    /// Gives the worker's own git an index that knows the files as they are.
    pub(super) fn hand_over_index(&self, name: &TreeName, marker: &Marker) -> Result<(), TreeError> {
        let Some(admin) = &marker.admin else { return Ok(()) };
        if marker.private.is_some()
            && ![&self.private_folder_of(name), admin].into_iter().all(|at| is_folder(at))
        {
            return Ok(());
        }
        admin::refuse_live_lock(&marker.path, admin)?;
        admin::replace_index(admin, &self.index_of(name))?;
        Ok(())
    }

    /// A tree that was ready once: what became of it since?
    fn take_up(&self, name: &TreeName, mut marker: Marker, lock: &Lock) -> Result<Marker, TreeError> {
        self.bring_home(name, &mut marker)?;
        if let Some(branch) = &marker.branch
            && refs::read(&self.repository, branch)?.is_none()
        {
            // Somebody removed the branch; the last commit niia saw on it is kept.
            refs::create(&self.repository, branch, &marker.at, "niia: a removed branch is put back")?;
        }
        if marker.path.symlink_metadata().is_err() {
            return self.make_anew(name, marker, lock);
        }
        if marker.path.join(".git").is_dir() {
            return Err(TreeError::RepositoryInside { path: marker.path });
        }
        if marker.private.is_some() || self.private {
            match marker.private {
                Some(_) => self.take_up_private(name, &mut marker)?,
                None => self.go_private(name, &mut marker)?,
            }
            if let Some(admin) = &marker.admin {
                admin::refuse_live_lock(&marker.path, admin)?;
            }
            return Ok(marker);
        }
        let admin = match &marker.admin {
            Some(admin) if admin.join("gitdir").exists() => admin.clone(),
            _ => {
                let _lock = self.lock_repository()?;
                let admin = admin::rebuild(&self.repository, &marker)?;
                admin::replace_index(&admin, &self.index_of(name))?;
                marker.admin = Some(admin.clone());
                marker.write(&self.mark_of(name))?;
                admin
            }
        };
        if !admin::points_to(&marker.path, &admin) {
            admin::write_pointer(&marker.path, &admin)?;
        }
        admin::refuse_live_lock(&marker.path, &admin)?;
        Ok(marker)
    }

    /// Its folder was removed by hand: the branch is still there, and is checked out again.
    fn make_anew(&self, name: &TreeName, mut marker: Marker, lock: &Lock) -> Result<Marker, TreeError> {
        if let Some(branch) = &marker.branch
            && let Some(at) = refs::read(&self.repository, branch)?
        {
            marker.at = at;
        }
        marker.overlays.clear();
        marker.start = marker.at.clone();
        marker.making = Making::Begun;
        marker.write(&self.mark_of(name))?;
        admin::remove_if_there(&self.index_of(name))?;
        self.make(name, marker, lock)
    }

    /// Brings a tree's files to another commit. What somebody changed in them is kept by a ref first.
    pub(super) fn show(
        &self,
        name: &TreeName,
        mut marker: Marker,
        commit: &ObjectId,
        lock: &Lock,
    ) -> Result<Marker, TreeError> {
        self.keep_changes(name, &marker, lock)?;
        step("git.show.kept");
        if let Some(branch) = &marker.branch
            && let Some(tip) = refs::read(&self.repository, branch)?
        {
            refs::advance(&self.repository, branch, &tip, commit, "niia: the run's line is merged in")?;
        }
        step("git.show.moved");
        if marker.private.is_some() {
            self.make_private(name, &mut marker, commit)?;
        }
        self.populate(name, &marker, commit, lock)?;
        step("git.show.populated");
        if let (None, Some(admin), None) = (&marker.branch, &marker.admin, &marker.private) {
            admin::set_head(&self.repository, admin, commit)?;
        }
        marker.at = commit.clone();
        marker.moving = None;
        marker.write(&self.mark_of(name))?;
        Ok(marker)
    }
}

pub(super) fn lock_beside(index: &Path) -> std::path::PathBuf {
    let mut lock = index.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// A folder that was only begun holds nothing but a pointer. Anything else in it is somebody's.
pub(super) fn clear_half_made(path: &Path) -> Result<(), TreeError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(GitError::file(path)(error).into()),
    };
    for entry in entries {
        let entry = entry.map_err(GitError::file(path))?;
        if entry.file_name() != ".git" || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            return Err(TreeError::PathTaken { path: path.to_owned() });
        }
    }
    fs::remove_dir_all(path).map_err(GitError::file(path))?;
    Ok(())
}

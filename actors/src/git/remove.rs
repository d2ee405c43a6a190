//! Taking a tree away. Nothing uncommitted goes with it: it is refused, or put aside first.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::admin;
use super::content::Refusal;
use super::error::GitError;
use super::lock::Lock;
use super::marker::{Making, Marker};
use super::overlay::is_as_it_was;
use super::refs;
use super::steps::step;
use super::trees::{RunTrees, TreeError, TreeName, private_folder};

/// What is done with files that no commit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncommitted {
    Refuse,
    /// They are moved into the run's `archive` folder, as they are.
    Archive,
}

/// What becomes of the tree's branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    Stays,
    /// It is removed; a ref of niia's keeps its commits.
    Goes,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    Done {
        /// Where uncommitted files lie now.
        archive: Option<PathBuf>,
    },
    /// These are not committed; nothing was removed.
    Refused { paths: Vec<PathBuf> },
}

impl RunTrees {
    /// Takes a tree away. Nobody may work in it any more.
    pub fn remove(
        &self,
        name: &TreeName,
        uncommitted: Uncommitted,
        branch: Branch,
    ) -> Result<Removed, TreeError> {
        let lock = self.lock_tree(name)?;
        let mut marker = self.marker(name)?;
        let mut archive = None;
        if let Err(error) = self.bring_home(name, &mut marker) {
            Refusal::of_foreign(error)?;
            if uncommitted == Uncommitted::Refuse {
                return Ok(Removed::Refused { paths: vec![PathBuf::from(".git")] });
            }
            archive = Some(self.put_private_aside(name)?);
            marker.admin = None;
        }
        if marker.making == Making::Ready && marker.path.symlink_metadata().is_ok() {
            let paths = self.uncommitted(name, &marker, &lock)?;
            if !paths.is_empty() {
                if uncommitted == Uncommitted::Refuse {
                    return Ok(Removed::Refused { paths });
                }
                self.keep_changes(name, &marker, &lock)?;
                archive = Some(self.put_aside(name, &marker, &paths)?);
                step("git.remove.archived");
            }
            self.keep_head(name, &marker)?;
        }
        marker.making = Making::Removed;
        marker.overlays.clear();
        marker.mends = None;
        marker.moving = None;
        marker.write(&self.mark_of(name))?;
        step("git.remove.marked");
        self.delete_files(name, &marker)?;
        if branch == Branch::Goes {
            self.remove_branch(&marker)?;
        }
        Ok(Removed::Done { archive })
    }

    /// The folder and what git keeps of it.
    pub(super) fn delete_files(&self, name: &TreeName, marker: &Marker) -> Result<(), TreeError> {
        let _lock = self.lock_repository()?;
        match fs::remove_dir_all(&marker.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::file(&marker.path)(error).into());
            }
            _ => {}
        }
        step("git.remove.files");
        self.forget_private(name)?;
        if let Some(admin) = admin::of_tree(&self.repository.common_dir, &marker.path)? {
            admin::forget(&admin)?;
        }
        admin::remove_if_there(&self.index_of(name))?;
        Ok(())
    }

    fn remove_branch(&self, marker: &Marker) -> Result<(), TreeError> {
        let Some(branch) = &marker.branch else { return Ok(()) };
        if let Some(tip) = refs::read(&self.repository, branch)? {
            self.keep(&tip)?;
            refs::delete(&self.repository, branch, &tip)?;
        }
        Ok(())
    }

    /// A head that is on no branch would be forgotten with the tree.
    pub(super) fn keep_head(&self, name: &TreeName, marker: &Marker) -> Result<(), TreeError> {
        let Some(admin) = &marker.admin else { return Ok(()) };
        if marker.private.is_some() && !admin.exists() {
            return Ok(());
        }
        if let (None, Some(head)) = self.worker_head(name, marker)?
            && head != marker.at
        {
            self.keep(&head)?;
        }
        Ok(())
    }

    /// What no commit holds and niia did not put there: changed, new, and ignored files, and repositories inside.
    pub(super) fn uncommitted(
        &self,
        name: &TreeName,
        marker: &Marker,
        lock: &Lock,
    ) -> Result<Vec<PathBuf>, TreeError> {
        let at = match &marker.branch {
            Some(branch) => refs::read(&self.repository, branch)?.unwrap_or_else(|| marker.at.clone()),
            None => marker.at.clone(),
        };
        let content = self.content(name, marker);
        let mut paths = content.differing(&at, lock)?;
        let call = self.engine.on_tree("ls-files", &marker.path, &content.index);
        let call = call.args(["-o", "-i", "--exclude-standard", "--directory", "-z"]);
        let ignored = call.holding(lock).long().bytes()?;
        let ignored = ignored.split(|b| *b == 0).filter(|path| !path.is_empty());
        paths.extend(ignored.map(|path| PathBuf::from(OsString::from_vec(path.to_owned()))));
        if marker.path.join(".git").is_dir() {
            paths.push(PathBuf::from(".git"));
        }
        paths.retain(|path| !is_ours(marker, path));
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// A repository that cannot be brought home is kept whole.
    fn put_private_aside(&self, name: &TreeName) -> Result<PathBuf, TreeError> {
        let archive = self.folder.join("archive").join(name.file());
        private_folder(&archive)?;
        move_to(&self.private_folder_of(name), &archive.join("@repository"))?;
        Ok(archive)
    }

    /// Moves what is uncommitted into the run's archive, each at its path. A name that is taken there gets a number.
    fn put_aside(&self, name: &TreeName, marker: &Marker, paths: &[PathBuf]) -> Result<PathBuf, TreeError> {
        let archive = self.folder.join("archive").join(name.file());
        private_folder(&archive)?;
        let with_modules =
            marker.admin.as_ref().map(|admin| admin.join("modules")).filter(|modules| modules.exists());
        if let Some(modules) = with_modules {
            move_to(&modules, &archive.join("@modules"))?;
        }
        for path in paths {
            let from = marker.path.join(without_slash(path));
            if from.symlink_metadata().is_err() {
                // A file that was deleted: the commit that was kept says so.
                continue;
            }
            let to = archive.join(without_slash(path));
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(GitError::file(folder))?;
            }
            move_to(&from, &to)?;
        }
        Ok(archive)
    }
}

fn is_ours(marker: &Marker, path: &Path) -> bool {
    marker.overlays.iter().any(|overlay| {
        let exact = without_slash(&overlay.path) == without_slash(path);
        let within = overlay.path.as_os_str().as_bytes().ends_with(b"/") && path.starts_with(&overlay.path);
        (exact || within) && is_as_it_was(&marker.path, overlay)
    })
}

fn without_slash(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    PathBuf::from(OsString::from_vec(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec()))
}

/// Both lie in niia's state, so a move is a rename.
fn move_to(from: &Path, to: &Path) -> Result<(), GitError> {
    let mut free = to.to_owned();
    let mut number = 1;
    while free.symlink_metadata().is_ok() {
        number += 1;
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".{number}"));
        free = name.into();
    }
    fs::rename(from, &free).map_err(GitError::file(from))
}

//! What niia puts into a tree: remembered, so that it is neither committed nor taken for somebody's work.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::include::hash;
use super::marker::{Kind, Marker, Overlay};
use super::trees::{RunTrees, TreeError, TreeName};

/// A file larger than this is not compared, and counts as changed.
const COMPARED_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl RunTrees {
    /// Adds to what is remembered of a tree; what is known already is replaced.
    pub fn overlay(&self, name: &TreeName, overlays: Vec<Overlay>) -> Result<(), TreeError> {
        let _lock = self.lock_tree(name)?;
        let mut marker = self.marker(name)?;
        for overlay in overlays {
            match marker.overlays.iter_mut().find(|known| known.path == overlay.path) {
                Some(known) if overlay.blake3.is_some() || overlay.kind == Kind::Link => *known = overlay,
                Some(_) => {}
                None => marker.overlays.push(overlay),
            }
        }
        marker.write(&self.mark_of(name))?;
        Ok(())
    }

    /// What in a tree is not committed: files git does not know, and ignored ones, a folder that is ignored whole as one.
    pub fn loose_paths(&self, name: &TreeName) -> Result<Vec<PathBuf>, TreeError> {
        let lock = self.lock_tree(name)?;
        let marker = self.marker(name)?;
        let index = self.index_of(name);
        let list = |how: &[&str]| {
            let call = self.engine.on_tree("ls-files", &marker.path, &index).args(how).arg("-z");
            call.holding(&lock).long().bytes()
        };
        let new = list(&["-o", "--exclude-standard"])?;
        let ignored = list(&["-o", "-i", "--exclude-standard", "--directory"])?;
        let all = new.split(|b| *b == 0).chain(ignored.split(|b| *b == 0)).filter(|path| !path.is_empty());
        Ok(all.map(|path| PathBuf::from(OsString::from_vec(path.to_owned()))).collect())
    }
}

/// What is hidden from a commit: files of the user's that were copied, the link, and whatever `setup` made and nobody
/// has changed since.
pub(super) fn hidden(marker: &Marker) -> Vec<PathBuf> {
    let hidden = |overlay: &&Overlay| overlay.kind != Kind::Made || is_as_it_was(&marker.path, overlay);
    marker.overlays.iter().filter(hidden).map(|overlay| overlay.path.clone()).collect()
}

/// Whether an overlay holds nothing but what niia put there.
pub(super) fn is_as_it_was(tree: &Path, overlay: &Overlay) -> bool {
    let file = tree.join(&overlay.path);
    let Ok(meta) = file.symlink_metadata() else { return true };
    match (&overlay.blake3, overlay.kind) {
        (_, Kind::Link) => meta.is_symlink(),
        // A folder such as `node_modules` is made again by the same command.
        (None, Kind::Made) => meta.is_dir() && overlay.path.as_os_str().as_bytes().ends_with(b"/"),
        (None, Kind::Included) => false,
        (Some(blake3), _) => {
            meta.is_file()
                && meta.len() <= COMPARED_BYTES_MAX
                && std::fs::read(&file).is_ok_and(|bytes| hash(&bytes) == *blake3)
        }
    }
}

/// An overlay for something that a `setup` made.
pub(crate) fn made(tree: &Path, path: PathBuf) -> Overlay {
    let file = tree.join(&path);
    let small = file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= COMPARED_BYTES_MAX);
    let blake3 = small.then(|| std::fs::read(&file).ok()).flatten().map(|bytes| hash(&bytes));
    Overlay { path, kind: Kind::Made, blake3 }
}

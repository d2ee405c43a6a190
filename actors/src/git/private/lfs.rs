//! Large files that a session committed through LFS: what git keeps of them is a name, and the content lies beside.
//!
//! A content's name is its hash, so that it need not be believed: it is computed again while the content is copied.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use sha2::{Digest, Sha256};

use super::foreign::{self, Strange};
use super::is_folder;
use crate::git::error::GitError;
use crate::git::trees::{RunTrees, TreeError};

/// Of one session, all together.
const BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// One look for large files goes through no more.
const FILES_MAX: usize = 100_000;
const PIECE_BYTES: usize = 256 * 1024;

impl RunTrees {
    /// Copies the contents that the user's store lacks.
    pub(super) fn import_large_files(&self, folder: &Path) -> Result<(), TreeError> {
        if !is_folder(&folder.join("lfs")) {
            return Ok(());
        }
        let foreign = |strange: Strange| TreeError::Foreign { path: folder.to_owned(), what: strange.0 };
        let root = foreign::open_root(folder).map_err(foreign)?;
        let store = self.engine.call("config").args(["--get", "lfs.storage"]).maybe()?;
        let store = self.repository.common_dir.join(store.unwrap_or_else(|| "lfs".to_owned()));
        let mut bytes_left = BYTES_MAX;
        for (path, hash) in contents(&root).map_err(foreign)? {
            let to = store.join(path.strip_prefix("lfs").unwrap_or(&path));
            if to.symlink_metadata().is_ok() {
                continue;
            }
            let Some(source) = foreign::open_plain(&root, &path).map_err(foreign)? else { continue };
            match copy(source, &to, &hash, bytes_left).map_err(GitError::file(&to))? {
                Some(copied) => bytes_left -= copied,
                None => {
                    return Err(foreign(Strange(format!("`{}` is not what its name says", path.display()))));
                }
            }
        }
        Ok(())
    }
}

/// Paths below the repository's folder, each with the hash in its name.
fn contents(root: &OwnedFd) -> Result<Vec<(PathBuf, String)>, Strange> {
    let is_part = |name: &str| name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let mut found = Vec::new();
    let objects = PathBuf::from("lfs/objects");
    for first in names(root, &objects, FileType::Directory)?.into_iter().filter(|name| is_part(name)) {
        let folder = objects.join(&first);
        for second in names(root, &folder, FileType::Directory)?.into_iter().filter(|name| is_part(name)) {
            let folder = folder.join(&second);
            for name in names(root, &folder, FileType::RegularFile)? {
                if name.len() == 64 && name.starts_with(&format!("{first}{second}")) {
                    found.push((folder.join(&name), name));
                }
            }
            if found.len() > FILES_MAX {
                return Err(Strange(format!("it has more than {FILES_MAX} large files")));
            }
        }
    }
    Ok(found)
}

fn names(root: &OwnedFd, folder: &Path, wanted: FileType) -> Result<Vec<String>, Strange> {
    let entries = foreign::entries(root, folder)?.into_iter().filter(|(_, kind)| *kind == wanted);
    Ok(entries.filter_map(|(name, _)| name.into_string().ok()).collect())
}

/// Nothing where the content is another one, or too much; then nothing is left of it.
fn copy(mut source: File, to: &Path, hash: &str, bytes_max: u64) -> io::Result<Option<u64>> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let mut beside = to.as_os_str().to_owned();
    beside.push(format!(".niia-{:016x}", fastrand::u64(..)));
    let beside = PathBuf::from(beside);
    let mut write = || -> io::Result<Option<u64>> {
        let mut file = File::create_new(&beside)?;
        let (mut piece, mut sum, mut copied) = (vec![0; PIECE_BYTES], Sha256::new(), 0);
        loop {
            let n = source.read(&mut piece)?;
            if n == 0 {
                break;
            }
            copied += n as u64;
            if copied > bytes_max {
                return Ok(None);
            }
            sum.update(&piece[..n]);
            file.write_all(&piece[..n])?;
        }
        let found: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != hash {
            return Ok(None);
        }
        file.sync_all()?;
        fs::rename(&beside, to)?;
        Ok(Some(copied))
    };
    let written = write();
    if !matches!(written, Ok(Some(_))) {
        // Half a file, or a false one, is nobody's; why it is, is being told.
        let _ = fs::remove_file(&beside);
    }
    written
}

//! Folders made on the way, taken away again unless all went well.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub struct Made {
    folders: Vec<PathBuf>,
}

impl Made {
    /// Makes a folder and those above it that are not there, each for its owner alone.
    pub fn folders(&mut self, path: &Path) -> io::Result<()> {
        if std::fs::metadata(path).is_ok() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.folders(above)?;
        }
        self.make(path)
    }

    /// Makes a folder for its owner alone, or makes one that is there so.
    pub fn private(&mut self, path: &Path) -> io::Result<()> {
        self.make(path)?;
        let about = std::fs::symlink_metadata(path)?;
        if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
            let text = format!("{} is no folder of yours", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        if about.mode() & 0o077 == 0 { Ok(()) } else { set_private(path) }
    }

    pub fn keep(mut self) {
        self.folders.clear();
    }

    fn make(&mut self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                self.folders.push(path.to_owned());
                Ok(())
            }
            // Another process may start at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.folders.iter().rev() {
            // Where somebody else has put something into it meanwhile it must stay.
            drop(std::fs::remove_dir(folder));
        }
    }
}

pub fn set_private(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

//! Where a house may stand: a sandbox has some folders for itself, and sees nothing of what the machine has there.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

/// Folders that a sandbox has for itself.
const PRIVATE: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev"];
/// Where something goes that must be seen in a sandbox; the first that can be written to.
const PUBLIC: [&str; 3] = ["/srv", "/opt", "/var/lib"];

/// Whether everybody may pass each folder on the way, and none is one that a sandbox has for itself.
pub(crate) fn is_seen_by_all(root: &Path) -> bool {
    let passes = |folder: &Path| folder.metadata().is_ok_and(|data| data.permissions().mode() & 0o001 != 0);
    !PRIVATE.iter().any(|private| root.starts_with(private)) && root.ancestors().all(passes)
}

/// A new folder that everybody sees, in a sandbox too.
pub(crate) fn public_folder(prefix: &str) -> Option<TempDir> {
    PUBLIC.iter().find_map(|place| {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place).ok()?;
        set_permissions(folder.path(), Permissions::from_mode(0o755)).ok()?;
        Some(folder)
    })
}

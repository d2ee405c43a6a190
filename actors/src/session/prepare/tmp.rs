//! A folder for passing things of the session's own: tools leave prompts and sockets there.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::machine::Assignment;
use crate::session::finish::profile_of;

/// Where the session's tool is to put what passes; nothing where it is a plain program, which is given what its caller
/// has, or has a sandbox with a folder of its own. The path is short: tools bind sockets below it.
pub(super) fn folder(assignment: &Assignment) -> Option<PathBuf> {
    let asks = profile_of(assignment).is_some_and(|profile| !profile.errors.is_empty());
    if !asks || assignment.worker.session.sandbox.is_some() {
        return None;
    }
    let env = &assignment.context.origin.env;
    let above = env.get("TMPDIR").map(Path::new).filter(|path| path.is_absolute());
    let session = blake3::hash(assignment.session.to_string().as_bytes()).to_hex();
    Some(above.unwrap_or(Path::new("/tmp")).join(format!("niia-{}", &session[..12])))
}

/// Makes it; one that is there already must be ours alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let found = fs::symlink_metadata(folder)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is somebody else's", folder.display())))
}

/// Removes it with all that was left in it.
pub(super) fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "a session's passing files stay");
        }
        _ => {}
    }
}

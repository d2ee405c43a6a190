//! The folder in which a sandboxed tool keeps its state: one for each session, empty but for what the profile says.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes the folder. What is there already stays: a session that is taken up goes on with it.
pub(super) fn make(folder: &Path, folders: &[String], files: &BTreeMap<String, String>) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder)?;
    for below in folders {
        builder.create(folder.join(below))?;
    }
    for (below, text) in files {
        let path = folder.join(below);
        if let Some(parent) = path.parent() {
            builder.create(parent)?;
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(text.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

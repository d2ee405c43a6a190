//! What the sandbox of a session is made of, as its minder wrote it down.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::minder::MADE_FILE;
use crate::sandbox::Made;

/// A line for each of some ten layers; paths are long.
const MADE_BYTES_MAX: u64 = 256 << 10;

/// Reads it from the session's folder; nothing where the session has no sandbox.
pub fn made(folder: &Path) -> io::Result<Option<Made>> {
    let file = match File::open(folder.join(MADE_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MADE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

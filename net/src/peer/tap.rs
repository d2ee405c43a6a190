//! What a node says to others, written down before it is encrypted: for whoever wants to see what leaves a machine.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// As much is written down; what is said later is not, and the file ends with a word about it.
pub const CAPTURE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The file all streams of a node are written to. Clones share it.
#[derive(Clone, Debug)]
pub struct Tap(Arc<Mutex<Written>>);

#[derive(Debug)]
struct Written {
    file: File,
    bytes: u64,
}

impl Tap {
    /// Appends to the file; it is for its user alone.
    pub fn open(path: &Path) -> io::Result<Tap> {
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Tap(Arc::new(Mutex::new(Written { file, bytes }))))
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.bytes > CAPTURE_BYTES_MAX {
            return;
        }
        written.bytes += bytes.len() as u64;
        let cut = written.bytes > CAPTURE_BYTES_MAX;
        let text = if cut { b"\n-- more was said than is written down --\n" } else { bytes };
        if let Err(error) = written.file.write_all(text) {
            tracing::warn!(%error, "what is said to other nodes is not written down");
        }
    }
}

//! What stays of a place from run to run: its history, which niia writes, and its memory, which the runs do.
//!
//! A place is a repository, or a folder where there is none. Both lie in the state folder, not in the repository: they
//! belong to this machine and its user.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use niia_spec::notice::{MemoryView, PastRun};
use niia_spec::origin::Origin;

use crate::scratchpad::{ScratchpadError, ScratchpadFolder};

mod page;

/// The folder of all places in the state folder.
const PLACES: &str = "places";
/// What a memory may hold, in bytes: far more text than anybody reads before a night's work.
pub const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The files of a memory: as many as a person can still look through.
pub const MEMORY_FILES_MAX: usize = 4_096;
/// Runs that a history tells of, the newest; what is older is in the journal alone.
pub const HISTORY_RUNS_MAX: usize = 1_000;
/// All pages of a history together.
pub const HISTORY_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// One run's page. What is longer is cut, and says so.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Letters and digits of a place's hash in its folder's name: two places of one name are told apart.
const HASH_CHARS: usize = 12;

/// Where a place's history and memory lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// The place a run works in.
    pub fn of(state: &Path, origin: &Origin) -> Place {
        Place::at(state, origin.repository.as_deref().unwrap_or(&origin.cwd))
    }

    /// The place that is a repository's top or a folder.
    pub fn at(state: &Path, path: &Path) -> Place {
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = niia_spec::name::Slug::nearest(&name);
        let short: String = name.as_str().chars().take(40).collect();
        Place { folder: state.join(PLACES).join(format!("{short}-{}", &hash[..HASH_CHARS])) }
    }

    /// The place of a run by its folder; nothing for work of another machine's run, whose place is there.
    pub fn of_run(run_folder: &Path, origin: &Origin) -> Option<Place> {
        let runs = run_folder.parent().filter(|runs| runs.ends_with("runs"))?;
        Some(Place::of(runs.parent()?, origin))
    }

    /// One page for each run that is over, to be read.
    pub fn history(&self) -> PathBuf {
        self.folder.join("history")
    }

    /// A folder for the runs to write in.
    pub fn memory(&self) -> PathBuf {
        self.folder.join("memory")
    }

    /// Makes both folders where they are not.
    pub fn make(&self) -> io::Result<()> {
        let make = |path: PathBuf| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(self.history()).and_then(|()| make(self.memory()))
    }

    /// Writes a run's page, once as data and once as text. May be called again for the same run.
    pub fn keep(&self, past: &PastRun) -> io::Result<()> {
        self.make()?;
        let stem = page::stem(past);
        let json = serde_json::to_vec(past).map_err(io::Error::other)?;
        replace(&self.history().join(format!("{stem}.json")), &json)?;
        replace(&self.history().join(format!("{stem}.md")), page::text(past).as_bytes())?;
        self.prune()
    }

    /// The runs that ended at or after a time, the oldest first. A page that cannot be read is left out, and named.
    pub fn since(&self, at_ms: u64) -> io::Result<(Vec<PastRun>, Vec<String>)> {
        let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
        for (path, _) in self.pages("json")? {
            let read = fs::read(&path).map_err(|error| error.to_string());
            let read = read.and_then(|bytes| {
                serde_json::from_slice::<PastRun>(&bytes).map_err(|error| error.to_string())
            });
            match read {
                Ok(past) if past.ended_at_ms >= at_ms => runs.push(past),
                Ok(_) => {}
                Err(reason) => unreadable.push(format!("{}: {reason}", path.display())),
            }
        }
        runs.sort_by_key(|past| past.ended_at_ms);
        Ok((runs, unreadable))
    }

    /// The pages of one kind with their sizes, the oldest first.
    fn pages(&self, ending: &str) -> io::Result<Vec<(PathBuf, u64)>> {
        let entries = match fs::read_dir(self.history()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut pages = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == ending) {
                pages.push((entry.path(), entry.metadata()?.len()));
            }
        }
        pages.sort();
        Ok(pages)
    }

    /// The oldest pages go where there are too many.
    fn prune(&self) -> io::Result<()> {
        let pages = self.pages("json")?;
        let mut bytes: u64 = pages.iter().map(|(_, bytes)| bytes).sum();
        let mut left = pages.len();
        for (path, size) in pages {
            if left <= HISTORY_RUNS_MAX && bytes <= HISTORY_BYTES_MAX / 2 {
                break;
            }
            (left, bytes) = (left - 1, bytes - size);
            for path in [path.with_extension("md"), path] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What lies in the memory.
    pub fn remembered(&self) -> Result<MemoryView, ScratchpadError> {
        let listing = self.open_memory()?.ls("")?;
        let files = listing.entries.iter().filter(|entry| entry.kind == crate::scratchpad::EntryKind::File);
        let files: Vec<(String, u64)> = files.map(|entry| (entry.path.clone(), entry.bytes)).collect();
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        let full = listing.cut || bytes > MEMORY_BYTES_MAX || files.len() > MEMORY_FILES_MAX;
        Ok(MemoryView { folder: self.memory(), files, bytes, full })
    }

    /// The memory, whose names and links are believed as little as a scratchpad's.
    pub fn open_memory(&self) -> Result<ScratchpadFolder, ScratchpadError> {
        if let Err(source) = self.make() {
            return Err(ScratchpadError::Io { path: self.folder.display().to_string(), source });
        }
        ScratchpadFolder::open(&self.memory())
    }
}

/// Whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests;

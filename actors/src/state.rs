//! The state folder: where a node keeps everything it must not lose, and the lock that makes it the only one there.

mod filesystem;
mod lock;
mod made;
mod socket;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use niia_spec::name::RunId;

pub use lock::{Lock, LockError};
pub use socket::{SocketError, bind, bind_anew, connect};

use made::Made;

/// The variable that moves the state folder; whoever cannot use the default one is told its name.
pub const VARIABLE: &str = "NIIA_HOME";
/// What must fit before a node starts there, in bytes: an empty journal with its log, and some lines of a report.
const PROBE_BYTES: usize = 256 * 1024;

/// The folders below the state folder.
const FOLDERS: [&str; 4] = ["run", "runs", "trees", "archive"];

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("neither {VARIABLE}, XDG_STATE_HOME nor HOME says where the state folder is; set {VARIABLE}")]
    Nowhere,
    #[error("{path} is not an absolute path: set {VARIABLE} to one")]
    Relative { path: PathBuf },
    #[error("the state folder {path} cannot be made or used; {VARIABLE} moves it")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the state folder {path} is not a folder; {VARIABLE} moves it")]
    NotAFolder { path: PathBuf },
    #[error("the state folder {path} belongs to user {owner}, not to you ({user}); {VARIABLE} moves it")]
    Foreign { path: PathBuf, owner: u32, user: u32 },
    #[error(
        "others may write to the state folder {path}, which holds what is not niia's; {VARIABLE} moves it"
    )]
    Open { path: PathBuf },
    #[error(
        "the state folder {path} lies on {kind}, where neither locks nor the journal can be relied upon; set {VARIABLE} to a folder on a local disk"
    )]
    Network { path: PathBuf, kind: String },
}

/// A state folder that can be used: ours, private, local and writable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

/// Where the state folder is: `NIIA_HOME`, else the user's state folder and the machine's own name in it, so that a home
/// that several machines share gives each its own.
pub fn locate(env: &dyn Fn(&str) -> Option<OsString>, machine_id: &str) -> Result<PathBuf, StateError> {
    let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set(VARIABLE) {
        return if path.is_absolute() { Ok(path) } else { Err(StateError::Relative { path }) };
    }
    // A relative XDG_STATE_HOME is to be ignored, as its specification says.
    let base = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let base =
        base.or_else(|| set("HOME").filter(|path| path.is_absolute()).map(|home| home.join(".local/state")));
    Ok(base.ok_or(StateError::Nowhere)?.join("niia").join(machine_id))
}

impl StateFolder {
    /// Makes the folder where it is not, and refuses one that cannot be relied upon. A refusal leaves nothing behind.
    pub fn open(path: &Path) -> Result<StateFolder, StateError> {
        if !path.is_absolute() {
            return Err(StateError::Relative { path: path.to_owned() });
        }
        let failed = |source| StateError::Folder { path: path.to_owned(), source };
        let mut made = Made::default();
        made.folders(path).map_err(failed)?;
        check(path)?;
        for folder in FOLDERS {
            made.private(&path.join(folder)).map_err(failed)?;
        }
        probe(path).map_err(failed)?;
        made.keep();
        Ok(StateFolder { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sockets and the lock.
    pub fn run_folder(&self) -> PathBuf {
        self.path.join("run")
    }

    /// A socket of the node's, by its name.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run_folder().join(name)
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// What one run keeps: recordings, scratchpad, report.
    pub fn run(&self, run: &RunId) -> PathBuf {
        self.path.join("runs").join(run.as_str())
    }

    /// Worktrees.
    pub fn trees(&self) -> PathBuf {
        self.path.join("trees")
    }

    /// What was put away before something was removed.
    pub fn archive(&self) -> PathBuf {
        self.path.join("archive")
    }
}

fn check(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Folder { path: path.to_owned(), source };
    let about = std::fs::symlink_metadata(path).map_err(failed)?;
    // The user's own link to a bigger disk is fine; what counts is where it leads.
    let about = if about.is_symlink() { std::fs::metadata(path).map_err(failed)? } else { about };
    if !about.is_dir() {
        return Err(StateError::NotAFolder { path: path.to_owned() });
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user {
        return Err(StateError::Foreign { path: path.to_owned(), owner: about.uid(), user });
    }
    if let Some(kind) = filesystem::network(path).map_err(failed)? {
        return Err(StateError::Network { path: path.to_owned(), kind });
    }
    close_to_others(path, about.mode())
}

/// An empty folder and an older state folder become private. Any other one keeps its mode (it may be somebody's home),
/// as long as nobody else can put something in niia's place there.
fn close_to_others(path: &Path, mode: u32) -> Result<(), StateError> {
    let failed = |source| StateError::Folder { path: path.to_owned(), source };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = std::fs::read_dir(path).map_err(failed)?.next().is_none();
    if empty || path.join("run").is_dir() {
        return made::set_private(path).map_err(failed);
    }
    if mode & 0o022 == 0 { Ok(()) } else { Err(StateError::Open { path: path.to_owned() }) }
}

/// Finds a full or read-only disk before anything depends on it.
fn probe(path: &Path) -> io::Result<()> {
    let name = path.join("run").join(format!("probe-{}", std::process::id()));
    let written = std::fs::write(&name, vec![0x5a; PROBE_BYTES])
        .and_then(|()| std::fs::File::open(&name))
        .and_then(|file| file.sync_all());
    let removed = match std::fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    written.and(removed)
}

//! What a sandboxed session may do, as data.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Refusal;

pub const POLICY_VERSION: u32 = 1;
/// A session's private files lie in memory; a build's temporary files fit into this.
pub const TMP_BYTES_MAX_DEFAULT: u64 = 2 << 30;
/// A parallel build of a large project has some hundred processes and threads; a fork bomb has all there are.
pub const PIDS_MAX_DEFAULT: u64 = 4096;
/// The first process, the program and a shell pipeline.
pub const PIDS_MIN: u64 = 8;
/// Below this not even a shell starts.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Each path is a mount, and every mount costs memory and time in the kernel.
const PATHS_MAX: usize = 512;
/// One proxy and a few local models.
pub const LISTEN_MAX: usize = 16;
/// Where a sandbox has things of its own: nothing of the machine's can be given there as a whole.
const OWN_PLACES: [&str; 4] = ["/proc", "/sys", "/dev", "/"];

/// What a session may do. The most specific path wins; at equal paths hidden, then read-only, then writable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub version: u32,
    /// Who the session is on this machine; asked for where niia itself is root.
    pub run_as: Option<RunAs>,
    /// Must be there.
    pub write: Vec<PathBuf>,
    /// Matters below `write` and `hidden`: everything else is read-only anyway.
    pub read_only: Vec<PathBuf>,
    pub hidden: Vec<PathBuf>,
    /// Files of which the session has a copy of its own: it may change that, what lies on disk stays, and the copy is
    /// gone at the end.
    pub own: Vec<PathBuf>,
    /// Unix sockets that can be reached, or folders of them, so that one can be made anew; all others that exist are
    /// masked.
    pub sockets: Vec<PathBuf>,
    /// Where the session's own loopback answers; whoever starts it gets the listeners.
    pub listen: Vec<Listen>,
    pub network: Network,
    /// Of all processes together.
    pub memory_bytes_max: Option<u64>,
    /// Processes and threads of the whole session.
    pub pids_max: Option<u64>,
    /// All private files together; never more than the memory in which they lie.
    pub tmp_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A loopback of its own, and nothing else.
    Closed,
    /// The machine's.
    Open,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            version: POLICY_VERSION,
            run_as: None,
            write: Vec::new(),
            read_only: Vec::new(),
            hidden: Vec::new(),
            own: Vec::new(),
            sockets: Vec::new(),
            listen: Vec::new(),
            network: Network::Closed,
            memory_bytes_max: None,
            pids_max: Some(PIDS_MAX_DEFAULT),
            tmp_bytes_max: TMP_BYTES_MAX_DEFAULT,
        }
    }
}

impl Policy {
    /// What is wrong with the policy itself, whatever the machine.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new("policy", why, "correct the policy"));
        if self.version != POLICY_VERSION {
            return refuse(format!("its version is {}, {POLICY_VERSION} is known here", self.version));
        }
        let paths =
            || [&self.write, &self.read_only, &self.hidden, &self.own, &self.sockets].into_iter().flatten();
        if paths().count() > PATHS_MAX {
            return refuse(format!("it names {} paths, at most {PATHS_MAX} can be", paths().count()));
        }
        if let Some(path) = paths().find(|path| !is_plain(path)) {
            return refuse(format!("`{}` is no plain absolute path", path.display()));
        }
        let is_own = |path: &&PathBuf| OWN_PLACES.iter().any(|own| is_at_or_in(path, Path::new(own)));
        if let Some(path) = self.write.iter().find(is_own) {
            return refuse(format!("`{}` cannot be writable: the sandbox has its own", path.display()));
        }
        self.check_numbers()
    }

    /// The room there is for private files.
    pub(super) fn files_bytes_max(&self) -> u64 {
        self.memory_bytes_max.map_or(self.tmp_bytes_max, |memory| memory.min(self.tmp_bytes_max))
    }

    fn check_numbers(&self) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new("policy", why, "correct the policy"));
        if self.listen.len() > LISTEN_MAX {
            return refuse(format!(
                "it asks for {} listeners, at most {LISTEN_MAX} can be",
                self.listen.len()
            ));
        }
        if !self.listen.is_empty() && self.network == Network::Open {
            return refuse("it asks for listeners of its own in the machine's network".to_owned());
        }
        if let Some(pids) = self.pids_max.filter(|pids| *pids < PIDS_MIN) {
            return refuse(format!("{pids} processes are too few, a session needs {PIDS_MIN}"));
        }
        if let Some(bytes) = self.memory_bytes_max.filter(|bytes| *bytes < MEMORY_BYTES_MIN) {
            return refuse(format!("{bytes} bytes of memory are too few, a shell needs {MEMORY_BYTES_MIN}"));
        }
        if self.run_as.is_some_and(|user| user.uid == 0) {
            let cure = "name a user other than root in `[sandbox] run_as`";
            return Err(Refusal::new("user", "`run_as` is root itself", cure));
        }
        Ok(())
    }
}

/// The whole of the file system is in nothing but itself.
fn is_at_or_in(path: &Path, own: &Path) -> bool {
    if own == Path::new("/") { path == own } else { path.starts_with(own) && !path.starts_with("/dev/shm") }
}

fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

//! Where niia keeps what: state, settings, the socket of the node.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use niia_spec::name::Slug;

/// The variable that puts everything of niia into one folder: a second node, a test.
pub const HOME_VARIABLE: &str = "NIIA_HOME";

/// The longest path a unix socket may have, its end mark included.
const SOCKET_PATH_BYTES_MAX: usize = 108;

/// The folders of one node and its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Runs, sessions, journal, sockets: everything the node keeps.
    pub state: PathBuf,
    /// Settings, profiles, plugins: everything the user keeps.
    pub config: PathBuf,
}

/// Why there is no place for niia's files.
#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    #[error("neither NIIA_HOME nor HOME is set, so there is no place for niia's files")]
    NoHome,
    #[error("NIIA_HOME and XDG folders must be absolute paths, `{}` is not", path.display())]
    Relative { path: PathBuf },
    #[error("could not make the folder `{}`", path.display())]
    Unmakable { path: PathBuf, source: io::Error },
}

impl Folders {
    /// The folders the environment names.
    pub fn of_this_user() -> Result<Folders, FoldersError> {
        Folders::by(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn by(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Folders, FoldersError> {
        if let Some(home) = variable(HOME_VARIABLE) {
            let home = absolute(home)?;
            return Ok(Folders { config: home.join("config"), state: home });
        }
        let below_home = |rest: &str| variable("HOME").map(|home| home.join(rest)).ok_or(FoldersError::NoHome);
        let state = variable("XDG_STATE_HOME").map_or_else(|| below_home(".local/state"), Ok)?;
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| below_home(".config"), Ok)?;
        // A home folder shared by several machines holds a state of each.
        let state = absolute(state)?.join("niia").join(machine_id());
        Ok(Folders { state, config: absolute(config)?.join("niia") })
    }

    /// The same with another state folder, where one is given.
    pub fn with_state(self, state: Option<&Path>) -> Result<Folders, FoldersError> {
        let Some(state) = state else { return Ok(self) };
        let unmakable = |source| FoldersError::Unmakable { path: state.to_owned(), source };
        Ok(Folders { state: std::path::absolute(state).map_err(unmakable)?, ..self })
    }

    /// Sockets, locks and the node's log.
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.run().join("node.sock")
    }

    pub fn node_log(&self) -> PathBuf {
        self.run().join("node.log")
    }

    /// Makes the state folder and its `run`, for this user alone.
    pub fn make(&self) -> Result<(), FoldersError> {
        for path in [&self.state, &self.run()] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| FoldersError::Unmakable { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// The socket under a name that is short enough, for connecting and for binding.
    pub fn socket_address(&self) -> io::Result<SocketAddress> {
        let socket = self.socket();
        if socket.as_os_str().len() < SOCKET_PATH_BYTES_MAX {
            return Ok(SocketAddress { path: socket, _folder: None });
        }
        let folder = fs::File::open(self.run())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/node.sock", folder.as_raw_fd()));
        if cfg!(not(target_os = "linux")) {
            let message = format!("its path has more than {} bytes: set NIIA_HOME to a shorter one", SOCKET_PATH_BYTES_MAX - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(SocketAddress { path, _folder: Some(folder) })
    }
}

/// A name of a socket that holds as long as this lives.
#[derive(Debug)]
pub struct SocketAddress {
    path: PathBuf,
    _folder: Option<fs::File>,
}

impl SocketAddress {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, FoldersError> {
    if path.is_absolute() { Ok(path) } else { Err(FoldersError::Relative { path }) }
}

/// A name for this machine that stays the same; its host name where it has no id of its own.
fn machine_id() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match Slug::new(id.trim()) {
        Ok(id) => id.to_string(),
        Err(_) => Slug::nearest(&rustix::system::uname().nodename().to_string_lossy()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)]) -> Result<Folders, FoldersError> {
        Folders::by(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| PathBuf::from(value)))
    }

    #[test]
    fn niia_home_puts_everything_into_one_folder() {
        let folders = by(&[("NIIA_HOME", "/n"), ("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")]).unwrap();
        assert_eq!(folders, Folders { state: "/n".into(), config: "/n/config".into() });
        assert_eq!(folders.socket(), Path::new("/n/run/node.sock"));
    }

    #[test]
    fn a_shared_home_holds_a_state_of_each_machine() {
        let folders = by(&[("HOME", "/home/a")]).unwrap();
        assert_eq!(folders.config, Path::new("/home/a/.config/niia"));
        assert_eq!(folders.state.parent(), Some(Path::new("/home/a/.local/state/niia")));
    }

    #[test]
    fn without_a_home_or_with_a_relative_one_there_is_no_guess() {
        assert!(matches!(by(&[]), Err(FoldersError::NoHome)));
        assert!(matches!(by(&[("NIIA_HOME", "n")]), Err(FoldersError::Relative { .. })));
    }
}

//! Where niia keeps what: state, settings, the socket of the node.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use niia_actors::launch::SOCKET_VARIABLE;
use niia_actors::state::{self, StateError, StateFolder};
use niia_spec::name::Slug;

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
    #[error(transparent)]
    State(#[from] StateError),
    #[error("neither {}, XDG_CONFIG_HOME nor HOME says where the settings are", state::VARIABLE)]
    NoHome,
    #[error("`{}` is no path", path.display())]
    NoPath { path: PathBuf, source: io::Error },
}

impl Folders {
    /// The folders the environment names.
    pub fn of_this_user() -> Result<Folders, FoldersError> {
        Folders::by(&|name| env::var_os(name))
    }

    fn by(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Folders, FoldersError> {
        let state = state::locate(variable, &machine_id())?;
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if set(state::VARIABLE).is_some() {
            return Ok(Folders { config: state.join("config"), state });
        }
        let of_user = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let of_user = of_user.or_else(|| set("HOME").map(|home| home.join(".config")));
        Ok(Folders { config: of_user.ok_or(FoldersError::NoHome)?.join("niia"), state })
    }

    /// The same with another state folder, where one is given.
    pub fn with_state(self, state: Option<&Path>) -> Result<Folders, FoldersError> {
        let Some(state) = state else { return Ok(self) };
        let no_path = |source| FoldersError::NoPath { path: state.to_owned(), source };
        Ok(Folders { state: std::path::absolute(state).map_err(no_path)?, ..self })
    }

    /// Sockets, locks and the node's log.
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Where the node answers. A session in a sandbox has a socket of its own.
    pub fn socket(&self) -> PathBuf {
        door().unwrap_or_else(|| self.run().join("node.sock"))
    }

    pub fn node_log(&self) -> PathBuf {
        self.run().join("node.log")
    }

    /// Makes the state folder where it is not, and refuses one that cannot be relied upon.
    pub fn open_state(&self) -> Result<StateFolder, FoldersError> {
        Ok(StateFolder::open(&self.state)?)
    }
}

/// The socket by which a session in a sandbox reaches the node, where this is one.
pub fn door() -> Option<PathBuf> {
    env::var_os(SOCKET_VARIABLE).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A name for this machine that stays the same; its host name where it has no id of its own.
pub fn machine_id() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match Slug::new(id.trim()) {
        Ok(id) => id.to_string(),
        Err(_) => Slug::nearest(&host()).to_string(),
    }
}

/// The names under which a document may mean this machine: its host's, what its node is called by the settings, and those
/// that the settings give it besides.
pub fn own_hosts(named: Option<&str>) -> Vec<String> {
    static FURTHER: OnceLock<Vec<String>> = OnceLock::new();
    // Settings that cannot be read are complained of by whoever needs more of them.
    let read = || Folders::of_this_user().ok().and_then(|folders| super::Config::read(&folders).ok());
    let further = FURTHER.get_or_init(|| read().map(|config| config.network.names).unwrap_or_default());
    let host = host();
    let named = named.filter(|name| *name != host).map(str::to_owned);
    named.into_iter().chain([host]).chain(further.iter().cloned()).collect()
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)]) -> Result<Folders, FoldersError> {
        Folders::by(&|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
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
        assert!(matches!(by(&[]), Err(FoldersError::State(StateError::Nowhere))));
        assert!(matches!(by(&[("NIIA_HOME", "n")]), Err(FoldersError::State(StateError::Relative { .. }))));
    }
}

//! How a session is started: plain data, and the plugins that make it.
//!
//! A plugin takes a launch and gives a launch, from facts alone: no file, no clock, no process. What has to be done on
//! disk before the program may start is written into the launch as a list of preparations, and one function carries
//! it out (`prepare`). The user's own plugins are executables of the same shape: a launch goes in, a launch comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use niia_spec::name::SessionId;
use niia_spec::plan::{NetworkPlan, Permission, SandboxPlan, SessionPlan};
use serde::{Deserialize, Serialize};

use crate::git::TreeName;
use crate::network::Rules;
use crate::sandbox::Policy;

pub mod env;
pub mod external;
pub mod network;
pub mod ports;
pub mod prepare;
pub mod program;
pub mod sandbox;
pub mod scratchpad;
mod state;
pub mod timeout;
pub mod worktree;

pub use env::{EnvError, is_secret};
pub use external::ExternalError;
pub use ports::{PortsError, release_ports, reserve_ports};
pub use prepare::{Finished, Kept, PrepareError, Prepared, Runner, finish, finish_by, prepare, prepare_by};
pub use sandbox::{CONTROL_FOLDER, Confining, SOCKET_VARIABLE};

/// Everything about how a session will be started.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    pub session: SessionId,
    pub argv: Vec<String>,
    /// All of it: nothing is inherited.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub cols: u16,
    pub rows: u16,
    /// The top of the tree the session works in.
    pub tree: Option<PathBuf>,
    pub scratchpad: Option<PathBuf>,
    pub sandbox: Option<SandboxPlan>,
    /// What comes of it, for the kernel; drawn up last, when nobody can change the launch any more.
    #[serde(skip)]
    pub policy: Option<Policy>,
    pub network: NetworkPlan,
    /// What it may reach where that is less than all, drawn up last as well.
    #[serde(skip)]
    pub reach: Option<Rules>,
    /// Where its tool keeps its state, when not where the user's does.
    #[serde(skip)]
    pub state: Option<PathBuf>,
    pub permission: Permission,
    /// Wall clock of the session.
    pub timeout_ms: u64,
    pub ports: Vec<u16>,
    pub record: bool,
    pub recording_bytes_max: u64,
    /// Settings for the session's own git, beside those of the user.
    pub git_settings: Vec<(String, String)>,
    pub preparations: Vec<Preparation>,
}

/// Something to be done on disk before the program starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// The tree is made, or taken up.
    Tree { name: TreeName },
    /// Ignored files of the user's checkout are copied into the tree.
    Include { name: TreeName, patterns: Vec<String> },
    /// A link to the scratchpad, and a list of what git must not see.
    Scratchpad { tree: TreeName, within: PathBuf, excludes: PathBuf, excludes_of_user: Option<PathBuf> },
    /// A folder for a tool's state, with what lies in it from the start.
    State { folder: PathBuf, folders: Vec<String>, files: BTreeMap<String, String> },
    /// A command before the session.
    Setup { commands: Vec<String> },
    /// A command after it.
    Teardown { commands: Vec<String> },
}

/// What the plugins know.
#[derive(Clone)]
pub struct Facts {
    pub session: SessionId,
    pub plan: SessionPlan,
    pub program: Program,
    /// The environment of whoever started the run.
    pub caller_env: BTreeMap<String, String>,
    /// Variables of niia's own, such as `NIIA_RUN`.
    pub own_env: BTreeMap<String, String>,
    pub place: Place,
    pub scratchpad: Option<PathBuf>,
    /// Where niia keeps files for this session.
    pub folder: PathBuf,
    /// Where a sandboxed tool keeps its state: in a folder that all attempts share, where it holds a conversation.
    pub state: PathBuf,
    /// The user's own list of what git does not see.
    pub excludes_of_user: Option<PathBuf>,
    /// As reserved for this session.
    pub ports: Vec<u16>,
    /// Folders outside of the tree that the node's policy allows as `cwd`.
    pub folders_allowed: Vec<PathBuf>,
    /// What this node settles for sandboxes.
    pub confining: Confining,
    /// The longest time any session of the run may have.
    pub timeout_ms_max: Option<u64>,
}

/// What is started, as the profile says.
#[derive(Clone, Default)]
pub struct Program {
    pub argv: Vec<String>,
    /// Where in it the tool itself stands: a shell may stand before it.
    pub at: usize,
    pub env: BTreeMap<String, String>,
    /// Names of the caller's variables that it needs; a `*` at the end stands for anything.
    pub env_pass: Vec<String>,
    /// Whom it needs to reach.
    pub reach: network::Reach,
}

/// Where the session works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Tree {
        name: TreeName,
        path: PathBuf,
    },
    /// The current folder or the user's own checkout.
    Folder {
        path: PathBuf,
    },
}

/// Why a launch cannot be drawn up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the profile names no program")]
    NoProgram,
    #[error("the path `{}` cannot stand in an environment: it is not UTF-8", path.display())]
    NoText { path: PathBuf },
    #[error("argument {index} of the program holds a NUL")]
    NulInArgument { index: usize },
    #[error("`{field}` is {value}: it must be from 1 to {max}")]
    OutOfBounds { field: &'static str, value: u64, max: u64 },
    #[error("`cwd` leads out of the tree: `{cwd}`")]
    CwdOutside { cwd: String },
    #[error("`cwd` is absolute, and the node's policy does not list `{cwd}`")]
    CwdNotAllowed { cwd: String },
    #[error("`ports` asks for {wanted}, but {reserved} are reserved")]
    Ports { wanted: u16, reserved: usize },
    /// In the form that every refusal of the sandbox has.
    #[error("REFUSED: {property}: {why}: {cure}")]
    Refused { property: &'static str, why: String, cure: String },
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    External(#[from] ExternalError),
}

/// One step in the drawing up of a launch.
pub type Plugin = fn(Launch, &Facts) -> Result<Launch, LaunchError>;

/// In the order in which they are asked.
pub const PLUGINS: [(&str, Plugin); 7] = [
    ("program", program::apply),
    ("worktree", worktree::apply),
    ("scratchpad", scratchpad::apply),
    ("env", env::apply),
    ("timeout", timeout::apply),
    ("network", network::apply),
    ("sandbox", sandbox::apply),
];

/// The launch of a session, from facts alone.
pub fn draw_up(facts: &Facts) -> Result<Launch, LaunchError> {
    PLUGINS.iter().try_fold(Launch::bare(facts), |launch, (_, plugin)| plugin(launch, facts))
}

impl Launch {
    fn bare(facts: &Facts) -> Launch {
        let plan = &facts.plan;
        Launch {
            session: facts.session.clone(),
            argv: Vec::new(),
            env: BTreeMap::new(),
            cwd: PathBuf::new(),
            cols: plan.cols,
            rows: plan.rows,
            tree: None,
            scratchpad: None,
            sandbox: plan.sandbox.clone(),
            policy: None,
            network: plan.network.clone(),
            reach: None,
            state: None,
            permission: plan.permission,
            timeout_ms: plan.timeout_ms,
            ports: Vec::new(),
            record: plan.record,
            recording_bytes_max: plan.recording_bytes_max,
            git_settings: Vec::new(),
            preparations: Vec::new(),
        }
    }

    /// The same launch for logs, events and screens: a secret's value is struck out.
    pub fn shown(&self) -> Launch {
        let mut shown = self.clone();
        for (name, value) in &mut shown.env {
            if is_secret(name, value) {
                *value = env::STRUCK_OUT.to_owned();
            }
        }
        for argument in &mut shown.argv {
            if is_secret("", argument) {
                *argument = env::STRUCK_OUT.to_owned();
            }
        }
        shown
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("program", &self.argv.first()).finish_non_exhaustive()
    }
}

/// The caller's environment holds whatever secrets its person has: none of it is shown.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("session", &self.session)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Launch { session, argv, env, cwd, tree, preparations, .. } = &self.shown();
        f.debug_struct("Launch")
            .field("session", session)
            .field("argv", argv)
            .field("env", env)
            .field("cwd", cwd)
            .field("tree", tree)
            .field("preparations", preparations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

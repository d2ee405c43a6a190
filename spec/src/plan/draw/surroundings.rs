//! What a plan must know of the place it is drawn for. Plain data: whoever can look gathers it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The place a plan is drawn for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The git repository around the current folder; nothing where there is none, or none with a commit.
    pub repository: Option<Repository>,
    /// The user's own profiles first, then the built-in ones: the first of a name counts.
    pub profiles: Vec<KnownProfile>,
    /// The node's `default_model`.
    pub default_model: Option<String>,
    /// The MCP servers found in the project's, niia's and the user's files, in this order.
    pub mcp: Vec<KnownMcp>,
    /// The name of the document's file, without its ending.
    pub file_stem: String,
    /// The names this machine goes by.
    pub hosts: Vec<String>,
}

/// A git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    pub root: PathBuf,
}

/// A profile, as far as a plan is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownProfile {
    pub name: String,
    /// Models it may be asked for by their bare names, such as `opus`.
    pub lists: Vec<String>,
    /// The program it starts; of `command` there is none.
    pub program: Option<String>,
    /// Where that program lies on PATH.
    pub installed: Option<PathBuf>,
    /// Whether its models run on the machine itself.
    pub local: bool,
}

/// An MCP server declared in some file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownMcp {
    pub name: String,
    /// The file it is declared in.
    pub source: String,
    pub command: Option<String>,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

impl Surroundings {
    /// The profile of a name.
    pub fn profile(&self, name: &str) -> Option<&KnownProfile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// Whether a host is this machine.
    pub fn is_here(&self, host: &str) -> bool {
        is_one_of(host, &self.hosts)
    }
}

/// Whether a host is the machine that has these names: the suffix `.local` is optional, case does not matter.
pub fn is_one_of(host: &str, own: &[String]) -> bool {
    let bare = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower.strip_suffix(".local").map(str::to_owned).unwrap_or(lower)
    };
    let host = bare(host);
    host == "localhost" || own.iter().any(|own| bare(own) == host)
}

//! Where a run comes from: what only the side that began it can know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The folder it was begun in.
    pub cwd: PathBuf,
    pub document: Option<PathBuf>,
    pub repository: Option<PathBuf>,
    /// Take the user's uncommitted changes along, as a snapshot.
    pub include_dirty: bool,
    /// The caller's variables a session may have: PATH, HOME, LANG, what a profile passes on and what the document
    /// names. Kept in a file of its own (0600) and forgotten at the end of the run.
    pub env: BTreeMap<String, String>,
    /// A file for the last answer (`-o`).
    pub output: Option<PathBuf>,
    /// The text of the user's own wrapping of prompts, where there is one.
    pub wrapping: Option<String>,
    /// Executables of the user's plugin folder by name.
    pub plugins: BTreeMap<String, PathBuf>,
    /// Profiles of the user's own, as the files read: (file name, text).
    pub profiles: Vec<(String, String)>,
    pub warnings: Vec<String>,
    /// What began it, where no person did: a time of its schedule, an event.
    #[serde(default)]
    pub occasion: Option<String>,
    /// The node that began it, by its fingerprint, where that is not the run's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The commit it begins on, where that is not what is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

//! How a node is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    pub version: String,
    pub pid: u32,
    pub state_folder: PathBuf,
    pub up_ms: u64,
    pub runs_live: u32,
    pub sessions_live: u32,
    pub sessions_max: u32,
    pub memory_floor_mib: u64,
    pub degraded: Option<String>,
    /// Providers that are not asked now.
    #[serde(default)]
    pub breakers: Vec<niia_actors::machine::breakers::Standing>,
    /// Where webhooks are taken, or why they are not; nothing where they are not wanted.
    #[serde(default)]
    pub webhook: Option<String>,
}

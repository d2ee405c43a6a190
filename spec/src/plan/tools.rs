//! What a phase has besides its models: steps that are ordinary programs, and servers of tools.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkerPlan;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    pub name: String,
    pub argv: Vec<String>,
    pub writes: bool,
    pub output: Option<String>,
    pub rules: Vec<StepRule>,
    /// Where and how it is run: an ordinary program in a session of the phase's.
    pub worker: WorkerPlan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRule {
    /// `lines_over:N`, `contains:TEXT`, `regex:PATTERN`, `exit:N`.
    pub when: String,
    pub next: Option<String>,
    pub set: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpPlan {
    pub name: String,
    pub command: Option<String>,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub hosts: Vec<String>,
    pub outside: bool,
    pub required: bool,
    /// Where it is declared: "the document", a file; nothing where it was found nowhere.
    #[serde(default)]
    pub source: Option<String>,
}

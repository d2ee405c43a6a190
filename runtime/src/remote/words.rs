//! What nodes say to each other on the streams of a link.

use serde::{Deserialize, Serialize};

/// What a stream is for: its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The words of the node's own socket, within the rights of the node that asks.
    Control,
}

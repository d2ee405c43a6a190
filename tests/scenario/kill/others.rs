//! Kills of others than the node.

//! The caller's side of a connection to the node.

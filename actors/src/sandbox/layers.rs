//! The layers beside the mounts. Each one makes itself, looks at what it made, and says what it saw.

pub(super) mod capabilities;
pub(super) mod landlock;
pub(super) mod limits;
pub(super) mod namespaces;
pub(super) mod network;
pub(super) mod seccomp;
pub(super) mod terminal;
pub(super) mod user;

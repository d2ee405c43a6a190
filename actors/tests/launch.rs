//! Launches carried out, in real repositories and with real programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// What the scene of the trees' own tests asks for.
const PRIVATELY: bool = false;

#[path = "launch/external.rs"]
mod external;
#[path = "launch/ports.rs"]
mod ports;
#[path = "launch/prepare.rs"]
mod prepare;
#[path = "git/scene.rs"]
#[allow(dead_code, reason = "what one kind of test needs of the scene, another does not")]
mod scene;
#[path = "launch/session.rs"]
mod session;

//! Work trees of a run, in real repositories.

#[path = "git/scene.rs"]
mod scene;
#[path = "git/thin.rs"]
mod thin;

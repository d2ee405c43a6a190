//! Work trees of a run, in real repositories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// Whether trees get private repositories: the same tests go over both kinds.
const PRIVATELY: bool = false;

#[path = "git/attack.rs"]
mod attack;
#[path = "git/commits.rs"]
mod commits;
#[path = "git/landing.rs"]
mod landing;
#[path = "git/many.rs"]
mod many;
#[path = "git/merges.rs"]
mod merges;
#[path = "git/places.rs"]
mod places;
#[path = "git/refusals.rs"]
mod refusals;
#[path = "git/removal.rs"]
mod removal;
#[path = "git/scene.rs"]
mod scene;
#[path = "git/taking_up.rs"]
mod taking_up;
#[path = "git/thin.rs"]
mod thin;

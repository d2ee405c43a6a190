//! How many files may be open: many for the node, what the user has for the programs.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Tells a keeper the limit that was in force before the node raised its own.
pub(super) const VARIABLE: &str = "NIIA_KEEPER_FILES";

static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this process's limit as far as the kernel lets it: a node holds two descriptors for each of its sessions.
/// Programs in terminals keep the limit there was, since some go through all descriptors there could be.
/// Answers how many there may be now; nothing where there is no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if BEFORE.set(limit.current).is_ok() {
        // Who may not have more works with what there is, and refuses sessions beyond it by the number.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// The limit before it was raised, for the keeper's environment.
pub(super) fn before() -> Option<String> {
    BEFORE.get().copied().flatten().map(|limit| limit.to_string())
}

/// In the keeper: back to what the user has.
pub(super) fn restore() {
    let told = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    if let Some(current) = told {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // A lower limit than the present one is never refused.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
    }
}

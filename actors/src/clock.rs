//! The clock on the wall: what is told to people and what schedules go by. Time limits have a clock of their own.
//!
//! `NIIA_CLOCK=FILE` hands another clock in: the file holds by how many seconds it is ahead of the machine's own, and is
//! read at each look. With it a test lives through nights and through clocks that are set.

use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};

/// The variable that hands another clock in.
pub const VARIABLE: &str = "NIIA_CLOCK";

static OTHER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// What time it is.
pub fn now() -> Timestamp {
    let own = Timestamp::now();
    match OTHER.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)) {
        None => own,
        Some(file) => own.saturating_add(ahead(file)).unwrap_or(own),
    }
}

/// A file that is not there yet says nothing.
fn ahead(file: &PathBuf) -> SignedDuration {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    SignedDuration::from_secs(text.trim().parse().unwrap_or(0))
}

/// Milliseconds since 1970.
pub fn wall_ms() -> u64 {
    u64::try_from(now().as_millisecond()).unwrap_or(0)
}

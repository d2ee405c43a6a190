//! The session's clock: monotonic, counted from the start of the process.

use std::sync::OnceLock;
use std::time::Instant;

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Milliseconds of the monotonic clock since the first call in this process.
pub(super) fn now_ms() -> u64 {
    let began = BEGAN.get_or_init(Instant::now);
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

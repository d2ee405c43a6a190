//! Whoever is killed: no session lost, no byte lost, no recorded step twice, nothing left behind.
//!
//! A few kills in the ordinary tests. The whole campaign:
//!
//! ```text
//! NIIA_KILLS=200 NIIA_KILL_MB=200 cargo test --release -p niia-tests --test all -- kill::campaign --nocapture
//! ```
//!
//! `NIIA_KILLS` is how often the node is killed, half of it at named points and half at random moments;
//! `NIIA_KILL_MB` how much each of a run's eight workers prints; `NIIA_KILL_SEED` makes the same moments again;
//! `NIIA_KILLS_AT_ONCE` runs are disturbed side by side.

mod campaign;
mod others;
mod prompt;
mod run;

use std::time::Duration;

/// Long enough for anything a test waits for, on a busy machine with two cores; nothing is expected to take it.
const SOON: Duration = Duration::from_secs(60);

/// A number from the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

//! The clock of everything between machines: it goes on while this one sleeps, and no hand sets it.

use std::time::Duration;

pub fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The time since the machine was started is never negative.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

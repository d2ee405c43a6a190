//! The 24 scenarios.

use std::time::Duration;

use niia_tests::Link;

use super::stage::{Stage, Way};

/// A network, what happens in it, and what must come of it.
pub struct Scenario {
    pub name: &'static str,
    pub link: Link,
    /// Without a word for so long a machine counts as not reached: longer than the network's own delays.
    pub lease_ms: u64,
    pub on_lost: &'static str,
    /// How the run must end.
    pub state: &'static str,
    pub happens: fn(&mut Stage),
}

const CLEAR: Link =
    Link { loss: 0, double: 0, reorder: 0, damage: 0, delay: Duration::ZERO, jitter: Duration::ZERO };
const LOSSY: Link = Link { loss: 30, ..CLEAR };
const DOUBLED: Link = Link { double: 20, ..CLEAR };
const SHUFFLED: Link = Link { reorder: 20, delay: MS_5, jitter: MS_5, ..CLEAR };
const DAMAGED: Link = Link { damage: 10, ..CLEAR };
const FAR_AWAY: Link =
    Link { delay: Duration::from_millis(500), jitter: Duration::from_millis(200), ..CLEAR };
const ALL_OF_IT: Link =
    Link { loss: 10, double: 20, reorder: 20, damage: 5, delay: MS_5, jitter: Duration::from_millis(40) };
const MS_5: Duration = Duration::from_millis(5);

const LEASE: u64 = 1_000;
/// Words are repeated once or twice before they pass.
const LEASE_OF_LOSSES: u64 = 2_000;
const LEASE_OF_OCEANS: u64 = 6_000;
/// Shorter than any lease.
const BRIEFLY: Duration = Duration::from_millis(400);
/// Longer than the shortest lease, its grace time, and what it takes to notice.
const LONG: Duration = Duration::from_millis(3_500);

const fn waits(name: &'static str, link: Link, lease_ms: u64, happens: fn(&mut Stage)) -> Scenario {
    Scenario { name, link, lease_ms, on_lost: "wait", state: "done", happens }
}

const fn restarts(name: &'static str, link: Link, happens: fn(&mut Stage)) -> Scenario {
    Scenario { name, link, lease_ms: LEASE, on_lost: "restart", state: "done", happens }
}

const fn fails(name: &'static str, link: Link, happens: fn(&mut Stage)) -> Scenario {
    Scenario { name, link, lease_ms: LEASE, on_lost: "fail", state: "failed", happens }
}

fn nothing(_: &mut Stage) {}

pub static SCENARIOS: [Scenario; 24] = [
    waits("loss of 30 %", LOSSY, LEASE_OF_LOSSES, nothing),
    waits("doubles of 20 %", DOUBLED, LEASE, nothing),
    waits("reordering", SHUFFLED, LEASE, nothing),
    waits("damage", DAMAGED, LEASE_OF_LOSSES, nothing),
    waits("an ocean: 500 ms and up to 200 more", FAR_AWAY, LEASE_OF_OCEANS, nothing),
    waits("all of it at once", ALL_OF_IT, LEASE_OF_LOSSES, nothing),
    waits("a partition shorter than the lease", CLEAR, LEASE, |s| s.hole(Way::Both, BRIEFLY)),
    waits("a partition longer than the lease", CLEAR, LEASE, |s| s.hole(Way::Both, LONG)),
    restarts("a partition that is given up and restarted", CLEAR, |s| s.hole(Way::Both, LONG)),
    fails("a partition that fails the worker", CLEAR, |s| s.hole(Way::Both, LONG)),
    waits("nothing reaches the far machine, briefly", CLEAR, LEASE, |s| s.hole(Way::There, BRIEFLY)),
    waits("nothing reaches the far machine, long", CLEAR, LEASE, |s| s.hole(Way::There, LONG)),
    waits("nothing comes back, long", CLEAR, LEASE, |s| s.hole(Way::Back, LONG)),
    restarts("nothing reaches the far machine, and it is restarted", CLEAR, |s| s.hole(Way::There, LONG)),
    fails("nothing comes back, and it fails", CLEAR, |s| s.hole(Way::Back, LONG)),
    waits("the far node is restarted", CLEAR, LEASE, Stage::restart_far),
    waits("the home node is restarted", CLEAR, LEASE, Stage::restart_home),
    waits("the far node is killed", LOSSY, LEASE_OF_LOSSES, Stage::kill_far),
    waits("the home node is killed", SHUFFLED, LEASE, Stage::kill_home),
    waits("both nodes are killed", CLEAR, LEASE, |s| {
        s.kill_far();
        s.kill_home();
    }),
    waits("the home node is killed within a partition", CLEAR, LEASE, |s| {
        s.hole_around(Way::Both, BRIEFLY, Stage::kill_home);
    }),
    restarts("the far node is killed and stays away", DOUBLED, |s| s.far_is_away(LONG)),
    waits("a peer of another version knocks all the while", CLEAR, LEASE, Stage::wrong_version),
    waits("garbage on both ports, and old datagrams said again", ALL_OF_IT, LEASE_OF_LOSSES, |s| {
        s.garbage();
        s.replay();
    }),
];

//! A run with a worker on another machine, over a network that is as bad as networks get.
//!
//! Each of 24 scenarios is one kind of network, one thing that happens meanwhile, and one policy. One ordinary run of
//! this test does a few of them with one seed. All of it, four at a time:
//!
//! `NIIA_NET_SCENARIOS=24 NIIA_NET_SEEDS=50 cargo test -p niia-tests --test all remote::campaign -- --nocapture`
//!
//! `NIIA_NET_SEED` makes the same ones again, `NIIA_NET_ONLY=7` one of them, `NIIA_NET_JOBS` more or fewer at a time.

mod scenarios;
mod stage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use scenarios::{SCENARIOS, Scenario};
use stage::Stage;

/// Scenarios of one ordinary run of the tests.
const FEW: usize = 6;
/// Side by side: most of a scenario is waiting.
const JOBS: usize = 4;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn count(variable: &str, otherwise: usize) -> usize {
    number(variable).and_then(|number| usize::try_from(number).ok()).unwrap_or(otherwise)
}

fn play(scenario: &'static Scenario, seed: u64) {
    let mut stage = Stage::new(scenario, seed);
    let run = stage.begin();
    (scenario.happens)(&mut stage);
    stage.calm();
    stage.finish(&run);
}

/// What is to be done: each of these scenarios with each of these seeds.
fn wanted(seed: u64) -> Vec<(usize, u64)> {
    let seeds = count("NIIA_NET_SEEDS", 1) as u64;
    if let Some(only) = number("NIIA_NET_ONLY") {
        return (0..seeds).map(|n| (only as usize - 1, seed.wrapping_add(n))).collect();
    }
    let some = count("NIIA_NET_SCENARIOS", FEW).min(SCENARIOS.len());
    // A few of them begin somewhere else each time.
    let first = if some == SCENARIOS.len() { 0 } else { seed as usize % SCENARIOS.len() };
    let of_round =
        |round: u64| (0..some).map(move |n| ((first + n * 5) % SCENARIOS.len(), seed.wrapping_add(round)));
    (0..seeds).flat_map(of_round).collect()
}

#[test]
fn every_run_ends_as_its_policy_says_however_bad_the_network_is() {
    let seed = number("NIIA_NET_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("NIIA_NET_SEED={seed}");
    let wanted = wanted(seed);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((which, seed)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (scenario, began) = (&SCENARIOS[*which], Instant::now());
            // A thread of its own, so that one that fails takes no other along.
            let played = std::thread::Builder::new().name(scenario.name.to_owned());
            let seed = *seed;
            let played = played.spawn(move || play(scenario, seed)).map(std::thread::JoinHandle::join);
            let well = matches!(played, Ok(Ok(())));
            let word = if well { "well" } else { "FAILED" };
            println!("{:>2} {}, seed {seed}: {word} in {:.1?}", which + 1, scenario.name, began.elapsed());
            if !well {
                failed.lock().unwrap().push(format!("NIIA_NET_ONLY={} NIIA_NET_SEED={seed}", which + 1));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..count("NIIA_NET_JOBS", JOBS) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed:\n  {}", failed.len(), wanted.len(), failed.join("\n  "));
    println!("{} of {} ended as they should", wanted.len(), wanted.len());
}

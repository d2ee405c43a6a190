//! The laws of a run, held over random plans and random histories.
//!
//! `NIIA_COURSE_SEED=17` plays one seed and tells its story; `NIIA_COURSE_SEEDS=100000` plays more of them.

mod document;
mod reached;
mod rest;
mod seen;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use reached::Reached;
use world::World;

/// As many as a few seconds allow, on two threads.
const SEEDS: u64 = 10_000;

fn seeds() -> u64 {
    std::env::var("NIIA_COURSE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

fn play(seed: u64, reached: &mut Reached) {
    let mut rng = Rng::with_seed(seed);
    let text = document::random(&mut rng);
    let plan = crate::document::plan(&text);
    let played = catch_unwind(AssertUnwindSafe(|| World::new(plan, rng).play(reached)));
    if played.is_err() {
        panic!("a law is broken; NIIA_COURSE_SEED={seed} plays it again, with this plan:\n{text}");
    }
}

fn play_all(seeds: impl Iterator<Item = u64>) -> Reached {
    let mut reached = Reached::default();
    match std::env::var("NIIA_COURSE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => play(seed, &mut reached),
        None => seeds.for_each(|seed| play(seed, &mut reached)),
    }
    reached
}

#[test]
fn the_laws_hold_in_every_random_run_and_every_event_meets_every_state() {
    let all = seeds();
    let mut reached = Reached::default();
    std::thread::scope(|scope| {
        let even = scope.spawn(move || play_all((0..all).step_by(2)));
        let odd = scope.spawn(move || play_all((1..all).step_by(2)));
        for half in [even, odd] {
            match half.join() {
                Ok(half) => reached.join(half),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let (table, missing) = reached.table();
    println!("{table}");
    let few = all < SEEDS || std::env::var("NIIA_COURSE_SEED").is_ok();
    assert!(few || missing.is_empty(), "never reached: {missing:#?}");
}

//! The laws of a run, held over random plans and random histories.
//!
//! `NIIA_COURSE_SEED=17` plays one seed; `NIIA_COURSE_SEEDS=100000` plays more of them.
#![allow(clippy::disallowed_methods, reason = "which seeds are played is told from outside")]

mod document;
mod reached;
mod refused;
mod rest;
mod seen;
mod watch;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;

use reached::Reached;
use world::World;

/// As many as a few seconds allow, on two threads.
const SEEDS: u64 = 10_000;

fn seeds() -> u64 {
    std::env::var("NIIA_COURSE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

/// Plans that once broke a law, to be played with many histories.
const KEPT: [&str; 3] = [
    // The limit of agents was reached between a start and its time limit.
    "run: max_total_agents 7; on_breach stop
     a/1: claude, gemini, codex
     a/2: claude, gemini
     a/3: claude, gemini, codex
     a/4: claude
     a: require 1; retry 0 100; on_failure continue; on_lost restart; merge stop
     d/1: claude, gemini
     d/2: claude, gemini
     d/3: claude, gemini, codex
     d: after nothing; require any; on_failure continue; on_lost restart",
    // An output was a fraction and came back from its row as another one.
    "run: max_parallel 2
     a/1: claude, gemini
     a/2: claude, gemini
     a/3: claude, gemini, codex
     a: retry 1 0; on_failure continue; on_lost restart; merge stop; timeout 1000
     b/1: claude
     b: condition a.kind == yes",
    // A session was lost more often than it may be started again.
    "a/1: claude
     a: on_lost restart; retry 2 100; merge keep
     b/1: claude, gemini
     b: on_lost restart; one by one",
];
/// How many histories each kept plan is played with.
const HISTORIES: u64 = 100;

fn play(seed: u64, kept: Option<&str>, reached: &mut Reached) {
    let mut rng = Rng::with_seed(seed);
    let text = kept.map_or_else(|| document::random(&mut rng), str::to_owned);
    let plan = crate::document::plan(&text);
    let played = catch_unwind(AssertUnwindSafe(|| World::new(plan, rng).play(reached)));
    if played.is_err() {
        panic!("a law is broken; NIIA_COURSE_SEED={seed} plays it again, with this plan:\n{text}");
    }
}

/// Plays the seeds one after the other until somebody finds a law broken.
fn play_all(
    mut seeds: impl Iterator<Item = u64>,
    broken: &AtomicBool,
) -> Result<Reached, Box<dyn Any + Send>> {
    let mut reached = Reached::default();
    let played = catch_unwind(AssertUnwindSafe(|| {
        while let (false, Some(seed)) = (broken.load(Ordering::Relaxed), seeds.next()) {
            play(seed, None, &mut reached);
        }
    }));
    broken.fetch_or(played.is_err(), Ordering::Relaxed);
    played.map(|()| reached)
}

#[test]
fn the_laws_hold_in_every_random_run_and_every_event_meets_every_state() {
    if let Some(seed) = std::env::var("NIIA_COURSE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed, None, &mut Reached::default());
    }
    let (all, broken) = (seeds(), AtomicBool::new(false));
    let halves = std::thread::scope(|scope| {
        let half = |first: u64| {
            let broken = &broken;
            scope.spawn(move || play_all((first..all).step_by(2), broken))
        };
        [half(0), half(1)].map(|half| half.join().and_then(|played| played))
    });
    let mut reached = Reached::default();
    for half in halves {
        match half {
            Ok(half) => reached.join(half),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let (table, missing) = reached.table();
    println!("{table}");
    assert!(all < SEEDS || missing.is_empty(), "never reached: {missing:#?}");
}

#[test]
fn the_laws_hold_in_runs_that_once_broke_one() {
    for plan in KEPT {
        (0..HISTORIES).for_each(|seed| play(seed, Some(plan), &mut Reached::default()));
    }
}

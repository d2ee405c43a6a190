//! Big runs: the course's own time grows with the run, not with its square.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests measure the time they take")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use niia_spec::course::{Command, Event, Gathering, Outcome, RunCourse, RunOutcome};
use niia_spec::plan::Plan;

use crate::document::{judge, plan};
use crate::transcript::ending;

const SMALL: usize = 250;
const TIMES: usize = 16;
/// One run as big as many small ones may take this many times as long as they together; by its square it would take
/// sixteen times. Measured beside each other, so that a busy machine is slow for both.
const RATIO_MAX: u32 = 8;
/// The least of so many measurements counts.
const TRIES: usize = 5;

fn one_phase(workers: usize) -> Arc<Plan> {
    let worker = |n: usize| format!("work/{n}: claude, gemini\n");
    sized(workers, (1..=workers).map(worker).collect())
}

fn one_after_the_other(phases: usize) -> Arc<Plan> {
    let phase = |n: usize| format!("p{n}/1: claude\np{n}: condition p0.kind == yes\n");
    sized(phases, "p0/1: claude\n".to_owned() + &(1..phases).map(phase).collect::<String>())
}

fn all_phases_at_once(phases: usize) -> Arc<Plan> {
    let phase = |n: usize| format!("p{n}/1: claude\np{n}: after nothing\n");
    sized(phases, "run: max_parallel 8\n".to_owned() + &(0..phases).map(phase).collect::<String>())
}

fn sized(agents: usize, text: String) -> Arc<Plan> {
    let mut plan = Arc::unwrap_or_clone(plan(&text));
    let limits = plan.phases.iter_mut().map(|phase| &mut phase.limits).chain([&mut plan.limits]);
    limits.for_each(|limits| limits.max_total_agents = 2 * agents as u32);
    Arc::new(plan)
}

/// Plays a run in which every worker is done, and says how long the course took for it.
fn play(plan: &Arc<Plan>) -> Duration {
    let mut course = RunCourse::new(Arc::clone(plan), judge).unwrap_or_else(|error| panic!("{error}"));
    let mut events = VecDeque::from([Event::Begun]);
    let mut took = Duration::ZERO;
    while let Some(event) = events.pop_front() {
        let begun = Instant::now();
        let commands = course.on(&event);
        took += begun.elapsed();
        for command in commands {
            match command {
                Command::Start { attempt, .. } => {
                    events.push_back(Event::Started { attempt: attempt.clone() });
                    let ending = ending(Outcome::Done, Some(("kind", "yes".into())));
                    events.push_back(Event::Ended { attempt, ending });
                }
                Command::Gather { phase, round } => {
                    events.push_back(Event::Gathered { phase, round, gathering: Gathering::nothing() });
                }
                _ => {}
            }
        }
    }
    assert_eq!(course.over(), Some(&RunOutcome::Done));
    took
}

fn check(shape: fn(usize) -> Arc<Plan>) {
    let (small, big) = (shape(SMALL), shape(SMALL * TIMES));
    let (mut of_small, mut of_big) = (Duration::MAX, Duration::MAX);
    for _ in 0..TRIES {
        of_small = of_small.min((0..TIMES).map(|_| play(&small)).sum());
        of_big = of_big.min(play(&big));
    }
    let (workers, thousand) = (SMALL * TIMES, play(&shape(1_000)));
    println!(
        "{TIMES} runs of {SMALL}: {of_small:?}, one of {workers}: {of_big:?}, one of 1000: {thousand:?}"
    );
    assert!(of_big < of_small * RATIO_MAX, "{of_big:?} instead of {of_small:?}");
}

#[test]
fn a_phase_of_thousands_of_workers_takes_no_more_than_its_share() {
    check(one_phase);
}

#[test]
fn thousands_of_phases_one_after_the_other_take_no_more_than_their_share() {
    check(one_after_the_other);
}

#[test]
fn thousands_of_phases_at_once_take_no_more_than_their_share() {
    check(all_phases_at_once);
}

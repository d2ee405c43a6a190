//! Big runs: the course's own time grows with the run, not with its square.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use niia_spec::course::{Command, Event, Gathering, Outcome, RunCourse, RunOutcome};
use niia_spec::plan::Plan;

use crate::document::{judge, plan};
use crate::transcript::ending;

const SMALL: usize = 250;
const BIG: usize = 4_000;
/// Sixteen times the run may take this many times as long; a square would take 256 times.
const RATIO_MAX: u32 = 100;

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
                    events.push_back(Event::Gathered {
                        phase,
                        round,
                        gathering: Gathering::Merged { commit: None },
                    });
                }
                _ => {}
            }
        }
    }
    assert_eq!(course.over(), Some(&RunOutcome::Done));
    took
}

fn check(shape: fn(usize) -> Arc<Plan>) {
    let least = |size: usize| {
        let plan = shape(size);
        (0..3).map(|_| play(&plan)).min().unwrap_or_default()
    };
    let (small, thousand, big) = (least(SMALL), least(1_000), least(BIG));
    println!("{SMALL}: {small:?}, 1000: {thousand:?}, {BIG}: {big:?}");
    assert!(big < small * RATIO_MAX, "{BIG} took {big:?} where {SMALL} took {small:?}");
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

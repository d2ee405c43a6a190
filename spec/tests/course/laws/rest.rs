//! What must hold between two events: nothing that could be done is left undone, and the course tells what it knows.

use niia_spec::course::{Command, Gathering, RunCourse, Wake};
use niia_spec::name::{AttemptId, WorkerId};
use niia_spec::plan::{MergeRule, PhasePlan};

use super::seen::{Halted, Seen, Standing};
use super::watch::{Watch, mender};

impl Watch {
    pub fn rest(&self, course: &RunCourse) {
        let seen = &self.seen;
        assert_eq!(course.over(), seen.finished.as_ref(), "how the run ended");
        self.knows(course);
        if seen.finished.is_some() {
            assert_eq!(course.open_effects(), [], "a run that is over waits for something");
            return;
        }
        if !seen.begun {
            return;
        }
        for phase in &seen.plan.phases {
            self.nothing_is_left_undone(phase);
        }
        let over = seen.phases.values().all(|phase| phase.closed.is_some());
        let underway = seen.phases.values().any(|phase| phase.opened && phase.closed.is_none());
        let held = seen.halted == Halted::Held;
        assert!(!over && (underway || held || seen.halted == Halted::No), "the run should be over");
        let gathers = seen.phases.values().any(|phase| matches!(phase.gathers.last(), Some((_, None))));
        let idle = held && seen.live(None) == 0 && !gathers;
        assert_eq!(seen.waits, idle, "whether a person is awaited");
        assert_eq!(course.waits().is_some(), idle, "whether the course knows that a person is awaited");
        let expected: Vec<Command> = seen.plan.phases.iter().flat_map(|phase| self.awaited(phase)).collect();
        assert_eq!(course.open_effects(), expected, "what is awaited");
    }

    fn nothing_is_left_undone(&self, phase: &PhasePlan) {
        let (seen, name) = (&self.seen.phases[&phase.name], &phase.name);
        let free = self.seen.halted == Halted::No;
        if !seen.opened {
            let may_begin = phase.after.iter().all(|before| self.seen.phases[before].closed.is_some());
            let waits = seen.asked && !seen.approved && !seen.denied;
            assert!(seen.closed.is_some() || waits || !may_begin || !free, "{name} does not begin");
            return;
        }
        if seen.closed.is_some() {
            return;
        }
        let may_start = free && !self.seen.may_start(phase).is_empty() && self.seen.has_slot(phase);
        assert!(!may_start, "a worker of {name} waits without a reason");
        let live = self.seen.live(Some(name));
        let gathering = matches!(seen.gathers.last(), Some((_, None)));
        let hard = self.seen.halted >= Halted::Stopped;
        let decided = hard || (seen.gathers.is_empty() && self.seen.enough(phase));
        for worker in everybody(&self.seen, phase) {
            let last = self.seen.tries(&worker).last();
            let must_end = last.is_some_and(|last| decided || last.expired);
            assert!(!must_end || self.seen.standing(&worker) != Standing::Live, "{worker} is not ended");
            let pauses =
                free && self.seen.launches(phase) && self.seen.standing(&worker) == Standing::Pausing;
            assert!(
                !pauses || self.seen.pauses.contains_key(&next(&self.seen, &worker)),
                "{worker} has no pause"
            );
        }
        let idle = live == 0 && !gathering;
        let waits = free && (!self.seen.may_start(phase).is_empty() || self.pauses(phase));
        assert!(!idle || waits || self.rests(phase), "{name} waits for nothing");
    }

    /// In a held run a phase stands still where it could go on only with a start, a mending or a person.
    fn rests(&self, phase: &PhasePlan) -> bool {
        let seen = &self.seen.phases[&phase.name];
        let ends = match seen.gathers.last() {
            None => self.seen.enough(phase) || (self.seen.doomed(phase) && self.seen.settled(phase)),
            Some((_, Some(Gathering::Merged { .. }))) => true,
            Some((round, Some(Gathering::Conflict { .. }))) => {
                let mended = self.seen.standing(&mender(&phase.name)) == Standing::Done;
                phase.merge == MergeRule::Keep || (seen.turn == Some(*round) && mended)
            }
            Some(_) => false,
        };
        self.seen.halted == Halted::Held && !ends && !seen.gather_again
    }

    fn pauses(&self, phase: &PhasePlan) -> bool {
        self.seen.launches(phase) && self.seen.count(phase, Standing::Pausing) > 0
    }

    /// The commands of a phase that have had no answer.
    fn awaited(&self, phase: &PhasePlan) -> Vec<Command> {
        let seen = &self.seen.phases[&phase.name];
        let name = || phase.name.clone();
        let hard = self.seen.halted >= Halted::Stopped;
        if seen.closed.is_some() {
            return Vec::new();
        }
        if !seen.opened {
            let waits = seen.asked && !seen.approved && !seen.denied && !hard;
            return if waits { vec![Command::Ask { phase: name() }] } else { Vec::new() };
        }
        if let Some((round, None)) = seen.gathers.last() {
            return vec![Command::Gather { phase: name(), round: *round }];
        }
        let may_go_on = self.seen.launches(phase) || self.seen.needs_person(phase);
        let pausing = !hard && !self.seen.waits && seen.gathers.is_empty() && may_go_on;
        let mut awaited = Vec::new();
        for worker in everybody(&self.seen, phase) {
            match self.seen.tries(&worker).last() {
                Some(last) if last.outcome.is_none() => {
                    let attempt = || AttemptId {
                        worker: worker.clone(),
                        attempt: self.seen.tries(&worker).len() as u32,
                    };
                    if last.settles {
                        awaited.push(Command::Settle { attempt: attempt() });
                    } else {
                        awaited.push(Command::Start { attempt: attempt(), model: last.model });
                    }
                    awaited.extend(match last.end_asked {
                        Some(reason) => Some(Command::End { attempt: attempt(), reason }),
                        None if last.settles => None,
                        None => Some(Command::Wake {
                            wake: Wake::Timeout { attempt: attempt() },
                            after_ms: self.time_limit(&worker),
                        }),
                    });
                }
                Some(_) if pausing && self.seen.standing(&worker) == Standing::Pausing => {
                    let attempt = next(&self.seen, &worker);
                    if !self.seen.pauses.contains_key(&attempt) {
                        continue; // Not asked for while the run is held.
                    }
                    let after_ms = self.seen.pause_ms[&attempt];
                    awaited.push(Command::Wake { wake: Wake::Backoff { attempt }, after_ms });
                }
                _ => {}
            }
        }
        awaited
    }

    fn knows(&self, course: &RunCourse) {
        let told = course.outputs().phases.iter().flat_map(|phase| {
            let of_worker = |worker: &niia_spec::course::WorkerOutputs| {
                let id = WorkerId { phase: phase.phase.clone(), worker: worker.worker.clone() };
                worker
                    .values
                    .iter()
                    .map(move |(key, value)| ((id.clone(), key.clone()), value.clone()))
                    .collect::<Vec<_>>()
            };
            phase.workers.iter().flat_map(of_worker).collect::<Vec<_>>()
        });
        assert_eq!(told.collect::<std::collections::BTreeMap<_, _>>(), self.seen.outputs, "outputs");
        for (key, by) in &self.seen.claims {
            assert_eq!(course.holder(key), Some(by), "who has claimed {key}");
        }
        let mut live = course.live();
        live.sort();
        let lives = self.seen.tries.iter().filter(|(worker, _)| self.seen.lives(worker));
        let number = |(worker, tries): (&WorkerId, &Vec<_>)| AttemptId {
            worker: worker.clone(),
            attempt: tries.len() as u32,
        };
        assert_eq!(live, lives.map(number).collect::<Vec<_>>(), "who lives");
        for phase in &self.seen.plan.phases {
            let done =
                self.seen.workers(phase).into_iter().filter(|id| self.seen.standing(id) == Standing::Done);
            let done: Vec<_> = done.map(|id| id.worker).collect();
            assert_eq!(course.done_workers(&phase.name), done.iter().collect::<Vec<_>>(), "who is done");
        }
    }
}

fn everybody(seen: &Seen, phase: &PhasePlan) -> Vec<WorkerId> {
    let mut everybody = seen.workers(phase);
    everybody.push(mender(&phase.name));
    everybody
}

fn next(seen: &Seen, worker: &WorkerId) -> AttemptId {
    AttemptId { worker: worker.clone(), attempt: seen.tries(worker).len() as u32 + 1 }
}

//! Where each name of a plan stands, so that no event has to look for its phase or worker.

use std::collections::{BTreeMap, VecDeque};

use super::worker::MENDER;
use crate::name::{PhaseName, WorkerId, WorkerName};
use crate::plan::{PhasePlan, PhaseWork, Plan};

/// Why there is no course for a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CourseError {
    #[error("phase `{phase}` is of type {word}, which this version cannot perform")]
    Unsupported { phase: PhaseName, word: &'static str },
    #[error("two phases are called `{phase}`")]
    PhaseTwice { phase: PhaseName },
    #[error("two workers are called `{worker}`")]
    WorkerTwice { worker: WorkerId },
    #[error("`{worker}` has the name of the worker that mends merges")]
    Reserved { worker: WorkerId },
    #[error("phase `{phase}` comes after `{after}`, which is no phase")]
    UnknownPhase { phase: PhaseName, after: PhaseName },
    #[error("phase `{phase}` comes after itself")]
    Cycle { phase: PhaseName },
}

#[derive(Debug)]
pub(super) struct Map {
    phases: BTreeMap<PhaseName, usize>,
    workers: Vec<BTreeMap<WorkerName, usize>>,
    /// The phases that wait for each phase.
    pub followers: Vec<Vec<usize>>,
    /// Every phase stands behind those it comes after.
    pub order: Vec<usize>,
}

impl Map {
    pub fn new(plan: &Plan) -> Result<Map, CourseError> {
        let mut map = Map {
            phases: BTreeMap::new(),
            workers: Vec::new(),
            followers: vec![Vec::new(); plan.phases.len()],
            order: Vec::new(),
        };
        for (at, phase) in plan.phases.iter().enumerate() {
            supported(phase)?;
            if map.phases.insert(phase.name.clone(), at).is_some() {
                return Err(CourseError::PhaseTwice { phase: phase.name.clone() });
            }
            map.workers.push(workers(phase)?);
        }
        map.link(plan)?;
        map.sort(plan)?;
        Ok(map)
    }

    pub fn phase(&self, name: &PhaseName) -> Option<usize> {
        self.phases.get(name).copied()
    }

    /// The worker's phase and seat.
    pub fn seat(&self, worker: &WorkerId) -> Option<(usize, usize)> {
        let phase = self.phase(&worker.phase)?;
        let seats = &self.workers[phase];
        let seat = if worker.worker.as_str() == MENDER { seats.len() } else { *seats.get(&worker.worker)? };
        Some((phase, seat))
    }

    fn link(&mut self, plan: &Plan) -> Result<(), CourseError> {
        for (at, phase) in plan.phases.iter().enumerate() {
            for after in &phase.after {
                let Some(before) = self.phase(after) else {
                    return Err(CourseError::UnknownPhase {
                        phase: phase.name.clone(),
                        after: after.clone(),
                    });
                };
                self.followers[before].push(at);
            }
        }
        Ok(())
    }

    fn sort(&mut self, plan: &Plan) -> Result<(), CourseError> {
        let mut missing: Vec<usize> = plan.phases.iter().map(|phase| phase.after.len()).collect();
        let mut free: VecDeque<usize> = (0..missing.len()).filter(|&at| missing[at] == 0).collect();
        while let Some(at) = free.pop_front() {
            self.order.push(at);
            for &follower in &self.followers[at] {
                missing[follower] -= 1;
                if missing[follower] == 0 {
                    free.push_back(follower);
                }
            }
        }
        match missing.iter().position(|&missing| missing > 0) {
            Some(at) => Err(CourseError::Cycle { phase: plan.phases[at].name.clone() }),
            None => Ok(()),
        }
    }
}

/// Each topology has its course in a file of its own; here is where a phase finds it.
fn supported(phase: &PhasePlan) -> Result<(), CourseError> {
    let unsupported = |word| Err(CourseError::Unsupported { phase: phase.name.clone(), word });
    match &phase.work {
        PhaseWork::Steps if phase.steps.is_empty() => unsupported("steps without a step"),
        _ => Ok(()),
    }
}

fn workers(phase: &PhasePlan) -> Result<BTreeMap<WorkerName, usize>, CourseError> {
    let mut seats_by_name = BTreeMap::new();
    let workers = phase.work.workers().len();
    // The seat between workers and steps is the mender's.
    for (place, worker) in phase.everybody().enumerate() {
        let seat = if place < workers { place } else { place + 1 };
        let id = || WorkerId { phase: phase.name.clone(), worker: worker.name.clone() };
        if worker.name.as_str() == MENDER {
            return Err(CourseError::Reserved { worker: id() });
        }
        if seats_by_name.insert(worker.name.clone(), seat).is_some() {
            return Err(CourseError::WorkerTwice { worker: id() });
        }
    }
    Ok(seats_by_name)
}

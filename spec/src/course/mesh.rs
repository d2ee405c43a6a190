//! The course of a mesh: every agent has a first turn, and another one whenever letters wait for it.
//!
//! A letter counts by its number among the letters of the run. What an agent was told reaches up to one number, what
//! waits for it up to another; which letters those are the mailbox knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::talk::Floor;
use crate::plan::AgentPlan;

/// How far a mesh has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    chairs: Vec<Chair>,
    /// Counts what disturbs the quiet.
    stirred: u32,
    /// The quiet that is being timed.
    timed: Option<u32>,
}

/// Where one agent sits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Chair {
    begun: bool,
    spoke: bool,
    /// It was told its letters up to this one.
    told: u64,
    /// Its newest letter.
    posted: u64,
}

impl Mesh {
    pub(super) fn new(agents: usize) -> Mesh {
        Mesh { chairs: vec![Chair::default(); agents], stirred: 0, timed: None }
    }

    /// The first agent that should have a turn and has none.
    pub(super) fn next(
        &self,
        agents: &[AgentPlan],
        absent: &BTreeMap<usize, String>,
        busy: impl Fn(usize) -> bool,
    ) -> Option<(usize, Floor)> {
        let wants =
            |seat: &usize| !absent.contains_key(seat) && !busy(*seat) && self.wants(agents, absent, *seat);
        let seat = (0..self.chairs.len()).find(wants)?;
        let chair = self.chairs.get(seat)?;
        Some((seat, Floor { letters: (chair.told, chair.posted), ..Floor::default() }))
    }

    fn wants(&self, agents: &[AgentPlan], absent: &BTreeMap<usize, String>, seat: usize) -> bool {
        let Some((chair, agent)) = self.chairs.get(seat).zip(agents.get(seat)) else {
            return false;
        };
        if chair.begun {
            return chair.posted > chair.told;
        }
        let over = |seat: usize| absent.contains_key(&seat) || self.chairs[seat].spoke;
        let mut before =
            agents.iter().enumerate().filter(|(_, other)| agent.after.contains(&other.worker.name));
        before.all(|(seat, _)| over(seat))
    }

    /// Whether nobody works, nobody wants to, and everybody who is there has had a turn.
    pub(super) fn is_quiet(
        &self,
        agents: &[AgentPlan],
        absent: &BTreeMap<usize, String>,
        busy: impl Fn(usize) -> bool,
    ) -> bool {
        let rests = |seat: usize| {
            absent.contains_key(&seat) || (self.chairs[seat].spoke && !self.wants(agents, absent, seat))
        };
        (0..self.chairs.len()).all(|seat| !busy(seat) && rests(seat))
    }

    /// A turn begins; its letters are told in it.
    pub(super) fn begins(&mut self, seat: usize) {
        self.stirred = self.stirred.saturating_add(1);
        if let Some(chair) = self.chairs.get_mut(seat) {
            chair.begun = true;
            chair.told = chair.posted;
        }
    }

    pub(super) fn spoke(&mut self, seat: usize) {
        self.stirred = self.stirred.saturating_add(1);
        if let Some(chair) = self.chairs.get_mut(seat) {
            chair.spoke = true;
        }
    }

    /// A letter waits for this agent.
    pub(super) fn posted(&mut self, seat: usize, number: u64) -> bool {
        let Some(chair) = self.chairs.get_mut(seat).filter(|chair| chair.posted < number) else {
            return false;
        };
        chair.posted = number;
        self.stirred = self.stirred.saturating_add(1);
        true
    }

    /// The number of the quiet to be timed, where that is not being done.
    pub(super) fn untimed(&self) -> Option<u32> {
        (self.timed != Some(self.stirred)).then_some(self.stirred)
    }

    pub(super) fn timed(&mut self, number: u32) {
        self.timed = Some(number);
    }

    /// The quiet that is being timed, if nothing has disturbed it.
    pub(super) fn holds(&self) -> Option<u32> {
        self.timed.filter(|timed| *timed == self.stirred)
    }
}

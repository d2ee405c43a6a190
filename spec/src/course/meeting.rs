//! The course of a meeting: topic after topic, round after round, everybody who is there, then a decision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::talk::Floor;
use crate::plan::AgendaPlan;

/// So many must be there: one alone is no meeting.
pub const QUORUM: usize = 2;

/// How far a meeting has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// The topic that is spoken about, from 0.
    topic: u32,
    /// Its round, from 0; the one after the last is the decision.
    round: u32,
    /// Who speaks next in this round.
    seat: usize,
    /// Who spoke last in this topic.
    last: Option<usize>,
}

/// Who takes part: how many were asked, who is gone, and who sums up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circle<'a> {
    pub seats: usize,
    pub absent: &'a BTreeMap<usize, String>,
    pub moderator: Option<usize>,
}

impl Circle<'_> {
    fn is_there(&self, seat: usize) -> bool {
        seat < self.seats && !self.absent.contains_key(&seat)
    }

    /// How many are left.
    pub fn present(&self) -> usize {
        (0..self.seats).filter(|seat| self.is_there(*seat)).count()
    }
}

impl Meeting {
    /// Whose turn it is and for what; nothing once the agenda is through or nobody is there.
    pub(super) fn next(&self, agenda: &[AgendaPlan], circle: &Circle<'_>) -> Option<(usize, Floor)> {
        let mut at = self.clone();
        loop {
            let rounds = agenda.get(usize::try_from(at.topic).ok()?)?.rounds;
            let floor = Floor { topic: at.topic, round: at.round + 1, ..Floor::default() };
            if at.round >= rounds {
                return Some((at.closer(circle)?, Floor { decides: true, ..floor }));
            }
            if circle.is_there(at.seat) {
                return Some((at.seat, floor));
            }
            if circle.present() == 0 {
                return None;
            }
            at.pass(circle.seats);
        }
    }

    /// The moderator closes a topic; without one, whoever spoke last in it.
    fn closer(&self, circle: &Circle<'_>) -> Option<usize> {
        let there = |seat: &usize| circle.is_there(*seat);
        let anybody = || (0..circle.seats).rev().find(there);
        circle.moderator.filter(there).or(self.last.filter(there)).or_else(anybody)
    }

    /// The turn of this seat is over.
    pub(super) fn spoke(&mut self, seat: usize, floor: &Floor, seats: usize) {
        if floor.decides {
            *self = Meeting { topic: floor.topic + 1, ..Meeting::default() };
            return;
        }
        *self = Meeting { topic: floor.topic, round: floor.round - 1, seat, last: Some(seat) };
        self.pass(seats);
    }

    /// The next seat's turn.
    fn pass(&mut self, seats: usize) {
        self.seat += 1;
        if self.seat >= seats {
            self.seat = 0;
            self.round = self.round.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(rounds: &[u32], moderator: Option<usize>, leaves: Option<(usize, usize)>) -> String {
        let agenda: Vec<AgendaPlan> =
            rounds.iter().map(|rounds| AgendaPlan { topic: String::new(), rounds: *rounds }).collect();
        let mut absent = BTreeMap::new();
        let mut meeting = Meeting::default();
        let mut said = Vec::new();
        loop {
            if let Some((seat, after)) = leaves
                && said.len() == after
            {
                absent.insert(seat, "gone".to_owned());
            }
            let circle = Circle { seats: 3, absent: &absent, moderator };
            let Some((seat, floor)) = meeting.next(&agenda, &circle) else { break };
            let what = if floor.decides { "!".to_owned() } else { floor.round.to_string() };
            said.push(format!("{}{}{what}", floor.topic, ["a", "b", "c"][seat]));
            meeting.spoke(seat, &floor, 3);
        }
        said.join(" ")
    }

    #[test]
    fn topic_by_round_by_participant_and_the_last_speaker_sums_up() {
        assert_eq!(held(&[2, 1], None, None), "0a1 0b1 0c1 0a2 0b2 0c2 0c! 1a1 1b1 1c1 1c!");
    }

    #[test]
    fn a_moderator_closes_each_topic() {
        assert_eq!(held(&[1, 1], Some(1), None), "0a1 0b1 0c1 0b! 1a1 1b1 1c1 1b!");
    }

    #[test]
    fn who_is_absent_is_passed_over_and_another_sums_up() {
        assert_eq!(held(&[2], None, Some((2, 2))), "0a1 0b1 0a2 0b2 0b!");
        assert_eq!(held(&[1, 1], Some(0), Some((0, 3))), "0a1 0b1 0c1 0c! 1b1 1c1 1c!");
    }

    #[test]
    fn a_meeting_of_nobody_is_over() {
        let absent = (0..3).map(|seat| (seat, String::new())).collect();
        let agenda = [AgendaPlan { topic: String::new(), rounds: u32::MAX }];
        let circle = Circle { seats: 3, absent: &absent, moderator: None };
        assert_eq!(Meeting::default().next(&agenda, &circle), None);
    }
}

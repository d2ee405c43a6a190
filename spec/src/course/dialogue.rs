//! The course of a dialogue: its speakers in turns, round after round.

use serde::{Deserialize, Serialize};

use super::talk::Floor;

/// How far a dialogue has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialogue {
    /// How many turns are over.
    turns: u32,
}

impl Dialogue {
    /// Whose turn it is and in which round; nothing once every round is over.
    pub(super) fn next(&self, speakers: usize, rounds: u32) -> Option<(usize, Floor)> {
        let speakers = u32::try_from(speakers).ok().filter(|speakers| *speakers > 0)?;
        let round = self.turns / speakers;
        let seat = usize::try_from(self.turns % speakers).ok()?;
        (round < rounds).then(|| (seat, Floor { round: round + 1, ..Floor::default() }))
    }

    /// The turn is over.
    pub(super) fn spoke(&mut self) {
        self.turns = self.turns.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_speaks_once_a_round_in_the_order_written() {
        let mut dialogue = Dialogue::default();
        let mut said = Vec::new();
        while let Some((seat, floor)) = dialogue.next(2, 3) {
            said.push((floor.round, seat));
            dialogue.spoke();
        }
        assert_eq!(said, [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]);
    }

    #[test]
    fn nobody_has_nothing_to_say() {
        assert_eq!(Dialogue::default().next(0, 3), None);
        assert_eq!(Dialogue::default().next(2, 0), None);
    }
}

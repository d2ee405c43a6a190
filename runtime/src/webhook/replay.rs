//! Which deliveries were taken already: a bounded memory that outlives the node.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use niia_actors::ask::chain;
use niia_actors::journal::{Durable, Journal, Put};

use super::sign::{Proof, TIMESTAMP_WITHIN_S};

/// Deliveries that are remembered; of those that stay good for ever the oldest is forgotten first.
const REMEMBERED_MAX: usize = 50_000;
/// A signed time is good on both sides of now; after this much it is refused for its age.
const PASSING_S: i64 = 2 * TIMESTAMP_WITHIN_S;
const ROOM: &str = "delivery";

#[derive(Debug)]
pub(super) struct Replays(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// When it was taken, in seconds, and whether it passes.
    taken: HashMap<String, (i64, bool)>,
    /// In the order in which they were taken.
    order: VecDeque<String>,
}

/// What is to be done about a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not there before; it counts as taken from here on. These are forgotten for it.
    New(Vec<String>),
    Replay,
    /// There is no room to remember it by.
    Full,
}

impl Memory {
    fn take(&mut self, proof: &Proof, now_s: i64) -> Verdict {
        if self.taken.contains_key(&proof.mark) {
            return Verdict::Replay;
        }
        let mut gone = Vec::new();
        // Those that passed are at the front, since all pass after the same time.
        while let Some(oldest) = self.order.front() {
            let (at, passes) = self.taken.get(oldest).copied().unwrap_or((0, true));
            let past = passes && now_s.saturating_sub(at) > PASSING_S;
            if !past && self.order.len() < REMEMBERED_MAX {
                break;
            }
            if !past && passes {
                return Verdict::Full;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.taken.remove(&oldest);
                gone.push(oldest);
            }
        }
        self.taken.insert(proof.mark.clone(), (now_s, proof.passes));
        self.order.push_back(proof.mark.clone());
        Verdict::New(gone)
    }

    fn forget(&mut self, mark: &str) {
        if self.taken.remove(mark).is_some() {
            self.order.retain(|known| known != mark);
        }
    }
}

impl Replays {
    pub fn read(journal: &Journal) -> Replays {
        let mut memory = Memory::default();
        match journal.room(ROOM) {
            Ok(room) => {
                let each = room.values.into_iter().filter_map(|(mark, bytes)| {
                    let (at, passes): (i64, bool) = serde_json::from_slice(&bytes).ok()?;
                    Some((mark, at, passes))
                });
                let mut all: Vec<(String, i64, bool)> = each.collect();
                all.sort_by_key(|(_, at, _)| *at);
                for (mark, at, passes) in all {
                    memory.order.push_back(mark.clone());
                    memory.taken.insert(mark, (at, passes));
                }
            }
            Err(error) => tracing::error!(error = chain(&error), "taken webhooks are not remembered"),
        }
        Replays(Mutex::new(memory))
    }

    pub fn take(&self, proof: &Proof, now_s: i64) -> Verdict {
        self.with(|memory| memory.take(proof, now_s))
    }

    /// It was not taken after all: its sender may come again.
    pub fn forget(&self, proof: &Proof) {
        self.with(|memory| memory.forget(&proof.mark));
    }

    /// Writes down what was taken, and forgets on disk what was forgotten here.
    pub fn keep(journal: &Journal, proof: &Proof, now_s: i64, gone: &[String]) -> Durable {
        let value = serde_json::to_vec(&(now_s, proof.passes)).unwrap_or_default();
        let mut puts = vec![Put::value(ROOM, &proof.mark, value)];
        puts.extend(gone.iter().map(|mark| Put::nothing(ROOM, mark)));
        journal.shelve(puts)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(mark: &str, passes: bool) -> Proof {
        Proof { mark: mark.to_owned(), passes }
    }

    #[test]
    fn a_delivery_is_taken_once_and_one_that_was_not_taken_may_come_again() {
        let mut memory = Memory::default();
        assert_eq!(memory.take(&proof("a", true), 0), Verdict::New(Vec::new()));
        assert_eq!(memory.take(&proof("a", true), 1), Verdict::Replay);
        memory.forget("a");
        assert_eq!(memory.take(&proof("a", true), 2), Verdict::New(Vec::new()));
        let gone = vec!["a".to_owned()];
        assert_eq!(memory.take(&proof("b", true), PASSING_S + 3), Verdict::New(gone), "its time is over");
    }

    #[test]
    fn the_memory_is_bounded_and_never_forgets_what_could_still_be_replayed() {
        let mut memory = Memory::default();
        for n in 0..REMEMBERED_MAX {
            assert!(matches!(memory.take(&proof(&n.to_string(), n > 0), 0), Verdict::New(_)));
        }
        assert_eq!(memory.take(&proof("x", true), 1), Verdict::New(vec!["0".to_owned()]));
        assert_eq!(memory.take(&proof("y", true), 2), Verdict::Full);
        assert_eq!(memory.order.len(), REMEMBERED_MAX);
    }
}

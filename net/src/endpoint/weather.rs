//! Whether so much comes in that the threads of the node's own people are to be left alone. Pure: times come from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What happened in so short a while is looked at together while it is calm.
const CALM_WHILE: Duration = Duration::from_millis(10);
/// A storm is over when it was calm for so long.
const STORM_WHILE: Duration = Duration::from_secs(1);
/// Of a while, reading may take one part in so many before it is a storm: a thread that is asked for a message at a time,
/// as fast as it goes, stays below that.
const STORM_PART: u32 = 2;
/// And less than one in so many once it is over.
const CALM_PART: u32 = 4;
/// Strangers who may knock within a while that is calm: as many as come in without having to prove where they are.
const STRANGERS_CALM: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Storm,
    Calm,
}

/// How many strangers have knocked.
#[derive(Clone, Debug, Default)]
pub(super) struct Knocks(Arc<AtomicU32>);

impl Knocks {
    pub fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Weather {
    knocks: Knocks,
    storm: bool,
    since: Option<Instant>,
    busy: Duration,
    knocked: u32,
}

impl Weather {
    pub fn new(knocks: Knocks) -> Weather {
        Weather { knocks, storm: false, since: None, busy: Duration::ZERO, knocked: 0 }
    }

    pub fn is_storm(&self) -> bool {
        self.storm
    }

    /// The task worked from then on for so long. Says so when the weather turns.
    pub fn seen(&mut self, began: Instant, took: Duration) -> Option<Sign> {
        let since = *self.since.get_or_insert(began);
        let now = began + took;
        self.busy += took;
        let length = now.saturating_duration_since(since);
        let knocks = self.knocks.0.load(Ordering::Relaxed).wrapping_sub(self.knocked);
        let whole = if self.storm { STORM_WHILE } else { CALM_WHILE };
        // Strangers in a crowd are a storm at once.
        if length < whole && (self.storm || knocks <= STRANGERS_CALM) {
            return None;
        }
        let part = if self.storm { CALM_PART } else { STORM_PART };
        let stormy = knocks > STRANGERS_CALM || self.busy * part > length;
        (self.since, self.busy, self.knocked) =
            (Some(now), Duration::ZERO, self.knocked.wrapping_add(knocks));
        let turned = stormy != self.storm;
        self.storm = stormy;
        turned.then_some(if stormy { Sign::Storm } else { Sign::Calm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many milliseconds of work each millisecond, in thousandths, for so many milliseconds.
    fn works(weather: &mut Weather, at: &mut Instant, thousandths: u64, ms: u64) -> Vec<Sign> {
        let mut signs = Vec::new();
        for _ in 0..ms {
            signs.extend(weather.seen(*at, Duration::from_micros(thousandths)));
            *at += Duration::from_millis(1);
        }
        signs
    }

    #[test]
    fn much_to_read_is_a_storm_until_there_was_little_for_a_second() {
        let (mut weather, mut at) = (Weather::new(Knocks::default()), Instant::now());
        assert_eq!(works(&mut weather, &mut at, 300, 500), []);
        assert_eq!(works(&mut weather, &mut at, 900, 500), [Sign::Storm]);
        assert_eq!(works(&mut weather, &mut at, 100, 300), []);
        assert_eq!(works(&mut weather, &mut at, 100, 2_000), [Sign::Calm]);
    }

    #[test]
    fn a_crowd_of_strangers_is_a_storm_at_once() {
        let knocks = Knocks::default();
        let (mut weather, mut at) = (Weather::new(knocks.clone()), Instant::now());
        (0..STRANGERS_CALM).for_each(|_| knocks.one());
        assert_eq!(works(&mut weather, &mut at, 1, 100), []);
        (0..=STRANGERS_CALM).for_each(|_| knocks.one());
        assert_eq!(works(&mut weather, &mut at, 1, 1), [Sign::Storm]);
        assert_eq!(works(&mut weather, &mut at, 1, 1_500), [Sign::Calm]);
    }
}

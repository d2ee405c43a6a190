//! Who may try a code, and how often. Pure: the time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use super::Code;

/// How long a code is good for: time to walk to the other machine.
pub const CODE_LIFE: Duration = Duration::from_secs(10 * 60);
/// Tries an hour, right and wrong ones; then the desk is closed until the oldest is an hour old.
pub const TRIES_AN_HOUR: usize = 5;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Why no code is shown, or none can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("no code is shown there just now: `niia pair` shows one, and each is good for one try")]
    NoCode,
    #[error("{TRIES_AN_HOUR} codes were tried within an hour: the next one can be in {} min", .wait.as_secs().div_ceil(60))]
    TooMany { wait: Duration },
}

/// The code that is shown, and the tries of the last hour.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    shown: Option<(Code, Duration)>,
    tries: VecDeque<Duration>,
}

impl Desk {
    /// Shows a code, in place of one that was shown before.
    pub fn show(&mut self, code: Code, now: Duration) -> Result<(), Closed> {
        self.room(now)?;
        self.shown = Some((code, now));
        Ok(())
    }

    /// Whether a code could be tried now.
    #[must_use]
    pub fn is_open(&self, now: Duration) -> bool {
        self.shown.as_ref().is_some_and(|(_, since)| now.saturating_sub(*since) < CODE_LIFE)
    }

    /// Takes the code for a try. It is gone with that, whatever comes of the try: an exchange that is broken off is a
    /// guess as well.
    pub fn take(&mut self, now: Duration) -> Result<Code, Closed> {
        let open = self.is_open(now);
        let shown = self.shown.take();
        self.room(now)?;
        match shown {
            Some((code, _)) if open => {
                self.tries.push_back(now);
                Ok(code)
            }
            _ => Err(Closed::NoCode),
        }
    }

    /// The person has turned away.
    pub fn close(&mut self) {
        self.shown = None;
    }

    fn room(&mut self, now: Duration) -> Result<(), Closed> {
        while self.tries.front().is_some_and(|oldest| now.saturating_sub(*oldest) >= HOUR) {
            self.tries.pop_front();
        }
        match self.tries.front() {
            Some(oldest) if self.tries.len() >= TRIES_AN_HOUR => {
                Err(Closed::TooMany { wait: HOUR.saturating_sub(now.saturating_sub(*oldest)) })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(n * 60)
    }

    fn code(n: u64) -> Code {
        Code::of_random(n)
    }

    #[test]
    fn a_code_is_good_for_one_try_and_for_ten_minutes() {
        let mut desk = Desk::default();
        assert_eq!(desk.take(minutes(0)), Err(Closed::NoCode));
        desk.show(code(1), minutes(0)).unwrap();
        assert_eq!(desk.take(minutes(1)), Ok(code(1)));
        assert_eq!(desk.take(minutes(1)), Err(Closed::NoCode));
        desk.show(code(2), minutes(2)).unwrap();
        assert!(desk.is_open(minutes(11)) && !desk.is_open(minutes(12)));
        assert_eq!(desk.take(minutes(12)), Err(Closed::NoCode));
        desk.show(code(3), minutes(20)).unwrap();
        desk.close();
        assert_eq!(desk.take(minutes(20)), Err(Closed::NoCode));
    }

    #[test]
    fn whatever_is_tried_no_hour_sees_more_than_five_tries() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..200 {
            let (mut desk, mut now, mut taken) = (Desk::default(), minutes(0), Vec::new());
            for n in 0..200 {
                now += Duration::from_secs(random.u64(0..600));
                if random.bool() {
                    let _ = desk.show(code(n), now);
                }
                if desk.take(now).is_ok() {
                    taken.push(now);
                }
            }
            for window in taken.windows(TRIES_AN_HOUR + 1) {
                assert!(window[TRIES_AN_HOUR] - window[0] >= HOUR);
            }
        }
    }

    #[test]
    fn a_closed_desk_says_when_it_opens() {
        let mut desk = Desk::default();
        for n in 0..5 {
            desk.show(code(n), minutes(n)).unwrap();
            desk.take(minutes(n)).unwrap();
        }
        let closed = desk.show(code(9), minutes(30)).unwrap_err();
        assert_eq!(closed.to_string(), "5 codes were tried within an hour: the next one can be in 30 min");
        desk.show(code(9), minutes(60)).unwrap();
    }
}

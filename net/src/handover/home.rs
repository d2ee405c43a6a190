//! The end that gave the attempt away.

use std::time::Duration;

use niia_spec::course::EndReason;

use super::FarWord;
use crate::lease::{Lease, Standing};

/// What happens to the one who carries an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A talk about it has begun; the first word is the far machine's.
    Opened,
    /// The talk broke, or none could be opened.
    Broke,
    Heard(FarWord),
    /// It is to end.
    Ordered(EndReason),
    /// Some time has passed: several times within a lease.
    Tick,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Open a talk, after a pause that grows with the failures.
    Open {
        failures: u32,
    },
    /// Leave the talk: it leads nowhere.
    HangUp,
    /// Say everything that is needed to begin.
    Give,
    /// Say that home is there, and what has changed here.
    Beat,
    End(EndReason),
    TellStarted,
    Finish(Finish),
}

/// How it ends for home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// As the far machine says. It keeps everything until it hears that home has it.
    Result,
    /// The far machine will not do it.
    Refused,
    /// By order, while the far machine was not reached. It is to hear that nobody waits any more.
    Ordered(EndReason),
    /// The far machine was not heard of for too long. It is to hear the same.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No talk.
    Away,
    /// A talk whose first word is awaited.
    Asked,
    Giving,
    With,
    Over,
}

/// One attempt, as home sees it.
#[derive(Clone, Debug)]
pub struct Home {
    lease: Lease,
    held_for: Duration,
    /// Whether it is given up when the far machine is lost; otherwise it is waited for without end.
    gives_up: bool,
    stage: Stage,
    talk_began: Duration,
    ordered: Option<EndReason>,
    started: bool,
    failures: u32,
}

impl Home {
    pub fn new(now: Duration, held_for: Duration, grace: Duration, gives_up: bool) -> Home {
        Home {
            lease: Lease::new(now, held_for, grace),
            held_for,
            gives_up,
            stage: Stage::Away,
            talk_began: now,
            ordered: None,
            started: false,
            failures: 0,
        }
    }

    /// Takes one event and says what must be done about it, in this order.
    #[must_use]
    pub fn on(&mut self, what: Happened, now: Duration) -> Vec<Done> {
        if self.stage == Stage::Over {
            return Vec::new(); // Late news changes nothing.
        }
        match what {
            Happened::Opened => {
                (self.stage, self.talk_began) = (Stage::Asked, now);
                Vec::new()
            }
            Happened::Broke => self.broke(now),
            Happened::Heard(word) => self.heard(word, now),
            Happened::Ordered(reason) => self.order(reason, now),
            Happened::Tick => self.tick(now),
        }
    }

    /// Whether what the far machine brings along is taken.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.stage == Stage::With
    }

    fn talks(&self) -> bool {
        matches!(self.stage, Stage::Asked | Stage::Giving | Stage::With)
    }

    fn heard(&mut self, word: FarWord, now: Duration) -> Vec<Done> {
        if self.stage == Stage::Away {
            return Vec::new(); // A talk that was left.
        }
        self.lease.heard(now);
        match (self.stage, word) {
            (_, FarWord::Other) => Vec::new(),
            (_, FarWord::Refused) => self.finish(Finish::Refused),
            (Stage::Asked, FarWord::New) => match self.ordered {
                Some(reason) => self.leave_and(Finish::Ordered(reason)),
                None => {
                    self.stage = Stage::Giving;
                    vec![Done::Give]
                }
            },
            (Stage::Asked, FarWord::Known) | (Stage::Giving, FarWord::Accepted) => {
                self.stage = Stage::With;
                self.ordered.map(Done::End).into_iter().collect()
            }
            (Stage::With, FarWord::Started) => {
                let first = !std::mem::replace(&mut self.started, true);
                first.then_some(Done::TellStarted).into_iter().collect()
            }
            (Stage::With, FarWord::Over) => self.finish(Finish::Result),
            // Out of turn: whoever is there is not to be talked with.
            _ => self.leave(now),
        }
    }

    fn order(&mut self, reason: EndReason, now: Duration) -> Vec<Done> {
        self.ordered = Some(reason);
        match self.stage {
            Stage::With => vec![Done::End(reason)],
            // It has not begun there, or a moment ago; what it was told is taken back afterwards.
            Stage::Giving => self.leave_and(Finish::Ordered(reason)),
            Stage::Away if self.lease.standing(now) != Standing::Held => self.finish(Finish::Ordered(reason)),
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, now: Duration) -> Vec<Done> {
        match self.stage {
            Stage::Away => self.given_up(now).map_or_else(Vec::new, |how| self.finish(how)),
            _ if self.is_silent(now) => self.leave(now),
            Stage::With => vec![Done::Beat],
            _ => Vec::new(),
        }
    }

    /// Silence is counted within a talk: one that has just begun after a long partition is not silent yet.
    fn is_silent(&self, now: Duration) -> bool {
        self.lease.standing(now) != Standing::Held && now.saturating_sub(self.talk_began) > self.held_for
    }

    fn broke(&mut self, now: Duration) -> Vec<Done> {
        let held = self.talks() && now.saturating_sub(self.talk_began) > self.held_for;
        self.failures = if held { 0 } else { self.failures.saturating_add(1) };
        self.stage = Stage::Away;
        if let Some(reason) = self.ordered {
            return self.finish(Finish::Ordered(reason));
        }
        match self.given_up(now) {
            Some(how) => self.finish(how),
            None => vec![Done::Open { failures: self.failures }],
        }
    }

    /// Whether nobody waits for it any longer.
    fn given_up(&self, now: Duration) -> Option<Finish> {
        match (self.ordered, self.lease.standing(now)) {
            (Some(reason), Standing::Unknown | Standing::Lost) => Some(Finish::Ordered(reason)),
            (None, Standing::Lost) if self.gives_up => Some(Finish::Lost),
            _ => None,
        }
    }

    fn leave(&mut self, now: Duration) -> Vec<Done> {
        let mut done = vec![Done::HangUp];
        done.extend(self.broke(now));
        done
    }

    fn leave_and(&mut self, how: Finish) -> Vec<Done> {
        let mut done = vec![Done::HangUp];
        done.extend(self.finish(how));
        done
    }

    fn finish(&mut self, how: Finish) -> Vec<Done> {
        self.stage = Stage::Over;
        vec![Done::Finish(how)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANCEL: EndReason = EndReason::Cancelled;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn home(gives_up: bool) -> Home {
        Home::new(at(0), at(8), at(60), gives_up)
    }

    /// Plays events at their seconds, and says what was done about each.
    fn played(mut home: Home, events: &[(u64, Happened)]) -> Vec<Vec<Done>> {
        events.iter().map(|(second, what)| home.on(*what, at(*second))).collect()
    }

    use Done::{Beat, End, Give, HangUp, Open, TellStarted};
    use FarWord::{Accepted, Known, New, Other, Over, Started};
    use Happened::{Broke, Heard, Opened, Ordered, Tick};

    #[test]
    fn a_new_attempt_is_given_followed_and_brought_home() {
        let done = played(
            home(false),
            &[
                (0, Opened),
                (0, Heard(New)),
                (1, Heard(Accepted)),
                (2, Heard(Started)),
                (3, Heard(Started)),
                (4, Tick),
                (5, Heard(Over)),
                (6, Broke),
            ],
        );
        let expected = [
            vec![],
            vec![Give],
            vec![],
            vec![TellStarted],
            vec![],
            vec![Beat],
            vec![Done::Finish(Finish::Result)],
            vec![],
        ];
        assert_eq!(done, expected);
    }

    #[test]
    fn a_machine_that_says_nothing_for_a_lease_is_left_and_asked_again() {
        let events = [
            (0, Opened),
            (0, Heard(Known)),
            (7, Tick),
            (8, Heard(Other)),
            (16, Tick),
            (17, Tick),
            (30, Opened),
            (30, Tick),
            (31, Heard(Known)),
        ];
        let done = played(home(false), &events);
        assert_eq!(done[2..6], [vec![Beat], vec![], vec![Beat], vec![HangUp, Open { failures: 0 }]]);
        assert_eq!(done[7], [], "a talk that has just begun is not silent yet");
    }

    #[test]
    fn a_lost_machine_is_waited_for_or_given_up_as_the_document_says() {
        let events = [(1, Broke), (69, Tick), (70, Broke)];
        let waits = played(home(false), &events);
        assert_eq!(waits, [vec![Open { failures: 1 }], vec![], vec![Open { failures: 2 }]]);
        let gives_up = played(home(true), &events);
        assert_eq!(gives_up[1], [Done::Finish(Finish::Lost)]);
        assert_eq!(gives_up[2], []);
    }

    #[test]
    fn an_order_to_end_reaches_the_machine_or_ends_the_waiting() {
        let with =
            played(home(false), &[(0, Opened), (0, Heard(Known)), (1, Ordered(CANCEL)), (2, Heard(Over))]);
        assert_eq!(with[2..], [vec![End(CANCEL)], vec![Done::Finish(Finish::Result)]]);
        let ordered = Done::Finish(Finish::Ordered(CANCEL));
        let giving = played(home(false), &[(0, Opened), (0, Heard(New)), (1, Ordered(CANCEL))]);
        assert_eq!(giving[2], [HangUp, ordered]);
        let away = played(home(false), &[(20, Ordered(CANCEL))]);
        assert_eq!(away[0], [ordered]);
        let hiccup = played(home(false), &[(1, Ordered(CANCEL)), (2, Opened), (2, Heard(Known))]);
        assert_eq!(hiccup[2], [End(CANCEL)], "a machine that is a moment away still hears it");
        let never_begun = played(home(false), &[(1, Ordered(CANCEL)), (2, Opened), (2, Heard(New))]);
        assert_eq!(never_begun[2], [HangUp, ordered]);
    }

    #[test]
    fn whoever_speaks_out_of_turn_is_left() {
        for word in [Accepted, Started, Over] {
            let done = played(home(false), &[(0, Opened), (0, Heard(word))]);
            assert_eq!(done[1], [HangUp, Open { failures: 1 }], "{word:?}");
        }
    }
}

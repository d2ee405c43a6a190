//! Home in the world: its course, its journal, and the one who carries the attempt.

use std::collections::BTreeMap;

use niia_spec::course::EndReason;

use super::super::{Done, FarWord, Finish, Happened, Home};
use super::{BEAT, LEASE, Net, Side, Weather, Why, Word, at};
use crate::reconnect;

/// Attempts of one worker, as a document with as many models would have it.
const ATTEMPTS_MAX: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    Wait,
    Restart,
    Fail,
}

/// How an attempt ended, as home writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What this attempt's program made.
    Result(u32),
    Cancelled,
    Lost,
}

#[derive(Debug)]
pub struct HomeEnd {
    weather: Weather,
    // In memory.
    carrier: Option<Home>,
    work: Option<usize>,
    dial_at: Option<u64>,
    beat_at: u64,
    /// On its way to the disk; what is to be said once it is there.
    recording: Option<(u64, Outcome, Option<usize>)>,
    /// Attempts whose machine must hear that nobody waits: when to try next, and failures.
    dismissing: BTreeMap<u32, (u64, u32)>,
    // On disk.
    attempt: u32,
    ordered: bool,
    pub recorded: Vec<(u32, Outcome)>,
    pub outcome: Option<Outcome>,
    pub mailbox: BTreeMap<(u32, u32), u32>,
}

impl HomeEnd {
    pub(super) fn new(weather: Weather, net: &mut Net) -> HomeEnd {
        let mut home = HomeEnd {
            weather,
            carrier: None,
            work: None,
            dial_at: None,
            beat_at: 0,
            recording: None,
            dismissing: BTreeMap::new(),
            attempt: 1,
            ordered: false,
            recorded: Vec::new(),
            outcome: None,
            mailbox: BTreeMap::new(),
        };
        home.carry(net);
        home
    }

    /// Takes the attempt that is under way into its hands: now, or after a restart.
    fn carry(&mut self, net: &mut Net) {
        let gives_up = self.weather.on_lost != OnLost::Wait;
        let carrier = Home::new(at(net.now), at(LEASE), at(self.weather.grace), gives_up);
        (self.carrier, self.work, self.dial_at) = (Some(carrier), None, Some(net.now));
        if self.ordered {
            self.on(Happened::Ordered(EndReason::Cancelled), net);
        }
    }

    pub(super) fn dies(&mut self) {
        (self.carrier, self.work, self.dial_at, self.recording) = (None, None, None, None);
        self.dismissing.clear();
    }

    pub(super) fn comes_back(&mut self, net: &mut Net) {
        if self.outcome.is_none() {
            self.carry(net);
        }
    }

    pub(super) fn cancel(&mut self, net: &mut Net) {
        if !std::mem::replace(&mut self.ordered, true) {
            net.note("cancelled".to_owned());
            self.on(Happened::Ordered(EndReason::Cancelled), net);
        }
    }

    pub(super) fn live(&mut self, net: &mut Net) {
        if self.recording.as_ref().is_some_and(|(due, ..)| *due <= net.now)
            && let Some((_, outcome, talk)) = self.recording.take()
        {
            self.is_recorded(outcome, talk, net);
        }
        if self.dial_at.is_some_and(|when| when <= net.now) {
            self.dial_at = None;
            self.work = net.dial(Why::Work, self.attempt);
            self.on(if self.work.is_some() { Happened::Opened } else { Happened::Broke }, net);
        }
        if self.beat_at <= net.now {
            self.beat_at = net.now + BEAT;
            self.on(Happened::Tick, net);
        }
        let due: Vec<u32> =
            self.dismissing.iter().filter(|(_, (when, _))| *when <= net.now).map(|(n, _)| *n).collect();
        for attempt in due {
            let (when, failures) = self.dismissing.entry(attempt).or_default();
            *failures += 1;
            let pause = reconnect::pause(*failures, net.random.u64(..));
            // One that hears nothing from the machine tries again.
            *when = net.now + 2 * LEASE + u64::try_from(pause.as_millis()).unwrap();
            net.dial(Why::Dismiss, attempt);
        }
    }

    fn on(&mut self, what: Happened, net: &mut Net) {
        let Some(carrier) = &mut self.carrier else { return };
        for done in carrier.on(what, at(net.now)) {
            self.does(done, net);
        }
    }

    fn does(&mut self, done: Done, net: &mut Net) {
        match (done, self.work) {
            (Done::Open { failures }, _) => {
                let pause = reconnect::pause(failures, net.random.u64(..));
                (self.work, self.dial_at) = (None, Some(net.now + u64::try_from(pause.as_millis()).unwrap()));
            }
            (Done::HangUp, Some(talk)) => {
                net.hang_up(talk, Side::Home);
                self.work = None;
            }
            (Done::Give, Some(talk)) => net.say(talk, Side::Home, Word::Offer),
            (Done::Beat, Some(talk)) => net.say(talk, Side::Home, Word::Beat),
            (Done::End(_), Some(talk)) => net.say(talk, Side::Home, Word::End),
            (Done::Finish(how), talk) => self.finishes(how, talk, net),
            _ => {}
        }
    }

    fn finishes(&mut self, how: Finish, talk: Option<usize>, net: &mut Net) {
        net.note(format!("attempt {} ends for home: {how:?}", self.attempt));
        let outcome = match how {
            Finish::Result => Outcome::Result(self.attempt),
            Finish::Ordered(_) => Outcome::Cancelled,
            Finish::Lost | Finish::Refused => Outcome::Lost,
        };
        (self.carrier, self.dial_at) = (None, None);
        self.recording = Some((net.now + net.random.u64(0..3_000), outcome, talk));
    }

    /// It is on disk: only now may the far machine forget it.
    fn is_recorded(&mut self, outcome: Outcome, talk: Option<usize>, net: &mut Net) {
        net.note(format!("attempt {} is recorded: {outcome:?}", self.attempt));
        self.recorded.push((self.attempt, outcome.clone()));
        match (&outcome, talk) {
            (Outcome::Result(_), Some(talk)) => net.say(talk, Side::Home, Word::Collected),
            (Outcome::Result(_), None) => {}
            _ => drop(self.dismissing.insert(self.attempt, (net.now, 0))),
        }
        let again = outcome == Outcome::Lost
            && self.weather.on_lost == OnLost::Restart
            && self.attempt < ATTEMPTS_MAX
            && !self.ordered;
        if again {
            self.attempt += 1;
            self.carry(net);
        } else {
            assert_eq!(self.outcome.replace(outcome), None, "the run is over once");
        }
    }

    pub(super) fn broke(&mut self, talk: usize, net: &mut Net) {
        if self.work == Some(talk) {
            self.work = None;
            self.on(Happened::Broke, net);
        }
        if let Some((_, _, waiting @ Some(_))) = &mut self.recording
            && *waiting == Some(talk)
        {
            *waiting = None;
        }
    }

    pub(super) fn hears(&mut self, talk: usize, word: Word, net: &mut Net) {
        let about = net.talks[talk];
        match (about.why, word) {
            (Why::Work, Word::Far(word)) if self.work == Some(talk) => {
                self.on(Happened::Heard(word), net);
            }
            (Why::Dismiss, Word::Far(FarWord::Known)) => net.say(talk, Side::Home, Word::End),
            (Why::Dismiss, Word::Far(FarWord::Over)) => {
                net.say(talk, Side::Home, Word::Collected);
                self.dismissing.remove(&about.attempt);
            }
            (Why::Dismiss, Word::Far(FarWord::New)) => {
                self.dismissing.remove(&about.attempt);
                net.hang_up(talk, Side::Home);
            }
            (Why::Doubt, Word::Hello) => {
                let wanted = self.outcome.is_none() && about.attempt >= self.attempt;
                net.say(talk, Side::Home, Word::Wanted(wanted));
            }
            (Why::Letter(number), Word::Hello) => {
                // Its number makes a letter that is said twice one letter.
                self.mailbox.entry((about.attempt, number)).or_insert(0);
                net.say(talk, Side::Home, Word::Taken);
            }
            _ => {}
        }
    }
}

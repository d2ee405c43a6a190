//! The end that works: which attempts are here, for whom, and how long.

use std::collections::BTreeMap;
use std::time::Duration;

use niia_spec::name::SessionId;

use crate::identity::NodeId;
use crate::lease::is_orphan;

/// Attempts that are kept for others at a time, live ones and results: more than a machine has terminals for.
pub const GUESTS_MAX: usize = 4_096;
/// A result that home never comes for is kept so long: a laptop may be on holiday.
pub const UNCOLLECTED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How an attempt stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Somebody is saying what it needs; nothing of it is on disk.
    Taking,
    /// It is on disk and is being made.
    Begun,
    /// How it ended is on disk.
    Over,
}

/// The answer to a home that asks after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Never heard of: from now on it is being taken.
    New,
    Known,
    /// Another talk is saying what it needs just now: what comes of that decides.
    Busy,
    /// A session of that name is here for another machine.
    Foreign,
    /// A later attempt of the same worker is here already.
    Superseded,
    /// There are too many.
    Full,
}

/// What is due without anybody asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Home has forgotten it: it ends.
    End,
    /// Nobody came for what came of it.
    Forget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Guest {
    home: NodeId,
    stage: Stage,
    heard_at: Duration,
    orphan_after: Duration,
}

/// All attempts that are here for others.
#[derive(Clone, Debug, Default)]
pub struct Far(BTreeMap<SessionId, Guest>);

impl Far {
    /// Home asks after an attempt.
    #[must_use]
    pub fn asked(&mut self, session: &SessionId, home: NodeId, now: Duration) -> Asked {
        if let Some(guest) = self.0.get_mut(session) {
            return match (guest.home == home, guest.stage) {
                (false, _) => Asked::Foreign,
                (true, Stage::Taking) => Asked::Busy,
                (true, _) => {
                    guest.heard_at = guest.heard_at.max(now);
                    Asked::Known
                }
            };
        }
        if self.others(session, home).any(|(other, _)| is_later(other, session)) {
            return Asked::Superseded;
        }
        if self.0.len() >= GUESTS_MAX {
            return Asked::Full;
        }
        // How long it goes on alone, the offer will say.
        let guest = Guest { home, stage: Stage::Taking, heard_at: now, orphan_after: UNCOLLECTED_FOR };
        self.0.insert(session.clone(), guest);
        Asked::New
    }

    /// It was refused after all, or its talk broke before everything was said.
    pub fn let_go(&mut self, session: &SessionId) {
        if self.0.get(session).is_some_and(|guest| guest.stage == Stage::Taking) {
            self.0.remove(session);
        }
    }

    /// Everything was said: it may be written down and begun, unless a later attempt came meanwhile.
    #[must_use]
    pub fn may_begin(&self, session: &SessionId) -> bool {
        self.0.get(session).is_some_and(|guest| {
            guest.stage == Stage::Taking
                && !self.others(session, guest.home).any(|(other, _)| is_later(other, session))
        })
    }

    /// It is on disk, now or since an earlier start of this node. What it takes the place of is to end.
    #[must_use]
    pub fn begun(
        &mut self,
        session: &SessionId,
        home: NodeId,
        (stage, orphan_after): (Stage, Duration),
        now: Duration,
    ) -> Vec<SessionId> {
        self.0.insert(session.clone(), Guest { home, stage, heard_at: now, orphan_after });
        let older = self.others(session, home);
        older
            .filter(|(other, guest)| is_later(session, other) && guest.stage == Stage::Begun)
            .map(|(other, _)| other.clone())
            .collect()
    }

    /// Home has said something.
    pub fn heard(&mut self, session: &SessionId, now: Duration) {
        if let Some(guest) = self.0.get_mut(session) {
            guest.heard_at = guest.heard_at.max(now);
        }
    }

    /// How it ended is on disk.
    pub fn over(&mut self, session: &SessionId) {
        if let Some(guest) = self.0.get_mut(session) {
            guest.stage = Stage::Over;
        }
    }

    /// Home has what came of it, or wants it no longer. Whether anything was here.
    pub fn forget(&mut self, session: &SessionId) -> bool {
        self.0.remove(session).is_some()
    }

    /// What is due now.
    #[must_use]
    pub fn due(&self, session: &SessionId, now: Duration) -> Option<Due> {
        let guest = self.0.get(session)?;
        match guest.stage {
            Stage::Taking => None,
            Stage::Begun => is_orphan(guest.heard_at, now, guest.orphan_after).then_some(Due::End),
            Stage::Over => is_orphan(guest.heard_at, now, UNCOLLECTED_FOR).then_some(Due::Forget),
        }
    }

    /// The attempts of homes that have said nothing for a while: what they want of them must be asked.
    #[must_use]
    pub fn unheard(&self, now: Duration, silent_for: Duration) -> BTreeMap<NodeId, Vec<SessionId>> {
        let mut unheard: BTreeMap<NodeId, Vec<SessionId>> = BTreeMap::new();
        for (session, guest) in &self.0 {
            if guest.stage != Stage::Taking && is_orphan(guest.heard_at, now, silent_for) {
                unheard.entry(guest.home).or_default().push(session.clone());
            }
        }
        unheard
    }

    #[must_use]
    pub fn stage(&self, session: &SessionId) -> Option<Stage> {
        self.0.get(session).map(|guest| guest.stage)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Other attempts of the same worker for the same home.
    fn others(&self, session: &SessionId, home: NodeId) -> impl Iterator<Item = (&SessionId, &Guest)> {
        self.0.iter().filter(move |(other, guest)| {
            guest.home == home && other.run == session.run && other.attempt.worker == session.attempt.worker
        })
    }
}

fn is_later(one: &SessionId, other: &SessionId) -> bool {
    one.attempt.attempt > other.attempt.attempt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(attempt: u32) -> SessionId {
        format!("run-abcde/work/1/{attempt}").parse().unwrap()
    }

    fn node(n: u8) -> NodeId {
        NodeId::of_key(&[n])
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const LIFE: (Stage, Duration) = (Stage::Begun, Duration::from_secs(60));

    #[test]
    fn an_attempt_is_new_once_and_known_from_then_on() {
        let mut far = Far::default();
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::New);
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::Busy, "two talks at once begin it once");
        assert_eq!(far.asked(&session(1), node(2), at(0)), Asked::Foreign);
        assert!(far.may_begin(&session(1)));
        assert_eq!(far.begun(&session(1), node(1), LIFE, at(0)), []);
        assert!(!far.may_begin(&session(1)));
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::Known);
        far.let_go(&session(1));
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::Known, "what has begun is not let go of");
        assert!(far.forget(&session(1)) && far.is_empty());
    }

    #[test]
    fn a_talk_that_breaks_off_leaves_nothing() {
        let mut far = Far::default();
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::New);
        far.let_go(&session(1));
        assert!(far.is_empty() && !far.may_begin(&session(1)));
    }

    #[test]
    fn a_later_attempt_ends_the_earlier_one_which_may_not_begin_any_more() {
        let mut far = Far::default();
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::New);
        assert_eq!(far.asked(&session(2), node(1), at(0)), Asked::New);
        assert_eq!(far.begun(&session(2), node(1), LIFE, at(0)), []);
        assert!(!far.may_begin(&session(1)), "the late word of a talk that home has left");
        far.let_go(&session(1));
        assert_eq!(far.asked(&session(1), node(1), at(0)), Asked::Superseded);
        assert_eq!(far.asked(&session(3), node(1), at(0)), Asked::New);
        assert_eq!(far.begun(&session(3), node(1), LIFE, at(0)), [session(2)]);
    }

    #[test]
    fn what_nobody_asks_for_ends_and_what_nobody_fetches_goes_at_last() {
        let mut far = Far::default();
        assert_eq!(far.begun(&session(1), node(1), LIFE, at(0)), []);
        assert_eq!(far.due(&session(1), at(60)), None);
        assert_eq!(far.due(&session(1), at(61)), Some(Due::End));
        far.heard(&session(1), at(50));
        assert_eq!(far.due(&session(1), at(61)), None);
        far.over(&session(1));
        assert_eq!(far.due(&session(1), at(200)), None);
        assert_eq!(far.due(&session(1), at(51) + UNCOLLECTED_FOR), Some(Due::Forget));
        assert_eq!(far.unheard(at(60), at(20)), BTreeMap::new());
        assert_eq!(far.unheard(at(71), at(20)), BTreeMap::from([(node(1), vec![session(1)])]));
    }

    #[test]
    fn there_is_an_end_to_hospitality() {
        let mut far = Far::default();
        for n in 0..GUESTS_MAX {
            let session = format!("run-abcde/work/{n}/1").parse().unwrap();
            assert_eq!(far.asked(&session, node(1), at(0)), Asked::New);
        }
        assert_eq!(far.asked(&session(1), node(2), at(0)), Asked::Foreign);
        let one_more = "run-abcde/late/1/1".parse().unwrap();
        assert_eq!(far.asked(&one_more, node(1), at(0)), Asked::Full);
    }
}

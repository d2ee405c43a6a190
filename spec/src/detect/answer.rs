//! Answering a dialog: keys pressed one after the other, each only while that very dialog is to be seen, and each again
//! where the tool has swallowed it.
//!
//! A tool may draw a question before it takes keys. So a dialog is left alone until its drawing has settled, an arrow
//! counts as taken only once the drawing shows it, and an answer counts as given only once the dialog is gone. What
//! would decide is never pressed while the choice still stands where it stood before the arrow.

/// The drawing has settled once nothing was printed for so long.
pub const SETTLED_MS: u64 = 300;
/// A tool that never stops drawing is answered nevertheless, after this time.
pub const SETTLE_MAX_MS: u64 = 3_000;
/// Between two keys: in one burst they may be taken for one, or for a paste.
pub const BETWEEN_KEYS_MS: u64 = 80;
/// A key that has changed nothing is pressed again after the first of these times, then after the next, and after the last
/// one it is given up: a busy machine takes its time.
pub const AGAIN_AFTER_MS: [u64; 4] = [1_500, 2_500, 4_000, 6_000];
/// A dialog whose choice never stays where it was moved to is given up after this time.
pub const ANSWER_MAX_MS: u64 = 60_000;
/// A dialog that is gone for so long before all keys were pressed was answered by somebody else.
pub const GONE_MS: u64 = 1_000;

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Press(String),
    Wait {
        ms: u64,
    },
    /// It is seen to be answered.
    Answered,
    Failed {
        reason: String,
    },
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub struct Answering {
    keys: Vec<String>,
    /// How many of the keys are done with.
    done: usize,
    begun_ms: u64,
    /// The dialog before the first key, and before the key that was pressed last.
    first: Option<String>,
    before: String,
    /// When the key in question was pressed, and how often.
    pressed_ms: Option<u64>,
    presses: usize,
    gone_ms: Option<u64>,
}

impl Answering {
    #[must_use]
    pub fn new(keys: &str, now_ms: u64) -> Answering {
        Answering {
            keys: split_keys(keys).into_iter().map(str::to_owned).collect(),
            done: 0,
            begun_ms: now_ms,
            first: None,
            before: String::new(),
            pressed_ms: None,
            presses: 0,
            gone_ms: None,
        }
    }

    /// Whether the key that decides was pressed.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.keys.is_empty() || (self.done + 1 == self.keys.len() && self.presses > 0)
    }

    /// What to do, by what is drawn of the dialog (nothing where it is not to be seen) and how long nothing was printed.
    pub fn on(&mut self, drawn: Option<&str>, quiet_ms: u64, now_ms: u64) -> Step {
        let Some(drawn) = drawn else { return self.gone(now_ms) };
        self.gone_ms = None;
        match self.pressed_ms {
            None => self.begin(drawn, quiet_ms, now_ms),
            Some(pressed_ms) => self.look(drawn, now_ms.saturating_sub(pressed_ms), now_ms),
        }
    }

    fn gone(&mut self, now_ms: u64) -> Step {
        if self.is_given() {
            return Step::Answered;
        }
        let since_ms = *self.gone_ms.get_or_insert(now_ms);
        let left_ms = (since_ms + GONE_MS).saturating_sub(now_ms);
        if left_ms > 0 {
            return Step::Wait { ms: left_ms };
        }
        // Some tools take a choice's number for the whole answer.
        if self.presses > 0 && !self.moves() {
            return Step::Answered;
        }
        Step::Failed { reason: "it went away before it was answered".to_owned() }
    }

    fn begin(&mut self, drawn: &str, quiet_ms: u64, now_ms: u64) -> Step {
        let left_ms = (self.begun_ms + SETTLE_MAX_MS).saturating_sub(now_ms);
        if quiet_ms < SETTLED_MS && left_ms > 0 {
            return Step::Wait { ms: left_ms.min(SETTLED_MS - quiet_ms) };
        }
        self.first = Some(drawn.to_owned());
        self.press(drawn, now_ms)
    }

    fn press(&mut self, drawn: &str, now_ms: u64) -> Step {
        let Some(key) = self.keys.get(self.done).cloned() else { return Step::Answered };
        drawn.clone_into(&mut self.before);
        self.pressed_ms = Some(now_ms);
        self.presses += 1;
        Step::Press(key)
    }

    /// The dialog is to be seen after a key.
    fn look(&mut self, drawn: &str, since_ms: u64, now_ms: u64) -> Step {
        let changed = drawn != self.before;
        let decides = self.done + 1 == self.keys.len();
        // An arrow is seen to have moved the choice; of any other key but the last nothing need be seen.
        let taken = !decides && (changed || !self.moves());
        if taken && since_ms < BETWEEN_KEYS_MS {
            return Step::Wait { ms: BETWEEN_KEYS_MS - since_ms };
        }
        if taken && !(self.moves() && self.first.as_deref() == Some(drawn)) {
            self.done += 1;
            self.presses = 0;
            return self.press(drawn, now_ms);
        }
        let wait_ms = AGAIN_AFTER_MS.get(self.presses.saturating_sub(1)).copied().unwrap_or_default();
        if since_ms < wait_ms {
            return Step::Wait { ms: wait_ms - since_ms };
        }
        if self.presses >= AGAIN_AFTER_MS.len() || now_ms.saturating_sub(self.begun_ms) >= ANSWER_MAX_MS {
            return Step::Failed { reason: "it takes no keys".to_owned() };
        }
        // A second arrow, pressed for one that came late, may have moved the choice back.
        if decides && self.is_back(drawn) {
            self.done = 0;
        }
        self.press(drawn, now_ms)
    }

    fn moves(&self) -> bool {
        self.keys.get(self.done).is_some_and(|key| key.len() > 1 && key.starts_with('\u{1b}'))
    }

    /// Whether the choice stands where it stood before the arrow: what decides would decide otherwise.
    fn is_back(&self, drawn: &str) -> bool {
        let moved = self.keys.first().is_some_and(|key| key.len() > 1 && key.starts_with('\u{1b}'));
        moved && self.keys.len() > 1 && self.first.as_deref() == Some(drawn)
    }
}

/// Single keys: Enter is one of its own, and each escape begins another one.
#[must_use]
pub fn split_keys(keys: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, c) in keys.char_indices().filter(|(_, c)| matches!(c, '\r' | '\x1b')) {
        parts.push(&keys[from..at]);
        from = at;
        if c == '\r' {
            parts.push("\r");
            from = at + 1;
        }
    }
    parts.push(&keys[from..]);
    parts.retain(|key| !key.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: &str = "❯ No\n  Yes";
    const YES: &str = "  No\n❯ Yes";
    const DOWN: &str = "\u{1b}[B";

    /// Looks at these drawings (nothing: it is not to be seen), each after so many more milliseconds, all of them quiet.
    fn transcript(keys: &str, looks: &[(u64, Option<&str>)]) -> Vec<Step> {
        let mut answering = Answering::new(keys, 0);
        let mut now_ms = 0;
        let each = looks.iter().map(|(after_ms, drawn)| {
            now_ms += after_ms;
            answering.on(*drawn, SETTLED_MS, now_ms)
        });
        each.collect()
    }

    fn press(key: &str) -> Step {
        Step::Press(key.to_owned())
    }

    #[test]
    fn an_answer_is_pressed_key_by_key_and_seen_to_be_taken() {
        let looks = [(0, Some(NO)), (100, Some(YES)), (50, Some(YES)), (50, None)];
        let wait = Step::Wait { ms: AGAIN_AFTER_MS[0] - 50 };
        assert_eq!(transcript("\u{1b}[B\r", &looks), [press(DOWN), press("\r"), wait, Step::Answered]);
    }

    #[test]
    fn an_arrow_that_was_swallowed_is_pressed_again_and_nothing_decides_before_it() {
        let looks = [(0, Some(NO)), (500, Some(NO)), (1000, Some(NO)), (100, Some(YES)), (50, None)];
        let wait = Step::Wait { ms: 1000 };
        assert_eq!(
            transcript("\u{1b}[B\r", &looks),
            [press(DOWN), wait, press(DOWN), press("\r"), Step::Answered]
        );
    }

    #[test]
    fn an_enter_that_was_swallowed_is_pressed_again_and_only_where_the_choice_stands_right() {
        let looks = [
            (0, Some(NO)),
            (100, Some(YES)),
            (1500, Some(YES)),
            (2500, Some(NO)),
            (100, Some(YES)),
            (9, None),
        ];
        assert_eq!(
            transcript("\u{1b}[B\r", &looks),
            [press(DOWN), press("\r"), press("\r"), press(DOWN), press("\r"), Step::Answered]
        );
    }

    #[test]
    fn two_arrows_taken_at_once_decide_nothing() {
        // The second came too soon: both are taken, and the choice is where it was.
        let looks = [(0, Some(NO)), (1500, Some(NO)), (90, Some(NO)), (2410, Some(NO)), (90, Some(YES))];
        let wait = Step::Wait { ms: AGAIN_AFTER_MS[1] - 90 };
        assert_eq!(
            transcript("\u{1b}[B\r", &looks),
            [press(DOWN), press(DOWN), wait, press(DOWN), press("\r")]
        );
    }

    #[test]
    fn a_choice_by_its_number_need_not_move() {
        let looks = [(0, Some(YES)), (20, Some(YES)), (60, Some(YES)), (20, None)];
        let wait = Step::Wait { ms: BETWEEN_KEYS_MS - 20 };
        assert_eq!(transcript("1\r", &looks), [press("1"), wait, press("\r"), Step::Answered]);
    }

    #[test]
    fn a_number_may_be_the_whole_answer() {
        let looks = [(0, Some(NO)), (20, None), (GONE_MS, None)];
        assert_eq!(transcript("2\r", &looks), [press("2"), Step::Wait { ms: GONE_MS }, Step::Answered]);
    }

    #[test]
    fn a_dialog_that_is_still_being_drawn_is_left_alone_for_a_while() {
        let mut answering = Answering::new("\r", 0);
        assert_eq!(answering.on(Some(NO), 50, 0), Step::Wait { ms: SETTLED_MS - 50 });
        assert_eq!(answering.on(Some(NO), 0, SETTLE_MAX_MS), press("\r"));
    }

    #[test]
    fn a_dialog_that_goes_away_by_itself_is_not_answered() {
        let looks = [(0, Some(NO)), (10, None), (GONE_MS, None)];
        let reason = "it went away before it was answered".to_owned();
        let wait = Step::Wait { ms: GONE_MS };
        assert_eq!(transcript("\u{1b}[B\r", &looks), [press(DOWN), wait, Step::Failed { reason }]);
    }

    #[test]
    fn a_dialog_that_takes_no_keys_is_given_up() {
        let looks = [0, 1500, 2500, 4000, 6000].map(|after_ms| (after_ms, Some(NO)));
        let steps = transcript("\r", &looks);
        assert_eq!(steps[..4], [press("\r"), press("\r"), press("\r"), press("\r")]);
        assert!(matches!(&steps[4], Step::Failed { .. }), "{steps:?}");
    }

    #[test]
    fn keys_are_pressed_one_by_one() {
        assert_eq!(split_keys("\x1b[B\r"), ["\x1b[B", "\r"]);
        assert_eq!(split_keys("\x1b\x1b"), ["\x1b", "\x1b"]);
        assert_eq!(split_keys("y\r"), ["y", "\r"]);
        assert_eq!(split_keys("1"), ["1"]);
        assert!(split_keys("").is_empty());
    }
}

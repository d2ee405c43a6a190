//! The answer to a dialog. A tool may not listen yet when its dialog is drawn: keys wait until the screen stands still,
//! and are pressed again where the tool has not stirred since.

use niia_spec::profile::Profile;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use super::{Follow, profile_of};
use crate::session::clock;

/// What was drawn stands still for so long before it is answered.
const SETTLE_MS: u64 = 300;
/// A screen that never stands still is answered after so long.
const SETTLE_MS_MAX: u64 = 2_000;
/// A tool that has printed nothing for so long after the keys has not heard them.
const DEAF_MS: u64 = 1_000;
/// Keys are pressed so often for one answer.
const PRESSES_MAX: u32 = 3;
/// Between two keys of an answer.
const BETWEEN_KEYS: Duration = Duration::from_millis(80);

/// What came of an answer: which dialog it was, or why it was not answered.
pub(in crate::session) type Answered = Result<String, String>;

/// An answer on its way into the program.
pub(super) struct Answering {
    dialog: String,
    keys: String,
    asked_ms: u64,
    presses: u32,
    /// When they were pressed last, and how much the program had printed by then.
    pressed: Option<(u64, u64)>,
    /// A person who waits for it; of an answer by policy the log tells.
    reply: Option<oneshot::Sender<Answered>>,
}

/// What is to be seen when the next thing is decided.
struct Sight<'a> {
    now_ms: u64,
    grew_ms: u64,
    end: u64,
    dialog: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait {
        until_ms: u64,
    },
    Press,
    /// It went away by itself.
    Gone,
    /// It was heard, or is pressed no more.
    Over,
}

impl Answering {
    fn next(&self, sight: &Sight<'_>) -> Next {
        let shown = sight.dialog == Some(self.dialog.as_str());
        let Some((at_ms, end)) = self.pressed else {
            let until_ms = (sight.grew_ms + SETTLE_MS).min(self.asked_ms + SETTLE_MS_MAX);
            return match (shown, sight.now_ms >= until_ms) {
                (false, _) => Next::Gone,
                (true, true) => Next::Press,
                (true, false) => Next::Wait { until_ms },
            };
        };
        // What was printed since may be the same dialog for another question, which these keys are not for.
        if !shown || sight.end != end || self.presses >= PRESSES_MAX {
            return Next::Over;
        }
        let until_ms = at_ms + DEAF_MS;
        if sight.now_ms >= until_ms { Next::Press } else { Next::Wait { until_ms } }
    }
}

/// Single keys: Enter is one of its own, and each escape begins another one.
fn split_keys(keys: &str) -> Vec<&str> {
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

impl Follow<'_> {
    /// Begins to answer the dialog, if one is to be seen at this moment and the profile knows the keys.
    pub(super) async fn answer_dialog(&mut self, allow: bool, reply: Option<oneshot::Sender<Answered>>) {
        let begun = match &self.answering {
            Some(answering) if answering.pressed.is_none() => {
                let Some(reply) = reply else { return };
                let reason = format!("the dialog {} is being answered already", answering.dialog);
                return drop(reply.send(Err(reason)));
            }
            _ => self.keys_for(allow),
        };
        match begun {
            Ok((dialog, keys)) => {
                let asked_ms = clock::now_ms();
                self.answering = Some(Answering { dialog, keys, asked_ms, presses: 0, pressed: None, reply });
                self.mind_answer().await;
            }
            Err(reason) => self.answered(reply, Err(reason)),
        }
    }

    fn keys_for(&mut self, allow: bool) -> Result<(String, String), String> {
        let seen = self.seen();
        let detected = self.detect(&seen);
        let profile: &Profile = profile_of(&self.life.assignment).ok_or("its profile is gone")?;
        let id = detected.dialog.ok_or_else(|| {
            format!(
                "it shows no dialog that profile {} knows ({}); `niia attach` answers by hand",
                profile.id, detected.evidence.rule
            )
        })?;
        let dialog = profile.dialog(&id).ok_or("the dialog is gone")?;
        let keys = if allow { &dialog.allow } else { &dialog.deny };
        let unknown = || format!("profile {} knows no keys for the dialog {id}", profile.id);
        let keys = keys.clone().ok_or_else(unknown)?;
        Ok((id, keys))
    }

    /// When the answer on its way is to be looked at again.
    pub(super) fn answer_due(&self) -> Option<Instant> {
        let answering = self.answering.as_ref()?;
        // Whether the dialog is still there is looked at when it is due.
        let dialog = Some(answering.dialog.as_str());
        let sight = Sight { now_ms: clock::now_ms(), grew_ms: self.grew_ms, end: self.end, dialog };
        let wait = match answering.next(&sight) {
            Next::Wait { until_ms } => until_ms.saturating_sub(sight.now_ms).max(1),
            Next::Press | Next::Gone | Next::Over => 1,
        };
        Some(Instant::now() + Duration::from_millis(wait))
    }

    /// Goes on with the answer on its way.
    pub(super) async fn mind_answer(&mut self) {
        if self.answering.is_none() {
            return;
        }
        let seen = self.seen();
        let detected = self.detect(&seen);
        let (grew_ms, end) = (self.grew_ms, self.end);
        let Some(answering) = &mut self.answering else { return };
        let sight = Sight { now_ms: clock::now_ms(), grew_ms, end, dialog: detected.dialog.as_deref() };
        match answering.next(&sight) {
            Next::Wait { .. } => {}
            Next::Over => self.answering = None,
            Next::Gone => {
                let reason = format!("the dialog {} went away before it was answered", answering.dialog);
                // Where a policy answers, nothing is left to be answered.
                if let Some(reply) = answering.reply.take() {
                    drop(reply.send(Err(reason)));
                }
                self.answering = None;
            }
            Next::Press => {
                answering.presses += 1;
                answering.pressed = Some((sight.now_ms, end));
                let (keys, dialog) = (answering.keys.clone(), answering.dialog.clone());
                let (first, reply) = (answering.presses == 1, answering.reply.take());
                let pressed = self.press(&keys).await.map_err(|error| error.to_string());
                if pressed.is_err() {
                    self.answering = None;
                }
                if first {
                    self.answered(reply, pressed.map(|()| dialog));
                }
            }
        }
    }

    fn answered(&mut self, reply: Option<oneshot::Sender<Answered>>, how: Answered) {
        match reply {
            // Whoever asked may have given up waiting; that harms nobody.
            Some(reply) => drop(reply.send(how)),
            None => self.answered_by_policy(how),
        }
    }

    /// Presses keys one after the other: several in one burst may be taken for one, or for a paste.
    pub(super) async fn press(&self, keys: &str) -> std::io::Result<()> {
        for (n, key) in split_keys(keys).into_iter().enumerate() {
            if n > 0 {
                tokio::time::sleep(BETWEEN_KEYS).await;
            }
            self.write_soon(key.as_bytes()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(pressed: Option<(u64, u64)>, presses: u32) -> Answering {
        let (dialog, keys) = ("trust".to_owned(), "\r".to_owned());
        Answering { dialog, keys, asked_ms: 1_000, presses, pressed, reply: None }
    }

    fn sight(now_ms: u64, grew_ms: u64, end: u64) -> Sight<'static> {
        Sight { now_ms, grew_ms, end, dialog: Some("trust") }
    }

    #[test]
    fn keys_wait_until_the_screen_stands_still_but_not_for_ever() {
        let fresh = answering(None, 0);
        assert_eq!(fresh.next(&sight(1_000, 990, 7)), Next::Wait { until_ms: 1_290 });
        assert_eq!(fresh.next(&sight(1_290, 990, 7)), Next::Press);
        assert_eq!(fresh.next(&sight(2_999, 2_990, 7)), Next::Wait { until_ms: 3_000 });
        assert_eq!(fresh.next(&sight(3_000, 2_990, 7)), Next::Press);
    }

    #[test]
    fn a_dialog_that_went_away_is_not_answered() {
        let gone = Sight { dialog: None, ..sight(9_000, 0, 7) };
        assert_eq!(answering(None, 0).next(&gone), Next::Gone);
        let another = Sight { dialog: Some("tool"), ..sight(9_000, 0, 7) };
        assert_eq!(answering(None, 0).next(&another), Next::Gone);
        assert_eq!(answering(Some((1_500, 7)), 1).next(&another), Next::Over);
    }

    #[test]
    fn who_has_not_stirred_since_the_keys_gets_them_again_and_whoever_has_does_not() {
        let pressed = answering(Some((1_500, 7)), 1);
        assert_eq!(pressed.next(&sight(1_600, 990, 7)), Next::Wait { until_ms: 2_500 });
        assert_eq!(pressed.next(&sight(2_500, 990, 7)), Next::Press);
        assert_eq!(pressed.next(&sight(1_501, 1_501, 8)), Next::Over);
        assert_eq!(answering(Some((4_500, 7)), PRESSES_MAX).next(&sight(9_000, 990, 7)), Next::Over);
    }

    #[test]
    fn keys_are_pressed_one_by_one() {
        assert_eq!(split_keys("2\r"), ["2", "\r"]);
        assert_eq!(split_keys("\x1b[B\x1b[B\r"), ["\x1b[B", "\x1b[B", "\r"]);
        assert_eq!(split_keys("\x1b\x1b"), ["\x1b", "\x1b"]);
        assert_eq!(split_keys("y"), ["y"]);
        assert!(split_keys("").is_empty());
    }
}

//! Questions that programs inside sessions put to people, while they wait for an answer.
//!
//! A question lives as long as whoever asks it waits: nothing of it is kept. A program that waits while the node is
//! restarted asks again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use niia_spec::name::SessionId;
use niia_spec::notice::{RunView, SessionView};
use tokio::sync::oneshot;

/// Questions of one session that may wait at a time: a program that asks more is not waiting for answers.
pub const ASKS_MAX: usize = 8;
/// The longest question, in bytes; it is shown in a line or two.
pub const QUESTION_BYTES_MAX: usize = 4 * 1024;
/// Answers to choose from, at most, and the longest one in bytes.
pub const CHOICES_MAX: usize = 16;
/// The longest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What stands for the rule by which a session waits for a person, where one of its programs asks.
pub const RULE: &str = "asked a person";

/// All questions that wait.
#[derive(Clone, Debug, Default)]
pub struct Asks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    number: AtomicU64,
    waiting: Mutex<BTreeMap<SessionId, BTreeMap<u64, Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    question: String,
    choices: Vec<String>,
    since: Instant,
    answer: oneshot::Sender<String>,
}

/// A question that waits; it is taken back when this is dropped.
#[derive(Debug)]
pub struct Asked {
    all: Asks,
    session: SessionId,
    number: u64,
    answer: oneshot::Receiver<String>,
}

impl Asks {
    /// Puts a question; nothing where too many of its session wait.
    pub fn ask(&self, session: SessionId, question: String, choices: Vec<String>) -> Option<Asked> {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting { question, choices, since: Instant::now(), answer: sender };
        let taken = self.with(|all| {
            let of_session = all.entry(session.clone()).or_default();
            let room = of_session.len() < ASKS_MAX;
            if room {
                of_session.insert(number, waiting);
            }
            room
        });
        taken.then(|| Asked { all: self.clone(), session, number, answer })
    }

    /// Answers the oldest question of a session. False where none waits.
    pub fn answer(&self, session: &SessionId, text: String) -> bool {
        let oldest = self.with(|all| all.get_mut(session)?.pop_first());
        // Whoever asked may have gone this moment.
        oldest.is_some_and(|(_, waiting)| waiting.answer.send(text).is_ok())
    }

    /// The oldest question of a session.
    pub fn question(&self, session: &SessionId) -> Option<String> {
        self.with(|all| Some(all.get(session)?.values().next()?.question.clone()))
    }

    /// A session as people see it: one that has asked waits for them, whatever its screen shows.
    pub fn shown(&self, mut view: SessionView) -> SessionView {
        self.with(|all| {
            let Some(waiting) = all.get(&view.session).and_then(|asked| asked.values().next()) else {
                return;
            };
            view.state = "waiting_input".to_owned();
            view.rule = RULE.to_owned();
            view.excerpt.clone_from(&waiting.question);
            view.choices.clone_from(&waiting.choices);
            view.since_ms = u64::try_from(waiting.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        });
        view
    }

    /// A run as people see it: the last line of a worker that asks is its question.
    pub fn told(&self, view: &mut RunView) {
        self.with(|all| {
            for worker in view.phases.iter_mut().flat_map(|phase| &mut phase.workers) {
                let asked = worker.session.as_ref().and_then(|session| all.get(session)?.values().next());
                if let Some(asked) = asked {
                    worker.last_line = Some(format!("asks a person: {}", asked.question));
                }
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<SessionId, BTreeMap<u64, Waiting>>) -> T) -> T {
        act(&mut self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asked {
    /// The answer; nothing where nobody can give one any more.
    pub async fn answer(&mut self) -> Option<String> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let (session, number) = (&self.session, self.number);
        self.all.with(|all| {
            if let Some(of_session) = all.get_mut(session) {
                of_session.remove(&number);
                if of_session.is_empty() {
                    all.remove(session);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        "review-k3f9x/find/1/1".parse().unwrap()
    }

    #[tokio::test]
    async fn the_oldest_question_is_answered_first_and_one_that_is_given_up_is_gone() {
        let asks = Asks::default();
        let mut first = asks.ask(session(), "one?".to_owned(), Vec::new()).unwrap();
        let second = asks.ask(session(), "two?".to_owned(), Vec::new()).unwrap();
        assert_eq!(asks.question(&session()).as_deref(), Some("one?"));
        assert!(asks.answer(&session(), "yes".to_owned()));
        assert_eq!(first.answer().await.as_deref(), Some("yes"));
        assert_eq!(asks.question(&session()).as_deref(), Some("two?"));
        drop(second);
        assert!(!asks.answer(&session(), "too late".to_owned()));
        assert!(asks.with(|all| all.is_empty() || all.values().all(BTreeMap::is_empty)));
    }

    #[test]
    fn a_session_that_asks_too_much_is_refused() {
        let asks = Asks::default();
        let kept: Vec<Option<Asked>> =
            (0..=ASKS_MAX).map(|_| asks.ask(session(), "?".to_owned(), Vec::new())).collect();
        assert_eq!(kept.iter().flatten().count(), ASKS_MAX);
    }
}

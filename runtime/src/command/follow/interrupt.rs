//! What a Ctrl-C means: a question where there is somebody to answer it, an order where there is not.

use std::io::{self, Read};
use std::time::Duration;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::Failure;

/// Two interruptions within this time mean it.
const TWICE_WITHIN: Duration = Duration::from_secs(2);

const QUESTION: &str = "[d]etach [c]ancel, anything else goes on";

/// What is wanted of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It was just asked what is wanted.
    Question,
    GoOn,
    Detach,
    Cancel,
}

/// The interruptions of one following.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    hang_up: Signal,
    terminate: Signal,
    /// Somebody sits there who can be asked.
    person: bool,
    asked: Option<Asked>,
    /// The key that will be pressed next: a thread waits for it, which cannot be called off.
    key: Option<oneshot::Receiver<Option<u8>>>,
    last: Option<Instant>,
}

impl Interrupts {
    pub fn listen(person: bool) -> Result<Interrupts, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::trouble("could not listen for signals", error));
        Ok(Interrupts {
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            person,
            asked: None,
            key: None,
            last: None,
        })
    }

    /// The question that waits for an answer.
    pub fn question(&self) -> Option<&'static str> {
        self.asked.as_ref().map(|_| QUESTION)
    }

    /// The next wish. May be dropped while it waits.
    pub async fn next(&mut self) -> Wish {
        let answered = async {
            match (&self.asked, &mut self.key) {
                (Some(_), Some(key)) => key.await.ok().flatten(),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => self.interrupted(),
            _ = self.hang_up.recv() => Wish::Detach,
            _ = self.terminate.recv() => Wish::Detach,
            key = answered => {
                self.asked = None;
                self.key = None;
                match key {
                    Some(b'd' | b'D') => Wish::Detach,
                    Some(b'c' | b'C') => Wish::Cancel,
                    _ => Wish::GoOn,
                }
            }
        }
    }

    fn interrupted(&mut self) -> Wish {
        let twice = self.last.is_some_and(|last| last.elapsed() < TWICE_WITHIN);
        self.last = Some(Instant::now());
        if !self.person || twice {
            self.asked = None;
            return Wish::Cancel;
        }
        self.asked.get_or_insert_with(Asked::now);
        self.key.get_or_insert_with(next_key);
        Wish::Question
    }
}

/// The next key somebody presses; nothing where no more can come.
fn next_key() -> oneshot::Receiver<Option<u8>> {
    let (sender, key) = oneshot::channel();
    // The thread ends with the key or with the program: reading a terminal cannot be called off.
    std::thread::spawn(move || {
        let mut byte = [0; 1];
        let read = io::stdin().lock().read(&mut byte);
        let _ = sender.send(matches!(read, Ok(1)).then_some(byte[0]));
    });
    key
}

/// A question that was asked; the terminal gives single keys as long as it stands.
#[derive(Debug)]
struct Asked {
    before: Option<Termios>,
}

impl Asked {
    fn now() -> Asked {
        let before = termios::tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut keys = before.clone();
            // Interruptions stay interruptions: the second Ctrl-C is one, not a key.
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            keys.special_codes[SpecialCodeIndex::VMIN] = 1;
            keys.special_codes[SpecialCodeIndex::VTIME] = 0;
            // A terminal that keeps its lines still answers after Enter.
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &keys);
        }
        Asked { before }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing put back.
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

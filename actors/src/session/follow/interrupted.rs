//! A prompt that an earlier node was typing when it ended.
//!
//! The marks in the recording say how far it came; a text is never typed a second time. What is left open between two
//! marks the terminal itself decides: a program with an editor draws what it reads, so where nothing was drawn and
//! nothing waits to be read, nothing was typed. Enter may be pressed again, as it may for any text.

use tokio::time::{Duration, Instant};

use super::texts::{Outgoing, Typing};
use super::{Follow, PROMPT_MARK};
use crate::recording::MarkKind;
use crate::session::delivery::{CHUNK_BYTES_MAX, Delivery, DeliveryStep};

/// A program that has read something draws it within this time, on a machine with more to do than it can.
const DRAWN_WITHIN: Duration = Duration::from_secs(1);
/// The marks of a paste and the first line that niia puts before a prompt, in bytes.
const WRAPPING_BYTES_MAX: u64 = 64;

/// How far an earlier node came with the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It was about to type.
    Begun { drawn: bool, bytes: u64 },
    /// All of it is typed, and Enter was not pressed.
    Typed,
    /// Enter was pressed, or was about to be.
    Entered { drawn: bool },
}

/// A prompt whose first byte may or may not have been typed; the time decides.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) until: Instant,
    /// How far the recording reached when the prompt was about to be typed.
    drawn_from: u64,
    bytes: u64,
}

impl Follow<'_> {
    /// Goes on with the prompt where an earlier node stopped; false where that had not begun.
    pub(super) fn goes_on_with_prompt(&mut self) -> bool {
        let Some((came, offset)) = self.came() else { return false };
        match came {
            Came::Begun { drawn, bytes } => {
                let wait = if drawn { Duration::ZERO } else { DRAWN_WITHIN };
                self.doubt = Some(Doubt { until: Instant::now() + wait, drawn_from: offset, bytes });
            }
            Came::Typed => self.enters(Delivery::typed()),
            Came::Entered { drawn: false } => self.enters(Delivery::entered_once()),
            Came::Entered { drawn: true } => {}
        }
        true
    }

    fn came(&mut self) -> Option<(Came, u64)> {
        let end = self.end;
        let marks = self.reached.glass.marks_at().into_iter().filter(|(_, mark)| mark.id == PROMPT_MARK);
        marks.fold(None, |came, (offset, mark)| {
            let drawn = end > offset;
            match mark.kind {
                MarkKind::Typing => Some((Came::Begun { drawn, bytes: mark.bytes }, offset)),
                MarkKind::Typed => Some((Came::Typed, offset)),
                MarkKind::Submitting => Some((Came::Entered { drawn }, offset)),
                _ => came,
            }
        })
    }

    /// Decides a doubt whose time has come.
    pub(super) fn decide(&mut self) {
        let Some(doubt) = self.doubt.take_if(|doubt| doubt.until <= Instant::now()) else { return };
        let unread = self.reached.terminal.unread().unwrap_or(u64::MAX);
        let untouched = self.end == doubt.drawn_from && unread == 0;
        if untouched && self.reached.glass.takes_pastes() {
            let prompt = self.prompt();
            return self.texts.push_front(prompt);
        }
        if doubt.bytes + WRAPPING_BYTES_MAX <= CHUNK_BYTES_MAX as u64 && self.end > doubt.drawn_from {
            // A single piece is typed whole or not at all, and the program has drawn something since.
            return self.enters(Delivery::typed());
        }
        let session = &self.life.assignment.session;
        tracing::warn!(%session, "a part of its prompt may be typed: the node ended meanwhile");
        self.life
            .facts
            .does("has a prompt that was cut short when the node ended; look at it with `niia attach`");
    }

    fn enters(&mut self, (delivery, steps): (Delivery, Vec<DeliveryStep>)) {
        let wake = steps.into_iter().find_map(|step| match step {
            DeliveryStep::Wake { wake, after_ms } => {
                Some((Instant::now() + Duration::from_millis(after_ms), wake))
            }
            _ => None,
        });
        let Outgoing { text, mark, reply, .. } = self.prompt();
        let bytes = text.len() as u64;
        self.now =
            Some(Typing { delivery, mark, marked: true, wake, refused: None, reply, bytes, entering: false });
    }
}

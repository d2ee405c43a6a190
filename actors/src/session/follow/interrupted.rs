//! A prompt that an earlier node was typing when it ended: looks at the terminal until `doubt` can say what to do.

use niia_spec::detect::State;
use niia_spec::profile::neutralise;
use tokio::time::{Duration, Instant};

use super::doubt::{self, Came, Sight, Stands, Verdict};
use super::texts::{Outgoing, Typing};
use super::{Follow, GRACE, PROMPT_MARK};
use crate::recording::MarkKind;
use crate::session::delivery::{Delivery, DeliveryStep};

/// Between two looks at a terminal nobody is sure of.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A prompt of which an earlier node has left nothing but marks.
#[derive(Debug)]
pub(super) struct Doubt {
    came: Came,
    /// How far the recording reached at the last mark.
    drawn_from: u64,
    since: Instant,
    /// When it is looked at next.
    pub(super) next: Instant,
}

impl Follow<'_> {
    /// Goes on with the prompt where an earlier node stopped; false where that had not begun.
    pub(super) fn goes_on_with_prompt(&mut self) -> bool {
        let Some((came, drawn_from)) = self.came() else { return false };
        let now = Instant::now();
        self.doubt = Some(Doubt { came, drawn_from, since: now, next: now });
        true
    }

    fn came(&mut self) -> Option<(Came, u64)> {
        let marks = self.reached.glass.marks_at().into_iter().filter(|(_, mark)| mark.id == PROMPT_MARK);
        marks.fold(None, |came, (offset, mark)| match mark.kind {
            MarkKind::Typing => Some((Came::Typing, offset)),
            MarkKind::Typed => Some((Came::Typed, offset)),
            MarkKind::Submitting => Some((Came::Submitting, offset)),
            _ => came,
        })
    }

    /// Looks again, where a look is due, and does what it tells.
    pub(super) async fn decide(&mut self) {
        let Some(doubt) = self.doubt.take_if(|doubt| doubt.next <= Instant::now()) else { return };
        let sight = self.sight(&doubt);
        let verdict = doubt::verdict(doubt.came, &sight);
        if verdict != Verdict::Look {
            tracing::info!(session = %self.life.assignment.session, ?verdict, came = ?doubt.came, ?sight, "a prompt is gone on with");
        }
        match verdict {
            Verdict::Look => self.doubt = Some(Doubt { next: Instant::now() + LOOK_EVERY, ..doubt }),
            Verdict::Type => {
                let prompt = self.prompt();
                self.texts.push_front(prompt);
            }
            Verdict::Enter => self.enters(),
            Verdict::Submitted => {}
            Verdict::Unknown(why) => self.give_prompt_up(why).await,
        }
    }

    fn sight(&mut self, doubt: &Doubt) -> Sight {
        let seen = self.seen();
        let state = self.detect(&seen).state;
        Sight {
            drawn: self.end > doubt.drawn_from,
            // What cannot be asked counts as unread.
            read_all: self.reached.terminal.unread().is_ok_and(|bytes| bytes == 0),
            editor: self.reached.glass.takes_pastes(),
            asks: matches!(state, State::WaitingInput { .. }),
            works: state == State::Working,
            stands: self.stands(),
            looked: doubt.since.elapsed(),
        }
    }

    fn stands(&mut self) -> Stands {
        let Outgoing { text, first_line, .. } = self.prompt();
        let text = match first_line {
            Some(line) => format!("{line}\n{}\n", neutralise(&text).trim_end_matches('\n')),
            None => neutralise(&text),
        };
        match self.reached.glass.screen_at(self.end) {
            Ok(screen) => doubt::stands(&screen.text(), screen.cursor(), &text),
            Err(_) => Stands::No,
        }
    }

    fn enters(&mut self) {
        let (delivery, steps) = Delivery::typed();
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

    /// Ends a session whose prompt nobody can bring to its end: a person is asked.
    pub(super) async fn give_prompt_up(&mut self, why: &str) {
        tracing::warn!(session = %self.life.assignment.session, why, "the node ended while its prompt was typed");
        self.life.unsure = Some(format!("the node ended while its prompt was typed: {why}"));
        self.life.facts.does("is being ended");
        if let Err(error) = self.reached.terminal.end(GRACE).await {
            tracing::debug!(session = %self.life.assignment.session, %error, "it ended before the order reached it");
        }
    }
}

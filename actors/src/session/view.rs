//! A look at a session: the words between it and a viewer, and how far each viewer has come.
//!
//! A viewer gets the screen first and then what is printed. One that reads too slowly is never waited for: what it
//! has missed is skipped, it is told how much, and it gets the screen anew.

use serde::{Deserialize, Serialize};

/// Bytes a viewer may have been sent and not yet taken.
pub const WINDOW_BYTES_MAX: u64 = 256 * 1024;
/// One piece of output.
pub const PIECE_BYTES_MAX: u64 = 32 * 1024;
/// A viewer that is further behind than this gets the screen anew: drawing it costs less than showing what is past.
pub const BEHIND_BYTES_MAX: u64 = 1024 * 1024;

/// What a viewer is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewEvent {
    /// Draws the whole screen over whatever was there.
    Repaint {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        cols: u16,
        rows: u16,
    },
    Output(#[serde(with = "serde_bytes")] Vec<u8>),
    Resized {
        cols: u16,
        rows: u16,
    },
    /// So many bytes were not sent; a repaint follows.
    Gap {
        bytes: u64,
    },
    /// Who may write now.
    Lease(Lease),
    /// Something for the person to know, such as a delivery that waits.
    Notice(String),
    Ended {
        how: String,
    },
}

/// Who may write into a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    Nobody,
    You,
    Person(String),
    /// A prompt is being typed.
    Delivery,
}

/// What a viewer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAct {
    Keys(#[serde(with = "serde_bytes")] Vec<u8>),
    Resize {
        cols: u16,
        rows: u16,
    },
    /// Takes the writing lease from whoever holds it.
    Take,
    /// So many bytes of output were shown.
    Shown {
        bytes: u64,
    },
    Detach,
}

/// What must be done for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewStep {
    /// Send the output from here to there.
    Send { from: u64, to: u64 },
    /// Draw the screen and say by `painted` at which offset it stands; so much was skipped.
    Paint { missed: u64 },
}

/// How far one viewer has come.
#[derive(Clone, Debug)]
pub struct View {
    /// The output up to here is sent or part of a painted screen.
    sent: u64,
    end: u64,
    unshown: u64,
    painting: bool,
}

impl View {
    /// A viewer of a session whose output reaches up to `end`.
    pub fn new(end: u64) -> (View, Vec<ViewStep>) {
        (View { sent: end, end, unshown: 0, painting: true }, vec![ViewStep::Paint { missed: 0 }])
    }

    /// The output has grown.
    #[must_use]
    pub fn grew(&mut self, end: u64) -> Vec<ViewStep> {
        self.end = self.end.max(end);
        self.next()
    }

    /// The screen was drawn as it is at this offset; that many bytes were sent for it.
    #[must_use]
    pub fn painted(&mut self, offset: u64, bytes: u64) -> Vec<ViewStep> {
        self.painting = false;
        self.sent = self.sent.max(offset);
        self.end = self.end.max(offset);
        self.unshown += bytes;
        self.next()
    }

    /// Whether the screen was asked for and has not come yet.
    #[must_use]
    pub fn is_painting(&self) -> bool {
        self.painting
    }

    /// The viewer has taken so many bytes.
    #[must_use]
    pub fn shown(&mut self, bytes: u64) -> Vec<ViewStep> {
        self.unshown = self.unshown.saturating_sub(bytes);
        self.next()
    }

    fn next(&mut self) -> Vec<ViewStep> {
        let mut steps = Vec::new();
        while !self.painting && self.sent < self.end && self.unshown < WINDOW_BYTES_MAX {
            let behind = self.end - self.sent;
            if behind > BEHIND_BYTES_MAX {
                self.painting = true;
                steps.push(ViewStep::Paint { missed: behind });
                break;
            }
            let to = self.sent + behind.min(PIECE_BYTES_MAX);
            steps.push(ViewStep::Send { from: self.sent, to });
            self.unshown += to - self.sent;
            self.sent = to;
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_that_keeps_up_gets_every_byte_once_and_in_order() {
        let mut random = fastrand::Rng::with_seed(71);
        let (mut view, steps) = View::new(500);
        assert_eq!(steps, [ViewStep::Paint { missed: 0 }]);
        let (mut end, mut got) = (500, 500);
        let mut steps = view.painted(500, 2_000);
        for _ in 0..2_000 {
            let mut taken = 0;
            for step in steps.drain(..) {
                let ViewStep::Send { from, to } = step else { panic!("{step:?}") };
                assert_eq!(from, got);
                taken += to - from;
                got = to;
            }
            end += random.u64(0..50_000);
            steps = view.grew(end);
            steps.extend(view.shown(taken));
        }
        assert!(end - got <= BEHIND_BYTES_MAX);
    }

    #[test]
    fn a_viewer_that_stands_still_is_sent_no_more_than_its_window() {
        let (mut view, _) = View::new(0);
        let mut sent = 0;
        let mut count = |steps: Vec<ViewStep>| {
            for step in steps {
                match step {
                    ViewStep::Send { from, to } => sent += to - from,
                    ViewStep::Paint { .. } => panic!("a screen for somebody who takes nothing"),
                }
            }
        };
        count(view.painted(0, 0));
        for end in (0..1_000_000_000).step_by(1_000_000) {
            count(view.grew(end));
        }
        assert!(sent <= WINDOW_BYTES_MAX + PIECE_BYTES_MAX, "{sent}");
        assert_eq!(view.shown(WINDOW_BYTES_MAX), [ViewStep::Paint { missed: 999_000_000 - sent }]);
        assert_eq!(view.grew(1_000_000_000), []);
        assert_eq!(view.painted(1_000_000_000, 10), []);
        assert_eq!(view.grew(1_000_000_001), [ViewStep::Send { from: 1_000_000_000, to: 1_000_000_001 }]);
    }
}

//! What is done about a prompt that an earlier node was typing when it ended. Pure.
//!
//! The marks in the recording say how far it came, the screen says the rest. A text is typed a second time only where
//! nothing of it was; Enter is pressed again only while the text stands where it is written, since anywhere else it
//! could answer a question. What the evidence does not decide within a bounded time is unknown, and a person is asked.

use std::time::Duration;

/// A program that has read something draws it within this time, on a machine with more to do than it can.
pub(super) const DRAWN_WITHIN: Duration = Duration::from_secs(1);
/// Evidence of a text that is not submitted is looked for no longer than this.
pub(super) const LOOKED_MAX: Duration = Duration::from_secs(10);
/// A program that shows nothing of what it reads may have been given its Enter, and works without a word: it is
/// believed for so long.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(600);
/// So much of a text's end, blanks left out, tells it from everything else on a screen.
const TAIL_CHARS_MAX: usize = 24;
/// Of a text longer than this, editors show a note such as `[Pasted text #1 +27 lines]` in its place.
const COLLAPSED_CHARS_MIN: usize = 150;
/// A note in a text's place is no longer than this.
const NOTE_CHARS_MAX: usize = 60;
/// What editors draw around and before what is written in them.
const FRAME: [char; 12] = ['│', '┃', '|', '╭', '╮', '╰', '╯', '─', '━', '❯', '›', '>'];

/// The last mark of the prompt: how far an earlier node came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was about to type the first piece.
    Typing,
    /// All of it is typed, and Enter was not pressed.
    Typed,
    /// Enter was pressed, or was about to be.
    Submitting,
}

/// What can be seen of the program at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    /// It has printed something since the mark.
    pub drawn: bool,
    /// Nothing that was typed waits to be read.
    pub read_all: bool,
    /// It has an editor, and so draws what it reads.
    pub editor: bool,
    /// It shows a question.
    pub asks: bool,
    /// It shows that it works.
    pub works: bool,
    pub stands: Stands,
    /// For how long it has been looked at.
    pub looked: Duration,
}

/// Whether the text stands where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// Its end stands right before the cursor.
    Text,
    /// A note in a long text's place does.
    Note,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is decided yet: look again.
    Look,
    /// Nothing of it was typed.
    Type,
    /// All of it is typed, and stands there.
    Enter,
    /// It was submitted.
    Submitted,
    /// Nobody can say; why, for a person.
    Unknown(&'static str),
}

pub(super) fn verdict(came: Came, sight: &Sight) -> Verdict {
    match came {
        Came::Typing => begun(sight),
        Came::Typed => typed(sight),
        Came::Submitting => submitting(sight),
    }
}

fn begun(sight: &Sight) -> Verdict {
    let settled = sight.looked >= DRAWN_WITHIN;
    match sight.stands {
        _ if sight.asks => {
            Verdict::Unknown("the program asks something, and a part of its prompt may be typed")
        }
        // Of a long text a note says nothing about its end.
        Stands::Text if settled && sight.read_all => Verdict::Enter,
        Stands::No if settled && !sight.drawn && sight.read_all && sight.editor => Verdict::Type,
        _ if sight.looked >= LOOKED_MAX => Verdict::Unknown("a part of its prompt may be typed"),
        _ => Verdict::Look,
    }
}

fn typed(sight: &Sight) -> Verdict {
    match sight.stands {
        _ if sight.asks => {
            Verdict::Unknown("the program asks something, and its prompt is typed and not submitted")
        }
        Stands::Text | Stands::Note => Verdict::Enter,
        Stands::No if sight.looked >= LOOKED_MAX => {
            Verdict::Unknown("its prompt is typed and not submitted, and is not to be seen")
        }
        Stands::No => Verdict::Look,
    }
}

fn submitting(sight: &Sight) -> Verdict {
    let settled = sight.looked >= DRAWN_WITHIN;
    match sight.stands {
        // A question after Enter is one of the turn's own.
        _ if sight.works || sight.asks => Verdict::Submitted,
        // An Enter that was pressed is read by now, and would have taken the text away.
        Stands::Text | Stands::Note if settled && sight.read_all => Verdict::Enter,
        Stands::No if settled && sight.drawn => Verdict::Submitted,
        Stands::No if sight.looked >= SILENT_MAX => {
            Verdict::Unknown("nobody can say whether its prompt was submitted")
        }
        Stands::Text | Stands::Note if sight.looked >= LOOKED_MAX => {
            Verdict::Unknown("its prompt is typed, and the program reads nothing")
        }
        _ => Verdict::Look,
    }
}

/// Looks for a text, as it was typed, right before the cursor (row and column, from 0).
pub(super) fn stands(screen: &str, cursor: (u16, u16), text: &str) -> Stands {
    let (row, column) = (usize::from(cursor.0), usize::from(cursor.1));
    let mut rows: Vec<String> = screen.lines().take(row + 1).map(str::to_owned).collect();
    rows.resize(row + 1, String::new());
    if let Some(last) = rows.last_mut() {
        *last = last.chars().take(column).collect();
    }
    let empty = rows.iter().rev().take_while(|row| significant(row).next().is_none()).count();
    // Each newline at a text's end moves the cursor down by one row, where the editor keeps it; one row more and Enter
    // was pressed.
    if empty > text.chars().rev().take_while(|&c| c == '\n').count() {
        return Stands::No;
    }
    rows.truncate(rows.len() - empty);
    let wanted: Vec<char> = tail(text);
    let joined = rows.join("\n");
    let seen: Vec<char> = significant_back(&joined).take(wanted.len()).collect();
    if !wanted.is_empty() && seen == wanted {
        return Stands::Text;
    }
    if is_collapsed(text) && rows.last().is_some_and(|row| ends_with_note(row)) {
        Stands::Note
    } else {
        Stands::No
    }
}

fn significant(text: &str) -> impl DoubleEndedIterator<Item = char> + '_ {
    text.chars().filter(|c| !c.is_whitespace() && !FRAME.contains(c))
}

fn significant_back(text: &str) -> impl Iterator<Item = char> + '_ {
    significant(text).rev()
}

/// The end of a text, backwards.
fn tail(text: &str) -> Vec<char> {
    significant_back(text).take(TAIL_CHARS_MAX).collect()
}

fn is_collapsed(text: &str) -> bool {
    text.trim_end().contains('\n') || text.chars().nth(COLLAPSED_CHARS_MIN).is_some()
}

/// `[1043 bytes]`, `[Pasted text #1 +27 lines]`: a number in brackets, and nothing after it.
fn ends_with_note(row: &str) -> bool {
    let row = row.trim_end_matches(|c: char| c.is_whitespace() || FRAME.contains(&c));
    let Some((_, note)) = row.strip_suffix(']').and_then(|row| row.rsplit_once('[')) else { return false };
    note.chars().any(|c| c.is_ascii_digit()) && note.chars().nth(NOTE_CHARS_MAX).is_none()
}

#[cfg(test)]
mod tests;

//! What a file shows: a screen as text, the bytes a program printed, or an asciicast of them.

use niia_actors::session::query::{Found, Scanner};
use niia_actors::session::screen::{Screen, Size};
use niia_spec::detect::Statuses;
use serde_json::Value;

/// The size of a terminal where nobody says another one.
const SIZE: (u16, u16) = (120, 40);

/// What is to be seen at the file's end, and what the program said of itself.
#[derive(Debug, Default)]
pub struct Drawn {
    pub text: String,
    pub title: String,
    pub statuses: Statuses,
}

/// Draws a file.
pub fn drawn(bytes: &[u8]) -> Drawn {
    match cast(bytes) {
        Some((size, output)) => draw(size, output.as_bytes()),
        None if bytes.contains(&0x1b) => draw(Size::clamped(SIZE.0, SIZE.1), bytes),
        None => Drawn { text: String::from_utf8_lossy(bytes).into_owned(), ..Drawn::default() },
    }
}

fn draw(size: Size, output: &[u8]) -> Drawn {
    let mut screen = Screen::new(size);
    screen.feed(output);
    let mut statuses = Statuses::default();
    for found in Scanner::from(0).feed(output) {
        if let Found::Status { body, .. } = found {
            // A report that is none says nothing about the program.
            let _ = statuses.take(&body, 0);
        }
    }
    Drawn { text: screen.text(), title: screen.title().to_owned(), statuses }
}

/// The size and the output of an asciicast.
fn cast(bytes: &[u8]) -> Option<(Size, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let head: Value = serde_json::from_str(lines.next()?).ok()?;
    head.get("version")?;
    let side = |value: &Value| value.as_u64().and_then(|side| u16::try_from(side).ok());
    let size = |cols: &Value, rows: &Value| Some((side(cols)?, side(rows)?));
    let (cols, rows) = size(&head["width"], &head["height"])
        .or_else(|| size(&head["term"]["cols"], &head["term"]["rows"]))
        .unwrap_or(SIZE);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let output =
        events.filter(|event| event[1] == "o").filter_map(|event| event[2].as_str().map(str::to_owned));
    Some((Size::clamped(cols, rows), output.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_drawn_and_a_screen_is_what_it_is() {
        assert_eq!(drawn("a\nb".as_bytes()).text, "a\nb");
        let seen = drawn(b"gone\x1b[2J\x1b[H\x1b]0;title\x07here\x1b]7501;state=working\x1b\\");
        assert_eq!((seen.text.trim_end(), seen.title.as_str()), ("here", "title"));
        assert!(!seen.statuses.is_empty());
        let cast = "{\"version\":3,\"term\":{\"cols\":10,\"rows\":3}}\n[0.1,\"o\",\"one\\r\\n\"]\n[0.1,\"i\",\"x\"]\n[0.2,\"o\",\"two\"]\n";
        assert_eq!(drawn(cast.as_bytes()).text.trim_end(), "one\ntwo");
    }
}

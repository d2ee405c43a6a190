//! What is told to people: text that fits the terminal and cannot do anything to it.

pub mod changes;
pub mod journal;
pub mod live;
pub mod run;
pub mod session;
pub mod table;
pub mod tree;

use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use unicode_width::UnicodeWidthChar;

/// The width where nothing says how wide the terminal is.
pub const WIDTH_DEFAULT: u16 = 100;

/// Whatever a worker wrote, on one line: nothing in it is a key, a colour or a place on the screen any more.
pub fn neutral(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if commands(c) => {}
            c => line.push(c),
        }
    }
    line.trim_end().to_owned()
}

/// The same, with its lines and tabs kept.
pub fn neutral_lines(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !commands(*c)).collect()
}

/// Characters that tell a terminal to do something instead of showing something: controls, and the marks that turn
/// the direction of what follows (a name could read as another one).
fn commands(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// How many cells a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A text cut to so many cells, with a mark where it was cut.
pub fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > cells {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if cells > 0 {
        cut.push('…');
    }
    cut
}

/// A time as people say it.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A moment of the wall clock, in the zone people here live in.
pub fn moment(ms: u64) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match stamp {
        Some(stamp) => stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => "at no time".to_owned(),
    }
}

/// The wall clock, for people: nothing is decided by it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes as people say them.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// How what is printed on stdout may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub cols: u16,
    pub rows: u16,
    pub coloured: bool,
    /// Somebody looks at it: a table may be painted over itself.
    pub live: bool,
}

impl Look {
    /// As stdout is now.
    pub fn of_stdout() -> Look {
        let live =
            std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        if !live {
            return Look::plain();
        }
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let size = size.map(|size| (size.ws_col, size.ws_row)).filter(|(cols, rows)| *cols > 0 && *rows > 0);
        let (cols, rows) = size.unwrap_or((WIDTH_DEFAULT, 40));
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Look { cols, rows, coloured, live: true }
    }

    /// For a pipe, where lines are not cut: a program reads them.
    pub fn plain() -> Look {
        Look { cols: u16::MAX, rows: u16::MAX, coloured: false, live: false }
    }
}

/// What a word is about, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Busy,
    Asking,
    Faint,
}

/// A text in its tone.
pub fn toned(text: &str, tone: Tone, coloured: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Busy => "36",
        Tone::Asking => "33",
        Tone::Faint => "2",
    };
    if coloured && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_printed_can_do_nothing_to_the_terminal() {
        let hostile = "a\x1b]0;title\x07b\x1b[2Jc\u{9b}31md\u{202e}e\nf\r";
        assert_eq!(neutral(hostile), "a]0;titleb[2Jc31mde f");
        assert_eq!(neutral_lines("a\n\tb\x1b[A\r\n"), "a\n\tb[A\n");
        assert!(!neutral(hostile).chars().any(char::is_control));
    }

    #[test]
    fn a_text_is_cut_by_the_cells_it_takes() {
        assert_eq!(fit("plain", 5), "plain");
        assert_eq!(fit("plainer", 5), "plai…");
        assert_eq!(fit("日本語テキスト", 7), "日本語…");
        assert_eq!(width(&fit("日本語テキスト", 6)), 5);
        assert_eq!(fit("x", 0), "");
    }

    #[test]
    fn times_and_sizes_read_as_people_say_them() {
        let said: Vec<String> = [900, 12_000, 62_000, 7_260_000, 90_000_000].map(duration).into();
        assert_eq!(said, ["0.9 s", "12 s", "1 min 02 s", "2 h 01 min", "1 d 01 h"]);
        assert_eq!([bytes(512), bytes(1536), bytes(3 << 30)], ["512 B", "1.5 KiB", "3.0 GiB"]);
    }
}

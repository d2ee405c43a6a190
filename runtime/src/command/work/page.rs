//! Long texts on a terminal: through the person's pager, with nothing in them but colours.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::command::say;
use crate::failure::Failure;
use crate::report::Look;

/// Shows a text that a worker may have written. Where there is no pager it is printed.
pub fn show(bytes: &[u8], look: Look) -> Result<(), Failure> {
    let text = coloured(&String::from_utf8_lossy(bytes));
    if text.lines().count() < usize::from(look.rows) {
        return say(&text);
    }
    let words =
        ["GIT_PAGER", "PAGER"].iter().find_map(|name| env::var(name).ok().filter(|pager| !pager.is_empty()));
    let mut command = Command::new("sh");
    command.arg("-c").arg(words.unwrap_or_else(|| "less".to_owned())).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut pager) = command.spawn() else { return say(&text) };
    if let Some(mut input) = pager.stdin.take() {
        // A person who has seen enough leaves the pager, and with it the rest.
        drop(input.write_all(text.as_bytes()));
    }
    pager.wait().map_err(|error| Failure::trouble("could not wait for the pager", error))?;
    Ok(())
}

/// The text with its lines, tabs and colours, and without anything else a terminal would obey.
fn coloured(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        kept.push_str(&crate::report::neutral_lines(before));
        rest = after;
        let end =
            after.strip_prefix('[').and_then(|inner| inner.find(|c: char| !(c.is_ascii_digit() || c == ';')));
        if let Some(end) = end.filter(|end| after[1 + end..].starts_with('m')) {
            kept.push('\x1b');
            kept.push_str(&after[..end + 2]);
            rest = &after[end + 2..];
        }
    }
    kept.push_str(&crate::report::neutral_lines(rest));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_everything_else_a_terminal_obeys_goes() {
        let text = "\x1b[32m+a\x1b[m\n\x1b]0;t\x07\x1b[2J\x1b[1;31mb\x1b[?1049h\tc\x1b";
        assert_eq!(coloured(text), "\x1b[32m+a\x1b[m\n]0;t[2J\x1b[1;31mb[?1049h\tc");
    }
}

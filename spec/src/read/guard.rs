//! What is asked of a text before anything parses it: its size, its encoding, its depth. One pass, no memory.

use super::finding::{Findings, Span};
use crate::diagnostic::Code;

/// The largest document: thousands of phases fit, and a gigabyte of input is refused before it is copied.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The deepest nesting of objects and lists: a document of this language needs a dozen, and a parser's stack holds
/// several times as many.
pub const DEPTH_MAX: usize = 128;

const BYTE_ORDER_MARKS: [(&[u8], &str); 3] =
    [(b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")];

/// The text, where a parser may see it; else as much of it as the finding's place is counted in.
pub(super) fn admit<'t>(text: &'t [u8], findings: &mut Findings) -> Result<&'t str, &'t str> {
    let start = Span::default();
    if text.len() > TEXT_BYTES_MAX {
        // Whoever read it may have stopped just past the bound, so its length is not told.
        let message =
            format!("a document may have {TEXT_BYTES_MAX} bytes (text_bytes_max), this text has more");
        findings.error(Code::TooLarge, start, message);
        return Err("");
    }
    if let Some((_, encoding)) = BYTE_ORDER_MARKS.iter().find(|(mark, _)| text.starts_with(mark)) {
        let message = format!("the text begins with a byte order mark ({encoding})");
        findings.error(Code::ByteOrderMark, start, message).help("save it as UTF-8 without one");
        return Err("");
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("the text is not UTF-8: no character begins with byte {at}");
            findings.error(Code::NotUtf8, Span { start: at, end: at }, message);
            return Err(std::str::from_utf8(&text[..at]).unwrap_or_default());
        }
    };
    if text.trim().is_empty() {
        findings.error(Code::Empty, start, "there is nothing here").help("the least document is `{}`");
        return Err(text);
    }
    match too_deep(text.as_bytes()) {
        None => Ok(text),
        Some(at) => {
            let message =
                format!("objects and lists lie more than {DEPTH_MAX} deep in each other (depth_max)");
            findings.error(Code::TooDeep, Span { start: at, end: at + 1 }, message);
            Err(text)
        }
    }
}

/// The byte at which a text goes deeper than it may. Brackets in strings do not count.
fn too_deep(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Some(at);
        }
    }
    None
}

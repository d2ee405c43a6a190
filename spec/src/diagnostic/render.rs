//! Findings for people: the sentence, the line of the document, and a caret under the place.

use std::fmt::Write as _;

use super::{Diagnostic, Severity};

/// The widest piece of a source line that is shown.
const SHOWN_CHARS_MAX: usize = 100;

/// The findings as a person reads them, and a last line that counts them.
pub fn render(diagnostics: &[Diagnostic], text: &[u8]) -> String {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let mut out = String::new();
    for diagnostic in diagnostics {
        one(&mut out, diagnostic, &lines);
    }
    if let Some(count) = count(diagnostics) {
        out.push_str(&count);
        out.push('\n');
    }
    out
}

fn one(out: &mut String, diagnostic: &Diagnostic, lines: &[&[u8]]) {
    let at = &diagnostic.at;
    let pointer = if at.pointer.is_empty() { String::new() } else { format!("  {}", at.pointer) };
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{}[{}]: {}", diagnostic.severity.word(), diagnostic.code, diagnostic.message);
    let _ = writeln!(out, "  --> {}:{}:{}{pointer}", at.file, at.line, at.column);
    if let Some(line) = lines.get(at.line.saturating_sub(1) as usize) {
        let (shown, caret) = window(&String::from_utf8_lossy(line), at.column.saturating_sub(1) as usize);
        if !shown.trim().is_empty() {
            let number = at.line.to_string();
            let margin = " ".repeat(number.len());
            let _ = writeln!(out, "{number} | {shown}\n{margin} | {}^", " ".repeat(caret));
        }
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  help: {help}");
    }
    out.push('\n');
}

/// The part of a line around a column, and where in it the caret goes.
fn window(line: &str, column: usize) -> (String, usize) {
    let clean = |c: char| if c.is_control() || c == '\u{feff}' { ' ' } else { c };
    let skipped = column.saturating_sub(SHOWN_CHARS_MAX * 3 / 4);
    let mut shown: String = line.chars().skip(skipped).take(SHOWN_CHARS_MAX).map(clean).collect();
    let mut caret = column - skipped;
    if skipped > 0 {
        shown.insert(0, '…');
        caret += 1;
    }
    if line.chars().nth(skipped + SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    let bare = shown.trim_end().len();
    shown.truncate(bare);
    (shown, caret)
}

fn count(diagnostics: &[Diagnostic]) -> Option<String> {
    let of = |severity: Severity| diagnostics.iter().filter(|one| one.severity == severity).count();
    let counted: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (of(severity), severity.word()))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") })
        .collect();
    (!counted.is_empty()).then(|| counted.join(", "))
}

//! Sessions and what became of texts sent to them, as people read it.

use niia_spec::notice::{LetterView, Receipt, SessionView};

use super::table::{Table, cell, toned_cell};
use super::{Look, Tone, bytes, duration, moment, neutral};

fn tone(state: &str) -> Tone {
    match state {
        "ready" => Tone::Good,
        "starting" | "working" => Tone::Busy,
        "lost" => Tone::Bad,
        state if state.starts_with("waiting_input") || state.starts_with("rate_limited") => Tone::Asking,
        state if state.starts_with("exited") => Tone::Faint,
        _ => Tone::Plain,
    }
}

/// A list of sessions.
pub fn sessions_text(sessions: &[SessionView], look: Look) -> String {
    let mut table = Table::new(&["SESSION", "STATE", "FOR", "PROFILE", "PID", "PRINTED", "SAW"]);
    for view in sessions {
        table.row(vec![
            cell(view.session.to_string()),
            toned_cell(&view.state, tone(&view.state)),
            cell(if view.pid.is_some() { duration(view.since_ms) } else { String::new() }),
            cell(&view.profile),
            cell(view.pid.map(|pid| pid.to_string()).unwrap_or_default()),
            cell(bytes(view.printed_bytes)),
            toned_cell(&view.excerpt, Tone::Faint),
        ]);
    }
    table.text(look)
}

/// One session with its evidence.
pub fn session_text(view: &SessionView, look: Look) -> String {
    let mut table = Table::headless();
    let mut fact = |name: &str, value: String| table.row(vec![toned_cell(name, Tone::Faint), cell(value)]);
    fact("session", view.session.to_string());
    fact("state", view.state.clone());
    fact("rule", view.rule.clone());
    fact("saw", view.excerpt.clone());
    fact("for", duration(view.since_ms));
    fact("profile", view.profile.clone());
    fact("model", view.model.clone().unwrap_or_else(|| "the profile's own".to_owned()));
    fact("program", view.pid.map_or_else(|| "does not run".to_owned(), |pid| format!("pid {pid}")));
    fact("works in", view.cwd.clone().unwrap_or_else(|| "unknown".to_owned()));
    fact("printed", bytes(view.printed_bytes));
    fact("size", format!("{}x{}", view.cols, view.rows));
    fact("recording", view.folder.clone());
    if let Some(dialog) = &view.dialog {
        fact("dialog", format!("{dialog}: `niia approve {0}` or `niia deny {0}`", view.session));
    }
    for (n, choice) in view.choices.iter().enumerate() {
        fact(if n == 0 { "choices" } else { "" }, format!("{}. {choice}", n + 1));
    }
    if let Some(sandbox) = &view.sandbox {
        fact("sandbox", format!("tier {}, each layer looked at after it was made:", sandbox.tier));
        for (layer, evidence) in &sandbox.layers {
            fact("", format!("{layer}: {evidence}"));
        }
    }
    if let Some(holder) = &view.held_by {
        fact("held by", holder.clone());
    }
    for contact in &view.contacts {
        fact("network", neutral(&contact.sentence()));
    }
    table.text(look)
}

/// What became of a text, in a sentence.
pub fn receipt_text(receipt: &Receipt) -> String {
    let sentence = match receipt {
        Receipt::Queued => "queued: it is typed as soon as the session takes input".to_owned(),
        Receipt::Typed => "typed".to_owned(),
        Receipt::Submitted => "submitted".to_owned(),
        Receipt::TurnStarted => "submitted, and its turn has started".to_owned(),
        Receipt::TurnEnded => "submitted, and its turn has ended".to_owned(),
        Receipt::TypedNotSubmitted { reason } => format!("typed, but not submitted: {reason}"),
        Receipt::Undelivered { reason } => format!("not delivered: {reason}"),
        Receipt::Unknown { reason } => format!("unknown: {reason}"),
    };
    neutral(&sentence)
}

/// Whether a text is known to have gone where it was sent; `enter` says whether it was to be submitted.
pub fn was_taken(receipt: &Receipt, enter: bool) -> bool {
    match receipt {
        Receipt::Submitted | Receipt::TurnStarted | Receipt::TurnEnded => true,
        Receipt::Queued => true,
        Receipt::Typed => !enter,
        Receipt::TypedNotSubmitted { .. } | Receipt::Undelivered { .. } | Receipt::Unknown { .. } => false,
    }
}

/// Letters, the oldest first.
pub fn letters_text(letters: &[LetterView]) -> String {
    let mut text = String::new();
    for letter in letters {
        let new = match letter.fate.as_str() {
            "" | "read" if letter.read => String::new(),
            "" | "unread" => "  (new)".to_owned(),
            fate => format!("  ({fate})"),
        };
        let head = format!("{} → {}  {}  {}{new}", letter.from, letter.to, moment(letter.at_ms), letter.id);
        text.push_str(&neutral(&head));
        text.push('\n');
        for line in super::neutral_lines(&letter.text).lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

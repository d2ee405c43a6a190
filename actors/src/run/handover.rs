//! What the next attempt is told of the one before it. All of it is quoted: it was written by somebody else.

use niia_spec::course::Ending;

use super::context::RunContext;
use crate::scratchpad::EntryKind;

/// Files of the scratchpad that are named; the rest is counted.
const FILES_NAMED_MAX: usize = 30;
/// Characters of its last words.
const WORDS_CHARS_MAX: usize = 2_000;

/// Why it ended, what it changed, what lies in the shared folder, what it said last.
pub(super) fn brief(context: &RunContext, ending: &Ending, reason: &str) -> String {
    let mut parts = vec![format!("It ended with: {}", one_line(reason))];
    let stat = ending.kept.as_ref().zip(context.trees.as_ref()).and_then(|(kept, trees)| {
        let stat = trees.stat(kept);
        stat.inspect_err(|error| tracing::warn!(%error, kept, "what changed cannot be told")).ok().flatten()
    });
    match (&ending.kept, stat) {
        (Some(kept), Some(stat)) if !stat.is_empty() => {
            parts.push(format!(
                "What it and those before it changed (also kept as `{kept}`):\n{}",
                quoted(&stat)
            ));
        }
        _ => parts.push("It left no change that is known.".to_owned()),
    }
    // What cannot be listed is not told; the attempt sees it for itself.
    let listed = context.scratchpad.ls("").map(|listing| listing.entries).unwrap_or_default();
    let files: Vec<&str> = listed
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .map(|entry| entry.path.as_str())
        .collect();
    if !files.is_empty() {
        let more = files.len().saturating_sub(FILES_NAMED_MAX);
        let names = files.iter().take(FILES_NAMED_MAX).copied().collect::<Vec<_>>();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("In the shared folder: {}{more}", names.join(", ")));
    }
    let words: String = ending.excerpt.chars().take(WORDS_CHARS_MAX).collect();
    if !words.trim().is_empty() {
        parts.push(format!("Its last words:\n{}", quoted(words.trim())));
    }
    parts.join("\n\n")
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

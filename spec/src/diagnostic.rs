//! What is wrong with a document, said so that a person can mend it and a program can sort it.
//!
//! A document's faults are not an error but a list: every one of them has a stable code, the place it lies at, a
//! sentence, and where there is one the cure.

mod code;
mod render;

use serde::{Deserialize, Serialize};

pub use code::Code;
pub use render::render;

/// How much a finding weighs. Only an error keeps a document from being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
    Note,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Where in which file a finding lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    /// The first line is 1.
    pub line: u32,
    /// In characters; the first column is 1.
    pub column: u32,
    /// The JSON pointer of the value, empty for the whole document.
    pub pointer: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    pub at: Place,
    /// One sentence.
    pub message: String,
    /// What would mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Whether one of them keeps the document from being run.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The nearest of the known names, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are not compared: the comparison takes time in the product of both lengths.
    const NAME_BYTES_MAX: usize = 80;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    /// So many names are compared: more of them stand in no document a person wrote.
    const NAMES_COMPARED_MAX: usize = 500;
    /// Names that begin alike may differ more: `retries` means `retry`.
    const ALIKE_BYTES: usize = 4;
    let length = name.chars().count();
    let meant = name.to_ascii_lowercase();
    let alike = |candidate: &str| {
        meant.as_bytes().iter().zip(candidate.as_bytes()).take_while(|(a, b)| a == b).count()
    };
    let allowed =
        |candidate: &str| if alike(candidate) >= ALIKE_BYTES { length / 2 } else { (length / 3).max(1) };
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_BYTES_MAX)
        .take(NAMES_COMPARED_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&meant, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `…`?", where a known name is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// A piece of a document for a sentence: one line, and not more than a person reads.
pub(crate) fn excerpt(text: &str) -> String {
    const EXCERPT_CHARS_MAX: usize = 60;
    let mut excerpt: String =
        text.chars().take(EXCERPT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

//! Why there is no sandbox.

use std::fmt::Display;
use std::io;

use serde::{Deserialize, Serialize};

/// A property that cannot be had in full, why not, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("REFUSED: {property}: {why}: {cure}")]
pub struct Refusal {
    pub property: String,
    pub why: String,
    pub cure: String,
}

impl Refusal {
    #[must_use]
    pub fn new(property: &str, why: impl Display, cure: impl Into<String>) -> Refusal {
        // It is one line wherever it is shown, whatever a path's name holds.
        let line = |text: String| text.replace(|letter: char| letter.is_control(), "?");
        Refusal { property: property.to_owned(), why: line(why.to_string()), cure: line(cure.into()) }
    }
}

/// What the kernel would not do, in the words of who asked.
pub(super) fn at(what: impl Display, error: impl Into<io::Error>) -> String {
    format!("{what}: {}", error.into())
}

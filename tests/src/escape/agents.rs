//! Verbs an agent may not use.

use std::process::ExitCode;

/// Placeholder filled below.
#[must_use]
pub fn speak(_what: &str) -> ExitCode {
    ExitCode::FAILURE
}

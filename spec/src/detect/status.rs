//! The program status protocol (OSC 7501): a program's own word on what it is doing.
//!
//! A report is evidence, never an order: its texts come from the program and are only shown. One that breaks the
//! rules is dropped whole.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::detect::Asked;

/// The longest report.
pub const REPORT_BYTES_MAX: usize = 4096;
/// Parts of one program that may report for themselves; more are ignored.
pub const RECORDS_MAX: usize = 64;
const ID_PARTS_MAX: usize = 8;
const ID_PART_BYTES_MAX: usize = 32;
const TITLE_BYTES_MAX: usize = 192;
const MESSAGE_BYTES_MAX: usize = 2048;

/// Programs write their texts with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    Idle,
    Done,
    Error,
    Working,
    Blocked,
}

impl ReportState {
    pub fn word(self) -> &'static str {
        match self {
            ReportState::Idle => "idle",
            ReportState::Done => "done",
            ReportState::Error => "error",
            ReportState::Working => "working",
            ReportState::Blocked => "blocked",
        }
    }
}

/// What a program, or a part of one, said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub state: ReportState,
    pub kind: Option<Asked>,
    pub app: String,
    pub title: String,
    pub message: String,
    pub progress: Option<u8>,
    pub at_ms: u64,
}

/// What a program has said, a record for itself and for each of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statuses {
    pub(super) records: BTreeMap<String, Report>,
}

/// Why a report is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("the report is longer than {REPORT_BYTES_MAX} bytes")]
    TooLong,
    #[error("the report has no state, or none that is known")]
    State,
    #[error("a value of the report is not as the protocol says")]
    Value,
    #[error("there are reports of {RECORDS_MAX} parts already")]
    TooMany,
}

impl Statuses {
    /// Takes a report: what stands after `7501;`.
    pub fn take(&mut self, body: &str, now_ms: u64) -> Result<(), ReportError> {
        if body.len() > REPORT_BYTES_MAX {
            return Err(ReportError::TooLong);
        }
        let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
        for pair in body.trim_start_matches(';').split(':') {
            let (key, value) = pair.split_once('=').ok_or(ReportError::Value)?;
            fields.insert(key.trim(), value);
        }
        let id = fields.get("id").copied().unwrap_or_default();
        if !id.is_empty() && !is_id(id) {
            return Err(ReportError::Value);
        }
        if fields.get("state") == Some(&"clear") {
            self.records.remove(id);
            return Ok(());
        }
        let report = report(&fields, now_ms)?;
        if self.records.len() >= RECORDS_MAX && !self.records.contains_key(id) {
            return Err(ReportError::TooMany);
        }
        self.records.insert(id.to_owned(), report);
        Ok(())
    }

    /// The word of the program itself; where only parts speak, of the one that needs somebody most.
    pub fn strongest(&self) -> Option<&Report> {
        self.records
            .get("")
            .or_else(|| self.records.values().max_by_key(|report| (report.state, report.at_ms)))
    }

    /// Forgets everything, as when the program ends.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

fn report(fields: &BTreeMap<&str, &str>, at_ms: u64) -> Result<Report, ReportError> {
    let state = match fields.get("state").copied() {
        Some("idle") => ReportState::Idle,
        Some("done") => ReportState::Done,
        Some("error") => ReportState::Error,
        Some("working") => ReportState::Working,
        Some("blocked") => ReportState::Blocked,
        _ => return Err(ReportError::State),
    };
    let kind = match fields.get("kind").copied() {
        Some("permission") => Some(Asked::Permission),
        Some("question") => Some(Asked::Question),
        Some("auth") => Some(Asked::Login),
        Some(_) | None => None,
    };
    if fields.contains_key("kind") && state != ReportState::Blocked {
        return Err(ReportError::Value);
    }
    let progress = match fields.get("progress") {
        Some(progress) => {
            Some(progress.parse().ok().filter(|percent| *percent <= 100).ok_or(ReportError::Value)?)
        }
        None => None,
    };
    let title = text(fields.get("title").copied(), TITLE_BYTES_MAX)?;
    let message = text(fields.get("msg").copied(), MESSAGE_BYTES_MAX)?;
    let app = fields.get("app").map_or_else(String::new, |app| app.chars().take(ID_PART_BYTES_MAX).collect());
    Ok(Report { state, kind, app, title, message, progress, at_ms })
}

/// A text of a report, without what could change the terminal it is shown in.
fn text(value: Option<&str>, bytes_max: usize) -> Result<String, ReportError> {
    let Some(value) = value else { return Ok(String::new()) };
    let bytes = BASE64.decode(value).map_err(|_| ReportError::Value)?;
    if bytes.len() > bytes_max {
        return Err(ReportError::Value);
    }
    let text = String::from_utf8(bytes).map_err(|_| ReportError::Value)?;
    Ok(text.chars().filter(|c| !c.is_control()).collect())
}

fn is_id(id: &str) -> bool {
    let legal = |part: &str| {
        (1..=ID_PART_BYTES_MAX).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-'))
    };
    id.split('/').count() <= ID_PARTS_MAX && id.split('/').all(legal)
}

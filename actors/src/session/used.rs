//! What a session used of its model, read from its tool's own transcript when it is over.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use niia_spec::course::{Outcome, Unavailable};
use niia_spec::name::AttemptId;
use niia_spec::profile::drive::text_of;
use niia_spec::usage::Usage;
use niia_spec::usage::read::{Reader, Reading, UsageRule};
use serde::{Deserialize, Serialize};

use super::finish::profile_of;
use super::hooks;
use crate::machine::Assignment;

/// A longer transcript is read to here: a day of work is some megabytes.
const TRANSCRIPT_BYTES_MAX: u64 = 256 * 1024 * 1024;
const FILE: &str = "reading.json";
/// Profiles whose models run on the machine itself, so that they cost nobody anything.
const LOCAL: [&str; 2] = ["ollama", "ollama-agent"];

/// What a conversation had used when an attempt at it ended.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    conversation: String,
    reading: Reading,
}

/// What the attempt used; nothing where nobody can say. `Some` zero is said of one that never came to a model.
pub(super) fn used(assignment: &Assignment, outcome: &Outcome) -> Option<Usage> {
    if let Outcome::Unavailable { class: Unavailable::NotInstalled, .. } = outcome {
        return Some(Usage { cost_usd_millionths: Some(0), ..Usage::default() });
    }
    let folder = assignment.context.session_folder(assignment.attempt());
    let model = assignment.model_plan()?;
    let read = profile_of(assignment)?.usage.as_ref().and_then(|rule| read(&folder, rule));
    let local = LOCAL.contains(&model.profile.as_str());
    let Some(reading) = read else {
        // A price for a session holds whatever it did.
        let per_session = Usage::default().priced(model, local);
        return per_session.cost_usd_millionths.filter(|_| is_per_session(model)).map(|_| per_session);
    };
    let conversation = hooks::conversation(&folder).map(|told| told.name).unwrap_or_default();
    let before = earlier(assignment, &conversation);
    let usage = reading.since(before.as_ref());
    let named = niia_spec::plan::ModelPlan {
        model: reading.model.clone().or_else(|| model.model.clone()),
        ..model.clone()
    };
    let usage = usage.priced(&named, local);
    let kept = serde_json::to_vec(&Kept { conversation, reading }).map_err(io::Error::other);
    if let Err(error) = kept.and_then(|bytes| fs::write(folder.join(FILE), bytes)) {
        tracing::warn!(session = %assignment.session, %error, "what it used cannot be kept");
    }
    Some(usage)
}

fn is_per_session(model: &niia_spec::plan::ModelPlan) -> bool {
    matches!(model.cost, Some(niia_spec::plan::CostPlan::PerSession(_)))
}

/// What the same conversation had used before this attempt.
fn earlier(assignment: &Assignment, conversation: &str) -> Option<Reading> {
    let attempt = assignment.attempt();
    (1..attempt.attempt).rev().find_map(|number| {
        let folder = assignment.context.session_folder(&AttemptId { attempt: number, ..attempt.clone() });
        let kept: Kept = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
        (kept.conversation == conversation).then_some(kept.reading)
    })
}

fn read(session_folder: &Path, rule: &UsageRule) -> Option<Reading> {
    let told = hooks::all(session_folder);
    if rule.path.is_empty() {
        let mut reader = Reader::new(rule);
        for told in told {
            let mut record = told.body;
            // A word that is no object has no numbers.
            if let Some(fields) = record.as_object_mut() {
                fields.insert("event".to_owned(), told.event.into());
                reader.record(&record);
            }
        }
        return reader.reading();
    }
    let path = told.iter().rev().find_map(|told| text_of(&told.body, &rule.path))?;
    let file = File::open(&path).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))?;
    let mut reader = Reader::new(rule);
    let mut lines = BufReader::new(file.take(TRANSCRIPT_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => return reader.reading(),
            Ok(_) => reader.line(&line),
            Err(error) => {
                tracing::warn!(path, %error, "a transcript cannot be read");
                return None;
            }
        }
    }
}

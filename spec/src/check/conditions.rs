//! Conditions: whether they can be understood, and whether what they read can be there.

use super::graph::Graph;
use super::within;
use crate::condition::{Condition, Read};
use crate::diagnostic::Code;
use crate::read::At;
use crate::read::field::Reader;

/// What `until` of a dialogue sees.
const UNTIL_SEES: [&str; 4] = ["round", "turn", "last", "outputs"];

/// Checks a phase's condition and gives what it reads.
pub(super) fn condition(text: &At<String>, phase: usize, graph: &Graph, reader: &mut Reader) -> Vec<Read> {
    let Some(condition) = parse(text, reader) else { return Vec::new() };
    for name in condition.phases() {
        let place = within(text, text.value.find(name).unwrap_or(0));
        let Some(read) = graph.find(name) else {
            if !reader.broken("name") {
                let message = format!("this condition reads `{name}`, and no phase has this name");
                let help = dashed(text, graph).or_else(|| graph.near(name, reader));
                reader.findings.error(Code::UnknownPhase, place, message).help_if(help);
            }
            continue;
        };
        if !graph.comes_after(phase, read) {
            let message =
                format!("this condition reads `{name}`, which need not be over when the phase begins");
            let help = format!("write \"after\": [\"{name}\"], or move the phase behind it");
            reader.findings.warning(Code::ConditionTooEarly, place, message).help(help);
        }
    }
    condition.into_reads()
}

/// A phase whose name is no identifier was meant: `multi-review.x` is a difference to CEL.
fn dashed(text: &At<String>, graph: &Graph) -> Option<String> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let meant =
        graph.names.iter().find(|name| !plain(name.as_str()) && text.value.contains(&format!("{name}.")))?;
    Some(format!("write phases['{meant}']: the name is no identifier"))
}

/// A condition that ends a dialogue.
pub(super) fn until(text: &At<String>, reader: &mut Reader) {
    sees(text, &UNTIL_SEES, reader);
}

/// A condition over the payload of an event.
pub(super) fn filter(text: &At<String>, reader: &mut Reader) {
    sees(text, &[], reader);
}

fn sees(text: &At<String>, seen: &[&str], reader: &mut Reader) {
    let Some(condition) = parse(text, reader) else { return };
    for name in condition.phases().filter(|name| !seen.contains(name)) {
        let place = within(text, text.value.find(name).unwrap_or(0));
        let message = format!("`{name}` is nothing this condition sees");
        let all: Vec<&str> = seen.iter().copied().chain(["event"]).collect();
        let help = format!("it sees {}", all.join(", "));
        reader.findings.error(Code::BadCondition, place, message).help(help);
    }
}

fn parse(text: &At<String>, reader: &mut Reader) -> Option<Condition> {
    match Condition::parse(&text.value) {
        Ok(condition) => Some(condition),
        Err(error) => {
            let place = within(text, error.offset);
            let message = format!("this is no condition: {}", error.message);
            let help = "a condition reads like: triage.kind == 'auth'";
            reader.findings.error(Code::BadCondition, place, message).help(help);
            None
        }
    }
}

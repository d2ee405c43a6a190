//! What the workers of a run have said under names, and the judging of conditions over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::{PhaseName, WorkerName};

/// A worker that sets more names than this is filling the journal, not answering.
pub const OUTPUT_KEYS_MAX: usize = 64;
/// An output is read by conditions and prompts; what is longer belongs into a file of the scratchpad.
pub const OUTPUT_VALUE_BYTES_MAX: usize = 64 * 1024;
/// A name longer than this could not be written into a condition by anybody.
pub const OUTPUT_KEY_BYTES_MAX: usize = 256;

/// Every phase of the plan in its order, and in each every worker in its order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    pub phases: Vec<PhaseOutputs>,
    /// The payload of the event that began the run; null where none did.
    #[serde(default)]
    pub event: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseOutputs {
    pub phase: PhaseName,
    pub workers: Vec<WorkerOutputs>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerOutputs {
    pub worker: WorkerName,
    pub values: BTreeMap<String, Value>,
}

/// What a condition comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    DoesNotHold,
    /// It reads outputs that nobody set, such as `triage.classification`.
    NeverSet(Vec<String>),
    /// It cannot be evaluated over these outputs.
    Broken(String),
}

/// Judges the text of a condition.
pub type Judge = fn(&str, &Outputs) -> Verdict;

/// Leaves out what is past a bound, and says so in sentences.
pub fn take_within_bounds(outputs: &mut BTreeMap<String, Value>) -> Vec<String> {
    let mut untaken = Vec::new();
    outputs.retain(|key, value| {
        let bytes = value.to_string().len();
        if key.len() > OUTPUT_KEY_BYTES_MAX {
            let start: String = key.chars().take(40).collect();
            untaken.push(format!("the output `{start}…` was not taken: its name has {} bytes, {OUTPUT_KEY_BYTES_MAX} are allowed", key.len()));
        } else if bytes > OUTPUT_VALUE_BYTES_MAX {
            untaken.push(format!("the output `{key}` was not taken: it has {bytes} bytes, {OUTPUT_VALUE_BYTES_MAX} are allowed; a file of the scratchpad holds more"));
        } else {
            return true;
        }
        false
    });
    if outputs.len() > OUTPUT_KEYS_MAX {
        untaken.push(format!(
            "{} outputs were not taken: there are {}, {OUTPUT_KEYS_MAX} are allowed",
            outputs.len() - OUTPUT_KEYS_MAX,
            outputs.len()
        ));
        let kept: Vec<String> = outputs.keys().take(OUTPUT_KEYS_MAX).cloned().collect();
        outputs.retain(|key, _| kept.contains(key));
    }
    untaken
}

impl WorkerOutputs {
    /// Takes a value in, unless it is past a bound. A later value of the same name replaces the earlier one.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> bool {
        let another = !self.values.contains_key(key);
        let too_many = another && self.values.len() >= OUTPUT_KEYS_MAX;
        let too_long = key.len() > OUTPUT_KEY_BYTES_MAX || value.to_string().len() > OUTPUT_VALUE_BYTES_MAX;
        if too_many || too_long || self.values.get(key) == Some(value) {
            return false;
        }
        self.values.insert(key.to_owned(), value.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_a_bound_is_left_out_and_said() {
        let long = "x".repeat(OUTPUT_VALUE_BYTES_MAX);
        let mut outputs = BTreeMap::from([
            ("big".to_owned(), long.clone().into()),
            (long, 1.into()),
            ("fits".to_owned(), 2.into()),
        ]);
        let untaken = take_within_bounds(&mut outputs);
        assert_eq!(outputs.into_keys().collect::<Vec<_>>(), ["fits"]);
        assert!(untaken.len() == 2 && untaken[0].contains("`big`"), "{untaken:?}");
        let mut many = (0..70).map(|n| (n.to_string(), n.into())).collect();
        assert!(take_within_bounds(&mut many)[0].starts_with("6 outputs were not taken"));
        assert_eq!(many.len(), OUTPUT_KEYS_MAX);
    }
}

//! The shape a phase's outputs must have: a JSON Schema of the document's.
//!
//! References within the schema are followed, others never: nothing is fetched.

use std::collections::BTreeMap;

use serde_json::Value;

/// How many deviations are told; a worker that mends these has understood the rest.
const TOLD_MAX: usize = 5;
/// Characters of one of them: a value that does not fit may be long.
const TOLD_CHARS_MAX: usize = 300;

/// What is wrong with a schema itself.
pub fn unfit(schema: &Value) -> Option<String> {
    jsonschema::validator_for(schema).err().map(|error| cut(&error.to_string()))
}

/// In what a worker's outputs do not fit the schema.
pub fn misfit(schema: &Value, outputs: &BTreeMap<String, Value>) -> Option<String> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return Some(format!("the schema itself: {}", cut(&error.to_string()))),
    };
    let outputs = Value::Object(outputs.clone().into_iter().collect());
    let mut wrong = validator.iter_errors(&outputs);
    let told: Vec<String> = wrong
        .by_ref()
        .take(TOLD_MAX)
        .map(|error| {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!("{at}: ") };
            format!("{place}{}", cut(&error.to_string()))
        })
        .collect();
    if told.is_empty() {
        return None;
    }
    let more = wrong.count();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Some(format!("{}{more}", told.join("; ")))
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(TOLD_CHARS_MAX).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_fit_or_are_told_where_they_do_not() {
        let schema = json!({ "type": "object", "required": ["verdict"], "properties": {
            "verdict": { "enum": ["ship", "fix"] }, "score": { "type": "integer", "minimum": 0 } } });
        let told = |outputs: Value| {
            let outputs = outputs.as_object().cloned().unwrap_or_default().into_iter().collect();
            misfit(&schema, &outputs)
        };
        assert_eq!(told(json!({ "verdict": "ship", "score": 3 })), None);
        assert!(told(json!({})).is_some_and(|told| told.contains("verdict")));
        let both = told(json!({ "verdict": "maybe", "score": -1 })).unwrap_or_default();
        assert!(both.contains("/verdict: ") && both.contains("/score: "), "{both}");
    }

    #[test]
    fn a_schema_that_is_none_is_told_and_one_from_elsewhere_is_not_fetched() {
        assert_eq!(unfit(&json!({ "type": "object" })), None);
        assert!(unfit(&json!({ "type": "objekt" })).is_some());
        assert!(unfit(&json!({ "$ref": "https://example.invalid/x.json" })).is_some());
        let within =
            json!({ "$defs": { "v": { "const": 1 } }, "properties": { "a": { "$ref": "#/$defs/v" } } });
        assert_eq!(unfit(&within), None);
        assert!(misfit(&within, &BTreeMap::from([("a".to_owned(), 2.into())])).is_some());
    }
}

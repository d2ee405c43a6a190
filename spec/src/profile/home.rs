//! A folder of settings of a session's own, for tools that take none on their command line: what the user has there is
//! linked into it, and the files that niia adds to are written anew, with what the user has in them.

use jsonc_parser::{CollectOptions, ParseOptions};
use serde_json::Value;

/// Where a tool's folder of settings is told to it, and what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHome {
    /// The variable that names the folder in which the tool's own folder lies.
    pub variable: String,
    /// The tool's own folder, by its name.
    pub folder: String,
    /// What is not linked: the session's own from the start.
    pub own: Vec<String>,
    /// Files of JSON, by name, and what is added to the user's.
    pub merge: Vec<(String, String)>,
}

/// What is wrong with a file that something is to be added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON object: {0}")]
pub struct MergeError(String);

/// The user's file of settings with ours added: objects are merged, lists are one after the other, and anything else
/// is ours.
pub fn merged_settings(theirs: Option<&str>, ours: &str) -> Result<String, MergeError> {
    let parse = |text: &str| match jsonc_parser::parse_to_ast(
        text,
        &CollectOptions::default(),
        &ParseOptions::default(),
    ) {
        Ok(parsed) => match parsed.value.map(Value::from) {
            Some(value @ Value::Object(_)) => Ok(value),
            _ => Err(MergeError("something else is in it".to_owned())),
        },
        Err(error) => Err(MergeError(error.to_string())),
    };
    let mut settings = match theirs.filter(|text| !text.trim().is_empty()) {
        Some(text) => parse(text)?,
        None => Value::Object(serde_json::Map::new()),
    };
    add(&mut settings, parse(ours)?);
    Ok(settings.to_string())
}

fn add(into: &mut Value, ours: Value) {
    match (into, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in ours {
                match theirs.get_mut(&name) {
                    Some(there) => add(there, value),
                    None => drop(theirs.insert(name, value)),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => theirs.extend(ours),
        (there, ours) => *there = ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_settings_keep_what_niia_does_not_name() {
        let theirs =
            r#"{ /* mine */ "theme": "dark", "hooks": { "Stop": [1], "Other": [2] }, "ui": { "x": 1, }, }"#;
        let ours = r#"{"hooks": {"Stop": [3], "New": [4]}, "ui": {"x": 2}}"#;
        let wanted = r#"{"theme":"dark","hooks":{"Stop":[1,3],"Other":[2],"New":[4]},"ui":{"x":2}}"#;
        let as_value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(as_value(&merged_settings(Some(theirs), ours).unwrap()), as_value(wanted));
        assert_eq!(as_value(&merged_settings(None, ours).unwrap()), as_value(ours));
        assert_eq!(as_value(&merged_settings(Some(" \n"), ours).unwrap()), as_value(ours));
        for wrong in ["[1]", "{", "{} {}"] {
            assert!(merged_settings(Some(wrong), ours).is_err(), "{wrong}");
        }
    }
}

//! The JSON Schema of a document, made from the same tables its reader is made from.

use serde_json::{Map, Value, json};

use crate::document::Document;
use crate::read::field::{Field, FieldLine};

/// The objects the schema has described so far, by name.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Map<String, Value>);

impl Definitions {
    /// Describes an object once and refers to it from then on.
    pub fn object(
        &mut self,
        name: &str,
        about: &str,
        lines: &[FieldLine],
        fields: impl FnOnce(&mut Definitions) -> Vec<Value>,
    ) -> Value {
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        if self.0.contains_key(name) {
            return reference;
        }
        self.0.insert(name.to_owned(), Value::Null);
        let properties: Map<String, Value> = lines
            .iter()
            .zip(fields(self))
            .map(|(line, schema)| (line.name.to_owned(), described(schema, line.about)))
            .collect();
        let required: Vec<&str> = lines.iter().filter(|line| line.required).map(|line| line.name).collect();
        let mut object = json!({
            "description": prose(about),
            "type": "object",
            "properties": properties,
            "patternProperties": { "^x-": true },
            "additionalProperties": false,
        });
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        self.0.insert(name.to_owned(), object);
        reference
    }
}

fn described(schema: Value, about: &str) -> Value {
    match schema {
        Value::Object(mut object) if !about.is_empty() => {
            object.insert("description".to_owned(), Value::String(prose(about)));
            Value::Object(object)
        }
        Value::Bool(true) if !about.is_empty() => json!({ "description": prose(about) }),
        other => other,
    }
}

/// A doc comment as one line of text.
fn prose(about: &str) -> String {
    about.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The schema of a whole document, as published.
pub fn schema() -> Value {
    let mut definitions = Definitions::default();
    let root = Document::schema(&mut definitions);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "connector.json",
    });
    schema["$ref"] = root["$ref"].clone();
    schema["$defs"] = Value::Object(definitions.0);
    schema
}

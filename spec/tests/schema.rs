//! The published schema.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read the published file")]

use std::fs;
use std::path::Path;

#[test]
fn the_published_schema_is_the_one_the_reader_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("connector.schema.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&niia_spec::schema()).unwrap());
    if std::env::var_os("NIIA_WRITE_SCHEMA").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap();
    assert!(published == made, "run with NIIA_WRITE_SCHEMA=1 to publish the schema anew");
}

#[test]
fn every_field_of_the_schema_is_described() {
    let schema = niia_spec::schema();
    let objects = schema["$defs"].as_object().unwrap();
    assert!(objects.len() > 20);
    for (name, object) in objects {
        assert!(object["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        for (field, schema) in object["properties"].as_object().unwrap() {
            assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}.{field}");
        }
    }
}

//! Objects whose keys are the user's own names: aliases, machines, environment variables, labels.

use std::marker::PhantomData;

use jsonc_parser::ast::Value as Node;
use serde_json::{Value, json};

use super::field::{Field, Kind, LIST_ENTRIES_MAX, Reader};
use super::finding::{At, Span};
use super::text::{Fault, slug_fault};
use crate::diagnostic::Code;
use crate::schema::Definitions;

/// What the keys of a map may look like.
pub(crate) trait Key {
    fn fault(key: &str) -> Option<Fault>;
    /// The same rule as a regular expression, for the schema.
    const PATTERN: &'static str;
}

/// A map in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Map<K, V> {
    pub entries: Vec<(At<String>, At<V>)>,
    key: PhantomData<K>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map { entries: Vec::new(), key: PhantomData }
    }
}

impl<K, V> Map<K, V> {
    pub fn get(&self, key: &str) -> Option<&At<V>> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<K: Key, V: Field> Field for Map<K, V> {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Object
    }
    fn what() -> String {
        "an object".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Map<K, V>> {
        let object = node.as_object()?;
        reader.duplicates(object);
        let field = reader.field;
        if object.properties.len() > LIST_ENTRIES_MAX {
            let entries = object.properties.len();
            let message = format!(
                "`{field}` has {entries} entries, at most {LIST_ENTRIES_MAX} may be (list_entries_max)"
            );
            return reader.refuse(Code::WrongLength, node, message, None);
        }
        let mut map = Map::default();
        for property in &object.properties {
            let key = property.name.as_str();
            let span = Span { start: property.range.start, end: property.range.start + key.len() + 2 };
            if let Some(fault) = K::fault(key) {
                reader.findings.error(fault.code, span, fault.message).help_if(fault.help);
            }
            if let Some(value) = reader.value(&property.value) {
                map.entries.push((At { value: key.to_owned(), span }, value));
            }
        }
        Some(map)
    }
    fn schema(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "propertyNames": { "pattern": K::PATTERN },
            "additionalProperties": V::schema(definitions),
            "maxProperties": LIST_ENTRIES_MAX,
        })
    }
}

/// Keys that are slugs: aliases, machines, labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlugKey;

impl Key for SlugKey {
    fn fault(key: &str) -> Option<Fault> {
        slug_fault(key)
    }
    const PATTERN: &'static str = super::text::SLUG_PATTERN;
}

/// Keys that are names of environment variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvKey;

impl Key for EnvKey {
    fn fault(key: &str) -> Option<Fault> {
        super::text::env_name(key).err()
    }
    const PATTERN: &'static str = "^[A-Za-z_][A-Za-z0-9_]*$";
}

/// Keys of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputKey;

impl Key for OutputKey {
    fn fault(key: &str) -> Option<Fault> {
        super::text::not_empty(key).err()
    }
    const PATTERN: &'static str = ".";
}

//! One trait for every type a document is made of: how it is read, and what the published schema says of it.
//!
//! Both come from the same implementation, and the fields of an object from one table (`record!`), so what is read
//! and what is published cannot differ.

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;
use serde_json::{Value, json};

use super::finding::{At, Findings, Span};
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::schema::Definitions;

/// The longest list a document may hold anywhere: more could not be run, and each entry takes memory.
pub const LIST_ENTRIES_MAX: usize = 10_000;

/// How many fields are listed where none is near: a person reads no more.
const FIELDS_TOLD_MAX: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Truth,
    List,
    Object,
    Null,
}

impl Kind {
    pub fn of(node: &Node<'_>) -> Kind {
        match node {
            Node::StringLit(_) => Kind::Text,
            Node::NumberLit(_) => Kind::Number,
            Node::BooleanLit(_) => Kind::Truth,
            Node::Object(_) => Kind::Object,
            Node::Array(_) => Kind::List,
            Node::NullKeyword(_) => Kind::Null,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Number => "a number",
            Kind::Truth => "true or false",
            Kind::List => "a list",
            Kind::Object => "an object",
            Kind::Null => "null",
        }
    }
}

/// A type that a document's values are read into.
pub(crate) trait Field: Sized {
    /// Whether a value of this kind can be one at all.
    fn takes(kind: Kind) -> bool;
    /// What it is, for a sentence: "a text", "a whole number".
    fn what() -> String;
    /// Reads a value of a kind it takes; what is wrong with it becomes a finding.
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self>;
    fn schema(definitions: &mut Definitions) -> Value;
}

/// One line of the table of an object's fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldLine {
    pub name: &'static str,
    pub about: &'static str,
    pub required: bool,
}

/// What is kept while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub findings: Findings,
    /// The field being read, for sentences.
    pub field: &'static str,
    /// Fields of which a value could not be read: what refers to them is not reported a second time.
    broken: Vec<&'static str>,
}

pub(crate) fn span(of: &impl Ranged) -> Span {
    Span { start: of.start(), end: of.end() }
}

/// Where what a whole document is about belongs.
const PROMPT_OF_ALL: &str =
    "what all of them are told is the document's `task`; a phase, a worker or an agent has a `prompt`";

/// How an entry is written of which somebody gave the name alone.
fn written_out(field: &str) -> Option<String> {
    let shape = match field {
        "participants" => r#"{ "model": "…", "role": "…" }"#,
        "agents" | "workers" => r#"{ "model": "…", "prompt": "…" }"#,
        "agenda" => r#"{ "topic": "…" }"#,
        "phases" => r#"{ "name": "…", "prompt": "…" }"#,
        _ => return None,
    };
    Some(format!("write {shape}"))
}

impl Reader {
    pub fn new(findings: Findings) -> Reader {
        Reader { findings, ..Reader::default() }
    }

    /// Reads the value of a field of an object.
    pub fn field<T: Field>(&mut self, name: &'static str, node: &Node<'_>) -> Option<At<T>> {
        let outer = std::mem::replace(&mut self.field, name);
        let value = self.value(node);
        self.field = outer;
        if value.is_none() && !self.broken.contains(&name) {
            self.broken.push(name);
        }
        value
    }

    /// Reads a value, after asking whether it is of a kind its type takes.
    pub fn value<T: Field>(&mut self, node: &Node<'_>) -> Option<At<T>> {
        let kind = Kind::of(node);
        if T::takes(kind) {
            return T::read(node, self).map(|value| At { value, span: span(node) });
        }
        let message = format!("`{}` takes {}, this is {}", self.field, T::what(), kind.word());
        let help = match kind {
            Kind::Null => Some("leave the field out to get its default".to_owned()),
            Kind::Text if T::takes(Kind::Object) && !T::takes(Kind::List) => written_out(self.field),
            _ => None,
        };
        self.findings.error(Code::WrongType, span(node), message).help_if(help);
        None
    }

    /// Whether a value of a field with this name could not be read.
    pub fn broken(&self, name: &str) -> bool {
        self.broken.contains(&name)
    }

    /// Hands each field of an object to `take`, which says whether it knows the field; reports the rest.
    pub fn fields<'n>(
        &mut self,
        object: &'n Object<'_>,
        lines: &[FieldLine],
        mut take: impl FnMut(&mut Reader, &str, &'n Node<'n>) -> bool,
    ) {
        self.duplicates(object);
        for property in &object.properties {
            let name = property.name.as_str();
            if name.starts_with("x-") || take(self, name, &property.value) {
                continue;
            }
            let at = Span { start: property.range.start, end: property.value.start() };
            let outer =
                if self.field.is_empty() { "a document".to_owned() } else { format!("`{}`", self.field) };
            let message = format!("{outer} has no field `{}`", excerpt(name));
            let known = lines.iter().map(|line| line.name);
            let elsewhere = || (self.field.is_empty() && name == "prompt").then(|| PROMPT_OF_ALL.to_owned());
            let help = did_you_mean(name, known.clone()).or_else(elsewhere).unwrap_or_else(|| {
                let listed: Vec<&str> = known.take(FIELDS_TOLD_MAX).collect();
                let more = if lines.len() > FIELDS_TOLD_MAX { ", …" } else { "" };
                format!("its fields are {}{more}", listed.join(", "))
            });
            self.findings.error(Code::UnknownField, at, message).help(help);
        }
        for line in lines.iter().filter(|line| line.required) {
            if !object.properties.iter().any(|property| property.name.as_str() == line.name) {
                let outer = if self.field.is_empty() { "the document" } else { self.field };
                let message = format!("`{}` is missing in {outer}", line.name);
                self.findings.error(Code::MissingField, span(object), message);
            }
        }
    }

    /// "did you mean `…`?", while somebody will read it: looking for the nearest of many names takes time.
    pub fn hint<'a>(&self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
        if self.findings.is_full() { None } else { did_you_mean(name, known) }
    }

    /// Reports every field that stands twice in an object.
    pub fn duplicates(&mut self, object: &Object<'_>) {
        let mut names: Vec<(&str, usize)> =
            object.properties.iter().map(|property| (property.name.as_str(), property.range.start)).collect();
        names.sort_unstable();
        let doubled: Vec<(&str, usize)> =
            names.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]).collect();
        for (name, start) in doubled {
            let at = Span { start, end: start + name.len() };
            let message = format!("`{}` stands twice in this object", excerpt(name));
            self.findings.error(Code::DuplicateField, at, message).help("keep one of them");
        }
    }

    /// Reports a value that is of the right kind and yet no good.
    pub fn refuse<T>(
        &mut self,
        code: Code,
        node: &Node<'_>,
        message: String,
        help: Option<String>,
    ) -> Option<T> {
        self.findings.error(code, span(node), message).help_if(help);
        None
    }
}

impl Field for String {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Text
    }
    fn what() -> String {
        "a text".to_owned()
    }
    fn read(node: &Node<'_>, _: &mut Reader) -> Option<String> {
        node.as_string_lit().map(|text| text.value.to_string())
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl Field for bool {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Truth
    }
    fn what() -> String {
        "true or false".to_owned()
    }
    fn read(node: &Node<'_>, _: &mut Reader) -> Option<bool> {
        node.as_boolean_lit().map(|truth| truth.value)
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "boolean" })
    }
}

/// `false`, where `true` would say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct False;

impl Field for False {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Truth
    }
    fn what() -> String {
        "false".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<False> {
        match node.as_boolean_lit().map(|truth| truth.value) {
            Some(false) => Some(False),
            _ => {
                let message = format!("`{}` may be false but not true", reader.field);
                reader.refuse(Code::OutOfBounds, node, message, None)
            }
        }
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "const": false })
    }
}

impl<T: Field> Field for Vec<At<T>> {
    fn takes(kind: Kind) -> bool {
        kind == Kind::List
    }
    fn what() -> String {
        "a list".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Vec<At<T>>> {
        let elements = &node.as_array()?.elements;
        if elements.len() > LIST_ENTRIES_MAX {
            let entries = elements.len();
            let message = format!(
                "`{}` has {entries} entries, at most {LIST_ENTRIES_MAX} may be (list_entries_max)",
                reader.field
            );
            return reader.refuse(Code::WrongLength, node, message, None);
        }
        let read: Vec<Option<At<T>>> = elements.iter().map(|element| reader.value(element)).collect();
        let field = reader.field;
        if read.iter().any(Option::is_none) && !reader.broken.contains(&field) {
            reader.broken.push(field);
        }
        Some(read.into_iter().flatten().collect())
    }
    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "items": T::schema(definitions), "maxItems": LIST_ENTRIES_MAX })
    }
}

/// One, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<At<T>>);

impl<T> Default for OneOrMany<T> {
    fn default() -> OneOrMany<T> {
        OneOrMany(Vec::new())
    }
}

impl<T: Field> Field for OneOrMany<T> {
    fn takes(kind: Kind) -> bool {
        kind == Kind::List || T::takes(kind)
    }
    fn what() -> String {
        format!("{} or a list", T::what())
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<OneOrMany<T>> {
        if node.as_array().is_some() {
            return Vec::read(node, reader).map(OneOrMany);
        }
        reader.value(node).map(|one| OneOrMany(vec![one]))
    }
    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [T::schema(definitions), Vec::<At<T>>::schema(definitions)] })
    }
}

/// Any JSON value, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(pub Value);

impl Field for Json {
    fn takes(_: Kind) -> bool {
        true
    }
    fn what() -> String {
        "any value".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Json> {
        json_value(node, reader).map(Json)
    }
    fn schema(_: &mut Definitions) -> Value {
        json!(true)
    }
}

fn json_value(node: &Node<'_>, reader: &mut Reader) -> Option<Value> {
    Some(match node {
        Node::StringLit(text) => Value::String(text.value.to_string()),
        Node::BooleanLit(truth) => Value::Bool(truth.value),
        Node::NullKeyword(_) => Value::Null,
        Node::NumberLit(number) => match number.value.parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => {
                let message = format!("`{}` is no number that can be kept", excerpt(number.value));
                return reader.refuse(Code::OutOfBounds, node, message, None);
            }
        },
        Node::Array(array) => {
            let elements = array.elements.iter().map(|element| json_value(element, reader));
            Value::Array(elements.collect::<Option<Vec<Value>>>()?)
        }
        Node::Object(object) => {
            reader.duplicates(object);
            let pairs = object.properties.iter().map(|property| {
                Some((property.name.as_str().to_owned(), json_value(&property.value, reader)?))
            });
            Value::Object(pairs.collect::<Option<serde_json::Map<String, Value>>>()?)
        }
    })
}

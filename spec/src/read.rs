//! Reading: text → document and everything that is wrong with it, in one go.
//!
//! The text is measured before it is parsed, so that neither its size nor its depth can take memory or stack. What
//! is no JSON at all gives one finding, at its place. What is JSON is read to its end, and then the meaning is
//! checked, so that all findings come together.

pub(crate) mod field;
pub(crate) mod finding;
mod guard;
pub(crate) mod map;
pub(crate) mod number;
mod syntax;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod text;

pub use text::SLUG_PATTERN;

use jsonc_parser::ast::{Object, Value as Node};

pub use field::{False, Json, LIST_ENTRIES_MAX, OneOrMany};
pub(crate) use finding::Lines;
pub use finding::{At, FINDINGS_MAX, Span};
pub use guard::{DEPTH_MAX, TEXT_BYTES_MAX};
pub use number::{COST_USD_MAX, Usd};
pub use text::PhaseLabel;

use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Fragment, Map, Pipeline, Source};
use field::{Field, Reader, span};
use finding::Findings;

/// Reads a document. There is one exactly when none of the findings is an error.
pub fn read(text: &[u8], file_name: &str) -> (Option<Document>, Vec<Diagnostic>) {
    let mut findings = Findings::default();
    let text = match guard::admit(text, &mut findings) {
        Ok(text) => text,
        Err(known) => return (None, findings.locate(file_name, known, None)),
    };
    let Some(root) = syntax::parse(text, &mut findings) else {
        return (None, findings.locate(file_name, text, None));
    };
    let mut reader = Reader::new(findings);
    let document = read_root(&root, &mut reader);
    let reads =
        document.as_ref().map(|document| crate::check::check(document, &mut reader)).unwrap_or_default();
    let sound = !reader.findings.has_errors();
    let document = document.filter(|_| sound).map(|document| Document {
        source: Source { file: file_name.into(), text: text.into() },
        reads,
        ..document
    });
    (document, reader.findings.locate(file_name, text, Some(&root)))
}

/// A text that was read without errors before.
pub(crate) fn parsed(text: &str) -> Option<Node<'_>> {
    syntax::parse(text, &mut Findings::default())
}

/// Gives findings made later than reading their places in the document's text.
pub(crate) fn locate(findings: Findings, source: &Source) -> Vec<Diagnostic> {
    let root = syntax::parse(&source.text, &mut Findings::default());
    findings.locate(&source.file, &source.text, root.as_ref())
}

fn read_root(root: &Node<'_>, reader: &mut Reader) -> Option<Document> {
    let Some(object) = root.as_object() else {
        let word = field::Kind::of(root).word();
        let message = format!("a document is an object, this is {word}");
        return reader.refuse(Code::NotAnObject, root, message, None);
    };
    match fragment(object) {
        Some(Fragment::Models) => read_models(root, object, reader),
        Some(Fragment::Pipeline) => read_pipeline(root, object, reader),
        None => Document::read(root, reader),
    }
}

/// What part of a document an object is, where it is none itself.
fn fragment(object: &Object<'_>) -> Option<Fragment> {
    let is_field = |name: &str| Document::field_names().any(|field| field == name) || name.starts_with("x-");
    let names: Vec<&str> = object.properties.iter().map(|property| property.name.as_str()).collect();
    if names.contains(&"phases")
        && names.iter().all(|name| Pipeline::field_names().any(|field| field == *name))
    {
        return Some(Fragment::Pipeline);
    }
    let is_model = |value: &Node<'_>| match value {
        Node::StringLit(_) => true,
        Node::Object(object) => object.get("use").is_some(),
        _ => false,
    };
    let models = object.properties.iter().all(|property| is_model(&property.value));
    (!names.is_empty() && models && !names.iter().any(|name| is_field(name))).then_some(Fragment::Models)
}

fn read_models(root: &Node<'_>, object: &Object<'_>, reader: &mut Reader) -> Option<Document> {
    let near_field = |name: &str| crate::diagnostic::nearest(name, Document::field_names()).is_some();
    if object.properties.iter().any(|property| near_field(property.name.as_str())) {
        // A misspelt `name` or `task` alone is a document with a mistake, not a list of models.
        return Document::read(root, reader);
    }
    let message = "this is the value of `models`, not a document: it names models and nothing to run";
    let help = "put it into a document: { \"models\": { … }, \"pipeline\": { \"phases\": [ … ] } }";
    reader.findings.warning(Code::Fragment, span(object), message).help(help);
    let models = reader.field::<Map<_, _>>("models", root);
    Some(Document { span: span(object), models, fragment: Some(Fragment::Models), ..Document::default() })
}

fn read_pipeline(root: &Node<'_>, object: &Object<'_>, reader: &mut Reader) -> Option<Document> {
    let message = "this is the value of `pipeline`, not a document";
    let help = "put it into a document: { \"pipeline\": { \"phases\": [ … ] } }";
    reader.findings.warning(Code::Fragment, span(object), message).help(help);
    let pipeline = reader.field::<Pipeline>("pipeline", root);
    Some(Document { span: span(object), pipeline, fragment: Some(Fragment::Pipeline), ..Document::default() })
}

//! Checking: what a document means is asked of the document as a whole, after all of it is read.
//!
//! What hangs on the place it is to be run, such as which models there are, is asked when its plan is drawn.

mod conditions;
mod graph;
mod models;
mod phases;
mod speakers;
mod steps;
mod texts;
mod timing;
mod totals;
mod unused;

use crate::condition::Read;
use crate::diagnostic::Code;
use crate::document::{Document, Fragment, Topology, VERSIONS};
use crate::read::Span;
use crate::read::field::Reader;

/// Adds everything to the findings that is wrong with a document's meaning, and gives the outputs its conditions read.
pub(crate) fn check(document: &Document, reader: &mut Reader) -> Vec<Read> {
    models::cycles(document, reader);
    if document.fragment == Some(Fragment::Models) {
        return Vec::new();
    }
    if document.fragment.is_none() {
        version(document, reader);
        has_work(document, reader);
    }
    timing::check(document, reader);
    let reads = phases::check(document, reader);
    speakers::check_top(document, reader);
    unused::check(document, reader);
    texts::check(document, reader);
    totals::check(document, reader);
    reads
}

fn version(document: &Document, reader: &mut Reader) {
    let newest = VERSIONS[VERSIONS.len() - 1];
    let Some(version) = &document.connector else {
        if !reader.broken("connector") {
            let message = "`connector` is missing: the document is read as version 2.0";
            let help = "begin it with \"connector\": \"2.0\"";
            reader.findings.note(Code::NoVersion, document.span, message).help(help);
        }
        return;
    };
    if VERSIONS.contains(&version.as_str()) {
        return;
    }
    let minor = version
        .strip_prefix("2.")
        .filter(|minor| minor.len() < 10)
        .and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_some() {
        let message = format!(
            "version {} is later than {newest}: what is new in it is not known here",
            version.as_str()
        );
        reader.findings.warning(Code::NewerVersion, version.span, message);
        return;
    }
    let message = format!("`{}` is no version known here", crate::diagnostic::excerpt(version));
    let help = format!("versions are {}", VERSIONS.join(" and "));
    reader.findings.error(Code::UnknownVersion, version.span, message).help(help);
}

/// A document that says what it is must have what that takes.
fn has_work(document: &Document, reader: &mut Reader) {
    let Some(kind) = &document.kind else { return };
    let missing = match kind.value {
        Topology::Pipeline if document.pipeline.is_none() => "pipeline",
        Topology::Mesh if document.agents.is_none() => "agents",
        Topology::Dialogue | Topology::Meeting if document.participants.is_none() => "participants",
        _ => return,
    };
    if !reader.broken(missing) {
        missing_field(reader, kind.span, kind.value, missing);
    }
}

/// A type without what it takes.
fn missing_field(reader: &mut Reader, span: Span, kind: Topology, missing: &str) {
    let message = format!("type `{}` needs `{missing}`", kind.word());
    reader.findings.error(Code::MissingField, span, message);
}

/// The place within a text value, where the text stands in the document as it is.
fn within(text: &crate::read::At<String>, offset: usize) -> Span {
    let Span { start, end } = text.span;
    let plain = end.saturating_sub(start) == text.value.len() + 2;
    if plain { Span { start: start + 1 + offset.min(text.value.len()), end } } else { text.span }
}

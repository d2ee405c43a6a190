//! Checking: what a document means is asked of the document as a whole, after all of it is read.

use crate::diagnostic::Code;
use crate::document::{Document, VERSIONS};
use crate::read::field::Reader;

/// Adds everything to the findings that is wrong with a document's meaning.
pub(crate) fn check(document: &Document, reader: &mut Reader) {
    if document.fragment.is_none() {
        version(document, reader);
    }
}

fn version(document: &Document, reader: &mut Reader) {
    let findings = &mut reader.findings;
    let newest = VERSIONS[VERSIONS.len() - 1];
    let Some(version) = &document.connector else {
        if !reader.broken("connector") {
            let message = "`connector` is missing: the document is read as version 2.0";
            reader
                .findings
                .note(Code::NoVersion, document.span, message)
                .help("begin it with \"connector\": \"2.0\"");
        }
        return;
    };
    if VERSIONS.contains(&version.as_str()) {
        return;
    }
    let minor = version.strip_prefix("2.").and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_some() {
        let message = format!(
            "version {} is later than {newest}: what is new in it is not known here",
            version.as_str()
        );
        findings.warning(Code::NewerVersion, version.span, message);
        return;
    }
    let message = format!("`{}` is no version known here", crate::diagnostic::excerpt(version));
    findings
        .error(Code::UnknownVersion, version.span, message)
        .help(format!("versions are {}", VERSIONS.join(" and ")));
}

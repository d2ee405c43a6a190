//! Aliases that lead back to themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Code;
use crate::document::{Document, ModelDef};
use crate::read::Span;
use crate::read::field::Reader;

pub(super) fn cycles(document: &Document, reader: &mut Reader) {
    let mut leads: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for (name, def) in document.models.iter().flat_map(|models| &models.value.entries) {
        let to = match &def.value {
            ModelDef::Reference(reference) => reference.0.as_str(),
            ModelDef::Object(object) => match &object.reference {
                Some(reference) => reference.value.0.as_str(),
                None => continue,
            },
        };
        // An alias of its own name means the profile of that name.
        if to != name.value {
            leads.insert(&name.value, (to, def.span));
        }
    }
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    for start in leads.keys() {
        let mut way: Vec<&str> = Vec::new();
        let mut on_way: BTreeSet<&str> = BTreeSet::new();
        let mut at = *start;
        while let Some((to, span)) = leads.get(at).filter(|_| !settled.contains(at)) {
            if !on_way.insert(at) {
                report(reader, &way, at, *span);
                break;
            }
            way.push(at);
            at = to;
        }
        settled.extend(on_way);
    }
}

fn report(reader: &mut Reader, way: &[&str], back_at: &str, span: Span) {
    let from = way.iter().position(|name| *name == back_at).unwrap_or(0);
    let names: Vec<&str> = way[from..].iter().copied().chain([back_at]).take(20).collect();
    let message = format!("aliases lead in a circle: {}", names.join(" → "));
    reader
        .findings
        .error(Code::AliasCycle, span, message)
        .help("one of them must name a profile such as `claude`");
}

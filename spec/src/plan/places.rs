//! Where in a document things stand that are told beside those of another one.
//!
//! A plan has every default filled in and no spans; so it keeps, for each level of its document, the places of what is
//! said there. What nobody says stands where its worker, its phase or its document begins.

use std::collections::BTreeMap;

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;
use serde::{Deserialize, Serialize};

use super::{PhasePlan, Plan};
use crate::name::{PhaseName, WorkerName};

/// Line and column, both from 1.
type Spot = (u32, u32);

/// The places of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The document as it was named.
    pub file: String,
    /// By level and field: `#session.network`, `review#limits.max_turns`, `review/1#session.sandbox.write`.
    spots: BTreeMap<String, Spot>,
}

impl Places {
    /// `file:line:column` of what this field is for this worker.
    pub fn of(&self, phase: &PhaseName, worker: Option<&WorkerName>, field: &str) -> Option<String> {
        let levels =
            [worker.map(|worker| format!("{phase}/{worker}")), Some(phase.to_string()), Some(String::new())];
        let levels: Vec<String> = levels.into_iter().flatten().collect();
        let said = levels
            .iter()
            .find_map(|level| outward(field).find_map(|field| self.spots.get(&format!("{level}#{field}"))));
        let (line, column) =
            said.or_else(|| levels.iter().find_map(|level| self.spots.get(&format!("{level}#"))))?;
        Some(format!("{}:{line}:{column}", self.file))
    }

    /// Looks a document through, level by level.
    pub(super) fn look(file: &str, text: &str, plan: &Plan) -> Places {
        let mut places = Places { file: file.to_owned(), spots: BTreeMap::new() };
        let Some(root) = crate::read::parsed(text) else { return places };
        let Some(root) = root.as_object() else { return places };
        let lines = crate::read::Lines::new(text);
        places.note("", root, &lines);
        let pipeline = root.get_object("pipeline").unwrap_or(root);
        match pipeline.get_array("phases") {
            Some(phases) => {
                for (object, phase) in phases.elements.iter().filter_map(Node::as_object).zip(&plan.phases) {
                    places.note(phase.name.as_str(), object, &lines);
                    places.note_workers(phase, object, &lines);
                }
            }
            // A talk at the top of a document is its only phase.
            None => plan.phases.iter().for_each(|phase| places.note_workers(phase, root, &lines)),
        }
        places
    }

    fn note_workers(&mut self, phase: &PhasePlan, object: &Object<'_>, lines: &crate::read::Lines<'_>) {
        let list = ["workers", "participants", "agents"].iter().find_map(|name| object.get_array(name));
        let said = list.iter().flat_map(|list| list.elements.iter().filter_map(Node::as_object));
        for (object, worker) in said.zip(phase.work.workers()) {
            self.note(&format!("{}/{}", phase.name, worker.name), object, lines);
        }
    }

    fn note(&mut self, level: &str, object: &Object<'_>, lines: &crate::read::Lines<'_>) {
        let mut put = |field: &str, at: usize| {
            self.spots.entry(format!("{level}#{field}")).or_insert_with(|| lines.at(at));
        };
        put("", object.range.start);
        for property in &object.properties {
            let name = property.name.as_str();
            match name {
                "session" | "limits" | "trust" | "tools" | "capabilities" => {
                    put(name, property.range.start);
                    inner(name, &property.value, &mut put);
                }
                "machine" | "machines" | "output" | "connector" => put(name, property.range.start),
                _ => {}
            }
        }
    }
}

/// The fields of an object, two levels deep: `session.sandbox.write` is the innermost anybody asks for.
fn inner(name: &str, value: &Node<'_>, put: &mut impl FnMut(&str, usize)) {
    let Some(object) = value.as_object() else { return };
    for property in &object.properties {
        let field = format!("{name}.{}", property.name.as_str());
        put(&field, property.start());
        if let Some(object) = property.value.as_object() {
            for property in &object.properties {
                put(&format!("{field}.{}", property.name.as_str()), property.start());
            }
        }
    }
}

/// A field and what it is part of: `session.sandbox.write`, `session.sandbox`.
fn outward(field: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(field), |field| field.rsplit_once('.').map(|(outer, _)| outer))
        .filter(|field| field.contains('.') || !matches!(*field, "session" | "limits" | "trust" | "tools"))
}

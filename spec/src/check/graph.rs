//! Which phase comes after which.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::document::Phase;
use crate::name::{PhaseName, Slug};
use crate::plan::draw::phase_names;
use crate::read::field::Reader;
use crate::read::{At, FINDINGS_MAX};

/// How far an order is searched for one condition: a graph that needs more is not written by hand.
const SEARCH_STEPS_MAX: usize = 20_000;

pub(super) struct Graph {
    pub names: Vec<PhaseName>,
    index: HashMap<PhaseName, usize>,
    after: Vec<Vec<usize>>,
    /// For each phase, the first of the unbroken row of phases it simply follows.
    row: Vec<usize>,
}

impl Graph {
    pub fn new(phases: &[At<Phase>], reader: &mut Reader) -> Graph {
        let names = phase_names(phases);
        let mut index: HashMap<PhaseName, usize> = HashMap::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            if let Some(first) = index.get(name) {
                let span = phases[at].name.as_ref().map_or(phases[at].span, |name| name.span);
                let message = format!("phases {} and {} are both named `{name}`", first + 1, at + 1);
                reader.findings.error(Code::DuplicateName, span, message);
            } else {
                index.insert(name.clone(), at);
            }
        }
        let mut graph = Graph {
            after: Vec::with_capacity(names.len()),
            row: Vec::with_capacity(names.len()),
            names,
            index,
        };
        for (at, phase) in phases.iter().enumerate() {
            let before = at.checked_sub(1).filter(|_| phase.after.is_none());
            graph.row.push(before.map_or(at, |before| graph.row[before]));
            let after = match &phase.after {
                Some(list) => list.0.iter().filter_map(|name| graph.named(name, reader)).collect(),
                None => before.into_iter().collect(),
            };
            graph.after.push(after);
        }
        graph
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(&Slug::new(name).ok()?).copied()
    }

    fn named(&self, name: &At<Slug>, reader: &mut Reader) -> Option<usize> {
        let found = self.index.get(&name.value).copied();
        if found.is_none() && !reader.broken("name") {
            let message = format!("no phase is named `{}`", name.value);
            let help = self.near(name.value.as_str(), reader);
            reader.findings.error(Code::UnknownPhase, name.span, message).help_if(help);
        }
        found
    }

    /// The phase that was meant.
    pub fn near(&self, name: &str, reader: &Reader) -> Option<String> {
        reader.hint(name, self.names.iter().map(Slug::as_str))
    }

    /// Whether `earlier` is surely over when `phase` begins.
    pub fn comes_after(&self, phase: usize, earlier: usize) -> bool {
        let mut steps = 0;
        let mut seen = vec![false; self.names.len()];
        let mut open = vec![phase];
        while let Some(at) = open.pop() {
            if earlier < at && earlier >= self.row[at] {
                return true;
            }
            let first = self.row[at];
            for next in &self.after[first] {
                steps += 1;
                if steps > SEARCH_STEPS_MAX {
                    return true; // Only a warning hangs on it.
                }
                if *next == earlier {
                    return true;
                }
                if !std::mem::replace(&mut seen[*next], true) {
                    open.push(*next);
                }
            }
        }
        false
    }

    /// Reports phases that wait for each other. Each circle is told once, at its first phase.
    pub fn cycles(&self, phases: &[At<Phase>], reader: &mut Reader) {
        for circle in circles(&self.after) {
            let names: Vec<&str> = circle.iter().map(|at| self.names[*at].as_str()).take(20).collect();
            let first = circle.iter().copied().min().unwrap_or_default();
            let span = phases[first].after.as_ref().map_or(phases[first].span, |after| after.span);
            let message = format!("phases wait for each other: {}", names.join(" → "));
            reader.findings.error(Code::AfterCycle, span, message);
        }
    }
}

/// The circles of a graph, each with its first node again at its end; one for every way that runs into one.
pub(super) fn circles(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; after.len()];
    let mut found = Vec::new();
    for start in 0..after.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = way.last().copied() {
            let Some(to) = after[at].get(next).copied() else {
                marks[at] = Mark::Done;
                way.pop();
                continue;
            };
            if let Some(top) = way.last_mut() {
                top.1 += 1;
            }
            match marks[to] {
                Mark::New => {
                    marks[to] = Mark::Open;
                    way.push((to, 0));
                }
                Mark::Open if found.len() < FINDINGS_MAX => {
                    let from = way.iter().position(|(node, _)| *node == to).unwrap_or(0);
                    found.push(way[from..].iter().map(|(node, _)| *node).chain([to]).collect());
                }
                Mark::Open | Mark::Done => {}
            }
        }
    }
    found
}

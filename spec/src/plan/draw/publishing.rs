//! Publishing: what later conditions read of a phase, so that its workers can be told.

use std::collections::HashMap;

use crate::condition::Read;
use crate::name::PhaseName;
use crate::plan::{Plan, Published};

/// Tells each phase which of its outputs a condition reads, and what they are compared with.
pub(super) fn publish(plan: &mut Plan, reads: &[Read]) {
    let index: HashMap<PhaseName, usize> =
        plan.phases.iter().enumerate().map(|(at, phase)| (phase.name.clone(), at)).collect();
    for read in reads {
        let found = crate::name::Slug::new(&read.phase).ok().and_then(|name| index.get(&name).copied());
        if let Some(phase) = found.and_then(|at| plan.phases.get_mut(at)) {
            add(&mut phase.publishes, &read.key, &read.compared_with);
        }
    }
}

fn add(publishes: &mut Vec<Published>, key: &str, compared_with: &[String]) {
    let at = publishes.iter().position(|published| published.key == key).unwrap_or_else(|| {
        publishes.push(Published { key: key.to_owned(), compared_with: Vec::new() });
        publishes.len() - 1
    });
    for literal in compared_with {
        if !publishes[at].compared_with.contains(literal) {
            publishes[at].compared_with.push(literal.clone());
        }
    }
}

//! Drawing: document → plan. Every default is filled in, every name resolved; what cannot be is a finding.

mod connectors;
mod limits;
mod machines;
mod models;
mod phases;
mod publishing;
mod sessions;
mod steps;
mod surroundings;
mod tools;
mod topologies;
mod trees;
mod variables;

pub(crate) use limits::MAX_TOTAL_AGENTS_DEFAULT;
pub(crate) use phases::{phase_names, worker_names};
pub use surroundings::{KnownMcp, KnownProfile, Repository, Surroundings, is_one_of};

pub(crate) use topologies::speaker_names;

use std::collections::BTreeMap;

use super::{Limits, MachinePlan, PLAN_VERSION, PhasePlan, Places, Plan};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Topology};
use crate::name::{MachineName, Slug};
use crate::read::finding::Findings;
use models::Models;

/// A plan, and what should be said about it before it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub plan: Plan,
    pub warnings: Vec<Diagnostic>,
}

/// Draws the plan of a document where it is to be run, or says everything that keeps it from being run.
pub fn draw(document: &Document, around: &Surroundings) -> Result<Drawn, Vec<Diagnostic>> {
    let mut drawer = Drawer::new(document, around);
    let plan = drawer.plan();
    let failed = drawer.findings.has_errors();
    let told = crate::read::locate(drawer.findings, &document.source);
    if failed { Err(told) } else { Ok(Drawn { plan, warnings: told }) }
}

/// What is known while a plan is drawn.
struct Drawer<'d> {
    document: &'d Document,
    around: &'d Surroundings,
    name: Slug,
    models: Models<'d>,
    limits: Limits,
    machines: BTreeMap<MachineName, MachinePlan>,
    trees: trees::Trees,
    findings: Findings,
}

impl<'d> Drawer<'d> {
    fn new(document: &'d Document, around: &'d Surroundings) -> Drawer<'d> {
        let named = document.name.as_ref().map(|name| name.value.clone());
        let stem = around.file_stem.trim_end_matches(".json").trim_end_matches(".connector");
        Drawer {
            document,
            around,
            name: named.unwrap_or_else(|| Slug::nearest(stem)),
            models: Models::new(document, around),
            limits: limits::document(document),
            machines: machines::machines(document),
            trees: trees::Trees::default(),
            findings: Findings::default(),
        }
    }

    fn plan(&mut self) -> Plan {
        let document = self.document;
        let phases = self.phases();
        self.models.report(&mut self.findings);
        let mut plan = Plan {
            version: PLAN_VERSION,
            name: self.name.clone(),
            description: document.description.as_ref().map(|text| text.value.clone()),
            task: document.task.as_ref().map(|text| text.value.clone()),
            flow: document
                .agent
                .as_ref()
                .and_then(|agent| agent.flow.as_ref())
                .map(|flow| flow.value.clone()),
            phases,
            machines: self.machines.clone(),
            limits: self.limits.clone(),
            mcp: self.mcp(document.tools.as_ref()),
            trusted_domains: tools::trusted(document),
            schedule: tools::schedule(document),
            triggers: tools::triggers(document),
            event: None,
            mailbox: self.mailbox(),
            connectors: BTreeMap::new(),
            is_inside: false,
            places: Places::default(),
        };
        plan.places = Places::look(&document.source.file, &document.source.text, &plan);
        trees::withhold(&mut plan);
        trees::share(&mut plan);
        publishing::publish(&mut plan, &document.reads);
        plan
    }

    fn phases(&mut self) -> Vec<PhasePlan> {
        if self.document.fragment.is_some() {
            let message = "a part of a document cannot be run";
            self.findings.error(Code::NothingToRun, self.document.span, message);
            return Vec::new();
        }
        if self.document.topology() == Topology::Pipeline { self.pipeline() } else { vec![self.lone_phase()] }
    }

    fn mailbox(&self) -> bool {
        let pipeline = self.document.pipeline.as_ref();
        pipeline.and_then(|pipeline| pipeline.mailbox.as_ref()).is_none_or(|mailbox| mailbox.value)
    }
}

#[cfg(test)]
mod tests;

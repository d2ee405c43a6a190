//! What a child may have of what lies around its sessions: machines, MCP servers, variables, files of the user's.

use super::{Ceiling, Told, list, word};
use crate::name::Slug;
use crate::plan::draw::is_one_of;
use crate::plan::{MachineChoice, McpPlan, PhasePlan, Plan, SessionPlan, WorkerPlan};

impl Ceiling<'_> {
    pub(super) fn around_phase(&self, child: &Plan, phase: &PhasePlan) -> Vec<Told> {
        let mut told = Vec::new();
        let granted: Vec<&McpPlan> = self.plan.mcp.iter().chain(&self.phase.mcp).collect();
        let asked = child.mcp.iter().chain(&phase.mcp);
        let missing: Vec<String> =
            asked.filter(|server| !granted.iter().any(|have| same(have, server))).map(named).collect();
        if !missing.is_empty() {
            let granted: Vec<String> = granted.into_iter().map(named).collect();
            told.push(Told::new("tools.mcp", list(&missing), list(&granted)));
        }
        if let Some(output) = phase.output.as_ref().filter(|_| self.worker.session.sandbox.is_some()) {
            told.push(Told::new("output", word(output), "in a sandbox, which keeps to its tree".to_owned()));
        }
        told
    }

    pub(super) fn around_worker(&self, child: &Plan, worker: &WorkerPlan) -> Vec<Told> {
        let mut told: Vec<Told> = self.machines(child, worker).into_iter().collect();
        told.extend(self.variables(worker));
        told.extend(self.files(&worker.session));
        told
    }

    /// This machine, and those the parent's document names.
    fn machines(&self, child: &Plan, worker: &WorkerPlan) -> Option<Told> {
        let granted: Vec<MachineChoice> = self.machines_granted();
        let covered = |choice: &MachineChoice| match choice {
            MachineChoice::Labels(_) => granted.contains(choice),
            MachineChoice::Named(name) => {
                let host = host(child, name);
                let named = |have: &MachineChoice| matches!(have, MachineChoice::Named(have) if is_one_of(&host, std::slice::from_ref(have)));
                is_one_of(&host, self.own_hosts) || granted.iter().any(named)
            }
        };
        if worker.machine.iter().all(covered) {
            return None;
        }
        Some(Told::new("machine", word(&worker.machine), word(&granted)))
    }

    fn machines_granted(&self) -> Vec<MachineChoice> {
        let workers = self.plan.phases.iter().flat_map(|phase| phase.work.workers());
        let used = workers.flat_map(|worker| &worker.machine).map(|choice| match choice {
            MachineChoice::Named(name) => MachineChoice::Named(host(self.plan, name)),
            labels => labels.clone(),
        });
        let declared = self.plan.machines.values().map(|machine| MachineChoice::Named(machine.host.clone()));
        let mut granted: Vec<MachineChoice> = Vec::new();
        for choice in declared.chain(used) {
            if !granted.contains(&choice) {
                granted.push(choice);
            }
        }
        granted
    }

    fn variables(&self, worker: &WorkerPlan) -> Option<Told> {
        let granted = self.variables?;
        let own = &self.worker.session;
        let known = |name: &String| granted.contains(name) || own.env.contains_key(name);
        let models = worker.models.iter().flat_map(|model| model.env.values());
        let texts = worker.session.env.values().chain(models);
        let mut asked: Vec<String> = texts.flat_map(|text| needed(text)).collect();
        asked.extend(
            worker.session.env_from_home.iter().filter(|name| !own.env_from_home.contains(name)).cloned(),
        );
        asked.retain(|name| !known(name));
        (!asked.is_empty()).then(|| {
            let names: Vec<String> = own.env.keys().chain(&own.env_from_home).cloned().collect();
            Told::new("session.env", list(&asked), list(&names))
        })
    }

    /// Files of the user's that come into a tree, and lines of other runs.
    fn files(&self, child: &SessionPlan) -> Vec<Told> {
        let own = &self.worker.session;
        let mut told = Vec::new();
        if !child.include.iter().all(|pattern| own.include.contains(pattern)) {
            told.push(Told::new("session.include", list(&child.include), list(&own.include)));
        }
        if own.sandbox.is_some() && child.resume.is_some() && child.resume != own.resume {
            told.push(Told::new("session.resume", word(&child.resume), word(&own.resume)));
        }
        if !child.plugins.iter().all(|plugin| own.plugins.contains(plugin)) && own.sandbox.is_some() {
            told.push(Told::new("session.plugins", list(&child.plugins), list(&own.plugins)));
        }
        told
    }
}

fn host(plan: &Plan, name: &str) -> String {
    let alias = Slug::new(name).ok().and_then(|name| plan.machines.get(&name));
    alias.map_or_else(|| name.to_owned(), |machine| machine.host.clone())
}

/// Whether a server is one that is granted: what it is found by is no matter.
fn same(have: &McpPlan, asked: &McpPlan) -> bool {
    let plain = |server: &McpPlan| McpPlan { source: None, required: false, ..server.clone() };
    plain(have) == plain(asked)
}

fn named(server: &McpPlan) -> String {
    server.name.clone()
}

/// The variables a text cannot do without.
fn needed(text: &str) -> Vec<String> {
    let pieces = text.split("${").skip(1).filter_map(|piece| piece.split_once('}'));
    let names = pieces.map(|(inside, _)| inside).filter(|inside| !inside.contains(":-"));
    names.map(str::to_owned).collect()
}

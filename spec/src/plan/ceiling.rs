//! What a run begun inside a session may ask for: no more than that session has.
//!
//! A child's session that asks for less, or the same, goes on; each thing it asks wider is told, with both sides of it
//! as the plans have them. What a child leaves unsaid counts as its default, so a child of a sandboxed session says
//! `sandbox` again.

use std::fmt;

use super::{
    Egress, NetworkPlan, OnDialog, Permission, PhasePlan, Plan, SandboxPlan, SessionPlan, TreePlan,
    WorkerPlan,
};
use crate::name::{PhaseName, WorkerName};

mod around;

/// The session a run is begun in.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling<'p> {
    pub phase: &'p PhasePlan,
    pub worker: &'p WorkerPlan,
    /// Hosts it may reach besides its provider.
    pub trusted_domains: &'p [String],
    plan: &'p Plan,
    /// What this machine is called.
    own_hosts: &'p [String],
    /// The variables its run has, where they are known.
    variables: Option<&'p [String]>,
}

/// One thing that is asked wider than it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wider {
    /// The field of a document, such as `session.network`.
    pub field: &'static str,
    /// Of the child: phase, worker, and what it asks for.
    pub phase: PhaseName,
    pub worker: Option<WorkerName>,
    pub asked: String,
    /// Where the child's document says so.
    pub asked_at: Option<String>,
    /// Of the parent, in the same way.
    pub parent_phase: PhaseName,
    pub parent_worker: WorkerName,
    pub granted: String,
    pub granted_at: Option<String>,
}

impl fmt::Display for Wider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wider { field, phase, asked, parent_phase, parent_worker, granted, .. } = self;
        let at =
            |place: &Option<String>| place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        match &self.worker {
            Some(worker) => write!(f, "`{field}` of `{phase}/{worker}` is {asked}")?,
            None => write!(f, "`{field}` of `{phase}` is {asked}")?,
        }
        write!(
            f,
            "{}, and that of `{parent_phase}/{parent_worker}`, which begins this run, is {granted}{}",
            at(&self.asked_at),
            at(&self.granted_at)
        )
    }
}

impl<'p> Ceiling<'p> {
    /// The ceiling of runs that are begun in this worker's session; nothing where the plan has no such worker.
    #[must_use]
    pub fn of(plan: &'p Plan, phase: &PhaseName, worker: &WorkerName) -> Option<Ceiling<'p>> {
        let phase = plan.phases.iter().find(|plan| plan.name == *phase)?;
        let worker = phase.everybody().find(|plan| plan.name == *worker)?;
        let trusted_domains = &plan.trusted_domains;
        Some(Ceiling { phase, worker, trusted_domains, plan, own_hosts: &[], variables: None })
    }

    /// On a machine with these names.
    #[must_use]
    pub fn on(self, own_hosts: &'p [String]) -> Ceiling<'p> {
        Ceiling { own_hosts, ..self }
    }

    /// In a run that has these variables and no others.
    #[must_use]
    pub fn with(self, variables: &'p [String]) -> Ceiling<'p> {
        Ceiling { variables: Some(variables), ..self }
    }

    /// Everything the child asks wider; nothing where it may begin.
    #[must_use]
    pub fn exceeded_by(&self, child: &Plan) -> Vec<Wider> {
        let mut found = Vec::new();
        for phase in &child.phases {
            let told = self.around_phase(child, phase);
            found.extend(told.into_iter().map(|told| self.wider(child, &phase.name, None, told)));
            for worker in phase.everybody() {
                let told = self.session(worker).into_iter().chain(self.tree(&worker.tree));
                let told = told.chain(self.domains(&worker.session, &child.trusted_domains));
                let told = told.chain(self.around_worker(child, worker));
                found.extend(told.map(|told| self.wider(child, &phase.name, Some(&worker.name), told)));
            }
        }
        found
    }

    fn wider(&self, child: &Plan, phase: &PhaseName, worker: Option<&WorkerName>, told: Told) -> Wider {
        Wider {
            field: told.field,
            phase: phase.clone(),
            worker: worker.cloned(),
            asked_at: child.places.of(phase, worker, told.field),
            asked: told.asked,
            parent_phase: self.phase.name.clone(),
            parent_worker: self.worker.name.clone(),
            granted_at: self.plan.places.of(&self.phase.name, Some(&self.worker.name), told.field),
            granted: told.granted,
        }
    }

    fn session(&self, child: &WorkerPlan) -> Vec<Told> {
        let (parent, child) = (&self.worker.session, &child.session);
        let mut told = sandbox(parent.sandbox.as_ref(), child.sandbox.as_ref());
        if !self.network_covers(&child.network) {
            told.push(Told::new("session.network", network(&child.network), network(&parent.network)));
        }
        if rank(child.permission) > rank(parent.permission) {
            told.push(Told::new("session.permission", word(child.permission), word(parent.permission)));
        }
        if reach(child.egress) > reach(parent.egress) {
            told.push(Told::new("session.egress", word(child.egress), word(parent.egress)));
        }
        if child.on_dialog == OnDialog::Allow && parent.on_dialog != OnDialog::Allow {
            told.push(Told::new("session.on_dialog", word(child.on_dialog), word(parent.on_dialog)));
        }
        told
    }

    /// A session with a tree of its own has not the checkout to give.
    fn tree(&self, child: &TreePlan) -> Option<Told> {
        let bare = |tree: &TreePlan| matches!(tree, TreePlan::Checkout | TreePlan::Folder);
        let walled = self.worker.session.sandbox.is_some();
        (walled && bare(child) && !bare(&self.worker.tree)).then(|| {
            Told::new("session.worktree", "the folder itself".to_owned(), "a tree of its own".to_owned())
        })
    }

    fn network_covers(&self, child: &NetworkPlan) -> bool {
        match (&self.worker.session.network, child) {
            (NetworkPlan::Open, _)
            | (_, NetworkPlan::None)
            | (NetworkPlan::Provider, NetworkPlan::Provider) => true,
            (NetworkPlan::Hosts(granted), NetworkPlan::Hosts(asked)) => {
                asked.iter().all(|host| covered(host, granted) || covered(host, self.trusted_domains))
            }
            (NetworkPlan::Provider, NetworkPlan::Hosts(asked)) => {
                asked.iter().all(|host| covered(host, self.trusted_domains))
            }
            _ => false,
        }
    }

    fn domains(&self, child: &SessionPlan, asked: &[String]) -> Option<Told> {
        let parent = &self.worker.session.network;
        let own: &[String] = if let NetworkPlan::Hosts(hosts) = parent { hosts } else { &[] };
        if *parent == NetworkPlan::Open || child.network == NetworkPlan::None {
            return None;
        }
        let missing: Vec<&String> =
            asked.iter().filter(|host| !covered(host, self.trusted_domains) && !covered(host, own)).collect();
        (!missing.is_empty()).then(|| Told::new("trust.domains", list(asked), list(self.trusted_domains)))
    }
}

struct Told {
    field: &'static str,
    asked: String,
    granted: String,
}

impl Told {
    fn new(field: &'static str, asked: String, granted: String) -> Told {
        Told { field, asked, granted }
    }
}

fn sandbox(parent: Option<&SandboxPlan>, child: Option<&SandboxPlan>) -> Vec<Told> {
    let Some(parent) = parent else { return Vec::new() };
    let Some(child) = child else {
        return vec![Told::new("session.sandbox", "false".to_owned(), "true".to_owned())];
    };
    let mut told = Vec::new();
    if !child.write.iter().all(|path| parent.write.iter().any(|granted| lies_in(path, granted))) {
        told.push(Told::new("session.sandbox.write", list(&child.write), list(&parent.write)));
    }
    if !parent.read_deny.iter().all(|denied| child.read_deny.iter().any(|path| lies_in(denied, path))) {
        told.push(Told::new("session.sandbox.read_deny", list(&child.read_deny), list(&parent.read_deny)));
    }
    let bounds = [
        ("session.sandbox.memory_mb", parent.memory_mb, child.memory_mb),
        ("session.sandbox.pids", parent.pids, child.pids),
    ];
    for (field, granted, asked) in bounds {
        if let Some(granted) = granted
            && asked.is_none_or(|asked| asked > granted)
        {
            let asked = asked.map_or_else(|| "without a bound".to_owned(), |asked| asked.to_string());
            told.push(Told::new(field, asked, granted.to_string()));
        }
    }
    told
}

/// Whether a path is another one or lies below it. One that goes upwards lies below nothing.
fn lies_in(path: &str, folder: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches('/').to_owned();
    let (path, folder) = (plain(path), plain(folder));
    let upward = path.split('/').any(|part| part == "..");
    !upward && (path == folder || path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether a host, or all that a pattern stands for, is among these.
fn covered(host: &str, granted: &[String]) -> bool {
    let host = host.to_ascii_lowercase();
    granted.iter().any(|granted| {
        let granted = granted.to_ascii_lowercase();
        let within = |suffix: &str| {
            let bare = host.strip_prefix("*.").unwrap_or(&host);
            bare.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
        };
        host == granted || granted.strip_prefix("*.").is_some_and(within)
    })
}

/// The more, the wider. To ask a person may come to anything a person allows.
fn rank(permission: Permission) -> u8 {
    match permission {
        Permission::ReadOnly => 0,
        Permission::Ask => 1,
        Permission::WorkspaceWrite => 2,
        Permission::Full => 3,
    }
}

fn reach(egress: Egress) -> u8 {
    match egress {
        Egress::None => 0,
        Egress::Result => 1,
        Egress::All => 2,
    }
}

fn network(plan: &NetworkPlan) -> String {
    match plan {
        NetworkPlan::Hosts(hosts) => list(hosts),
        plan => word(plan),
    }
}

/// As a document writes it.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}

fn list(texts: &[String]) -> String {
    word(texts)
}

#[cfg(test)]
mod tests;

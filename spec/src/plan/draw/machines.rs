//! Machines: the document's aliases, and who runs where.

use std::collections::BTreeMap;

use super::Drawer;
use crate::document::{Document, Labelled, MachineDef, MachineRef, MachineSpec, Map};
use crate::name::{MachineName, Slug};
use crate::plan::{MachineChoice, MachinePlan};
use crate::read::At;

pub(super) fn machines(document: &Document) -> BTreeMap<MachineName, MachinePlan> {
    let entries = document.machines.iter().flat_map(|machines| &machines.value.entries);
    entries.filter_map(|(name, def)| Some((Slug::new(name).ok()?, machine(&def.value)?))).collect()
}

fn machine(def: &MachineDef) -> Option<MachinePlan> {
    let bare = |host: &str| MachinePlan {
        host: host.to_owned(),
        port: None,
        fingerprint: None,
        labels: BTreeMap::new(),
        max_sessions: None,
        dir: None,
        repo: None,
    };
    let object = match def {
        MachineDef::Host(host) => return Some(bare(&host.0)),
        MachineDef::Object(object) => object,
    };
    Some(MachinePlan {
        port: object.port.as_ref().and_then(|port| u16::try_from(port.0).ok()),
        fingerprint: object.fingerprint.as_ref().map(|text| text.0.clone()),
        labels: object.labels.as_ref().map(|labels| pairs(&labels.value)).unwrap_or_default(),
        max_sessions: object.max_sessions.as_ref().and_then(|count| u32::try_from(count.0).ok()),
        dir: object.dir.as_ref().map(|text| text.0.clone()),
        repo: object.repo.as_ref().map(|text| text.0.clone()),
        ..bare(&object.host.as_ref()?.value.0)
    })
}

fn pairs<K>(map: &Map<K, String>) -> BTreeMap<String, String> {
    map.entries.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

pub(super) fn choices(spec: Option<&At<MachineSpec>>) -> Vec<MachineChoice> {
    match spec.map(|spec| &spec.value) {
        None => Vec::new(),
        Some(MachineSpec::Named(name)) => vec![MachineChoice::Named(name.0.clone())],
        Some(MachineSpec::Labels(labelled)) => vec![labels(labelled)],
        Some(MachineSpec::InOrder(several)) => several
            .iter()
            .map(|one| match &one.value {
                MachineRef::Named(name) => MachineChoice::Named(name.0.clone()),
                MachineRef::Labels(labelled) => labels(labelled),
            })
            .collect(),
    }
}

fn labels(labelled: &Labelled) -> MachineChoice {
    MachineChoice::Labels(labelled.labels.as_ref().map(|labels| pairs(&labels.value)).unwrap_or_default())
}

/// What `{machine}` stands for.
pub(super) fn word(choices: &[MachineChoice]) -> String {
    match choices.first() {
        None => String::new(),
        Some(MachineChoice::Named(name)) => name.clone(),
        Some(MachineChoice::Labels(labels)) => labels.values().cloned().collect::<Vec<_>>().join("-"),
    }
}

impl Drawer<'_> {
    /// Whether the first choice is surely another machine.
    pub(super) fn elsewhere(&self, choices: &[MachineChoice]) -> bool {
        let Some(MachineChoice::Named(name)) = choices.first() else {
            return !choices.is_empty();
        };
        let alias = Slug::new(name).ok().and_then(|name| self.machines.get(&name));
        !self.around.is_here(alias.map_or(name, |machine| &machine.host))
    }
}

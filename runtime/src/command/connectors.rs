//! Documents that phases of a document run: read, drawn and held to their phase's session before anything is started.
//!
//! Each is drawn once, however often it is named, so that one that names itself is data like any other; how deep it may
//! go is the limits' business.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use niia_spec::diagnostic::Diagnostic;
use niia_spec::plan::ceiling::Ceiling;
use niia_spec::plan::{PhaseWork, Plan};

use super::Caller;
use super::document::{self, Drawn};
use super::surroundings::{current_folder, surroundings};
use crate::config::own_hosts;
use crate::failure::{Exit, Failure};

/// Documents that one document runs, itself and those of its parts: more is a folder that was named by mistake.
const CONNECTORS_MAX: usize = 64;

/// Warnings about a document, with its text.
pub type Told = (Vec<Diagnostic>, Vec<u8>);

/// Draws every document the plan's phases run, and gives the warnings about them with their texts.
pub fn embed(caller: &Caller, plan: &mut Plan, document: Option<&Path>) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    let mut known: BTreeMap<String, Plan> = BTreeMap::new();
    let mut wanted: VecDeque<PathBuf> = name(plan, &beside(document)?)?.into();
    while let Some(path) = wanted.pop_front() {
        let key = path.display().to_string();
        if known.contains_key(&key) {
            continue;
        }
        if known.len() >= CONNECTORS_MAX {
            let message = format!("more than {CONNECTORS_MAX} documents run one another (connectors_max)");
            return Err(Failure::new(Exit::Document, message).help(format!("`{key}` is one too many")));
        }
        let sound = document::load(caller, Some(&shown(&path)))?;
        let around = surroundings(caller, &sound.name)?;
        let Drawn { plan: mut drawn, warnings, text } = document::draw_alone(caller, sound, &around)?;
        wanted.extend(name(&mut drawn, path.parent().unwrap_or(Path::new("/")))?);
        told.push((warnings, text));
        known.insert(key, drawn);
    }
    let hosts = own_hosts(caller.config()?.network.name.as_deref());
    for drawn in std::iter::once(&*plan).chain(known.values()) {
        hold(drawn, &known, &hosts)?;
    }
    plan.connectors = known;
    Ok(told)
}

fn beside(document: Option<&Path>) -> Result<PathBuf, Failure> {
    match document.and_then(Path::parent) {
        Some(folder) => Ok(folder.to_owned()),
        None => current_folder(),
    }
}

/// As somebody would write it who stands here.
fn shown(path: &Path) -> String {
    let here = current_folder().ok();
    let near = here.as_ref().and_then(|here| path.strip_prefix(here).ok());
    near.unwrap_or(path).display().to_string()
}

/// Gives each connector of a plan the name by which it is kept, and says where they lie.
fn name(plan: &mut Plan, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for phase in &mut plan.phases {
        let PhaseWork::Connector { path, plan: key, .. } = &mut phase.work else { continue };
        let lies = folder.join(&*path);
        let lies = lies.canonicalize().map_err(|error| {
            let at = plan.places.of(&phase.name, None, "connector").unwrap_or_default();
            let message = format!("{at}: phase `{}` runs `{path}`, which cannot be read", phase.name);
            Failure::new(Exit::Document, message).because(error)
        })?;
        *key = Some(lies.display().to_string());
        found.push(lies);
    }
    Ok(found)
}

/// Holds the documents a plan's phases run to the sessions of those phases.
fn hold(plan: &Plan, known: &BTreeMap<String, Plan>, hosts: &[String]) -> Result<(), Failure> {
    for phase in &plan.phases {
        let PhaseWork::Connector { plan: Some(key), worker, .. } = &phase.work else { continue };
        let (Some(child), Some(ceiling)) = (known.get(key), Ceiling::of(plan, &phase.name, &worker.name))
        else {
            continue;
        };
        let mut wider = ceiling.on(hosts).exceeded_by(child).into_iter();
        if let Some(first) = wider.next() {
            let rest: String = wider.map(|wider| format!("; {wider}")).collect();
            let message =
                format!("`{}` asks for more than phase `{}` may give: {first}{rest}", child.name, phase.name);
            return Err(Failure::new(Exit::Document, message)
                .help("ask for the same or less there, or give the phase more in its `session`"));
        }
    }
    Ok(())
}

//! Where a run comes from: what only the caller's side can know, gathered for the node.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;

use niia_spec::plan::{PhasePlan, Plan, WorkerPlan};

use super::Caller;
use super::surroundings::{current_folder, profiles};
use crate::config::{user_plugins, user_profiles, user_wrapping};
use crate::control::words::Origin;
use crate::failure::{Exit, Failure};

/// Every session may have these of the caller.
const PASSED: [&str; 9] = ["PATH", "HOME", "LANG", "LANGUAGE", "USER", "LOGNAME", "SHELL", "TZ", "TERM"];

/// Every session may have these, too, by the beginning of their names.
const PASSED_BEGINNING: &str = "LC_";

/// What the command line adds to a plan.
#[derive(Debug, Default)]
pub struct Extra {
    pub document: Option<PathBuf>,
    pub repository: Option<PathBuf>,
    pub include_dirty: bool,
    pub output: Option<PathBuf>,
    pub warnings: Vec<String>,
}

/// Gathers the origin of a plan's run.
pub fn origin(caller: &Caller, plan: &Plan, extra: Extra) -> Result<Origin, Failure> {
    Ok(Origin {
        cwd: current_folder()?,
        document: extra.document,
        repository: extra.repository,
        include_dirty: extra.include_dirty,
        env: environment(caller, plan)?,
        output: extra.output,
        wrapping: user_wrapping(&caller.folders)?,
        plugins: user_plugins(&caller.folders)?,
        profiles: user_profiles(&caller.folders)?,
        warnings: extra.warnings,
        occasion: plan.event.as_ref().map(|event| format!("event {}", event.name)),
        from: None,
        base: None,
    })
}

/// The same for a run whose home is another machine: of this one's variables only those go along that the document sends.
pub fn origin_for_elsewhere(caller: &Caller, plan: &Plan, extra: Extra) -> Result<Origin, Failure> {
    let sent = workers(plan).flat_map(|worker| &worker.session.env_from_home);
    let env = sent.filter_map(|name| Some((name.clone(), env::var(name).ok()?))).collect();
    Ok(Origin {
        cwd: current_folder()?,
        document: extra.document,
        repository: extra.repository,
        include_dirty: extra.include_dirty,
        env,
        output: extra.output,
        wrapping: user_wrapping(&caller.folders)?,
        profiles: user_profiles(&caller.folders)?,
        warnings: extra.warnings,
        occasion: plan.event.as_ref().map(|event| format!("event {}", event.name)),
        ..Origin::default()
    })
}

fn environment(caller: &Caller, plan: &Plan) -> Result<BTreeMap<String, String>, Failure> {
    let mut wanted: BTreeSet<String> = PASSED.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend(env::vars().map(|(name, _)| name).filter(|name| name.starts_with(PASSED_BEGINNING)));
    let profiles = profiles(caller)?;
    for model in workers(plan).flat_map(|worker| &worker.models) {
        wanted.extend(profiles.get(&model.profile).into_iter().flat_map(|profile| profile.env_pass.clone()));
    }
    for reference in references(plan) {
        if env::var_os(&reference.name).is_none() && reference.needed_here {
            let message =
                format!("the document needs the variable `{}`, which is not set here", reference.name);
            let help = format!("set it, or write `${{{}:-default}}`", reference.name);
            return Err(Failure::new(Exit::Document, message).help(help));
        }
        wanted.insert(reference.name);
    }
    let text = |name: String| match env::var(&name) {
        Ok(value) => Some(Ok((name, value))),
        Err(env::VarError::NotPresent) => None,
        Err(env::VarError::NotUnicode(_)) => Some(Err(Failure::usage(format!(
            "the variable `{name}` holds no UTF-8 text, so no session can have it"
        )))),
    };
    wanted.into_iter().filter_map(text).collect()
}

/// The variables of this process that a worker of another machine's run may have here.
pub fn environment_of(worker: &WorkerPlan, known: &niia_spec::profile::Profiles) -> BTreeMap<String, String> {
    let mut wanted: BTreeSet<String> = PASSED.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend(env::vars().map(|(name, _)| name).filter(|name| name.starts_with(PASSED_BEGINNING)));
    for model in &worker.models {
        wanted.extend(known.get(&model.profile).into_iter().flat_map(|profile| profile.env_pass.clone()));
    }
    let texts = worker.session.env.values().chain(worker.models.iter().flat_map(|model| model.env.values()));
    wanted.extend(texts.flat_map(|text| references_of(text, false)).map(|reference| reference.name));
    wanted.into_iter().filter_map(|name| Some((name.clone(), env::var(name).ok()?))).collect()
}

/// The plan, and those of the documents its phases run.
fn plans(plan: &Plan) -> impl Iterator<Item = &Plan> {
    std::iter::once(plan).chain(plan.connectors.values())
}

fn workers(plan: &Plan) -> impl Iterator<Item = &WorkerPlan> {
    plans(plan).flat_map(|plan| &plan.phases).flat_map(PhasePlan::everybody)
}

/// A variable of the caller that the document names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    name: String,
    /// It has no default, and is expanded on this machine.
    needed_here: bool,
}

/// The variables named by `${…}` wherever the plan has an environment.
fn references(plan: &Plan) -> Vec<Reference> {
    let mut found = Vec::new();
    for worker in workers(plan) {
        let here = worker.machine.is_empty();
        let texts =
            worker.session.env.values().chain(worker.models.iter().flat_map(|model| model.env.values()));
        found.extend(texts.flat_map(|text| references_of(text, here)));
    }
    let servers =
        plans(plan).flat_map(|plan| plan.mcp.iter().chain(plan.phases.iter().flat_map(|phase| &phase.mcp)));
    // A server that is missing is told to the agent; what it lacks keeps no run from beginning.
    found.extend(servers.flat_map(|server| server.env.values()).flat_map(|text| references_of(text, false)));
    found
}

fn references_of(text: &str, here: bool) -> Vec<Reference> {
    let pieces = text.split("${").skip(1).filter_map(|piece| piece.split_once('}'));
    let each = |(inside, _): (&str, &str)| match inside.split_once(":-") {
        Some((name, _)) => Reference { name: name.to_owned(), needed_here: false },
        None => Reference { name: inside.to_owned(), needed_here: here },
    };
    pieces.map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_default_is_needed_where_it_is_expanded() {
        let found = references_of("${A}:${B:-x}/${C}", true);
        let needed: Vec<(&str, bool)> = found.iter().map(|r| (r.name.as_str(), r.needed_here)).collect();
        assert_eq!(needed, [("A", true), ("B", false), ("C", true)]);
        assert!(!references_of("${A}", false)[0].needed_here);
    }
}

//! The folder a session works in, and what must be in it before it starts.

use std::path::{Component, Path, PathBuf};

use super::{Facts, Launch, LaunchError, Place, Preparation};

pub(super) fn apply(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    let plan = &facts.plan;
    let top = match &facts.place {
        Place::Tree { name, path } => {
            launch.preparations.push(Preparation::Tree { name: name.clone() });
            if !plan.include.is_empty() {
                let patterns = plan.include.clone();
                launch.preparations.push(Preparation::Include { name: name.clone(), patterns });
            }
            launch.tree = Some(path.clone());
            path
        }
        Place::Folder { path } => path,
    };
    launch.cwd = folder_in(top, plan.cwd.as_deref(), &facts.folders_allowed)?;
    if !plan.setup.is_empty() {
        launch.preparations.push(Preparation::Setup { commands: plan.setup.clone() });
    }
    if !plan.teardown.is_empty() {
        launch.preparations.push(Preparation::Teardown { commands: plan.teardown.clone() });
    }
    ports(launch, facts)
}

/// A relative `cwd` stays below the tree's top; an absolute one is the policy's to allow.
fn folder_in(top: &Path, cwd: Option<&str>, allowed: &[PathBuf]) -> Result<PathBuf, LaunchError> {
    let Some(cwd) = cwd else { return Ok(top.to_owned()) };
    let path = Path::new(cwd);
    let upward = path.components().any(|part| part == Component::ParentDir);
    if path.is_absolute() {
        if upward || !allowed.iter().any(|folder| path.starts_with(folder)) {
            return Err(LaunchError::CwdNotAllowed { cwd: cwd.to_owned() });
        }
        return Ok(path.to_owned());
    }
    if upward || cwd.contains('\0') {
        return Err(LaunchError::CwdOutside { cwd: cwd.to_owned() });
    }
    Ok(top.join(path))
}

fn ports(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    let wanted = facts.plan.ports;
    if usize::from(wanted) != facts.ports.len() {
        return Err(LaunchError::Ports { wanted, reserved: facts.ports.len() });
    }
    for (n, port) in facts.ports.iter().enumerate() {
        let name = if n == 0 { "NIIA_PORT".to_owned() } else { format!("NIIA_PORT_{n}") };
        launch.env.insert(name, port.to_string());
    }
    launch.ports.clone_from(&facts.ports);
    Ok(launch)
}

//! What a plan must know of this machine, this folder and this user: looked up here, handed on as data.

mod mcp;

use std::env;
use std::path::{Path, PathBuf};

use niia_spec::plan::draw::{KnownProfile, Repository, Surroundings};
use niia_spec::profile::{Profile, Profiles};

use super::Caller;
use super::checkout::Checkout;
use crate::config::{own_hosts, user_profiles};
use crate::failure::{Exit, Failure};

/// The profiles whose models run on the machine itself.
const LOCAL: [&str; 2] = ["ollama", "ollama-agent"];

/// Looks around for a document of this name.
pub fn surroundings(caller: &Caller, document: &str) -> Result<Surroundings, Failure> {
    let cwd = current_folder()?;
    let repository = Checkout::around(&cwd)?.filter(|checkout| checkout.has_commit);
    let root = repository.as_ref().map_or(cwd.as_path(), |found| &found.root);
    let mcp = mcp::servers(root, &caller.folders.config);
    Ok(Surroundings {
        profiles: profiles(caller)?.ls().iter().map(known).collect(),
        default_model: caller.config()?.default_model,
        mcp,
        file_stem: stem(document),
        hosts: own_hosts(caller.config()?.network.name.as_deref()),
        repository: repository.map(|found| Repository { root: found.root }),
    })
}

/// The repository around this folder.
pub fn repository_here() -> Option<PathBuf> {
    let checkout = Checkout::around(&env::current_dir().ok()?).ok()??;
    Some(checkout.root)
}

pub fn current_folder() -> Result<PathBuf, Failure> {
    env::current_dir().map_err(|error| Failure::trouble("this folder is not there any more", error))
}

/// The built-in profiles with the user's own laid over them.
pub fn profiles(caller: &Caller) -> Result<Profiles, Failure> {
    let own = user_profiles(&caller.folders)?;
    let wrong = |error| Failure::new(Exit::Usage, "a profile cannot be used").because(error);
    let built_in = Profiles::built_in().map_err(wrong)?;
    built_in.with(own.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(wrong)
}

fn known(profile: &Profile) -> KnownProfile {
    let program = profile.program.clone().filter(|program| !program.contains('{'));
    KnownProfile {
        name: profile.id.clone(),
        lists: profile.names.keys().cloned().collect(),
        installed: program.as_deref().and_then(on_path),
        program,
        local: LOCAL.contains(&profile.id.as_str()),
    }
}

/// Where a program lies on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    niia_actors::tool::on_path(program, &env::var_os("PATH")?)
}

fn stem(document: &str) -> String {
    let name = Path::new(document).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.trim_end_matches(".json").trim_end_matches(".connector");
    match stem {
        // A plain connector.json is named by the folder it lies in.
        "connector" | "" => folder_name(document).unwrap_or_else(|| "connector".to_owned()),
        stem => stem.to_owned(),
    }
}

fn folder_name(document: &str) -> Option<String> {
    let path = std::path::absolute(document).ok()?;
    Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_named_by_its_file_or_its_folder() {
        assert_eq!(stem("x/dual-review.connector.json"), "dual-review");
        assert_eq!(stem("/work-here/project/connector.json"), "project");
        assert_eq!(stem("plain.json"), "plain");
    }
}

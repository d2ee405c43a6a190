//! What can be known of the tools before anything is spent: whether one is there, which version it is, which way it is
//! driven, whether it has a login, whether it trusts the repository.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use niia_actors::tool;
use niia_spec::plan::Plan;
use niia_spec::profile::preflight::{Around, Found, Known};
use niia_spec::profile::{Profile, Profiles};
use serde::Serialize;

use crate::report::neutral;

/// Tools keep much more in these files than what is looked for, but not more than this.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One tool, as it is here.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    pub profile: String,
    /// Where its program lies; nothing where it is not installed.
    pub program: Option<PathBuf>,
    pub version: Option<String>,
    /// A conversation is held with it; else it is called for one prompt.
    pub conversation: bool,
    /// Why so.
    pub because: String,
    /// A conversation in which it says nothing for so long is given up.
    pub silent_max_ms: u64,
    pub found: Option<Found>,
}

impl Tool {
    /// Looks at one tool; nothing where its profile names no program.
    pub fn of(profile: &Profile, repository: Option<&Path>) -> Option<Tool> {
        let program = profile.program.as_deref().filter(|program| !program.contains('{'))?;
        let vars: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let Some(path) = tool::on_path(program, &env::var_os("PATH").unwrap_or_default()) else {
            return Some(Tool {
                profile: profile.id.clone(),
                program: None,
                version: None,
                conversation: false,
                because: format!("`{program}` is not on PATH"),
                silent_max_ms: profile.silent_max_ms,
                found: None,
            });
        };
        let said = tool::said(profile, &path, &vars);
        let way = profile.way(said.as_deref());
        let first =
            said.as_deref().and_then(|said| said.lines().map(str::trim).find(|line| !line.is_empty()));
        let version = way.version.clone().or_else(|| first.map(neutral));
        let home = vars.get("HOME").cloned().unwrap_or_default();
        let repository = repository.map(|path| path.display().to_string());
        let around = Around {
            home: &home,
            repository: repository.as_deref(),
            env: &|name| vars.get(name).cloned(),
            file: &read,
        };
        let found = Some(profile.preflight.look(version.as_deref(), &around));
        let (conversation, because) = (way.conversation, way.because);
        let (id, silent_max_ms) = (profile.id.clone(), profile.silent_max_ms);
        Some(Tool { profile: id, program: Some(path), version, conversation, because, silent_max_ms, found })
    }

    /// What somebody should do something about, and what.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let mut troubles = Vec::new();
        if self.program.is_none() {
            troubles.push((format!("{}: {}", self.profile, self.because), "install it".to_owned()));
        }
        let Some(found) = &self.found else { return troubles };
        if self.conversation
            && let Known::No { by } = &found.trusted
        {
            let what = format!("{} does not trust this repository yet (by {by}) and will ask", self.profile);
            troubles.push((what, format!("start `{}` here once by hand, and answer it", self.profile)));
        }
        if let Some(newest) = &found.update {
            let what = format!("{} {newest} is there and may be offered", self.profile);
            troubles.push((what, "update it, or leave it: niia turns the question off".to_owned()));
        }
        troubles
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Some(program) = &self.program else { return format!("{}: not installed", self.profile) };
        let version = self.version.as_deref().unwrap_or("version unknown");
        let way = if self.conversation { "holds a conversation" } else { "called for one prompt" };
        let mut line =
            format!("{}: {} ({version}); {way}, {}", self.profile, program.display(), self.because);
        if self.conversation {
            line.push_str(&format!("; given up when silent for {} s", self.silent_max_ms / 1000));
        }
        if let Some(found) = &self.found {
            line.push_str(&match &found.login {
                Known::Yes { by } => format!("; login by {by}"),
                Known::No { by } => format!("; no login (by {by})"),
                Known::Unknown => "; login unknown".to_owned(),
            });
            match &found.trusted {
                Known::Yes { .. } => line.push_str("; trusts this repository"),
                Known::No { .. } => line.push_str("; does not trust this repository yet"),
                Known::Unknown => {}
            }
        }
        line
    }
}

/// The tools a plan uses on this machine, in the plan's order.
pub fn of_plan(plan: &Plan, profiles: &Profiles, repository: Option<&Path>) -> Vec<Tool> {
    let mut ids: Vec<&str> = Vec::new();
    for worker in plan.phases.iter().flat_map(|phase| phase.work.workers()) {
        for model in &worker.models {
            if !ids.contains(&model.profile.as_str()) {
                ids.push(&model.profile);
            }
        }
    }
    let found = ids.into_iter().filter_map(|id| Tool::of(profiles.get(id)?, repository));
    found.collect()
}

fn read(file: &str) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= FILE_BYTES_MAX).then_some(text)
}

//! MCP servers that the project's own files declare: they run commands, so a person is asked about each once.
//!
//! What was allowed is kept beside the user's settings, by repository and to the letter: a server that is changed in the
//! file is asked about again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use niia_spec::plan::{McpPlan, Plan};
use serde::{Deserialize, Serialize};

use super::person::Person;
use crate::command::Caller;
use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// The files of a project in which servers are declared.
const FILES: [&str; 2] = [".mcp.json", "mcp.json"];
const KEPT: &str = "mcp-allowed.json";
/// Whoever has allowed so much has another problem.
const KEPT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a server is, as far as allowing it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Allowed {
    name: String,
    command: Option<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

/// By the repository's path.
type Kept = BTreeMap<PathBuf, Vec<Allowed>>;

/// Asks about what was not allowed yet. Without a person, and without their word on the command line, nothing begins.
pub fn ask(caller: &Caller, plan: &Plan, root: &Path, person: Person, trusted: bool) -> Result<(), Failure> {
    let path = caller.folders.config.join(KEPT);
    let mut kept = read(&path)?;
    let known = kept.entry(root.to_owned()).or_default();
    let mut new: Vec<Allowed> = Vec::new();
    for server in of_project(plan, root) {
        if !known.contains(&server) && !new.contains(&server) {
            new.push(server);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    if !trusted && !agrees(&new, person)? {
        return Err(Failure::new(
            Exit::Failed,
            "the project's MCP servers were not allowed; nothing was started",
        ));
    }
    known.extend(new);
    write(&path, &kept)
}

fn agrees(new: &[Allowed], person: Person) -> Result<bool, Failure> {
    let told: Vec<String> = new.iter().map(sentence).collect();
    let question = format!(
        "The project's own file starts MCP servers: {}. Allow it here? [y]es / [n]o",
        told.join("; ")
    );
    match person.ask_key(&question, &['y', 'n'])? {
        Some(key) => Ok(key == 'y'),
        None => {
            Err(Failure::usage(format!("the project's own file starts MCP servers: {}", told.join("; ")))
                .help("allow them once in a terminal, or with `--allow-mcp`; nothing was started"))
        }
    }
}

fn sentence(server: &Allowed) -> String {
    let words = server.command.iter().chain(&server.args).cloned().collect::<Vec<_>>().join(" ");
    neutral(&format!("{} (`{words}`)", server.name))
}

fn of_project(plan: &Plan, root: &Path) -> impl Iterator<Item = Allowed> {
    let files = FILES.map(|name| root.join(name).display().to_string());
    let servers: Vec<&McpPlan> =
        plan.mcp.iter().chain(plan.phases.iter().flat_map(|phase| &phase.mcp)).collect();
    let own = move |server: &&McpPlan| server.source.as_ref().is_some_and(|source| files.contains(source));
    servers
        .into_iter()
        .filter(own)
        .map(|server| Allowed {
            name: server.name.clone(),
            command: server.command.clone(),
            args: server.args.clone(),
            env: server.env.clone(),
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn read(path: &Path) -> Result<Kept, Failure> {
    let wrong = |error: &dyn std::error::Error| {
        Failure::new(Exit::Usage, format!("`{}` cannot be read: {error}", path.display()))
            .help("it holds which MCP servers you allowed; remove it to be asked again")
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::new()),
        Err(error) => return Err(wrong(&error)),
        Ok(found) if found.len() > KEPT_BYTES_MAX => {
            return Err(wrong(&std::io::Error::other(format!("it has more than {KEPT_BYTES_MAX} bytes"))));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(|error| wrong(&error))?;
    serde_json::from_slice(&text).map_err(|error| wrong(&error))
}

/// In one step: who reads it meanwhile sees the old one or the new one.
fn write(path: &Path, kept: &Kept) -> Result<(), Failure> {
    let trouble = |error| Failure::trouble(format!("`{}` cannot be written", path.display()), error);
    let text = serde_json::to_vec_pretty(kept).map_err(|error| trouble(error.into()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(trouble)?;
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(trouble)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(trouble)?;
    fs::rename(&beside, path).map_err(trouble)
}

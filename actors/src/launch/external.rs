//! The user's own plugins: executables that take a launch and give a launch.
//!
//! They may narrow what a session is, never widen it:
//!
//! | field | what a plugin may do |
//! |---|---|
//! | `argv` | put a program before it: what was there stays its end, whole |
//! | `env` | take variables out, add new ones; no value that is there is changed, and nothing of niia's own, of git's settings or of the loader is added or taken |
//! | `cwd` | go deeper |
//! | `cols`, `rows` | any size within bounds |
//! | `sandbox` | ask for one; fewer `write`, more `read_deny`, less `memory_mb`, fewer `pids` |
//! | `network` | less of it |
//! | `permission` | `full` → `workspace-write` → `ask` → `read-only`, in this direction |
//! | `timeout_ms` | less |
//! | `record` | switch it on |
//! | everything else | nothing |

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use niia_spec::plan::{NetworkPlan, Permission, SandboxPlan};

use super::{Launch, LaunchError, env, program, sandbox};
use crate::git::process::{self, Bounds, Input, Ran};

/// A plugin changes a text; it has no business that takes longer.
const TIME: Duration = Duration::from_secs(5);
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// What of its complaint is shown.
const ERROR_BYTES_MAX: usize = 2_000;

/// Variables that no plugin may add or take: niia's own, and those by which another program could be slipped in.
const NOT_ITS_OWN: [&str; 4] = ["NIIA_", "GIT_", "LD_", "DYLD_"];

#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    #[error("plugin `{plugin}`: a plugin is the name of a file in the plugin folder")]
    Name { plugin: String },
    #[error("plugin `{plugin}`: `{}` is not there or not executable", path.display())]
    Absent { plugin: String, path: PathBuf },
    #[error("plugin `{plugin}` could not be run")]
    Run { plugin: String, source: io::Error },
    #[error("plugin `{plugin}` took longer than {TIME:?}")]
    TimedOut { plugin: String },
    #[error("plugin `{plugin}` failed with {ending}: {message}")]
    Failed { plugin: String, ending: String, message: String },
    #[error("plugin `{plugin}` printed more than {OUTPUT_BYTES_MAX} bytes")]
    TooMuchOutput { plugin: String },
    #[error("plugin `{plugin}` did not print a launch")]
    NoLaunch { plugin: String, source: serde_json::Error },
    #[error("plugin `{plugin}` may not widen `{field}`")]
    Widened { plugin: String, field: String },
}

/// Asks the plugins one after the other, and looks at each answer.
pub fn apply(launch: Launch, folder: &Path, plugins: &[String]) -> Result<Launch, LaunchError> {
    let mut launch = launch;
    for plugin in plugins {
        let changed = ask(&launch, folder, plugin)?;
        if let Some(field) = widened(&launch, &changed) {
            return Err(ExternalError::Widened { plugin: plugin.clone(), field }.into());
        }
        program::check(&changed)?;
        env::check(&changed.env)?;
        super::network::check(&changed)?;
        sandbox::check(&changed)?;
        launch = changed;
    }
    Ok(launch)
}

fn ask(launch: &Launch, folder: &Path, plugin: &str) -> Result<Launch, ExternalError> {
    let name = plugin.to_owned();
    if plugin.is_empty() || plugin.starts_with('.') || plugin.contains(['/', '\0']) {
        return Err(ExternalError::Name { plugin: name });
    }
    let path = folder.join(plugin);
    let runs = path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if !runs {
        return Err(ExternalError::Absent { plugin: name, path });
    }
    let input = match serde_json::to_vec(launch) {
        Ok(input) => input,
        Err(error) => return Err(ExternalError::Run { plugin: name, source: error.into() }),
    };
    let mut command = Command::new(&path);
    command.env_clear().current_dir(folder);
    command.envs(["PATH", "HOME", "LANG"].iter().filter_map(|name| launch.env.get_key_value(*name)));
    let bounds = Bounds { time: TIME, output_bytes_max: OUTPUT_BYTES_MAX, error_bytes_max: ERROR_BYTES_MAX };
    match process::run(command, Input::Bytes(input), bounds) {
        Ok(ran) => answer(name, &ran),
        Err(source) => Err(ExternalError::Run { plugin: name, source }),
    }
}

fn answer(plugin: String, ran: &Ran) -> Result<Launch, ExternalError> {
    if ran.timed_out {
        return Err(ExternalError::TimedOut { plugin });
    }
    if !ran.status.success() {
        let message = String::from_utf8_lossy(&ran.errors).trim().to_owned();
        return Err(ExternalError::Failed { plugin, ending: ran.ending(), message });
    }
    if ran.output_cut {
        return Err(ExternalError::TooMuchOutput { plugin });
    }
    serde_json::from_slice(&ran.output).map_err(|source| ExternalError::NoLaunch { plugin, source })
}

/// The first field that is wider than it was.
fn widened(before: &Launch, after: &Launch) -> Option<String> {
    // Every field is named here, so that a new one cannot be forgotten.
    let Launch {
        session,
        argv,
        env,
        cwd,
        cols: _,
        rows: _,
        tree,
        scratchpad,
        sandbox,
        policy: _,
        network,
        reach: _,
        state: _,
        permission,
        timeout_ms,
        ports,
        record,
        recording_bytes_max,
        git_settings,
        preparations,
    } = before;
    let rules = [
        ("session", *session == after.session),
        ("argv", after.argv.ends_with(argv)),
        ("cwd", after.cwd.starts_with(cwd) && !upward(&after.cwd)),
        ("tree", *tree == after.tree),
        ("scratchpad", *scratchpad == after.scratchpad),
        ("sandbox", narrower_sandbox(sandbox.as_ref(), after.sandbox.as_ref())),
        ("network", narrower_network(network, &after.network)),
        ("permission", rank(after.permission) <= rank(*permission)),
        ("timeout_ms", (1..=*timeout_ms).contains(&after.timeout_ms)),
        ("ports", *ports == after.ports),
        ("record", !*record || after.record),
        ("recording_bytes_max", *recording_bytes_max == after.recording_bytes_max),
        ("git_settings", *git_settings == after.git_settings),
        ("preparations", *preparations == after.preparations),
    ];
    let field = rules.iter().find(|(_, holds)| !holds).map(|(field, _)| (*field).to_owned());
    field.or_else(|| widened_variable(env, &after.env).map(|name| format!("env.{}", name.escape_debug())))
}

fn widened_variable<'e>(
    before: &'e BTreeMap<String, String>,
    after: &'e BTreeMap<String, String>,
) -> Option<&'e str> {
    let foreign = |name: &str| NOT_ITS_OWN.iter().any(|prefix| name.starts_with(prefix));
    let changed = after.iter().find(|(name, value)| match before.get(*name) {
        Some(old) => old != *value,
        None => foreign(name),
    });
    let taken = || before.iter().find(|(name, _)| foreign(name) && !after.contains_key(*name));
    changed.or_else(taken).map(|(name, _)| name.as_str())
}

fn upward(path: &Path) -> bool {
    path.components().any(|part| part == std::path::Component::ParentDir)
}

fn rank(permission: Permission) -> u8 {
    match permission {
        Permission::ReadOnly => 0,
        Permission::Ask => 1,
        Permission::WorkspaceWrite => 2,
        Permission::Full => 3,
    }
}

fn narrower_network(before: &NetworkPlan, after: &NetworkPlan) -> bool {
    match (before, after) {
        (NetworkPlan::Open, _) | (_, NetworkPlan::None) => true,
        (NetworkPlan::Hosts(before), NetworkPlan::Hosts(after)) => {
            after.iter().all(|host| before.contains(host))
        }
        // A list of hosts goes together with the provider's own.
        (NetworkPlan::Hosts(_) | NetworkPlan::Provider, NetworkPlan::Provider) => true,
        _ => false,
    }
}

fn narrower_sandbox(before: Option<&SandboxPlan>, after: Option<&SandboxPlan>) -> bool {
    let (before, after) = match (before, after) {
        (None, _) => return true,
        (Some(_), None) => return false,
        (Some(before), Some(after)) => (before, after),
    };
    let less = |before: Option<u64>, after: Option<u64>| match (before, after) {
        (None, _) => true,
        (Some(before), Some(after)) => after <= before,
        (Some(_), None) => false,
    };
    after.write.iter().all(|path| before.write.contains(path))
        && before.read_deny.iter().all(|path| after.read_deny.contains(path))
        && less(before.memory_mb, after.memory_mb)
        && less(before.pids, after.pids)
}

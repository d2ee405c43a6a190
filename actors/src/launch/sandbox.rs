//! What a session is kept from: its sandbox as a policy for the kernel. What cannot be kept from it in full is refused:
//! nothing runs unsandboxed that was to be sandboxed.

use std::path::{Path, PathBuf};

use niia_spec::plan::{Egress, NetworkPlan, SandboxPlan};

use super::{Facts, Launch, LaunchError, Place};
use crate::git::{Grants, TreeName};
use crate::sandbox::{
    Listen, MEMORY_BYTES_MIN, Network, PIDS_MAX_DEFAULT, PIDS_MIN, POLICY_VERSION, Policy, RunAs,
    TMP_BYTES_MAX_DEFAULT,
};

/// What a node settles for the sandboxes of its sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confining {
    /// Where the node keeps everything; hidden from sessions but for what is theirs.
    pub state_folder: PathBuf,
    /// Who sandboxed sessions are where the node is root.
    pub run_as: Option<RunAs>,
}

/// The name, in a session's environment, of the socket by which it reaches the node.
pub const SOCKET_VARIABLE: &str = "NIIA_SOCKET";
/// The names of what a session knows of what began its run, of earlier runs, and of what is remembered.
pub const EVENT_VARIABLE: &str = "NIIA_EVENT";
pub const HISTORY_VARIABLE: &str = "NIIA_HISTORY";
pub const MEMORY_VARIABLE: &str = "NIIA_MEMORY";
/// The folder of that socket in the session's own.
pub const CONTROL_FOLDER: &str = "control";
/// Its name there.
pub const CONTROL_SOCKET: &str = "node.sock";
/// The home of a session that is another user than the node, in the session's own folder.
pub const HOME_FOLDER: &str = "home";

/// What is kept under a home that gives away more than the machine it lies on: keys, logins, what was typed, what
/// browsers know.
const SECRETS: [&str; 54] = [
    ".ssh",
    ".aws",
    ".gnupg",
    ".azure",
    ".kube",
    ".docker",
    ".podman",
    ".oci",
    ".terraform.d",
    ".vault-token",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pip",
    ".gem/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".nuget/NuGet/NuGet.Config",
    ".composer/auth.json",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/gcloud",
    ".config/op",
    ".config/rclone",
    ".config/containers",
    ".config/sops",
    ".config/age",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/Signal",
    ".mozilla",
    ".thunderbird",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".local/share/gnome-keyring",
    ".1password",
    ".bash_history",
    ".zsh_history",
    ".local/share/fish/fish_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
    ".lesshst",
];
/// The machine's own.
const SECRETS_OF_THE_MACHINE: [&str; 6] =
    ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private", "/var/lib/docker"];
/// Variables that name places a sandbox does not have; programs have their own guess without them.
const NOWHERE: [&str; 3] = ["TMPDIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];
/// Where caches go that would lie in a home that cannot be written.
const CACHES: [(&str, &str); 2] = [("XDG_CACHE_HOME", "/tmp/.cache"), ("npm_config_cache", "/tmp/.npm")];
const MIB: u64 = 1 << 20;

pub(super) fn apply(launch: Launch, _facts: &Facts) -> Result<Launch, LaunchError> {
    check(&launch)?;
    Ok(launch)
}

pub(super) fn check(launch: &Launch) -> Result<(), LaunchError> {
    if let Some(plan) = &launch.sandbox {
        check_numbers(plan)?;
    }
    Ok(())
}

fn check_numbers(plan: &SandboxPlan) -> Result<(), LaunchError> {
    let memory_min = MEMORY_BYTES_MIN / MIB;
    if let Some(memory) = plan.memory_mb.filter(|memory| *memory < memory_min) {
        let why = format!("{memory} MiB are too few to start anything");
        return Err(refused("memory", why, format!("ask for at least {memory_min}")));
    }
    if let Some(pids) = plan.pids.filter(|pids| *pids < PIDS_MIN) {
        let why = format!("{pids} are too few to start anything");
        return Err(refused("processes", why, format!("ask for at least {PIDS_MIN}")));
    }
    Ok(())
}

fn refused(property: &'static str, why: impl Into<String>, cure: impl Into<String>) -> LaunchError {
    LaunchError::Refused { property, why: why.into(), cure: cure.into() }
}

/// Draws up the policy of a launch that nobody changes any more, and sets its environment to what there is inside.
pub(crate) fn confine(launch: &mut Launch, facts: &Facts) -> Result<(), LaunchError> {
    let Some(plan) = launch.sandbox.clone() else { return Ok(()) };
    settle(launch, facts)?;
    super::network::confine(launch, facts)?;
    let home = launch.env.get("HOME").map(PathBuf::from);
    let caller_home = facts.caller_env.get("HOME").map(PathBuf::from);
    let top = top(launch, facts);
    let mut write = vec![top.clone()];
    write.extend(launch.scratchpad.clone().filter(|_| !withheld(facts)));
    if !launch.cwd.starts_with(&top) {
        write.push(launch.cwd.clone());
    }
    if facts.confining.run_as.is_some() {
        write.push(facts.folder.join(HOME_FOLDER));
    }
    write.extend(launch.state.clone());
    let own = |text: &String| place(text, &top, home.as_deref());
    write.extend(plan.write.iter().map(own));
    let mut hidden = vec![facts.confining.state_folder.clone()];
    for home in home.iter().chain(&caller_home) {
        hidden.extend(SECRETS.iter().map(|name| home.join(name)));
    }
    hidden.extend(SECRETS_OF_THE_MACHINE.iter().map(PathBuf::from));
    hidden.extend(plan.read_deny.iter().map(own));
    let mut read_only = vec![facts.folder.join("prompt.md"), facts.folder.join(super::scratchpad::EXCLUDES)];
    read_only.extend(launch.scratchpad.clone().filter(|_| withheld(facts)));
    let lines = launch.env.get("NIIA_WORKTREES").map(String::as_str).unwrap_or_default();
    read_only.extend(lines.split(':').filter(|line| !line.is_empty()).map(PathBuf::from));
    let above = launch.env.get(super::scratchpad::ABOVE).map(String::as_str).unwrap_or_default();
    read_only.extend(above.split(':').filter(|pad| !pad.is_empty()).map(PathBuf::from));
    // What is read of the past and of what began the run, and the memory, which is written where `egress` lets it be.
    let named = |name: &str| launch.env.get(name).map(PathBuf::from);
    read_only.extend([EVENT_VARIABLE, HISTORY_VARIABLE].into_iter().filter_map(named));
    match facts.plan.egress {
        Egress::All => write.extend(named(MEMORY_VARIABLE)),
        Egress::Result | Egress::None => read_only.extend(named(MEMORY_VARIABLE)),
    }
    let listen = launch.reach.as_ref().map(|rules| rules.ports()).unwrap_or_default();
    let network = if launch.network == NetworkPlan::Open { Network::Open } else { Network::Closed };
    launch.policy = Some(Policy {
        version: POLICY_VERSION,
        run_as: facts.confining.run_as,
        write: unique(write),
        read_only: unique(read_only),
        hidden: unique(hidden.into_iter().filter(|path| path.is_absolute()).collect()),
        own: Vec::new(),
        sockets: vec![facts.folder.join(CONTROL_FOLDER)],
        listen: listen.into_iter().map(|port| Listen { port }).collect(),
        network,
        memory_bytes_max: plan.memory_mb.map(|memory| memory.saturating_mul(MIB)),
        pids_max: Some(plan.pids.unwrap_or(PIDS_MAX_DEFAULT)),
        tmp_bytes_max: TMP_BYTES_MAX_DEFAULT,
    });
    Ok(())
}

/// Whether nothing is taken from its tree; so nothing may leave it by another way either.
fn withheld(facts: &Facts) -> bool {
    facts.plan.egress != Egress::All && matches!(&facts.place, Place::Tree { name: TreeName::Reading(_), .. })
}

/// Adds what a session may do with git in its tree, which is known once the tree is there.
pub(crate) fn grant(policy: &mut Policy, grants: &Grants) {
    let add = |paths: &mut Vec<PathBuf>, more: &[PathBuf]| {
        paths.extend_from_slice(more);
        *paths = unique(std::mem::take(paths));
    };
    add(&mut policy.write, &grants.write);
    add(&mut policy.read_only, &grants.read_only);
    add(&mut policy.hidden, &grants.hidden);
    add(&mut policy.own, &grants.own);
}

/// The environment of a session in a sandbox.
fn settle(launch: &mut Launch, facts: &Facts) -> Result<(), LaunchError> {
    for name in NOWHERE {
        launch.env.remove(name);
    }
    for (name, value) in CACHES {
        launch.env.insert(name.to_owned(), value.to_owned());
    }
    let text = |path: PathBuf| path.to_str().map(str::to_owned).ok_or(LaunchError::NoText { path });
    let socket = facts.folder.join(CONTROL_FOLDER).join(CONTROL_SOCKET);
    launch.env.insert(SOCKET_VARIABLE.to_owned(), text(socket)?);
    if facts.confining.run_as.is_some() {
        launch.env.insert("HOME".to_owned(), text(facts.folder.join(HOME_FOLDER))?);
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            launch.env.remove(name);
        }
    }
    Ok(())
}

fn top(launch: &Launch, facts: &Facts) -> PathBuf {
    let place = match &facts.place {
        super::Place::Tree { path, .. } | super::Place::Folder { path } => path,
    };
    launch.tree.clone().unwrap_or_else(|| place.clone())
}

/// A path of the document: absolute, of the home (`~/`), or of the folder worked in.
fn place(text: &String, top: &Path, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => plain(&top.join(text)),
    }
}

/// Without `.`, which a path of the kernel's does not have.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

fn unique(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests;

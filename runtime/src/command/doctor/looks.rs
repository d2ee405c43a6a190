//! The single looks of the doctor.

use std::env;
use std::fs;
use std::io::IsTerminal;

use niia_actors::git::Git;
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::command::Caller;
use crate::command::preflight::Tool;
use crate::command::surroundings::{on_path, profiles};
use crate::config::{Config, Folders, user_plugins, user_wrapping};
use crate::control::client::{Client, ClientError};
use crate::report::{bytes, neutral};

/// Recordings and worktrees need room; below this a run of a few workers may fill the disk.
const FREE_BYTES_WANTED: u64 = 2 << 30;

/// Every session takes a few descriptors of the node's.
const DESCRIPTORS_WANTED: u64 = 1024;

/// An AI tool takes a few hundred MiB.
const MEMORY_MIB_WANTED: u64 = 1024;

pub fn git() -> Finding {
    match Git::find() {
        Ok(git) => {
            let (major, minor) = git.version();
            Finding::ok("git", format!("version {major}.{minor}"))
        }
        Err(error) => Finding::fail("git", error.to_string(), "install git 2.38 or newer"),
    }
}

pub fn terminal() -> Finding {
    let term = env::var("TERM").unwrap_or_default();
    let utf8 =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
    let utf8 = utf8.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
    if !std::io::stdout().is_terminal() {
        return Finding::ok("terminal", "none here; tables are printed as plain lines");
    }
    match (term.as_str(), utf8) {
        ("" | "dumb", _) => {
            Finding::warn("terminal", "TERM says it can do nothing", "set TERM, such as xterm-256color")
        }
        (term, true) => Finding::ok("terminal", neutral(term)),
        (_, false) => Finding::warn("terminal", "the locale is not UTF-8", "export LANG=C.UTF-8"),
    }
}

pub fn state(folders: &Folders) -> Vec<Finding> {
    const ABOUT: &str = "state folder";
    let path = folders.state.display().to_string();
    if let Err(error) = folders.open_state() {
        return vec![Finding::fail(ABOUT, error.to_string(), "NIIA_HOME names another one")];
    }
    let mut findings = vec![Finding::ok(ABOUT, path)];
    if let Ok(disk) = rustix::fs::statvfs(&folders.state) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let found = format!("{} free", bytes(free));
        findings.push(match free {
            free if free >= FREE_BYTES_WANTED => Finding::ok("disk", found),
            _ => {
                Finding::warn("disk", found, "`niia gc` removes what finished runs left; NIIA_HOME moves it")
            }
        });
    }
    findings
}

pub fn config(caller: &Caller) -> Finding {
    const ABOUT: &str = "configuration";
    const CURE: &str = "mend the file named there";
    let file = caller.folders.config.join("niia.toml");
    let read = Config::read(&caller.folders)
        .and_then(|config| user_plugins(&caller.folders).map(|plugins| (config, plugins)))
        .and_then(|read| user_wrapping(&caller.folders).map(|_| read));
    match read {
        Err(error) => Finding::fail(ABOUT, error.to_string(), CURE),
        Ok((config, _)) if config.notify.first().is_some_and(|program| on_path(program).is_none()) => {
            let program = config.notify.first().cloned().unwrap_or_default();
            Finding::warn(ABOUT, format!("`notify` names `{}`, which is not found", neutral(&program)), CURE)
        }
        Ok(_) if file.exists() => Finding::ok(ABOUT, file.display().to_string()),
        Ok(_) => Finding::ok(ABOUT, format!("none, as niia has it ({})", file.display())),
    }
}

pub fn tools(caller: &Caller) -> Vec<Finding> {
    const ABOUT: &str = "tool";
    let profiles = match profiles(caller) {
        Ok(profiles) => profiles,
        Err(failure) => {
            return vec![Finding::fail("profiles", failure.to_string(), "mend the file named there")];
        }
    };
    let repository = crate::command::surroundings::repository_here();
    let mut findings = Vec::new();
    let mut absent = Vec::new();
    for tool in profiles.ls().iter().filter_map(|profile| Tool::of(profile, repository.as_deref())) {
        if tool.program.is_none() {
            absent.push(tool.profile);
            continue;
        }
        findings.push(Finding::ok(ABOUT, neutral(&tool.line())));
        let troubles = tool.troubles().into_iter();
        findings.extend(troubles.map(|(found, cure)| Finding::warn(ABOUT, neutral(&found), neutral(&cure))));
    }
    if findings.is_empty() {
        let found = format!("none of {} is on PATH", absent.join(", "));
        let cure = "install one, or use any program: {\"use\": \"command\", \"args\": [...]}";
        findings.push(Finding::warn(ABOUT, found, cure));
    }
    findings
}

pub fn limits() -> Vec<Finding> {
    let mut findings = Vec::new();
    let descriptors = getrlimit(Resource::Nofile);
    let most = descriptors.maximum.unwrap_or(u64::MAX);
    findings.push(match most {
        most if most >= DESCRIPTORS_WANTED => Finding::ok("descriptors", format!("at most {most}")),
        most => Finding::warn(
            "descriptors",
            format!("at most {most}"),
            format!("raise the limit to {DESCRIPTORS_WANTED}: `ulimit -Hn`"),
        ),
    });
    let number = |file: &str| fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let (Some(used), Some(max)) = (number("/proc/sys/kernel/pty/nr"), number("/proc/sys/kernel/pty/max")) {
        let found = format!("{used} of {max} used");
        findings.push(match max.saturating_sub(used) {
            0..64 => Finding::warn("terminals", found, "raise kernel.pty.max with sysctl"),
            _ => Finding::ok("terminals", found),
        });
    }
    findings
}

pub fn memory() -> Finding {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok());
    match kib.map(|kib: u64| kib / 1024) {
        None => Finding::ok("memory", "not told by this system"),
        Some(mib) if mib >= MEMORY_MIB_WANTED => Finding::ok("memory", format!("{mib} MiB available")),
        Some(mib) => Finding::warn(
            "memory",
            format!("{mib} MiB available"),
            "end something, or lower `sessions_max` in niia.toml",
        ),
    }
}

pub async fn node(caller: &Caller) -> Finding {
    const ABOUT: &str = "node";
    let asked = async {
        let mut client = Client::connect(&caller.folders).await?;
        client.ask(crate::control::words::Request::Node).await
    };
    match asked.await {
        Ok(crate::control::words::Reply::Node(view)) => match &view.degraded {
            None => Finding::ok(ABOUT, format!("runs, pid {}, version {}", view.pid, view.version)),
            Some(trouble) => Finding::warn(ABOUT, neutral(trouble), "`niia daemon status` says more"),
        },
        Ok(_) => Finding::fail(
            ABOUT,
            "answers in words that make no sense",
            "`niia daemon stop`: it may be of another version",
        ),
        Err(ClientError::NotRunning { .. }) => {
            Finding::ok(ABOUT, "does not run; it starts at the first command that needs it")
        }
        Err(error) => {
            let log = caller.folders.node_log();
            Finding::fail(
                ABOUT,
                crate::failure::Failure::from(error).to_string(),
                format!("its log is `{}`", log.display()),
            )
        }
    }
}

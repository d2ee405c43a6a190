//! Starts an attempt: as the user, as root, or in a sandbox.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use niia_actors::sandbox::{self, Policy, RunAs};

use super::fixture::{Fixture, leaked};
use super::victim::{Pty, command, controlled};
use super::{ATTEMPT_LIMIT, Outcome, Setup};
use crate::escape::floods::{MEMORY_BYTES_MAX, PIDS_MAX, TMP_BYTES_MAX};
use crate::escape::helper::LOADER;
use crate::escape::scene::Scene;
use crate::escape::secrets::FILES;

/// How an attempt ended.
#[derive(Debug)]
pub struct Ended {
    pub how: String,
    pub code: Option<i32>,
    pub by_signal: bool,
    pub printed: String,
}

/// Descriptors that are left open for the attempt: a file with the secret, and the folder of all.
const LEAKED: [i32; 2] = [19, 20];

pub fn as_user(fixture: &Fixture, attempt: &str) -> Result<Ended, String> {
    let mut program = command(&fixture.scene.program, fixture.scene.uid, fixture.root);
    program.args(arguments(fixture, attempt)).envs(surroundings(&fixture.scene, attempt));
    run(fixture, program, |_| Ok(()))
}

pub fn as_root(fixture: &Fixture, attempt: &str) -> Result<Ended, String> {
    if !fixture.root {
        return Err("only root can show that it is real".to_owned());
    }
    let mut program = Command::new(&fixture.scene.program);
    program.env_clear().args(arguments(fixture, attempt)).envs(surroundings(&fixture.scene, attempt));
    // SAFETY: only calls the kernel between fork and exec. What it mounts or renames is seen by nobody else.
    unsafe {
        program.pre_exec(|| {
            let own = libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
            let apart = libc::MS_PRIVATE | libc::MS_REC;
            let none = std::ptr::null();
            if libc::unshare(own) == -1 || libc::mount(none, c"/".as_ptr(), none, apart, none.cast()) == -1 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    run(fixture, program, |_| Ok(()))
}

/// In a sandbox, which root makes for the user where `run_as` is set and the user makes else.
pub fn sandboxed(fixture: &Fixture, attempt: &str, run_as: bool) -> Result<Ended, String> {
    let scene = &fixture.scene;
    let mut policy = policy(scene);
    policy.run_as = run_as.then_some(RunAs { uid: scene.uid, gid: scene.uid });
    let mut argv = vec![scene.program.clone().into_os_string()];
    argv.extend(arguments(fixture, attempt));
    let (mut helper, line) = sandbox::command(&fixture.niia, &policy, &argv, surroundings(scene, attempt))
        .map_err(|trouble| trouble.to_string())?;
    if fixture.root && !run_as {
        helper.uid(scene.uid).gid(scene.uid);
    }
    run(fixture, helper, |helper| {
        let begun = line.begun(helper);
        let refused = |trouble: sandbox::EntryError| format!("no sandbox was made: {trouble} ({trouble:?})");
        begun.made().map_err(refused)?;
        begun.go().map_err(refused)
    })
}

/// Runs a program in a set-up that may be broken.
pub fn set_up(fixture: &Fixture, setup: &Setup, as_root: bool) -> Result<Outcome, String> {
    let scene = &fixture.scene;
    let mut policy = policy(scene);
    policy.pids_max = None;
    policy.memory_bytes_max = None;
    (setup.policy)(&mut policy, scene);
    let (mut helper, line) = sandbox::command(&fixture.niia, &policy, &setup.argv, surroundings(scene, ""))
        .map_err(|trouble| trouble.to_string())?;
    if fixture.root && !as_root {
        helper.uid(scene.uid).gid(scene.uid);
    }
    // SAFETY: only calls the kernel between fork and exec.
    unsafe { helper.pre_exec(setup.before) };
    let mut refused = None;
    let ended = run(fixture, helper, |helper| {
        let begun = line.begun(helper);
        if let Err(why) = begun.made().and_then(|_| begun.go()) {
            refused = Some(why.to_string());
        }
        Ok(())
    })?;
    Ok(Outcome { refused, code: ended.code, printed: ended.printed })
}

/// What a session of the scene may do: what the launch of a session in a private tree would ask for.
pub fn policy(scene: &Scene) -> Policy {
    let private = scene.private();
    let admin = private.join("worktrees/tree");
    let mut hidden: Vec<PathBuf> = FILES.iter().map(|name| scene.home().join(name)).collect();
    for folder in [".ssh", ".aws", ".gnupg", ".azure", ".password-store", ".config/op", ".config/gcloud"] {
        hidden.push(scene.home().join(folder));
    }
    hidden.extend([scene.state(), scene.other_tree(), scene.base.join("leaked")]);
    let mut read_only = vec![scene.tree().join(".git"), scene.project().join(".git/objects")];
    read_only.extend(["hooks", "info", "objects/info", "worktrees"].map(|name| private.join(name)));
    read_only.extend(["commondir", "gitdir"].map(|name| admin.join(name)));
    Policy {
        write: vec![scene.tree(), scene.scratch(), private.clone(), private.join("objects"), admin],
        read_only,
        hidden,
        own: vec![private.join("config"), scene.private().join("worktrees/tree/config.worktree")],
        memory_bytes_max: Some(MEMORY_BYTES_MAX),
        pids_max: Some(PIDS_MAX),
        tmp_bytes_max: TMP_BYTES_MAX,
        ..Policy::default()
    }
}

fn arguments(fixture: &Fixture, attempt: &str) -> [OsString; 3] {
    ["act".into(), attempt.into(), fixture.scene.told().into()]
}

/// The environment of a session, and what betrays where things are.
fn surroundings(scene: &Scene, attempt: &str) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TERM", "xterm-256color"),
        ("LANG", "C.UTF-8"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Tester"),
        ("GIT_AUTHOR_EMAIL", "tester@example.com"),
        ("GIT_COMMITTER_NAME", "Tester"),
        ("GIT_COMMITTER_EMAIL", "tester@example.com"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    all.push(("HOME".into(), scene.home().into()));
    all.push(("NIIA_HOUSE".into(), scene.mark().into()));
    all.push(("SSH_AUTH_SOCK".into(), scene.socket("agent.sock").into()));
    if attempt == LOADER {
        all.push(("LD_DEBUG".into(), "libs".into()));
        all.push(("LD_DEBUG_OUTPUT".into(), scene.outside("loader").into()));
    }
    all
}

/// Runs it in a terminal of its own, to its end.
fn run(
    fixture: &Fixture,
    mut program: Command,
    begun: impl FnOnce(Command) -> Result<(), String>,
) -> Result<Ended, String> {
    program.current_dir(fixture.scene.tree());
    let mut terminal = Pty::new(fixture.scene.uid);
    let side = || terminal.slave.try_clone().map(Stdio::from).map_err(|trouble| trouble.to_string());
    program.stdin(side()?).stdout(side()?).stderr(side()?);
    controlled(&mut program, 0);
    let file = leaked(fixture);
    let folder = std::fs::File::open(&fixture.scene.base).map_err(|trouble| trouble.to_string())?;
    let open = [file.as_raw_fd(), folder.as_raw_fd()];
    // SAFETY: only calls the kernel between fork and exec.
    unsafe {
        program.pre_exec(move || {
            for (from, to) in open.into_iter().zip(LEAKED) {
                if libc::dup2(from, to) == -1 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    let mut child = program.spawn().map_err(|trouble| format!("it cannot be started: {trouble}"))?;
    let went = begun(program);
    let mut printed = String::new();
    let ended = wait(&mut child, &mut terminal, &mut printed);
    went.map_err(|why| format!("{why}; printed {printed:?}"))?;
    ended.map(|(how, code, by_signal)| Ended { how, code, by_signal, printed })
}

fn wait(
    child: &mut Child,
    terminal: &mut Pty,
    printed: &mut String,
) -> Result<(String, Option<i32>, bool), String> {
    let begun = Instant::now();
    loop {
        printed.push_str(&terminal.printed());
        match child.try_wait() {
            Ok(Some(status)) => {
                printed.push_str(&terminal.printed());
                // A helper says by its code that its program was ended by a signal.
                let by_signal = status.signal().is_some() || status.code().is_some_and(|code| code > 128);
                return Ok((status.to_string(), status.code(), by_signal));
            }
            Ok(None) if begun.elapsed() > ATTEMPT_LIMIT => {
                let _gone = child.kill();
                let _ended = child.wait();
                return Err(format!("it was not over after {ATTEMPT_LIMIT:?}; printed {printed:?}"));
            }
            Ok(None) => std::thread::sleep(std::time::Duration::from_millis(2)),
            Err(trouble) => return Err(trouble.to_string()),
        }
    }
}

//! One scene: folders, secrets, repositories, a victim, everybody who listens.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Stage;
use super::services::{Open, Services, Told};
use super::victim::{Victim, command};
use super::world::{World, difference, look};
use crate::escape::scene::Scene;
use crate::escape::secrets::FILES;
use crate::escape::sys::ask;
use crate::house::{Resident, must};

/// Whose number nobody on a machine has: one for each scene, so that whoever signals everybody signals a scene.
const FIRST_UID: u32 = 1_000_000;
const SCENES_PER_PROCESS: u32 = 1_000;

/// Attempts that need programs which lend powers; these are large.
const LENT: [&str; 4] = ["setuid-file", "setgid-file", "capable-file", "linker-of-its-own"];

/// A scene and everybody in it.
#[derive(Debug)]
pub struct Fixture {
    pub scene: Scene,
    pub secret: String,
    /// Whether the test may make other users.
    pub root: bool,
    pub niia: PathBuf,
    victim: Option<Victim>,
    services: Open,
    before: World,
    segment: i64,
    /// Who was there before the attempt.
    known: Vec<Resident>,
}

/// The repositories of a scene: the user's, and the session's own with its tree.
pub fn repositories(at: &Path) {
    let git = |folder: &Path, args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args).current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Tester"),
            ("GIT_AUTHOR_EMAIL", "tester@example.com"),
            ("GIT_COMMITTER_NAME", "Tester"),
            ("GIT_COMMITTER_EMAIL", "tester@example.com"),
        ] {
            git.env(name, value);
        }
        let said = must("run git", git.output());
        assert!(said.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&said.stderr));
    };
    let project = at.join("home/project");
    let private = at.join("state/private/tree.git");
    for folder in [&project, &at.join("state/private"), &at.join("work")] {
        must("make a folder", fs::create_dir_all(folder));
    }
    git(&project, &["init", "--quiet", "--initial-branch=main"]);
    for (file, text) in [("README.md", "# A project\n"), ("src.txt", "one\n")] {
        must("write a file", fs::write(project.join(file), text));
        git(&project, &["add", "--all"]);
        git(&project, &["commit", "--quiet", "-m", file]);
    }
    let (from, to) = (project.display().to_string(), private.display().to_string());
    git(at, &["clone", "--quiet", "--bare", "--shared", &from, &to]);
    // As niia configures what stands in for it.
    for (name, value) in [
        ("extensions.worktreeConfig", "true"),
        ("gc.writeCommitGraph", "false"),
        ("repack.updateServerInfo", "false"),
    ] {
        git(&private, &["config", name, value]);
    }
    let tree = at.join("work/tree").display().to_string();
    git(&private, &["worktree", "add", "--quiet", "-b", "work", &tree, "main"]);
    must("make hooks", fs::create_dir_all(private.join("hooks")));
    must("make a folder", fs::create_dir_all(private.join("info")));
    let own = private.join("worktrees/tree/config.worktree");
    must("configure a tree", fs::write(own, "[core]\n\tbare = false\n"));
}

impl Fixture {
    pub fn new(stage: &Stage, number: u32, attempt: &str, lent: bool) -> Fixture {
        // SAFETY: asks for a number.
        let user = unsafe { libc::geteuid() };
        let root = user == 0;
        let per = std::process::id() % 32_768 * SCENES_PER_PROCESS;
        let uid = if root { FIRST_UID + per + number % SCENES_PER_PROCESS } else { user };
        let folder = tempfile::Builder::new().prefix("e-").rand_bytes(6).tempdir_in(&stage.root);
        let base = must("make a scene", folder).keep();
        must("open a scene", fs::set_permissions(&base, PermissionsExt::from_mode(0o755)));
        // The secret is made of where it lies, so two scenes never share one.
        let name = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let secret = format!("secret-{:016x}-{name}", fastrand_like(&name));
        furnish(&base, &stage.template, &secret);
        own_all(&base, uid, root);
        if lent {
            // What a session of another user works in is the node's on disk, and lent.
            ["work/tree", "scratch", "state"].iter().for_each(|part| own(&base.join(part), 0));
        }
        if root && LENT.contains(&attempt) {
            lend(&base, &stage.programs.escape);
        }
        let mut services = listeners(&base, &name, uid, root);
        let mut told = command(&stage.programs.escape, uid, root);
        told.envs([("VICTIM_TOKEN", secret.as_str()), ("NIIA_HOUSE", name.as_str())])
            .env("VICTIM_RING", format!("{name}-key"))
            .env("VICTIM_KEY", base.join("home/.ssh/id_ed25519"))
            .current_dir(base.join("home/outside"));
        let victim = Victim::start(told, uid, &secret);
        let (key, segment) = segment(&secret, number);
        let queue = crate::escape::sys::c(format!("{name}-queue"));
        let many = libc::O_CREAT | libc::O_RDWR;
        // Room for one short letter: what all queues of a user may hold together is not much. (Flags, letters, bytes.)
        let room: [libc::c_long; 8] = [0, 1, 64, 0, 0, 0, 0, 0];
        let fd = must("make a queue", ask!(libc::SYS_mq_open, &queue, many, 0o600, room.as_ptr()));
        must("give a queue to its user", ask!(libc::SYS_fchown, fd, uid, uid));
        must("make a queue", ask!(libc::SYS_close, fd));
        let scene = Scene {
            uid,
            victim: victim.id(),
            word: victim.word,
            terminal: victim.terminal.path.clone(),
            tcp: services.tcp,
            tcp6: services.tcp6,
            udp: services.udp,
            udp6: services.udp6,
            dns: services.dns.to_string(),
            key,
            leaked: None,
            program: stage.programs.escape.clone(),
            base,
        };
        must("tell of a scene", fs::write(scene.told(), serde_json::json!(scene).to_string()));
        services.at(&PathBuf::from(format!("/tmp/{name}.sock")));
        let typist = must("type", victim.terminal.master.try_clone());
        let services = services.open(Told {
            secret: secret.clone(),
            ready: scene.tree().join(".ready"),
            late: scene.outside("late.sock"),
            hijack: scene.name("hijack"),
            typist,
        });
        let before = look(&scene);
        let known = crate::house::residents_of(&scene.mark());
        let niia = stage.programs.niia.clone();
        Fixture { scene, secret, root, niia, victim: Some(victim), services, before, segment, known }
    }

    /// What the attempt said of itself: whether it got there, and how.
    pub fn claim(&self) -> Option<(bool, String)> {
        let text = fs::read(self.scene.tree().join(".claim.json"))
            .or_else(|_| fs::read(self.scene.tree().with_extension("moved").join(".claim.json")))
            .ok()?;
        let claim: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some((claim["reached"].as_bool()?, claim["text"].as_str()?.to_owned()))
    }

    /// What shows from outside that somebody got out.
    pub fn evidence(&mut self) -> Option<String> {
        self.services.settle();
        let heard = self.services.heard();
        if let Some(service) = heard.first() {
            return Some(format!("{service} was spoken to"));
        }
        if let Some(harm) = self.victim.as_mut().and_then(Victim::harm) {
            return Some(harm);
        }
        let late = self.scene.outside("late.sock");
        let mut now = look(&self.scene);
        if now.remove(&late).is_some() {
            // The socket that was asked for is the stage's own, and so is the change of its folder.
            let folder = self.scene.outside("");
            let folder: PathBuf = folder.components().collect();
            if let Some(was) = self.before.get(&folder) {
                now.insert(folder, was.clone());
            }
        }
        difference(&self.before, &now)
    }

    /// Processes of the scene that nobody but the attempt can have started.
    pub fn strangers(&self) -> Vec<Resident> {
        let mut here = crate::house::residents_of(&self.scene.mark());
        here.retain(|resident| !self.known.contains(resident));
        here
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(victim) = self.victim.take() {
            victim.end();
        }
        self.strangers().iter().for_each(Resident::kill);
        let _removed = ask!(libc::SYS_shmctl, self.segment, libc::IPC_RMID, 0);
        let mark = self.scene.mark();
        let queue = crate::escape::sys::c(self.scene.name("queue"));
        let _unlinked = ask!(libc::SYS_mq_unlink, &queue);
        for folder in ["/tmp", "/var/tmp", "/dev/shm", "/run"] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().contains(&mark) {
                    let path = entry.path();
                    let _gone = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                }
            }
        }
        if std::env::var_os("NIIA_HOUSE_KEEP").is_none() {
            let _gone = fs::remove_dir_all(&self.scene.base);
        }
    }
}

/// Everything that lies in a scene.
fn furnish(base: &Path, template: &Path, secret: &str) {
    copy(template, base);
    let private = base.join("state/private/tree.git");
    for file in [
        base.join("work/tree/.git"),
        private.join("worktrees/tree/gitdir"),
        private.join("objects/info/alternates"),
        private.join("config"),
    ] {
        let text = must("read a pointer", fs::read_to_string(&file));
        let text = text.replace(&template.display().to_string(), &base.display().to_string());
        must("write a pointer", fs::write(file, text));
    }
    let file = |name: &str, text: &str| {
        let path = base.join(name);
        if let Some(folder) = path.parent() {
            must("make a folder", fs::create_dir_all(folder));
        }
        must("write a file", fs::write(path, text));
    };
    for name in FILES {
        file(&format!("home/{name}"), &format!("{secret}\n"));
    }
    for name in [
        ".bashrc",
        ".profile",
        ".gitconfig",
        ".claude/settings.json",
        ".codex/config.toml",
        ".cargo/config.toml",
        "bin/tool",
    ] {
        file(&format!("home/{name}"), "# the user's own\n");
    }
    for name in [".config/git/x", ".config/systemd/user/x", ".config/autostart/x", ".config/niia/x"] {
        file(&format!("home/{name}"), "");
    }
    for name in ["victim.txt", "other.txt", "dir/inner.txt"] {
        file(&format!("home/outside/{name}"), "the user's own\n");
    }
    for name in ["journal.db", "identity.key", "runs/other/log-0"] {
        file(&format!("state/{name}"), secret);
    }
    file("work/other/work.txt", secret);
    for folder in ["home/outside/empty", "home/.docker/run", "state/run", "run", "scratch"] {
        must("make a folder", fs::create_dir_all(base.join(folder)));
    }
    let mark = crate::escape::sys::c(base.join("home/outside/victim.txt"));
    let _marked = ask!(libc::SYS_setxattr, &mark, c"user.mark", b"x".as_ptr(), 1, 0);
}

/// Programs that lend powers: only root can make them, and a copy each, for a name more would change the program.
fn lend(base: &Path, program: &Path) {
    let outside = base.join("home/outside");
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("capable", 0o755)] {
        let path = outside.join(name);
        must("copy a program", fs::copy(program, &path));
        must("give a program to root", lchown(&path, Some(0), Some(0)));
        must("lend powers", fs::set_permissions(&path, PermissionsExt::from_mode(mode)));
    }
    // Version 2, effective, with the capability to pass over the rights of files.
    let capability: [u32; 5] = [0x0200_0001, 2, 0, 0, 0];
    let bytes: Vec<u8> = capability.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = crate::escape::sys::c(outside.join("capable"));
    must("lend a capability", ask!(libc::SYS_setxattr, &path, c"security.capability", bytes.as_ptr(), 20, 0));
}

fn listeners(base: &Path, name: &str, uid: u32, root: bool) -> Services {
    let three = uid.to_be_bytes();
    // Where a name server listens; another address of the loop for each scene.
    let dns: Vec<SocketAddr> = [
        SocketAddr::from(([127, 1 | three[1], three[2], three[3]], 53)),
        SocketAddr::from(([127, 0, 0, 1], 0)),
    ]
    .into();
    let mut services = Services::new(uid, if root { &dns } else { &dns[1..] });
    for path in [
        "home/.docker/run/docker.sock",
        "home/.gnupg/S.gpg-agent",
        "home/outside/app.sock",
        "state/run/node.sock",
        "state/runs/other/control.sock",
        "run/agent.sock",
        "run/bus",
    ] {
        services.at(&base.join(path));
    }
    services.letters_at(&base.join("home/outside/log.sock"));
    services.packets_at(&base.join("home/outside/packet.sock"));
    if root {
        services.at(&PathBuf::from(format!("/run/{name}.sock")));
    }
    services.by_name(&format!("{name}-abstract"), &format!("{name}-letters"));
    services
}

/// A piece of shared memory with the secret in it.
fn segment(secret: &str, number: u32) -> (String, i64) {
    let key = 0x0e5c_0000 + i64::from(std::process::id() % 0x100) * 0x100 + i64::from(number % 0x100);
    let id = must("make shared memory", ask!(libc::SYS_shmget, key, 4096, libc::IPC_CREAT | 0o666));
    let at = must("share memory", ask!(libc::SYS_shmat, id, 0, 0));
    // SAFETY: a page was attached just now and the secret is shorter.
    unsafe { std::ptr::copy_nonoverlapping(secret.as_ptr(), at as usize as *mut u8, secret.len()) };
    must("share memory", ask!(libc::SYS_shmdt, at));
    (format!("{key:x}"), id)
}

/// A number nobody could guess from the attempt's own name.
fn fastrand_like(name: &str) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(name)
}

fn copy(from: &Path, to: &Path) {
    for entry in must("look into a template", fs::read_dir(from)).flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            must("make a folder", fs::create_dir_all(&target));
            copy(&path, &target);
        } else {
            must("copy a file", fs::copy(&path, &target));
        }
    }
}

/// Gives all that is the user's to the user. What is above stays the test's.
fn own_all(base: &Path, uid: u32, root: bool) {
    if !root {
        return;
    }
    for part in ["home", "state", "work", "run", "scratch"] {
        own(&base.join(part), uid);
    }
}

fn own(path: &Path, uid: u32) {
    must("give a file to its user", lchown(path, Some(uid), Some(uid)));
    if path.is_dir() {
        fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| own(&entry.path(), uid));
    }
}

/// A file with the secret, to be left open.
pub fn leaked(fixture: &Fixture) -> fs::File {
    let path = fixture.scene.base.join("leaked");
    let mut file = must("make a file", fs::File::create(&path));
    must("write a file", file.write_all(fixture.secret.as_bytes()));
    must("open a file", fs::File::open(path))
}

//! A home of its own for each test, the program in it, and a node that plays a part.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use niia::control::SPOKEN;
use niia::control::parts::{InParts, Unpacker, pack};
use niia::control::words::{Reply, Request};
use niia_net::wire::{self, Hello, LENGTH_BYTES};
use niia_spec::notice::RunView;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A home with a folder to work in.
pub struct Place {
    folder: TempDir,
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home/run", "home/config", "bin", "work"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Place { folder }
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A program on this place's PATH.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The program with these words, in the folder to work in.
    pub fn niia(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_niia"));
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        command.args(words).current_dir(self.work()).env_clear().env("PATH", path);
        command.env("HOME", self.folder.path()).env("NIIA_HOME", self.state()).env("LANG", "C.UTF-8");
        command.env("TZ", "UTC").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn say(&self, words: &[&str]) -> Said {
        said(self.niia(words).output().unwrap())
    }

    pub fn say_with(&self, words: &[&str], input: &[u8]) -> Said {
        let mut child = self.niia(words).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        said(child.wait_with_output().unwrap())
    }

    pub fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        command.args(words).current_dir(self.work()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A repository with one commit.
    pub fn repository(&self) {
        self.git(&["init", "-q"]);
        self.write("a.txt", "one\n");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "first"]);
    }
}

pub fn said(output: Output) -> Said {
    Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// One caller, as the node sees it.
pub struct Caller {
    stream: UnixStream,
    unpacker: Unpacker,
}

impl Caller {
    pub fn hear(&mut self) -> Option<Request> {
        loop {
            let request = receive(&mut self.stream)?;
            if let Some(whole) = self.unpacker.take(request).unwrap() {
                return Some(whole);
            }
        }
    }

    /// False when the caller has gone.
    pub fn answer(&mut self, reply: Reply) -> bool {
        pack(reply).unwrap().iter().all(|part| send(&mut self.stream, part))
    }
}

fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> bool {
    stream.write_all(&wire::encode(message).unwrap()).is_ok()
}

fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> Option<T> {
    let mut head = [0; LENGTH_BYTES];
    stream.read_exact(&mut head).ok()?;
    let mut frame = vec![0; wire::length(head).unwrap()];
    stream.read_exact(&mut frame).ok()?;
    Some(wire::decode(&frame).unwrap())
}

/// A node that plays a part: real words over a real socket, and nothing behind them.
pub struct PlayedNode {
    listener: Arc<UnixListener>,
    over: Arc<AtomicBool>,
    callers: Arc<Mutex<Vec<UnixStream>>>,
    listening: Option<JoinHandle<()>>,
}

impl PlayedNode {
    /// Plays the same part to each caller.
    pub fn at(place: &Place, part: impl Fn(&mut Caller) + Send + Sync + 'static) -> PlayedNode {
        // Put in the place of the one before at a stroke: nobody finds the socket without a node and starts one.
        let bound = place.state().join("run/node.sock.new");
        let listener = Arc::new(UnixListener::bind(&bound).unwrap());
        fs::rename(&bound, place.state().join("run/node.sock")).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let callers = Arc::new(Mutex::new(Vec::new()));
        let listening = std::thread::spawn({
            let (listener, over, callers) = (listener.clone(), over.clone(), callers.clone());
            let part = Arc::new(part);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    callers.lock().unwrap().push(stream.try_clone().unwrap());
                    let part = part.clone();
                    std::thread::spawn(move || serve(stream, &*part));
                }
            }
        });
        PlayedNode { listener, over, callers, listening: Some(listening) }
    }
}

fn serve(mut stream: UnixStream, part: &(dyn Fn(&mut Caller) + Send + Sync)) {
    let Some(hello) = receive::<Hello>(&mut stream) else { return };
    assert_eq!(hello.protocol, SPOKEN);
    if send(&mut stream, &Hello::new(SPOKEN, "played")) {
        part(&mut Caller { stream, unpacker: Unpacker::default() });
    }
}

/// As if it were killed: nobody listens, and every caller is cut off.
impl Drop for PlayedNode {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).unwrap();
        if let Some(thread) = self.listening.take() {
            thread.join().unwrap();
        }
        for caller in self.callers.lock().unwrap().drain(..) {
            drop(caller.shutdown(std::net::Shutdown::Both));
        }
    }
}

/// A message as both ends have it, for whoever wants to look at what was asked.
pub fn as_json<T: InParts>(message: &T) -> Value {
    serde_json::to_value(message).unwrap()
}

/// A run with one worker `find/1`.
pub fn a_run(place: &Place, state: &str, worker: &str, line: &str) -> RunView {
    let over = state != "running";
    let folder = place.state().join("runs/review-k3f9x");
    let view = json!({
        "run": "review-k3f9x", "name": "review", "state": state, "reason": null,
        "begun_at_ms": 1_000_000_u64, "ended_at_ms": over.then_some(1_062_000_u64),
        "origin": place.work(), "repository": null, "folder": folder, "report": null, "branch": null, "warnings": [],
        "phases": [{
            "phase": "find", "kind": "pipeline", "state": if over { "over" } else { "working" },
            "outcome": null,
            "workers": [{
                "worker": "1", "state": worker, "model": "opus", "session": null,
                "begun_at_ms": 1_000_000_u64, "ended_at_ms": over.then_some(1_012_000_u64),
                "attempts": [{ "attempt": 1, "model": "opus", "outcome": null, "evidence": null, "commit": null, "excerpt": null }],
                "outputs": {}, "last_line": line, "tree": null,
            }],
        }],
    });
    serde_json::from_value(view).unwrap()
}

/// A document with one worker that is an ordinary program.
pub const DOCUMENT: &str = r#"{
  "connector": "2.0",
  "name": "review",
  "models": { "look": { "use": "command", "args": ["true"] } },
  "pipeline": { "phases": [{ "name": "find", "model": "look", "prompt": "Find it." }] }
}
"#;

pub fn exists(path: &Path) -> bool {
    path.exists()
}

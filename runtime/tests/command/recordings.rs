//! What sessions printed, from real recordings: read, followed, replayed, exported.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use niia::control::words::{Reply, Request};
use niia_actors::keeper::{Keeper, Notice, Program};
use niia_spec::notice::{Receipt, RunState, SessionView};
use serde_json::json;

use super::place::{Place, PlayedNode, a_run};

/// A keeper with sessions of its own; whatever it started ends with this.
pub struct Kept {
    run_folder: PathBuf,
    runtime: tokio::runtime::Runtime,
    keeper: Keeper,
}

impl Kept {
    pub fn at(place: &Place) -> Kept {
        let run_folder = place.state().join("run");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let keeper = Keeper::new(&run_folder, env!("CARGO_BIN_EXE_niia"));
        Kept { run_folder, runtime, keeper }
    }

    fn program(script: &str) -> Program {
        Program {
            session: "review-k3f9x/find/1/1".to_owned(),
            argv: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: "/".into(),
            cols: 40,
            rows: 10,
            record: true,
            recording_bytes_max: 1 << 30,
            sandbox: None,
            reach: None,
        }
    }

    /// Runs a program in a terminal to its end.
    pub fn recorded(&self, folder: &Path, script: &str) {
        self.runtime.block_on(async {
            let terminal = self.keeper.start(folder, &Kept::program(script)).await.unwrap();
            while !matches!(terminal.next().await, Notice::Exited(_)) {}
            terminal.acknowledge().await;
        });
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        end_keeper(&self.run_folder);
    }
}

/// Ends the keeper of a folder, which names it among its own words.
pub fn end_keeper(run_folder: &Path) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let ours =
            words.split(|byte| *byte == 0).any(|word| word == run_folder.as_os_str().as_encoded_bytes());
        if let Some(pid) = rustix::process::Pid::from_raw(pid).filter(|_| ours) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn session(folder: &Path, printed: u64) -> SessionView {
    serde_json::from_value(json!({
        "session": { "run": "review-k3f9x", "attempt": { "worker": { "phase": "find", "worker": "1" }, "attempt": 1 } },
        "state": "exited(0)", "rule": "exit", "excerpt": "", "since_ms": 0, "profile": "command", "model": null,
        "pid": null, "cwd": null, "printed_bytes": printed, "folder": folder, "cols": 40, "rows": 10, "held_by": null,
    }))
    .unwrap()
}

pub fn node(place: &Place, folder: &Path) -> PlayedNode {
    let view = session(folder, 0);
    let run = a_run(place, "done", "done", "");
    PlayedNode::at(place, move |caller| {
        while let Some(request) = caller.hear() {
            caller.answer(match request {
                Request::Session { .. } => Reply::Session(Box::new(view.clone())),
                Request::Sessions { .. } => Reply::Sessions(vec![view.clone()]),
                _ => Reply::Run(Box::new(run.clone())),
            });
        }
    })
}

#[test]
fn a_recording_is_read_as_text_shown_at_a_moment_and_exported() {
    let place = Place::new();
    let kept = Kept::at(&place);
    let folder = place.state().join("session");
    let script = r"printf '\033[31mfirst\033[0m line\r\n50%%\r100%%\r\n\033]52;c;aGk=\007'; sleep 1; printf '\033[2J\033[Hlast'";
    kept.recorded(&folder, script);
    let _node = node(&place, &folder);
    let said = place.say(&["replay", "find/1", "--text"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("last") && !said.out.contains('\u{1b}'), "{:?}", said.out);
    let early = place.say(&["replay", "find/1", "--at", "0.5"]);
    assert_eq!(early.out, "first line\n100%\n");
    assert_eq!(place.say(&["replay", "find/1", "--at", "100"]).out, "last\n");
    assert_eq!(place.say(&["replay", "find/1", "--cast", "a.cast"]).code, 0);
    let cast = std::fs::read_to_string(place.work().join("a.cast")).unwrap();
    let head: serde_json::Value = serde_json::from_str(cast.lines().next().unwrap()).unwrap();
    assert_eq!((head["version"].as_u64(), head["term"]["cols"].as_u64()), (Some(3), Some(40)));
    assert!(
        cast.lines().skip(1).all(|line| serde_json::from_str::<(f64, String, String)>(line).is_ok()),
        "{cast}"
    );
}

#[test]
fn logs_show_the_last_lines_of_each_worker() {
    let place = Place::new();
    let kept = Kept::at(&place);
    let folder = place.state().join("session");
    kept.recorded(&folder, r"for n in $(seq 100); do printf '\033[3%dmline %d\033[0m\n' $((n % 8)) $n; done");
    let _node = node(&place, &folder);
    let said = place.say(&["logs", "-n", "2"]);
    assert_eq!(said.out, "── review-k3f9x/find/1/1\nline 99\nline 100\n");
    let said = place.say(&["logs", "--worker", "find/2"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    let said = place.say(&["logs", "--worker", "find/1", "-n", "1", "--json"]);
    assert_eq!(said.out, "{\"session\":\"review-k3f9x/find/1/1\",\"line\":\"line 100\"}\n");
}

#[test]
fn logs_are_followed_to_the_end_of_the_run_and_no_line_is_lost_or_doubled() {
    let place = Place::new();
    let kept = Kept::at(&place);
    let folder = place.state().join("session");
    let running = Arc::new(Mutex::new(RunState::Running));
    let (view, run) = (session(&folder, 0), a_run(&place, "running", "working", ""));
    let state = running.clone();
    let _node = PlayedNode::at(&place, move |caller| {
        while let Some(request) = caller.hear() {
            let mut run = run.clone();
            run.state = *state.lock().unwrap();
            caller.answer(match request {
                Request::Sessions { .. } => Reply::Sessions(vec![view.clone()]),
                _ => Reply::Run(Box::new(run)),
            });
        }
    });
    let script = "echo line 1; while [ ! -e $NIIA_GO ]; do sleep 0.05; done; for n in $(seq 2 5000); do echo line $n; done";
    let go = place.work().join("go");
    let mut program = Kept::program(script);
    program.env.push(("NIIA_GO".into(), go.clone().into()));
    let terminal = kept.runtime.block_on(kept.keeper.start(&folder, &program)).unwrap();
    let mut child = place.niia(&["logs", "-f"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "── review-k3f9x/find/1/1");
    assert_eq!(lines.next().unwrap(), "line 1");
    std::fs::write(&go, "").unwrap();
    kept.runtime.block_on(async {
        while !matches!(terminal.next().await, Notice::Exited(_)) {}
        terminal.acknowledge().await;
    });
    *running.lock().unwrap() = RunState::Done;
    let rest: Vec<String> = lines.collect();
    let expected: Vec<String> = (2..=5000).map(|n| format!("line {n}")).collect();
    assert_eq!(rest, expected);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_answer_is_what_was_printed_after_the_question() {
    let place = Place::new();
    let kept = Kept::at(&place);
    let folder = place.state().join("session");
    kept.recorded(&folder, r"printf 'before\r\n'; printf 'it is a.rs\r\n'");
    let before = session(&folder, 8);
    let after = session(&folder, 8 + 12);
    let _node = PlayedNode::at(&place, move |caller| {
        while let Some(request) = caller.hear() {
            caller.answer(match request {
                Request::Write { enter: true, .. } => Reply::Receipt(Receipt::TurnStarted),
                Request::WaitIdle { quiet_ms: 3000, .. } => Reply::Session(Box::new(after.clone())),
                _ => Reply::Session(Box::new(before.clone())),
            });
        }
    });
    let said = place.say(&["get-answer", "--session", "find/1", "which file?"]);
    assert_eq!((said.code, said.out.as_str()), (0, "it is a.rs\n"), "{}", said.err);
}

//! Following in a real terminal: the table, the question, the key.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use niia::control::words::{Reply, Request};
use niia_spec::course::RunOutcome;
use niia_spec::name::Slug;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::place::{DOCUMENT, Place, PlayedNode, a_run};

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with the program in it.
struct Terminal {
    master: File,
    printed: Receiver<Vec<u8>>,
    seen: String,
    child: Child,
}

impl Terminal {
    fn with(place: &Place, words: &[&str], cols: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_col: cols, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave: OwnedFd = File::options().read(true).write(true).open(name).unwrap().into();
        let mut command = place.niia(words);
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let child = command.env("TERM", "xterm-256color").spawn().unwrap();
        drop(command);
        let master = File::from(master);
        let (sender, printed) = channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { master, printed, seen: String::new(), child }
    }

    fn until(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            match self.printed.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("`{text}` never came; this did:\n{:?}", self.seen)
                }
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    fn end(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

/// A node that takes a run which goes on until it is cancelled or told to be done.
fn node(place: &Place) -> (PlayedNode, std::sync::mpsc::Sender<&'static str>) {
    let (ends, end) = channel::<&'static str>();
    let (end, cancels) = (Mutex::new(end), Mutex::new(ends.clone()));
    let accepted = Reply::Accepted { run: Slug::new("review-k3f9x").unwrap(), folder: place.state() };
    let running = a_run(place, "running", "working", "\u{1b}[31ma line of the worker");
    let (done, cancelled) = (a_run(place, "done", "done", ""), a_run(place, "cancelled", "failed", ""));
    let played = PlayedNode::at(place, move |caller| {
        while let Some(request) = caller.hear() {
            match request {
                Request::Run { .. } => drop(caller.answer(accepted.clone())),
                Request::Cancel { .. } => {
                    let _ = cancels.lock().unwrap().send("cancelled");
                    caller.answer(Reply::Done);
                }
                _ => {
                    caller.answer(Reply::Run(Box::new(running.clone())));
                    let how = end.lock().unwrap().recv_timeout(PATIENCE);
                    let (view, outcome) = match how {
                        Ok("done") => (&done, RunOutcome::Done),
                        _ => (&cancelled, RunOutcome::Cancelled { reason: "a person".to_owned() }),
                    };
                    caller.answer(Reply::Run(Box::new(view.clone())));
                    caller.answer(Reply::End { outcome: Some(outcome) });
                }
            }
        }
    });
    (played, ends)
}

fn place() -> Place {
    let place = Place::new();
    place.write("connector.json", DOCUMENT);
    place
}

#[test]
fn a_table_shows_the_worker_and_is_painted_over_itself() {
    let place = place();
    let (_node, ends) = node(&place);
    let mut terminal = Terminal::with(&place, &["run"], 100, 30);
    terminal.until("run review-k3f9x\r\n");
    terminal.until("[31ma line of the worker");
    assert!(terminal.seen.contains("find/1") && terminal.seen.contains("opus"), "{:?}", terminal.seen);
    assert!(!terminal.seen.contains("\u{1b}[31ma line"), "the worker's colours are not the terminal's");
    ends.send("done").unwrap();
    terminal.until("\u{1b}[3A");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn an_interruption_is_a_question_and_any_other_key_goes_on() {
    let place = place();
    let (_node, ends) = node(&place);
    let mut terminal = Terminal::with(&place, &["run"], 100, 30);
    terminal.until("a line of the worker");
    terminal.interrupt();
    terminal.until("[d]etach [c]ancel");
    terminal.press("x");
    terminal.seen.clear();
    terminal.until("\u{1b}[J");
    ends.send("done").unwrap();
    assert_eq!(terminal.end(), 0);
}

#[test]
fn d_detaches_and_the_run_goes_on() {
    let place = place();
    let (_node, _ends) = node(&place);
    let mut terminal = Terminal::with(&place, &["run"], 100, 30);
    terminal.until("a line of the worker");
    terminal.interrupt();
    terminal.until("[d]etach [c]ancel");
    terminal.press("d");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn c_cancels_and_the_end_is_waited_for() {
    let place = place();
    let (_node, _ends) = node(&place);
    let mut terminal = Terminal::with(&place, &["run"], 100, 30);
    terminal.until("a line of the worker");
    terminal.interrupt();
    terminal.until("[d]etach [c]ancel");
    terminal.press("c");
    terminal.until("cancelled");
    assert_eq!(terminal.end(), 1);
}

#[test]
fn two_interruptions_at_once_cancel() {
    let place = place();
    let (_node, _ends) = node(&place);
    let mut terminal = Terminal::with(&place, &["run"], 100, 30);
    terminal.until("a line of the worker");
    terminal.interrupt();
    terminal.until("[d]etach [c]ancel");
    terminal.interrupt();
    terminal.until("cancelled");
    assert_eq!(terminal.end(), 1);
}

#[test]
fn a_goal_is_asked_for_once_where_nobody_is_told_anything() {
    let place = Place::new();
    place.write("connector.json", &DOCUMENT.replace(", \"prompt\": \"Find it.\"", ""));
    let (told, task) = channel();
    let told = Mutex::new(told);
    let accepted = Reply::Accepted { run: Slug::new("review-k3f9x").unwrap(), folder: place.state() };
    let _node = PlayedNode::at(&place, move |caller| {
        while let Some(request) = caller.hear() {
            if let Request::Run { plan, .. } = request {
                let _ = told.lock().unwrap().send(plan.task);
            }
            caller.answer(accepted.clone());
        }
    });
    let mut terminal = Terminal::with(&place, &["run", "--detach"], 100, 30);
    terminal.until("What is the goal?");
    terminal.press("mend it\n");
    assert_eq!(terminal.end(), 0);
    assert_eq!(task.recv().unwrap().as_deref(), Some("mend it"));
    let mut terminal = Terminal::with(&place, &["run", "--detach", "--no-input"], 100, 30);
    assert_eq!(terminal.end(), 0, "nobody is asked who said so");
    assert_eq!(task.recv().unwrap(), None);
}

#[test]
fn a_person_is_asked_about_uncommitted_changes() {
    let place = place();
    place.repository();
    place.write("a.txt", "two\n");
    let (told, dirty) = channel();
    let told = Mutex::new(told);
    let accepted = Reply::Accepted { run: Slug::new("review-k3f9x").unwrap(), folder: place.state() };
    let _node = PlayedNode::at(&place, move |caller| {
        while let Some(request) = caller.hear() {
            if let Request::Run { origin, .. } = request {
                let _ = told.lock().unwrap().send(origin.include_dirty);
            }
            caller.answer(accepted.clone());
        }
    });
    for (key, taken) in [("y\n", true), ("n\n", false)] {
        let mut terminal = Terminal::with(&place, &["run", "-d"], 200, 30);
        terminal.until("a.txt: changed, not committed");
        terminal.press(key);
        assert_eq!(terminal.end(), 0);
        assert_eq!(dirty.recv().unwrap(), taken);
    }
}

/// Ends the real node of a place and everything it started.
struct RealNode<'a>(&'a Place);

impl Drop for RealNode<'_> {
    fn drop(&mut self) {
        let said = self.0.say(&["daemon", "stop", "--end-sessions"]);
        super::recordings::end_keeper(&self.0.state().join("run"));
        assert!(said.code == 0 || std::thread::panicking(), "{}", said.err);
    }
}

#[test]
fn a_session_is_watched_written_to_and_left_again() {
    let place = Place::new();
    let _node = RealNode(&place);
    let script = "echo ready; while read line; do echo got:$line; done";
    let said = place.say(&["serve", "--", "sh", "-c", script]);
    assert_eq!(said.code, 0, "{}", said.err);
    let mut terminal = Terminal::with(&place, &["attach", "session/1"], 120, 40);
    terminal.until("ready");
    terminal.press("hello\r");
    terminal.until("got:hello");
    terminal.press("\x1cd");
    terminal.until("detached; serve-");
    assert_eq!(terminal.end(), 0);
    let mut second = Terminal::with(&place, &["attach", "session/1"], 80, 24);
    second.until("got:hello");
    assert_eq!(place.say(&["kill", "session/1"]).code, 0);
    second.until("is over");
    assert_eq!(second.end(), 0);
    let refused = place.say(&["attach", "session/1"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("needs a terminal"), "{}", refused.err);
}

#[test]
fn twenty_callers_at_once_start_one_node() {
    let place = Place::new();
    let _node = RealNode(&place);
    let callers: Vec<Child> =
        (0..20).map(|_| place.niia(&["daemon", "start", "--json"]).spawn().unwrap()).collect();
    let pids: std::collections::BTreeSet<u64> = callers
        .into_iter()
        .map(|child| super::place::said(child.wait_with_output().unwrap()))
        .map(|said| {
            assert_eq!(said.code, 0, "{}", said.err);
            serde_json::from_str::<serde_json::Value>(&said.out).unwrap()["pid"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(pids.len(), 1);
    let log = std::fs::read_to_string(place.state().join("run/node.log")).unwrap();
    assert_eq!(log.matches("the node is ready").count(), 1, "{log}");
}

#[test]
fn a_recording_is_played_on_a_screen_of_its_own_and_can_do_nothing_to_this_one() {
    let place = Place::new();
    let kept = super::recordings::Kept::at(&place);
    let folder = place.state().join("session");
    kept.recorded(&folder, r"printf '\033]52;c;aGk=\007\033[cfirst'; sleep 0.3; printf ' then'");
    let _node = super::recordings::node(&place, &folder);
    let mut terminal = Terminal::with(&place, &["replay", "find/1", "--speed", "2"], 80, 24);
    terminal.until("\u{1b}[?1049h");
    terminal.until("first");
    terminal.until("\u{1b}[?1049l");
    terminal.until("first then\r\n");
    assert_eq!(terminal.end(), 0);
    assert!(!terminal.seen.contains("]52;") && !terminal.seen.contains("\u{1b}[c"), "{:?}", terminal.seen);
}

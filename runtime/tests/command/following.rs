//! Running and following, over a pipe: what is sent, what is said, how it ends.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use niia::control::words::{Refusal, RefusalCode, Reply, Request};
use niia_spec::course::RunOutcome;
use niia_spec::name::Slug;
use niia_spec::notice::RunView;
use serde_json::Value;

use super::place::{Caller, DOCUMENT, Place, PlayedNode, a_run, as_json};

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn accepted(place: &Place) -> Reply {
    Reply::Accepted {
        run: Slug::new("review-k3f9x").unwrap(),
        folder: place.state().join("runs/review-k3f9x"),
    }
}

fn view(run: &RunView) -> Reply {
    Reply::Run(Box::new(run.clone()))
}

/// A node that takes a run, shows these views and ends it so; what it was asked can be looked at.
fn node(place: &Place, views: Vec<RunView>, outcome: RunOutcome) -> (PlayedNode, Receiver<Value>) {
    let (sender, asked) = channel();
    let sender = Mutex::new(sender);
    let accepted = accepted(place);
    let played = PlayedNode::at(place, move |caller| {
        while let Some(request) = caller.hear() {
            drop(sender.lock().unwrap().send(as_json(&request)));
            match request {
                Request::Run { .. } => drop(caller.answer(accepted.clone())),
                Request::Follow { .. } => {
                    for run in &views {
                        caller.answer(view(run));
                    }
                    caller.answer(Reply::End { outcome: Some(outcome.clone()) });
                }
                _ => drop(caller.answer(Reply::Done)),
            }
        }
    });
    (played, asked)
}

#[test]
fn a_run_is_followed_in_plain_lines_and_ends_with_its_report() {
    let place = Place::new();
    place.write("review.connector.json", DOCUMENT);
    let report = place.write("report.md", "# Found\n\x1b]0;owned\x07nothing bad\n");
    let mut done = a_run(&place, "done", "done", "");
    done.report = Some(report.display().to_string());
    let views = vec![
        a_run(&place, "running", "starting", ""),
        a_run(&place, "running", "working", "looking"),
        a_run(&place, "running", "working", "still looking"),
        done,
    ];
    let (_node, asked) = node(&place, views, RunOutcome::Done);
    let said = place.say(&["run", "-o", "copy.md"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let text = said.out.replace(&place.work().display().to_string(), "WORK");
    insta::assert_snapshot!(text);
    let copy = std::fs::read(place.work().join("copy.md")).unwrap();
    assert_eq!(copy, std::fs::read(report).unwrap(), "the copy is the report, byte for byte");
    let run = asked.recv().unwrap();
    let origin = &run["run"]["origin"];
    assert_eq!(run["run"]["plan"]["name"], "review");
    assert_eq!(origin["cwd"], place.work().canonicalize().unwrap().display().to_string());
    assert!(origin["document"].as_str().unwrap().ends_with("work/review.connector.json"));
    let env: Vec<&String> = origin["env"].as_object().unwrap().keys().collect();
    assert_eq!(env, ["HOME", "LANG", "PATH", "TZ"], "the caller's other variables stay with the caller");
}

#[test]
fn how_a_run_ended_is_its_exit_code() {
    let reason = || "the tests fail".to_owned();
    let cases = [
        ("done", RunOutcome::Done, 0),
        ("failed", RunOutcome::Failed { reason: reason() }, 1),
        ("cancelled", RunOutcome::Cancelled { reason: reason() }, 1),
        ("needs_attention", RunOutcome::NeedsAttention { reason: reason() }, 5),
    ];
    for (state, outcome, code) in cases {
        let place = Place::new();
        place.write("connector.json", DOCUMENT);
        let (_node, _asked) = node(&place, vec![a_run(&place, state, "failed", "")], outcome);
        let said = place.say(&["run"]);
        assert_eq!(said.code, code, "{state}: {}", said.err);
        assert_eq!(said.out.contains("the tests fail"), code != 0, "{}", said.out);
    }
}

#[test]
fn with_json_every_line_is_an_object_and_the_first_one_names_the_run() {
    let place = Place::new();
    place.write("connector.json", DOCUMENT);
    let views = vec![a_run(&place, "running", "working", "x"), a_run(&place, "done", "done", "")];
    let (_node, _asked) = node(&place, views.clone(), RunOutcome::Done);
    let said = place.say(&["run", "--json"]);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["run"], "review-k3f9x");
    let read: RunView = serde_json::from_value(lines[2].clone()).unwrap();
    assert_eq!(read, views[1], "programs read the same struct");
}

#[test]
fn a_detached_run_prints_its_id_and_nothing_waits() {
    let place = Place::new();
    place.write("connector.json", DOCUMENT);
    let (_node, asked) = node(&place, Vec::new(), RunOutcome::Done);
    let said = place.say(&["run", "--detach", "the goal"]);
    assert_eq!((said.code, said.out.as_str()), (0, "run review-k3f9x\n"));
    assert_eq!(asked.recv().unwrap()["run"]["plan"]["task"], "the goal");
}

#[test]
fn a_prompt_of_many_megabytes_reaches_the_node_whole() {
    let place = Place::new();
    let prompt = "x".repeat(3_000_000);
    place.write("connector.json", &DOCUMENT.replace("Find it.", &prompt));
    let (_node, asked) = node(&place, Vec::new(), RunOutcome::Done);
    assert_eq!(place.say(&["run", "-d"]).code, 0);
    let run = asked.recv().unwrap();
    let worker = &run["run"]["plan"]["phases"][0]["work"]["workers"]["workers"][0];
    assert_eq!(worker["prompt"].as_str().map(str::len), Some(prompt.len()));
}

#[test]
fn what_the_node_refuses_is_told_with_its_help_and_its_exit_code() {
    for (code, exit) in [(RefusalCode::Unsupported, 3), (RefusalCode::Limit, 1), (RefusalCode::Wrong, 2)] {
        let place = Place::new();
        place.write("connector.json", DOCUMENT);
        let refusal = Refusal { code, message: "it cannot be".to_owned(), help: Some("do that".to_owned()) };
        let _node = PlayedNode::at(&place, move |caller| {
            while caller.hear().is_some() {
                caller.answer(Reply::Refused(refusal.clone()));
            }
        });
        let said = place.say(&["run"]);
        assert_eq!((said.code, said.out.as_str()), (exit, ""));
        assert_eq!(said.err, "niia: it cannot be\n  help: do that\n");
    }
}

#[test]
fn a_missing_variable_is_named_before_anything_starts() {
    let place = Place::new();
    let text =
        DOCUMENT.replacen("\"name\"", "\"session\": { \"env\": { \"A\": \"${TOKEN_HERE}\" } }, \"name\"", 1);
    place.write("connector.json", &text);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("`TOKEN_HERE`, which is not set here"), "{}", said.err);
    assert!(!super::place::exists(&place.state().join("run/node.log")));
}

#[test]
fn a_node_that_went_away_is_found_again_and_nothing_is_told_twice() {
    let place = Arc::new(Place::new());
    place.write("connector.json", DOCUMENT);
    let (told, first) = channel();
    let told = Mutex::new(told);
    let accepted = accepted(&place);
    let working = a_run(&place, "running", "working", "x");
    let node = PlayedNode::at(&place, {
        let working = working.clone();
        move |caller: &mut Caller| {
            while let Some(request) = caller.hear() {
                match request {
                    Request::Run { .. } => drop(caller.answer(accepted.clone())),
                    _ => {
                        caller.answer(view(&working));
                        let _ = told.lock().unwrap().send(());
                    }
                }
            }
        }
    });
    let running = place.niia(&["run"]).spawn().unwrap();
    first.recv_timeout(PATIENCE).unwrap();
    let done = a_run(&place, "done", "done", "");
    let _again = PlayedNode::at(&place, move |caller| {
        while let Some(request) = caller.hear() {
            assert!(
                matches!(&request, Request::Follow { run: Some(run) } if run == "review-k3f9x"),
                "{request:?}"
            );
            caller.answer(view(&working));
            caller.answer(view(&done));
            caller.answer(Reply::End { outcome: Some(RunOutcome::Done) });
        }
    });
    drop(node);
    let said = super::place::said(running.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out.matches("find/1: working").count(), 1, "{}", said.out);
    assert!(said.out.contains("the node went away") && said.out.contains("the node is back"), "{}", said.out);
}

#[test]
fn without_a_terminal_an_interruption_cancels_and_a_hang_up_detaches() {
    for (signal, code) in [(rustix::process::Signal::INT, 1), (rustix::process::Signal::HUP, 0)] {
        let place = Place::new();
        place.write("connector.json", DOCUMENT);
        let (told, shown) = channel();
        let told = Mutex::new(told);
        let accepted = accepted(&place);
        let running = a_run(&place, "running", "working", "x");
        let cancelled = a_run(&place, "cancelled", "failed", "");
        let (wake, woken) = channel();
        let (wake, woken) = (Mutex::new(wake), Mutex::new(woken));
        let _node = PlayedNode::at(&place, move |caller| {
            while let Some(request) = caller.hear() {
                match request {
                    Request::Run { .. } => drop(caller.answer(accepted.clone())),
                    Request::Cancel { .. } => {
                        caller.answer(Reply::Done);
                        let _ = wake.lock().unwrap().send(());
                    }
                    _ => {
                        caller.answer(view(&running));
                        let _ = told.lock().unwrap().send(());
                        if woken.lock().unwrap().recv_timeout(PATIENCE).is_err() {
                            return;
                        }
                        caller.answer(view(&cancelled));
                        let reason = "interrupted".to_owned();
                        caller.answer(Reply::End { outcome: Some(RunOutcome::Cancelled { reason }) });
                    }
                }
            }
        });
        let mut child = place.niia(&["run"]).spawn().unwrap();
        shown.recv_timeout(PATIENCE).unwrap();
        // The view that was sent has been printed, so the signal handlers are in place.
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("working") {
            assert!(std::io::BufRead::read_line(&mut out, &mut printed).unwrap() > 0, "{printed}");
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal:?}");
    }
}

#[test]
fn the_configured_program_is_told_how_the_run_ended() {
    let place = Place::new();
    place.write("connector.json", DOCUMENT);
    place.program("tell-me", "printf '%s|' \"$@\" >> \"$HOME/told\"");
    std::fs::write(place.state().join("config/niia.toml"), "notify = [\"tell-me\", \"-t\"]").unwrap();
    let (_node, _asked) = node(&place, vec![a_run(&place, "done", "done", "")], RunOutcome::Done);
    assert_eq!(place.say(&["run"]).code, 0);
    let told = std::fs::read_to_string(place.state().join("../told")).unwrap();
    assert_eq!(told, "-t|niia: review-k3f9x is over: done|");
}

#[test]
fn uncommitted_changes_are_never_left_behind_silently() {
    let place = Place::new();
    place.repository();
    place.write("connector.json", DOCUMENT);
    let (_node, asked) = node(&place, Vec::new(), RunOutcome::Done);
    let said = place.say(&["run", "-d"]);
    assert_eq!(said.code, 0, "the document itself is no change: {}", said.err);
    asked.recv().unwrap();
    place.write("a.txt", "two\n");
    place.write("new.txt", "new\n");
    let said = place.say(&["run", "-d"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("a.txt") && said.err.contains("--include-dirty"), "{}", said.err);
    assert_eq!(place.say(&["run", "-d", "--include-dirty"]).code, 0);
    assert_eq!(asked.recv().unwrap()["run"]["origin"]["include_dirty"], true);
    place.write("a.txt", "one\n");
    assert_eq!(place.say(&["run", "-d"]).code, 0);
    let warnings = asked.recv().unwrap()["run"]["origin"]["warnings"].to_string();
    assert!(warnings.contains("new.txt"), "{warnings}");
}

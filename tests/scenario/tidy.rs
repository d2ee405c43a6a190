//! No orphan: whatever a run started is gone after its end, and nothing else is touched.

use std::path::Path;
use std::process::{Command, Stdio};

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::SOON;

/// A worker with five daemons that left its session and ignore TERM and HUP, as it does itself.
fn stubborn(house: &House, ending: &str) -> Value {
    let pids = house.at("home/pids");
    let tool =
        house.install("stubborn", &format!("ignore\ndaemons 5 {}\nsay here\n{ending}", pids.display()));
    json!({
        "name": "stubborn",
        "models": { "tool": { "use": "command", "args": [tool] } },
        "pipeline": { "phases": [{ "name": "work", "model": "tool", "prompt": "Work.", "session": { "timeout_ms": 600_000 } }] }
    })
}

/// Waits until the worker's daemons are there.
fn daemons(house: &House) -> Vec<u32> {
    wait_until("the daemons are there", SOON, || {
        let pids = std::fs::read_to_string(house.at("home/pids")).ok()?;
        let pids: Vec<u32> = pids.lines().map(|line| line.parse().unwrap()).collect();
        (pids.len() == 5).then_some(pids)
    })
}

fn nobody_of(house: &House) {
    wait_until("all of the worker is gone", SOON, || {
        let worker = |line: &str| line.contains("stubborn") || line.contains("--linger");
        (!house.residents().iter().any(|resident| worker(&resident.line))).then_some(())
    });
}

fn repository_and_run(house: &House, document: &Value) -> String {
    let project = house.repository("project");
    house.detach(project.path(), &house.document("stubborn", document))
}

#[test]
fn after_its_end_nothing_of_a_worker_is_left() {
    let house = House::new();
    let run = repository_and_run(&house, &stubborn(&house, ""));
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    assert_eq!(daemons(&house).len(), 5);
    nobody_of(&house);
}

#[test]
fn a_cancelled_run_takes_everything_along_and_a_bystander_of_the_same_name_lives() {
    let house = House::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let twin = elsewhere.path().join("stubborn");
    std::fs::copy("/bin/sleep", &twin).unwrap();
    let mut twin = Command::new(twin).arg("1000").current_dir("/").stdin(Stdio::null()).spawn().unwrap();

    let run = repository_and_run(&house, &stubborn(&house, "hang"));
    daemons(&house);
    let _ = house.niia(["cancel", &run]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "cancelled");
    nobody_of(&house);
    assert!(twin.try_wait().unwrap().is_none(), "the bystander lives");
    twin.kill().unwrap();
    twin.wait().unwrap();
}

#[test]
fn a_killed_session_takes_everything_along() {
    let house = House::new();
    let run = repository_and_run(&house, &stubborn(&house, "hang"));
    daemons(&house);
    let _ = house.niia(["kill", &[&run, "work", "1", "1"].join("/")]).run().exits(0);
    assert_ne!(house.wait_over(&run, SOON)["state"], "running");
    nobody_of(&house);
}

#[test]
fn a_session_past_its_time_is_ended_with_everything_it_started() {
    let house = House::new();
    let mut document = stubborn(&house, "hang");
    document["pipeline"]["phases"][0]["session"]["timeout_ms"] = json!(1500);
    let run = repository_and_run(&house, &document);
    let status = house.wait_over(&run, SOON);
    assert_eq!(status["state"], "failed");
    assert!(status.to_string().contains("timed_out"), "{status:#}");
    nobody_of(&house);
}

#[test]
fn the_node_that_is_told_to_stop_with_its_sessions_leaves_no_process_socket_or_lock() {
    let house = House::new();
    let run = repository_and_run(&house, &stubborn(&house, "hang"));
    daemons(&house);
    let _ = house.niia(["daemon", "stop", "--end-sessions"]).run().exits(0);
    wait_until("nobody is left", SOON, || house.residents().is_empty().then_some(()));
    assert_ne!(house.wait_over(&run, SOON)["state"], "done");
}

#[test]
fn of_twenty_nodes_started_at_once_one_wins() {
    let house = House::new();
    let calls: Vec<_> = (0..20).map(|_| house.niia(["daemon", "start"]).start()).collect();
    for call in calls {
        let _ = call.wait().exits(0);
    }
    let node = house.node();
    let nodes: Vec<u32> =
        house.residents().iter().filter(|r| r.line.contains("daemon run")).map(|r| r.id).collect();
    assert_eq!(nodes, [node]);
}

#[test]
fn a_stale_socket_stands_in_nobodys_way() {
    let house = House::new();
    let _ = house.niia(["daemon", "start"]).run().exits(0);
    let first = house.node();
    house.kill(first);
    let _ = house.niia(["runs"]).run().exits(0);
    assert_ne!(house.node(), first);
    assert!(Path::new(&house.at("state")).is_dir());
}

//! What becomes of a worker elsewhere when a node or the way to it is lost.

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;
use super::{machine, paired};

fn document(on_lost: &str) -> Value {
    json!({
        "name": "far",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "seoul", "prompt": "x",
            "on_lost": on_lost, "grace_ms": 500 }] }
    })
}

/// A run whose worker notes its begin on `seoul`, and waits for a file there.
fn begun(laptop: &House, seoul: &House, on_lost: &str) -> String {
    paired(laptop, seoul, "run");
    let (calls, go) = (seoul.at("home/calls"), seoul.at("home/go"));
    let play =
        format!("note {} x\nwait-for {}\nwrite made.txt made\nsay made", calls.display(), go.display());
    seoul.install("claude", &play);
    let project = laptop.repository("project");
    let run = laptop.detach(project.path(), &laptop.document("far", &document(on_lost)));
    wait_until("the worker works there", SOON, || calls.exists().then_some(()));
    run
}

fn calls(house: &House) -> usize {
    std::fs::read_to_string(house.at("home/calls")).unwrap_or_default().lines().count()
}

fn go(house: &House) {
    std::fs::write(house.at("home/go"), "").unwrap();
}

fn ended_there(house: &House) {
    wait_until("it is over there", SOON, || {
        let sessions = house.niia(["sessions", "--json"]).run().exits(0).json();
        (sessions == json!([])).then_some(())
    });
}

#[test]
fn the_far_node_is_killed_and_comes_back_and_the_worker_never_noticed() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let run = begun(&laptop, &seoul, "wait");
    seoul.kill(seoul.node());
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    go(&seoul);
    let status = laptop.wait_over(&run, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
    assert_eq!(calls(&seoul), 1);
}

#[test]
fn the_home_node_is_killed_and_comes_back_and_finds_the_result_waiting() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let run = begun(&laptop, &seoul, "wait");
    laptop.kill(laptop.node());
    go(&seoul);
    ended_there(&seoul);
    let _ = laptop.niia(["daemon", "start"]).run().exits(0);
    let status = laptop.wait_over(&run, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
    assert_eq!(calls(&seoul), 1);
}

#[test]
fn a_lost_machine_fails_the_worker_where_the_document_says_so() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let run = begun(&laptop, &seoul, "fail");
    seoul.kill(seoul.node());
    let status = laptop.wait_over(&run, SOON);
    assert_eq!(status["state"], "failed", "{status:#}");
    assert!(status.to_string().contains("seoul is lost"), "{status:#}");
    // When it is back it is told that nobody waits for it any more.
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    ended_there(&seoul);
}

#[test]
fn a_cancelled_run_ends_its_workers_everywhere() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let run = begun(&laptop, &seoul, "wait");
    let _ = laptop.niia(["cancel", &run]).run();
    let status = laptop.wait_over(&run, SOON);
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(seoul.niia(["sessions", "--json"]).run().exits(0).json(), json!([]));
}

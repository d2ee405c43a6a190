//! The order of things: who runs when, who is tried again, who is enough.

use std::time::Duration;

use niia_tests::House;
use serde_json::{Value, json};

use super::SOON;

fn run(house: &House, document: &Value, code: i32) -> Value {
    let project = house.repository("project");
    let id = house.run(project.path(), &house.document("course", document)).exits(code).run_id();
    house.status(&id)
}

fn noted(house: &House) -> Vec<String> {
    let text = std::fs::read_to_string(house.at("home/noted")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn workers_of_a_sequential_phase_never_overlap() {
    let house = House::new();
    let noted_file = house.at("home/noted");
    house.install("claude", &format!("note {0} begin\npause 50\nnote {0} end", noted_file.display()));
    let phases =
        json!([{ "name": "one", "model": "claude", "workers": 3, "parallel": false, "prompt": "x" }]);
    run(&house, &json!({ "name": "sequence", "pipeline": { "phases": phases } }), 0);
    assert_eq!(noted(&house), ["begin", "end", "begin", "end", "begin", "end"]);
}

#[test]
fn phases_that_name_whom_they_follow_run_side_by_side() {
    let house = House::new();
    let there = |name: &str| house.at("home").join(name).display().to_string();
    let play = format!(
        "when left note {0} x\nwhen left wait-for {1}\nwhen right note {1} x\nwhen right wait-for {0}\nsay met",
        there("left"),
        there("right")
    );
    house.install("claude", &play);
    let phases = json!([
        { "name": "begin", "model": "claude", "prompt": "x" },
        { "name": "a", "model": "claude", "after": ["begin"], "prompt": "the left one" },
        { "name": "b", "model": "claude", "after": ["begin"], "prompt": "the right one" },
        { "name": "end", "model": "claude", "after": ["a", "b"], "prompt": "x" }
    ]);
    let status = run(&house, &json!({ "name": "graph", "pipeline": { "phases": phases } }), 0);
    assert_eq!(status["state"], "done", "{status:#}");
}

#[test]
fn a_failed_worker_is_tried_again_as_often_as_is_said_and_its_attempts_are_numbered() {
    let house = House::new();
    let once = house.at("home/once").display().to_string();
    house.install(
        "claude",
        &format!("note {{env:HOME}}/noted {{env:NIIA_SESSION}}\nonce {once} exit 1\nsay fine"),
    );
    let phases =
        json!([{ "name": "work", "model": "claude", "retry": { "max": 2, "backoff_ms": 1 }, "prompt": "x" }]);
    let status = run(&house, &json!({ "name": "again", "pipeline": { "phases": phases } }), 0);
    let attempts = status["phases"][0]["workers"][0]["attempts"].as_array().unwrap();
    let numbers: Vec<u64> = attempts.iter().map(|attempt| attempt["attempt"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
    let ends: Vec<char> = noted(&house).iter().filter_map(|line| line.chars().last()).collect();
    assert_eq!(ends, ['1', '2'], "each attempt is a session of its own");
}

#[test]
fn when_one_of_two_is_enough_the_other_is_ended() {
    let house = House::new();
    house.install("claude", "say quick");
    house.install("codex", "say slow\nhang");
    let phases = json!([{ "name": "race", "require": "any", "workers": [
        { "id": "quick", "model": "claude", "prompt": "x" }, { "id": "slow", "model": "codex", "prompt": "x" }
    ] }]);
    let status = run(&house, &json!({ "name": "race", "pipeline": { "phases": phases } }), 0);
    assert_eq!(status["phases"][0]["outcome"], "done", "{status:#}");
}

#[test]
fn a_run_goes_on_after_a_failed_phase_only_where_that_is_said() {
    let house = House::new();
    house.install("claude", "when first exit 1\nsay second");
    let document = |rule: &str| {
        let phases = json!([
            { "name": "one", "model": "claude", "on_failure": rule, "prompt": "the first" },
            { "name": "two", "model": "claude", "prompt": "the next" }
        ]);
        json!({ "name": "rule", "pipeline": { "phases": phases } })
    };
    let status = run(&house, &document("stop"), 1);
    assert_eq!(status["phases"][1]["workers"][0]["attempts"], json!([]), "{status:#}");
    let file = house.document("on", &document("continue"));
    let id = house.run(&house.at("project"), &file).run_id();
    assert_eq!(house.status(&id)["phases"][1]["outcome"], "done");
}

#[test]
fn a_phase_that_asks_begins_when_a_person_approves_and_a_denied_one_does_not() {
    let house = House::new();
    house.install("claude", "say approved");
    let project = house.repository("project");
    let phases = json!([{ "name": "careful", "model": "claude", "approve": true, "prompt": "x" }]);
    let file = house.document("ask", &json!({ "name": "ask", "pipeline": { "phases": phases } }));
    let asking = |run: &str| {
        niia_tests::wait_until("it asks", SOON, || {
            (house.status(run)["phases"][0]["state"] == "asking").then_some(())
        });
    };
    let run = house.detach(project.path(), &file);
    asking(&run);
    let _ = house.niia(["approve", &run]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let run = house.detach(project.path(), &file);
    asking(&run);
    let _ = house.niia(["deny", &run, "--reason", "not today"]).run().exits(0);
    let status = house.wait_over(&run, SOON);
    assert_ne!(status["state"], "done");
    assert!(status.to_string().contains("not today"), "{status:#}");
}

#[test]
fn a_hundred_small_workers_are_all_done() {
    let house = House::new();
    house.install("claude", "say {env:NIIA_WORKER}");
    let phases = json!([{ "name": "crowd", "model": "claude", "workers": 100, "prompt": "x" }]);
    let document = json!({ "name": "crowd", "pipeline": { "phases": phases } });
    let project = house.repository("project");
    let run = house.detach(project.path(), &house.document("crowd", &document));
    let status = house.wait_over(&run, Duration::from_secs(240));
    assert_eq!(status["state"], "done", "{}", status["reason"]);
    let workers = status["phases"][0]["workers"].as_array().unwrap();
    assert!(workers.len() == 100 && workers.iter().all(|worker| worker["state"] == "done"));
}

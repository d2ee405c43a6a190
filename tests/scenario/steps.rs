//! Phases of steps: commands before anybody works, and rules over what they say. And outputs of a given shape.

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::SOON;
use super::talks::{prompts, talker};

fn document(phases: Value) -> Value {
    json!({ "name": "stepped", "pipeline": { "phases": phases } })
}

#[test]
fn steps_alone_need_no_model_and_go_where_their_rules_say() {
    let house = House::new();
    let project = house.repository("project");
    let steps = json!([
        { "name": "count", "run": "printf 'a\\nb\\nc\\n'", "output": "lines", "rules": [
            { "when": "lines_over:2", "next": "many", "set": { "size": "big" } } ] },
        { "name": "few", "run": "echo never; exit 9" },
        { "name": "many", "binary": "sh", "args": ["-c", "echo warning: old; exit 3"], "rules": [
            { "when": "regex:^warning: (\\w+)$", "set": { "warned": true } },
            { "when": "exit:3", "next": "last" } ] },
        { "name": "never", "run": "exit 1" },
        { "name": "last", "run": "echo made > made.txt; echo all done", "rules": [
            { "when": "contains:done", "next": "end" } ] },
        { "name": "behind", "run": "exit 1" } ]);
    let phases = json!([
        { "name": "look", "steps": steps },
        { "name": "tell", "steps": [{ "name": "say", "run": "echo it was $(cat made.txt)", "output": "told" }],
          "condition": "look.size == 'big' && look.warned && look.lines.contains('b')" },
        { "name": "other", "steps": [{ "run": "exit 1" }], "condition": "look.size == 'small'" } ]);
    let run = house.run(project.path(), &house.document("stepped", &document(phases))).exits(0).run_id();
    let status = house.status(&run);
    let workers: Vec<(String, String)> = status["phases"][0]["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["worker"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned()))
        .collect();
    let ran: Vec<&str> =
        workers.iter().filter(|(_, state)| state == "done").map(|(name, _)| name.as_str()).collect();
    assert_eq!(ran, ["count", "many", "last"], "{status:#}");
    assert_eq!(status["phases"][1]["workers"][0]["outputs"]["told"], "it was made");
    assert!(status["phases"][2]["outcome"].to_string().contains("skipped"));
    assert_eq!(project.git(["show", &format!("niia/{run}/result:made.txt")]).trim(), "made");
}

#[test]
fn a_step_that_fails_and_that_no_rule_speaks_of_fails_its_phase_before_anybody_works() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    let phases = json!([{ "name": "work", "model": "claude", "prompt": "x", "steps": [
        { "name": "test", "run": "exit 4" } ] }]);
    let failed = house.run(project.path(), &house.document("stepped", &document(phases))).exits(1);
    assert!(failed.out.contains("step `test` ended with exit code 4"), "{}", failed.out);
    assert!(prompts(&house, "1").is_empty(), "nobody worked");
}

#[test]
fn steps_come_before_the_workers_in_the_same_line() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "see");
    let phases = json!([{ "name": "work", "model": "claude", "prompt": "x", "steps": [
        { "name": "prepare", "run": "echo ready > ready.txt" } ] }]);
    let run = house.run(project.path(), &house.document("stepped", &document(phases))).exits(0);
    assert!(house.report(&run.run_id()).contains("ready.txt"));
}

#[test]
fn rules_that_lead_back_for_ever_are_stopped_by_name() {
    let house = House::new();
    let folder = house.file("work/x", "");
    let phases = json!([{ "name": "spin", "steps": [
        { "name": "again", "run": "true", "rules": [{ "when": "exit:0", "next": "again" }] } ] }]);
    let failed = house.run(folder.parent().unwrap(), &house.document("stepped", &document(phases))).exits(1);
    assert!(failed.out.contains("step_runs_max"), "{}", failed.out);
}

fn writes(house: &House) -> String {
    let phases = json!([{ "name": "ship", "steps": [
        { "name": "look", "run": "echo fine" },
        { "name": "push", "run": "echo pushed > pushed.txt", "intent": "write" } ] }]);
    let project = house.repository("project");
    let run = house.detach(project.path(), &house.document("stepped", &document(phases)));
    wait_until("a person is asked", SOON, || {
        (house.status(&run)["phases"][0]["state"] == "asking").then_some(())
    });
    run
}

#[test]
fn a_step_that_writes_asks_first_and_a_yes_lets_it_go() {
    let house = House::new();
    let told = house.at("home/told");
    house.file(
        "state/config/niia.toml",
        &format!("notify = [\"sh\", \"-c\", \"echo \\\"$0\\\" >> {}\"]\n", told.display()),
    );
    let run = writes(&house);
    wait_until("a person is told", SOON, || {
        std::fs::read_to_string(&told).unwrap_or_default().contains("waits for you").then_some(())
    });
    drop(house.niia(["approve", &run]).run().exits(0));
    let status = house.wait_over(&run, SOON);
    assert_eq!(
        (&status["state"], &status["phases"][0]["workers"][1]["state"]),
        (&json!("done"), &json!("done"))
    );
}

#[test]
fn a_step_that_writes_asks_first_and_a_no_ends_the_phase() {
    let house = House::new();
    let run = writes(&house);
    house.kill(house.node());
    assert_eq!(house.status(&run)["phases"][0]["state"], "asking", "it asks on after a crash");
    drop(house.niia(["deny", &run, "--reason", "not before Monday"]).run().exits(0));
    let status = house.wait_over(&run, SOON);
    assert_eq!(status["state"], "failed");
    assert!(status["reason"].as_str().unwrap().contains("denied: not before Monday"), "{status:#}");
}

fn shaped_run(house: &House, mends: bool) -> niia_tests::Said {
    let project = house.repository("project");
    let mended = if mends { "when do+not+fit json {\"verdict\": \"ship\"}" } else { "" };
    let kept = house.at("home/asked/judge-1").display().to_string();
    // What is published stands at the end of an answer.
    let play = format!("write {kept}-{{pid}}.txt {{prompt}}\njson {{\"verdict\": \"perhaps\"}}\n{mended}\n");
    house.install("claude", &play);
    let phases = json!([{ "name": "judge", "model": "claude", "prompt": "Judge it.", "output_schema": {
        "type": "object", "required": ["verdict"], "properties": { "verdict": { "enum": ["ship", "fix"] } } } }]);
    house.run(project.path(), &house.document("stepped", &document(phases)))
}

#[test]
fn outputs_of_another_shape_are_told_to_the_worker_once_and_then_taken() {
    let house = House::new();
    let run = shaped_run(&house, true).exits(0).run_id();
    let asked = prompts(&house, "1");
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains("JSON Schema") && asked[0].contains("\"ship\""), "{}", asked[0]);
    assert!(asked[1].contains("do not fit `output_schema`: /verdict"), "{}", asked[1]);
    assert_eq!(house.status(&run)["phases"][0]["workers"][0]["outputs"]["verdict"], "ship");
}

#[test]
fn outputs_of_another_shape_fail_their_worker_the_second_time() {
    let house = House::new();
    let failed = shaped_run(&house, false).exits(1);
    assert_eq!(prompts(&house, "1").len(), 2);
    assert!(failed.out.contains("do not fit `output_schema`"), "{}", failed.out);
}

#[test]
fn a_schema_that_is_none_is_an_error_of_the_document() {
    let house = House::new();
    let phases =
        json!([{ "name": "judge", "model": "claude", "prompt": "x", "output_schema": { "type": "objekt" } }]);
    let path = house.document("stepped", &document(phases));
    let refused = house.niia([std::path::Path::new("check"), &path]).run().exits(3);
    assert!(refused.out.contains("`output_schema` is no JSON Schema"), "{}{}", refused.out, refused.err);
}

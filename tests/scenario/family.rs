//! Runs within runs: begun by a program in a session, or by a phase that is a document of its own.

mod bounds;
mod connectors;

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::SOON;

/// A tool that is this script of shell. What it writes to descriptor 3 is read with [`said`].
fn tool(house: &House, name: &str, script: &str) {
    let said = house.at("home/said");
    house.executable(name, &format!("#!/bin/sh\nexec 3>>'{}'\n{script}\n", said.display()));
}

fn said(house: &House) -> String {
    std::fs::read_to_string(house.at("home/said")).unwrap_or_default()
}

/// A document of one phase with one worker.
fn lone(name: &str, model: &str, more: &Value) -> Value {
    let mut phase = json!({ "name": "work", "model": model, "prompt": "x" });
    for (key, value) in more.as_object().unwrap() {
        phase[key] = value.clone();
    }
    json!({ "name": name, "pipeline": { "phases": [phase] } })
}

fn all_runs(house: &House) -> Vec<Value> {
    house.niia(["runs", "--tree", "--json"]).run().json().as_array().cloned().unwrap_or_default()
}

/// The one run of a document.
fn run_of(house: &House, document: &str) -> Value {
    let mut found = all_runs(house).into_iter().filter(|run| run["name"] == document);
    let first = found.next().unwrap_or_else(|| panic!("{document} was not run"));
    assert!(found.next().is_none(), "{document} was run once");
    first
}

#[test]
fn an_agent_begins_a_run_which_goes_on_from_its_tree_and_comes_home_into_its_runs_line() {
    let house = House::new();
    let project = house.repository("project");
    let sub = house.document("sub", &lone("sub", "codex", &json!({})));
    tool(
        &house,
        "claude",
        &format!(
            "echo one > mine.txt; echo told > \"$NIIA_SCRATCHPAD/note\"
             niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3
             niia runs --tree >&3; ls \"$NIIA_SCRATCHPAD\"/sub-*/work >&3
             echo two > mine.txt; echo done",
            sub.display()
        ),
    );
    tool(
        &house,
        "codex",
        "echo \"sees $(cat mine.txt) and $(cat \"$NIIA_SCRATCHPADS_ABOVE/note\")\" >&3
         echo made > made.txt; echo the child answers",
    );
    let before = project.fingerprint();
    let run =
        house.run(project.path(), &house.document("outer", &lone("outer", "claude", &json!({})))).exits(0);
    let run = run.run_id();
    let told = said(&house);
    for word in ["sees one and told", "the child answers", "code 0", "work/1/1", "1.md"] {
        assert!(told.contains(word), "{word}:\n{told}");
    }
    let file = |name: &str| project.git(["show", &format!("niia/{run}/result:{name}")]);
    assert_eq!((file("mine.txt").trim(), file("made.txt").trim()), ("two", "made"));
    let child = run_of(&house, "sub");
    let worker = &child["parent"]["attempt"]["worker"];
    assert_eq!(
        (&child["parent"]["run"], &worker["phase"], &child["depth"]),
        (&json!(run), &json!("work"), &json!(1))
    );
    assert_eq!(child["state"], "done");
    assert_eq!(project.fingerprint(), before, "the checkout is as it was");
}

#[test]
fn what_a_child_asks_wider_is_told_with_both_lines_and_nothing_is_begun() {
    let house = House::new();
    let project = house.repository("project");
    let wide = house.file(
        "wide.connector.json",
        "{ \"name\": \"wide\",\n  \"pipeline\": { \"phases\": [ { \"name\": \"reach\", \"model\": \"claude\", \"prompt\": \"x\",\n    \
         \"machine\": \"elsewhere.example\",\n    \"session\": {\n      \"permission\": \"full\" } } ] } }\n",
    );
    tool(
        &house,
        "claude",
        &format!("niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3", wide.display()),
    );
    let outer = house.file(
        "outer.connector.json",
        "{ \"name\": \"outer\", \"pipeline\": { \"phases\": [\n  { \"name\": \"work\", \"model\": \"claude\", \"prompt\": \"x\",\n    \
         \"session\": { \"permission\": \"workspace-write\" } } ] } }\n",
    );
    drop(house.run(project.path(), &outer).exits(0));
    let told = said(&house);
    for word in [
        "`session.permission` of `reach/1` is \"full\"",
        "wide.connector.json:5:7",
        "that of `work/1`, which begins this run, is \"workspace-write\"",
        "outer.connector.json:3:18",
        "`machine` of `reach/1`",
        "wide.connector.json:3:5",
    ] {
        assert!(told.contains(word), "{word}:\n{told}");
    }
    assert!(!told.contains("code 0"), "{told}");
    assert_eq!(all_runs(&house).len(), 1, "nothing is half-started");
}

#[test]
fn a_cancelled_run_takes_everything_along_that_was_begun_in_it() {
    let house = House::new();
    let project = house.repository("project");
    let inner = house.document("inner", &lone("inner", "gemini", &json!({})));
    let middle = house.document("middle", &lone("middle", "codex", &json!({})));
    tool(&house, "claude", &format!("niia run '{}' </dev/null", middle.display()));
    tool(&house, "codex", &format!("niia run '{}' </dev/null", inner.display()));
    tool(&house, "gemini", "echo here >&3; sleep 600");
    let outer = house.document("outer", &lone("outer", "claude", &json!({})));
    let run = house.detach(project.path(), &outer);
    wait_until("the innermost one works", SOON, || said(&house).contains("here").then_some(()));
    let tree = house.niia(["runs", "--tree"]).run().exits(0).out;
    let indents: Vec<usize> = tree.lines().skip(1).map(|line| line.len() - line.trim_start().len()).collect();
    assert_eq!(indents, [0, 2, 4], "{tree}");
    drop(house.niia(["cancel", &run]).run().exits(0));
    assert_eq!(house.wait_over(&run, SOON)["state"], "cancelled");
    for document in ["middle", "inner"] {
        assert_eq!(run_of(&house, document)["state"], "cancelled", "{document}");
    }
    assert_eq!(house.niia(["sessions", "--json"]).run().json(), json!([]), "nobody lives");
}

#[test]
fn a_run_does_not_outlive_the_session_it_was_begun_in() {
    let house = House::new();
    let project = house.repository("project");
    let sub = house.document("sub", &lone("sub", "codex", &json!({})));
    let waits = format!("until grep -q here '{}'; do sleep 0.05; done", house.at("home/said").display());
    tool(&house, "claude", &format!("niia run '{}' --detach </dev/null; {waits}; echo done", sub.display()));
    tool(&house, "codex", "echo here >&3; sleep 600");
    let outer = house.document("outer", &lone("outer", "claude", &json!({})));
    drop(house.run(project.path(), &outer).exits(0));
    let child = run_of(&house, "sub");
    assert_eq!(child["state"], "cancelled");
    assert!(child["reason"].as_str().unwrap().contains("is over"), "{child:#}");
}

#[test]
fn an_agent_may_end_what_it_began_and_nothing_else() {
    let house = House::new();
    let project = house.repository("project");
    let sub = house.document("sub", &lone("sub", "codex", &json!({})));
    tool(
        &house,
        "claude",
        &format!(
            "child=$(niia run '{}' --detach </dev/null | sed -n 's/^run //p')
             niia cancel \"$child\" >&3 2>&3; echo \"child $?\" >&3
             until niia status \"$child\" --json | grep -q '\"state\": *\"cancelled\"'; do sleep 0.05; done
             niia cancel \"$NIIA_RUN\" >&3 2>&3; echo \"own $?\" >&3",
            sub.display()
        ),
    );
    tool(&house, "codex", "sleep 600");
    let outer = house.document("outer", &lone("outer", "claude", &json!({})));
    drop(house.run(project.path(), &outer).exits(0));
    let told = said(&house);
    assert!(told.contains("child 0") && told.contains("own 1"), "{told}");
}

#[test]
fn a_node_killed_in_the_middle_of_a_child_loses_and_doubles_nothing() {
    let house = House::new();
    let project = house.repository("project");
    let sub = house.document("sub", &lone("sub", "codex", &json!({})));
    let go = house.at("home/go");
    tool(
        &house,
        "claude",
        &format!(
            "echo parent >&3; niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3; echo done",
            sub.display()
        ),
    );
    tool(
        &house,
        "codex",
        &format!(
            "echo child >&3; until [ -e '{}' ]; do sleep 0.05; done; echo made > made.txt; echo ok",
            go.display()
        ),
    );
    let outer = house.document("outer", &lone("outer", "claude", &json!({})));
    let run = house.detach(project.path(), &outer);
    for _ in 0..2 {
        wait_until("the child works", SOON, || said(&house).contains("child").then_some(()));
        house.kill(house.node());
        wait_until("the node is back", SOON, || (house.status(&run)["state"] == "running").then_some(()));
    }
    std::fs::write(&go, "").unwrap();
    assert_eq!(house.wait_over(&run, SOON)["state"], "done", "{}", said(&house));
    let told = said(&house);
    assert_eq!((told.matches("parent\n").count(), told.matches("child\n").count()), (1, 1), "{told}");
    assert!(told.contains("code 0"), "{told}");
    assert_eq!(run_of(&house, "sub")["state"], "done");
    assert_eq!(project.git(["show", &format!("niia/{run}/result:made.txt")]).trim(), "made");
}

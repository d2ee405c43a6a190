//! Bounds over a whole tree of runs: whoever goes on for ever is stopped by name, and nobody else is harmed.

use niia_tests::House;
use serde_json::{Value, json};

use super::{all_runs, lone, said, tool};

/// A document whose agent runs the same document again, with these limits, and notes that it was there.
fn calls_itself(house: &House, limits: &Value) -> std::path::PathBuf {
    let mut document = lone("loop", "claude", &json!({}));
    document["limits"] = limits.clone();
    let path = house.document("loop", &document);
    let line = format!(
        "echo here >&3; niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3; echo done",
        path.display()
    );
    tool(house, "claude", &line);
    path
}

#[test]
fn an_agent_that_calls_itself_for_ever_is_stopped_by_the_depth() {
    let house = House::new();
    let project = house.repository("project");
    let path = calls_itself(&house, &json!({ "max_depth": 3 }));
    drop(house.run(project.path(), &path).exits(0));
    let told = said(&house);
    assert_eq!(told.lines().filter(|line| *line == "here").count(), 4, "three below the first: {told}");
    assert_eq!(told.matches("the limit max_depth (3) is reached").count(), 1, "{told}");
    let runs = all_runs(&house);
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|run| run["state"] == "done"), "the rest is unharmed: {runs:#?}");
}

#[test]
fn an_agent_that_calls_itself_for_ever_is_stopped_by_the_number_of_agents_of_all_together() {
    let house = House::new();
    let project = house.repository("project");
    let path = calls_itself(&house, &json!({ "max_depth": 64, "max_total_agents": 3, "on_breach": "stop" }));
    drop(house.run(project.path(), &path).exits(0));
    let told = said(&house);
    assert_eq!(told.matches("here").count(), 3, "{told}");
    assert!(told.contains("the limit max_total_agents (3) of `loop-"), "{told}");
}

#[test]
fn a_document_that_runs_itself_is_stopped_by_the_depth_and_what_runs_beside_it_is_unharmed() {
    let house = House::new();
    let project = house.repository("project");
    tool(&house, "claude", "echo here >&3; echo $NIIA_RUN > $NIIA_PHASE.txt; echo done");
    let document = json!({ "name": "loop", "limits": { "max_depth": 2 }, "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "x" },
        { "name": "again", "connector": "loop.connector.json", "on_failure": "continue" },
        { "name": "last", "model": "claude", "prompt": "x" } ] } });
    let run = house.run(project.path(), &house.document("loop", &document)).exits(0).run_id();
    assert_eq!(said(&house).matches("here").count(), 6, "two phases in each of three");
    let runs = all_runs(&house);
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run["state"] == "done"), "{runs:#?}");
    let deepest = runs.iter().find(|run| run["depth"] == 2).unwrap();
    let outcome = deepest["phases"][1]["outcome"].to_string();
    assert!(outcome.contains("the limit max_depth (2) is reached"), "{outcome}");
    assert_eq!(house.status(&run)["phases"][2]["outcome"], "done");
}

#[test]
fn a_fan_of_agents_is_stopped_at_the_bound_over_the_whole_tree() {
    let house = House::new();
    let project = house.repository("project");
    let fan = house.document("fan", &lone("fan", "codex", &json!({ "workers": 5 })));
    tool(&house, "codex", "echo fan >&3; echo ok");
    tool(
        &house,
        "claude",
        &format!(
            "for n in 1 2 3; do niia run '{}' >&3 2>&3 </dev/null & done; wait; echo done",
            fan.display()
        ),
    );
    let mut outer = lone("outer", "claude", &json!({}));
    outer["limits"] = json!({ "max_total_agents": 9, "on_breach": "stop" });
    drop(house.run(project.path(), &house.document("outer", &outer)).exits(0));
    let told = said(&house);
    assert_eq!(
        told.lines().filter(|line| *line == "fan").count(),
        8,
        "with the one that began them nine: {told}"
    );
    assert!(told.contains("the limit max_total_agents (9) of `outer-"), "{told}");
}

#[test]
fn what_a_document_inside_costs_counts_in_every_run_above() {
    let house = House::new();
    let project = house.repository("project");
    tool(&house, "codex", "echo paid >&3; echo ok");
    house.document(
        "sub",
        &json!({ "name": "sub", "models": { "cheap": { "use": "codex", "cost": 0.01 } },
            "limits": { "max_cost_usd": 9, "on_breach": "stop" },
            "pipeline": { "phases": [{ "name": "work", "model": "cheap", "prompt": "x", "workers": 3 }] } }),
    );
    let outer = json!({ "name": "outer", "limits": { "max_cost_usd": 0.05, "on_breach": "stop" },
        "pipeline": { "phases": [
            { "name": "first", "connector": "sub.connector.json" },
            { "name": "second", "connector": "sub.connector.json" } ] } });
    let outer = house.document("outer", &outer);
    let told = house.run(project.path(), &outer).err;
    assert_eq!(said(&house).matches("paid").count(), 5, "five cents are five sessions: {told}");
    let runs = all_runs(&house);
    let outer = runs.iter().find(|run| run["depth"] == 0).unwrap();
    let last = runs.iter().find(|run| run["depth"] == 1 && run["state"] == "failed").unwrap();
    let why = house.niia(["explain", last["run"].as_str().unwrap()]).run().exits(0).out;
    let named = format!("the limit max_cost_usd ($0.05) of `{}`", outer["run"].as_str().unwrap());
    assert!(why.contains(&named), "{why}");
}

/// A fan that is wider than the bound of the whole tree, which is 200 where nobody sets it: `NIIA_FAN=200`.
#[test]
fn a_fan_over_the_bound_has_not_one_agent_more_and_the_bound_is_named() {
    let bound: usize = std::env::var("NIIA_FAN").map_or(30, |text| text.parse().unwrap());
    let house = House::new().leaving_within(std::time::Duration::from_secs(60));
    let project = house.repository("project");
    let fan = house.document("fan", &lone("fan", "codex", &json!({ "workers": 10 })));
    tool(&house, "codex", "echo fan >&3; echo ok");
    let begin = format!(
        "for n in $(seq {}); do niia run '{}' >&3 2>&3 </dev/null & done; wait; echo done",
        bound / 10 + 1,
        fan.display()
    );
    tool(&house, "claude", &begin);
    let mut outer = lone("outer", "claude", &json!({}));
    outer["limits"] = json!({ "on_breach": "stop" });
    if bound != 200 {
        outer["limits"]["max_total_agents"] = json!(bound);
    }
    let run = house.detach(project.path(), &house.document("outer", &outer));
    let _ = house.wait_over(&run, std::time::Duration::from_secs(300));
    let told = said(&house);
    let begun = told.lines().filter(|line| *line == "fan").count();
    assert_eq!(begun, bound - 1, "with the one that began them: {told}");
    assert!(told.contains(&format!("the limit max_total_agents ({bound}) of `outer-")), "{told}");
}

#[test]
fn a_session_without_leave_begins_no_runs() {
    let house = House::new();
    let project = house.repository("project");
    let sub = house.document("sub", &lone("sub", "codex", &json!({})));
    tool(&house, "codex", "echo never >&3");
    tool(
        &house,
        "claude",
        &format!("niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3", sub.display()),
    );
    let mut outer = lone("outer", "claude", &json!({}));
    outer["capabilities"] = json!({ "spawn": false });
    drop(house.run(project.path(), &house.document("outer", &outer)).exits(0));
    let told = said(&house);
    assert!(told.contains("`capabilities.spawn` is false") && !told.contains("never"), "{told}");
}

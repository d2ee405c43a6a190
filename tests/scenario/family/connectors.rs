//! Phases that are a document of their own.

use niia_tests::{House, wait_until};
use serde_json::json;

use super::super::SOON;
use super::{all_runs, lone, run_of, said, tool};

#[test]
fn a_phase_that_is_a_document_gives_its_answer_its_outputs_and_its_work_to_what_comes_after() {
    let house = House::new();
    let project = house.repository("project");
    house.document(
        "parts/inner",
        &json!({ "name": "inner", "pipeline": { "phases": [
            { "name": "deep", "model": "gemini", "prompt": "x" } ] } }),
    );
    house.document(
        "parts/sub",
        &json!({ "name": "sub", "pipeline": { "phases": [
            { "name": "make", "model": "codex" },
            { "name": "inner", "connector": "inner.connector.json" } ] } }),
    );
    tool(
        &house,
        "claude",
        "echo \"asked $NIIA_PHASE $(cat \"$NIIA_PROMPT_FILE\")\" >&3; echo from-$NIIA_PHASE > $NIIA_PHASE.txt; echo answer of $NIIA_PHASE",
    );
    tool(
        &house,
        "codex",
        "echo \"asked sub $(cat \"$NIIA_PROMPT_FILE\"); has $(ls | tr '\\n' ' ')\" >&3; echo made > made.txt; echo first part",
    );
    tool(
        &house,
        "gemini",
        "echo deep > deep.txt; printf 'the verdict stands\\n```json\\n{\"verdict\": \"ship\"}\\n```\\n'",
    );
    let outer = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "prepare", "model": "claude", "prompt": "Prepare." },
        { "name": "team", "connector": "parts/sub.connector.json", "prompt": "Build what was prepared." },
        { "name": "ship", "model": "claude", "prompt": "Ship it.", "condition": "team.verdict == 'ship'" },
        { "name": "mend", "model": "claude", "prompt": "Mend it.", "condition": "team.verdict == 'fix'" } ] } });
    let run = house.run(project.path(), &house.document("outer", &outer)).exits(0).run_id();
    let told = said(&house);
    assert!(told.contains("Build what was prepared.") && told.contains("prepare.txt"), "{told}");
    assert!(told.contains("the verdict stands"), "the answer is told to the next phase: {told}");
    assert!(told.contains("asked ship") && !told.contains("asked mend"), "{told}");
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    for file in ["prepare.txt", "made.txt", "deep.txt", "ship.txt"] {
        assert!(made.contains(file), "{file}: {made}");
    }
    assert_eq!(all_runs(&house).len(), 3);
    assert_eq!(run_of(&house, "inner")["depth"], 2);
}

#[test]
fn a_document_that_asks_for_more_than_its_phase_gives_is_refused_before_anything_starts() {
    let house = House::new();
    let project = house.repository("project");
    tool(&house, "claude", "echo done");
    house.document("wide", &lone("wide", "claude", &json!({ "session": { "permission": "full" } })));
    let outer = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "team", "connector": "wide.connector.json", "session": { "permission": "read-only" } } ] } });
    let refused = house.run(project.path(), &house.document("outer", &outer)).exits(3);
    for word in ["session.permission", "work/1", "wide.connector.json:", "team/1", "outer.connector.json:"] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    assert!(all_runs(&house).is_empty());
    let absent = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "team", "connector": "nowhere.json" } ] } });
    let refused = house.run(project.path(), &house.document("absent", &absent)).exits(3);
    assert!(refused.err.contains("nowhere.json"), "{}", refused.err);
}

#[test]
fn a_document_whose_work_fails_fails_its_phase_with_its_reason() {
    let house = House::new();
    let project = house.repository("project");
    tool(&house, "claude", "exit 3");
    house.document("sub", &lone("sub", "claude", &json!({})));
    let outer = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "team", "connector": "sub.connector.json" } ] } });
    let failed = house.run(project.path(), &house.document("outer", &outer)).exits(1);
    assert!(failed.out.contains("team") && failed.out.contains("sub-"), "{}", failed.out);
}

#[test]
fn a_document_that_waits_for_a_person_holds_its_phase_and_goes_on_with_it() {
    let house = House::new();
    let project = house.repository("project");
    let big = house.at("home/big");
    tool(
        &house,
        "claude",
        &format!(
            "echo once >&3; [ -e '{0}' ] || {{ touch '{0}'; echo AKIAABCDEFGHIJKLMNOP > key.txt; }}; echo done",
            big.display()
        ),
    );
    house.document("sub", &lone("sub", "claude", &json!({})));
    let outer = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "team", "connector": "sub.connector.json" } ] } });
    let run = house.detach(project.path(), &house.document("outer", &outer));
    assert_eq!(house.wait_over(&run, SOON)["state"], "needs_attention");
    let child = run_of(&house, "sub");
    assert_eq!(child["state"], "needs_attention", "it waits on: {child:#}");
    let tree = child["phases"][0]["workers"][0]["tree"].as_str().map(str::to_owned);
    let folder = std::path::Path::new(child["folder"].as_str().unwrap()).join("git/trees/result");
    std::fs::remove_file(tree.map_or(folder, Into::into).join("key.txt")).unwrap();
    drop(house.niia(["resume", &run]).inside(project.path()).run().exits(0));
    assert_eq!(house.status(&run)["state"], "done");
    assert_eq!(run_of(&house, "sub")["state"], "done");
    assert_eq!(said(&house).matches("once").count(), 1, "nothing is done twice");
}

#[test]
fn a_node_killed_in_the_middle_of_a_document_goes_on_with_it() {
    let house = House::new();
    let project = house.repository("project");
    let go = house.at("home/go");
    tool(
        &house,
        "claude",
        &format!(
            "echo begun >&3; until [ -e '{}' ]; do sleep 0.05; done; echo made > made.txt; echo ok",
            go.display()
        ),
    );
    house.document("sub", &lone("sub", "claude", &json!({})));
    let outer = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "team", "connector": "sub.connector.json" } ] } });
    let run = house.detach(project.path(), &house.document("outer", &outer));
    for _ in 0..3 {
        wait_until("the child works", SOON, || said(&house).contains("begun").then_some(()));
        house.kill(house.node());
        wait_until("the node is back", SOON, || (house.status(&run)["state"] == "running").then_some(()));
    }
    std::fs::write(&go, "").unwrap();
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    assert_eq!(said(&house).matches("begun").count(), 1);
    assert_eq!(all_runs(&house).len(), 2);
    assert_eq!(project.git(["show", &format!("niia/{run}/result:made.txt")]).trim(), "made");
}

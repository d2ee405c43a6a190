//! What flows through a pipeline: results, outputs, claims, branches; and what stops it.

use niia_tests::{House, Said};
use serde_json::{Value, json};

use super::SOON;

fn run(house: &House, document: &Value) -> (Said, String) {
    let project = house.repository("project");
    let name = document["name"].as_str().unwrap();
    let said = house.run(project.path(), &house.document(name, document));
    let id = said.run_id();
    (said, id)
}

fn phase<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["phases"].as_array().unwrap().iter().find(|phase| phase["phase"] == name).unwrap()
}

#[test]
fn an_output_decides_whether_a_later_phase_runs() {
    let house = House::new();
    house.install("claude", "when Classify json {\"kind\": \"docs\"}\nsay {head}");
    house.install("codex", "when Classify run niia output set kind auth\nsay {head}");
    let document = |model: &str| {
        json!({
            "name": format!("triage-{model}"),
            "pipeline": { "phases": [
                { "name": "triage", "model": model, "prompt": "Classify this change." },
                { "name": "security", "model": model, "condition": "triage.kind == 'auth'", "prompt": "Look for holes." },
                { "name": "summary", "model": model, "prompt": "Sum up." }
            ] }
        })
    };
    let (said, run_docs) = run(&house, &document("codex"));
    let _ = said.exits(0);
    let status = house.status(&run_docs);
    assert_eq!(phase(&status, "security")["outcome"], "done", "{status:#}");

    let file = house.document("triage", &document("claude"));
    let said = house.run(&house.at("project"), &file).exits(0);
    let status = house.status(&said.run_id());
    assert!(phase(&status, "security")["outcome"]["skipped"].is_object(), "{status:#}");
    assert_eq!(phase(&status, "summary")["outcome"], "done");
}

#[test]
fn a_worker_is_told_what_later_phases_will_read_of_it() {
    let house = House::new();
    house.install("claude", "say {prompt}\njson {\"kind\": \"auth\"}");
    let document = json!({
        "name": "told",
        "pipeline": { "phases": [
            { "name": "triage", "model": "claude", "prompt": "Classify." },
            { "name": "security", "model": "claude", "condition": "triage.kind == 'auth'", "prompt": "Look." }
        ] }
    });
    let (said, id) = run(&house, &document);
    let _ = said.exits(0);
    let told = house.niia(["replay", &format!("{id}/triage/1/1"), "--text"]).run().exits(0).out;
    assert!(told.contains("kind") && told.contains("auth"), "{told}");
}

#[test]
fn the_next_model_takes_over_in_the_same_tree_when_the_first_cannot_be_had() {
    let house = House::new();
    // claude is not installed, gemini is out of quota, codex does it.
    house.install(
        "gemini",
        "write half.txt begun\nsay You have exhausted your quota. RESOURCE_EXHAUSTED\nexit 1",
    );
    house.install("codex", "see\nsay done by {name}");
    let document = json!({
        "name": "failover",
        "pipeline": { "phases": [
            { "name": "work", "model": "claude", "failover": ["gemini", "codex"], "prompt": "Work." }
        ] }
    });
    let (said, id) = run(&house, &document);
    let _ = said.exits(0);
    let status = house.status(&id);
    let attempts = phase(&status, "work")["workers"][0]["attempts"].as_array().unwrap().clone();
    let models: Vec<&str> = attempts.iter().map(|attempt| attempt["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["claude", "gemini", "codex"]);
    assert_eq!(attempts[0]["outcome"]["unavailable"]["class"], "not_installed");
    assert!(attempts[1]["outcome"]["unavailable"].is_object(), "{attempts:#?}");
    let report = house.report(&id);
    assert!(report.contains("done by codex") && report.contains("half.txt"), "{report}");
}

#[test]
fn a_poor_answer_is_a_failure_and_not_a_reason_to_fail_over() {
    let house = House::new();
    house.install("claude", "say I could not do it.\nexit 3");
    house.install("codex", "say never asked");
    let document = json!({
        "name": "poor",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "failover": ["codex"], "prompt": "Work." }] }
    });
    let (said, id) = run(&house, &document);
    let _ = said.exits(1);
    let status = house.status(&id);
    assert_eq!(phase(&status, "work")["workers"][0]["attempts"].as_array().unwrap().len(), 1, "{status:#}");
}

#[test]
fn of_many_workers_each_item_is_claimed_by_one() {
    let house = House::new();
    let taken = house.at("home/taken");
    let line =
        "run for item in a b c d e f; do niia claim $item >/dev/null && echo $item >>TAKEN; done; true";
    house.install("claude", &line.replace("TAKEN", &taken.display().to_string()));
    let document = json!({
        "name": "claims",
        "pipeline": { "phases": [{ "name": "share", "model": "claude", "workers": 4, "prompt": "Take items." }] }
    });
    let (said, _) = run(&house, &document);
    let _ = said.exits(0);
    let taken = std::fs::read_to_string(taken).unwrap();
    let mut taken: Vec<&str> = taken.lines().collect();
    taken.sort_unstable();
    assert_eq!(taken, ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_run_can_be_looked_at_and_merged_and_until_then_the_checkout_is_untouched() {
    let house = House::new();
    house.install("claude", "write feature.txt made by {name}");
    let project = house.repository("project");
    let before = project.fingerprint();
    let document = json!({
        "name": "feature",
        "pipeline": { "phases": [{ "name": "build", "model": "claude", "prompt": "Build." }] }
    });
    let id = house.run(project.path(), &house.document("feature", &document)).exits(0).run_id();
    assert_eq!(project.fingerprint(), before);
    let diff = house.niia(["diff", &id]).inside(project.path()).run().exits(0).out;
    assert!(diff.contains("feature.txt") && diff.contains("+made by claude"), "{diff}");
    let _ = house.niia(["merge", &id]).inside(project.path()).run().exits(0);
    assert_eq!(std::fs::read_to_string(project.at("feature.txt")).unwrap(), "made by claude\n");
    assert_eq!(project.git(["status", "--porcelain"]), "");
}

#[test]
fn a_conflict_that_may_not_be_solved_by_an_agent_needs_a_person_and_names_the_files() {
    let house = House::new();
    house.install("claude", "write README.md by {name} {pid}");
    let document = json!({
        "name": "conflict",
        "pipeline": { "phases": [
            { "name": "write", "model": "claude", "workers": 2, "merge": "stop", "prompt": "Write the README." }
        ] }
    });
    let (said, id) = run(&house, &document);
    let said = said.exits(5);
    assert!(format!("{}{}", said.out, said.err).contains("README.md"), "{}{}", said.out, said.err);
    let status = house.status(&id);
    assert_eq!(status["state"], "needs_attention");
    assert!(status.to_string().contains("README.md"), "{status:#}");
}

#[test]
fn uncommitted_changes_are_taken_along_only_when_asked_and_never_touched() {
    let house = House::new();
    house.install("claude", "see");
    let project = house.repository("project");
    project.file("draft.txt", "not yet committed\n");
    let before = project.fingerprint();
    let document = json!({
        "name": "dirty",
        "pipeline": { "phases": [{ "name": "look", "model": "claude", "prompt": "Look." }] }
    });
    let file = house.document("dirty", &document);
    let with = house.niia(["run".as_ref(), file.as_os_str(), "--include-dirty".as_ref()]);
    let with = with.inside(project.path()).run().exits(0);
    assert!(house.report(&with.run_id()).contains("draft.txt"));
    let without = house.run(project.path(), &file);
    if without.code == Some(0) {
        assert!(!house.report(&without.run_id()).contains("draft.txt"));
    }
    assert_eq!(project.fingerprint(), before);
}

#[test]
fn what_one_worker_leaves_in_the_scratchpad_another_one_and_a_person_can_read() {
    let house = House::new();
    house.install("claude", "when first run echo remember | niia scratchpad put notes/a.md\nquote");
    let document = json!({
        "name": "pad",
        "pipeline": { "phases": [
            { "name": "one", "model": "claude", "prompt": "You are the first." },
            { "name": "two", "model": "claude", "prompt": "You are the second." }
        ] }
    });
    let (said, id) = run(&house, &document);
    let _ = said.exits(0);
    assert!(house.report(&id).contains("--- notes/a.md\nremember"), "{}", house.report(&id));
    let names = house.niia(["scratchpad", "ls", "--run", &id]).run().exits(0).out;
    assert!(names.contains("notes/a.md") && names.contains("one/1.md"), "{names}");
    let text = house.niia(["scratchpad", "cat", "notes/a.md", "--run", &id]).run().exits(0).out;
    assert_eq!(text, "remember\n");
}

#[test]
fn without_a_repository_a_run_works_in_the_folder_it_was_started_in() {
    let house = House::new();
    house.install("claude", "write made.txt here\nsay {cwd}");
    let folder = house.at("plain");
    std::fs::create_dir(&folder).unwrap();
    let document = json!({
        "name": "plain",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "Work." }] }
    });
    let run = house.run(&folder, &house.document("plain", &document)).exits(0).run_id();
    assert_eq!(std::fs::read_to_string(folder.join("made.txt")).unwrap(), "here\n");
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
}

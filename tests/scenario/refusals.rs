//! What cannot be done is refused by name before anything of it is started.

use niia_tests::House;
use serde_json::{Value, json};

/// Runs a document that must be refused with these words, and looks that nothing of it was begun.
fn refused(document: &Value, words: &[&str]) {
    let house = House::new();
    let project = house.repository("project");
    let calls = house.at("home/calls");
    for tool in ["claude", "codex", "gemini", "ollama"] {
        house.install(tool, &format!("note {} x", calls.display()));
    }
    let said = house.run(project.path(), &house.document("refused", document));
    assert!(said.code.is_some_and(|code| code != 0), "it was not refused: {}", said.out);
    let text = format!("{}{}", said.out, said.err);
    for word in words {
        assert!(text.contains(word), "{word} is not named:\n{text}");
    }
    assert!(!calls.exists(), "nothing is half-started");
    assert_eq!(project.git(["for-each-ref", "refs/heads/niia"]), "");
}

fn phase(phase: Value) -> Value {
    json!({ "name": "refused", "pipeline": { "phases": [phase] } })
}

#[test]
fn a_sandbox_is_refused_and_never_left_out() {
    let document =
        phase(json!({ "name": "walled", "model": "claude", "prompt": "x", "session": { "sandbox": true } }));
    refused(&document, &["sandbox", "walled"]);
}

#[test]
fn a_network_that_must_be_closed_is_not_left_open() {
    let document =
        phase(json!({ "name": "quiet", "model": "claude", "prompt": "x", "session": { "network": false } }));
    refused(&document, &["network", "quiet"]);
}

#[test]
fn a_machine_that_is_not_this_one_is_refused_by_name() {
    let document = json!({
        "name": "far",
        "machines": { "moon": "MOON-BASE.local" },
        "pipeline": { "phases": [{ "name": "work", "machine": "moon", "model": "claude", "prompt": "x" }] }
    });
    refused(&document, &["moon"]);
}

#[test]
fn more_agents_than_the_limit_allows_are_refused_with_the_number() {
    let document = json!({
        "name": "many",
        "limits": { "max_total_agents": 3 },
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "workers": 4, "prompt": "x" }] }
    });
    refused(&document, &["max_total_agents", "3", "4"]);
}

#[test]
fn more_sessions_than_the_node_allows_wait_for_a_place_or_are_refused_with_the_number() {
    let house = House::new();
    house.file("state/config/niia.toml", "sessions_max = 2\n");
    let together = house.at("home/together");
    let count =
        format!("run mkdir {0}-$$ && ls -d {0}-* | wc -l >>{0}; sleep 0.1; rmdir {0}-$$", together.display());
    house.install("claude", &count);
    let project = house.repository("project");
    let document = phase(json!({ "name": "work", "model": "claude", "workers": 5, "prompt": "x" }));
    let said = house.run(project.path(), &house.document("five", &document));
    if said.code == Some(0) {
        let most = std::fs::read_to_string(&together).unwrap();
        assert!(most.lines().all(|line| line.trim().parse::<u32>().unwrap() <= 2), "{most}");
    } else {
        let text = format!("{}{}", said.out, said.err);
        assert!(text.contains('2') && text.contains("session"), "{text}");
        assert!(!together.exists(), "nothing is half-started");
    }
}

#[test]
fn a_variable_that_is_missing_is_an_error_before_anything_starts() {
    let session = json!({ "env": { "TOKEN": "${THERE_IS_NO_SUCH_VARIABLE}" } });
    let document = phase(json!({ "name": "work", "model": "claude", "prompt": "x", "session": session }));
    refused(&document, &["THERE_IS_NO_SUCH_VARIABLE"]);
}

#[test]
fn a_worktree_without_a_repository_is_an_error_with_the_cure() {
    let house = House::new();
    house.install("claude", "say x");
    let session = json!({ "worktree": "mine" });
    let document = phase(json!({ "name": "work", "model": "claude", "prompt": "x", "session": session }));
    let said = house.run(&house.at("home"), &house.document("bare", &document)).exits(3);
    assert!(said.err.contains("git init"), "{}", said.err);
}

//! `niia rehearse`: every document is played to its end without a model, and nothing of it stays.

use std::path::PathBuf;

use niia_tests::House;
use niia_tests::house::Said;
use serde_json::json;

fn examples() -> Vec<PathBuf> {
    let folder = super::papers::root().join("examples/connectors");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A rehearsal in a house where no tool is installed.
fn rehearse(house: &House, words: &[&str]) -> Said {
    house.niia(["rehearse"].iter().chain(words)).run()
}

#[test]
fn every_example_is_played_to_its_end_without_any_tool() {
    let house = House::new();
    let files = examples();
    assert!(files.len() > 10);
    for file in &files {
        let said = rehearse(&house, &[&file.display().to_string()]);
        assert_eq!(said.code, Some(0), "{}: {said:?}", file.display());
    }
    let rest: Vec<_> =
        std::fs::read_dir(house.at("tmp")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!rest.iter().any(|name| name.to_string_lossy().contains("rehearsal")), "{rest:?}");
    niia_tests::wait_until("nobody stays", super::SOON, || house.residents().is_empty().then_some(()));
}

fn triage(house: &House) -> String {
    let phases = json!([
        { "name": "triage", "model": "claude", "failover": ["codex"], "prompt": "Classify." },
        { "name": "auth", "model": "claude", "failover": ["codex"], "condition": "triage.classification == 'auth'", "prompt": "x" },
        { "name": "other", "model": "claude", "failover": ["codex"], "condition": "triage.classification != 'auth'", "prompt": "x" }
    ]);
    let document = json!({ "name": "triage", "task": "t", "pipeline": { "phases": phases } });
    house.document("triage", &document).display().to_string()
}

#[test]
fn each_branch_can_be_played() {
    let house = House::new();
    let file = triage(&house);
    let said = rehearse(&house, &[&file]).exits(0);
    assert!(said.out.contains("auth  done") && said.out.contains("other  skipped"), "{said:?}");
    let said = rehearse(&house, &[&file, "--set", "triage.classification=ui"]).exits(0);
    assert!(said.out.contains("auth  skipped") && said.out.contains("other  done"), "{said:?}");
}

#[test]
fn failures_on_cue_are_failed_over_or_end_the_run_with_their_names() {
    let house = House::new();
    let file = triage(&house);
    for fault in ["rate_limited", "crash", "quota", "not_installed"] {
        let said = rehearse(&house, &["--json", &file, "--fault", &format!("triage/1={fault}")]).exits(0);
        let line = said.out.lines().last().unwrap();
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        let attempts = told["run"]["phases"][0]["workers"][0]["attempts"].as_array().unwrap();
        let models: Vec<&str> = attempts.iter().map(|attempt| attempt["model"].as_str().unwrap()).collect();
        assert_eq!(models, ["claude", "codex"], "{fault}: {told:#}");
    }
    for (fault, words) in [("auth=refuse", "auth  failed"), ("auth/1=timeout", "auth  failed")] {
        let said = rehearse(&house, &[&file, "--fault", fault]).exits(1);
        assert!(said.out.contains(words), "{fault}: {said:?}");
    }
    let said = rehearse(&house, &[&file, "--fault", "auth/9=crash"]).exits(2);
    assert!(said.err.contains("has no worker `9`"), "{said:?}");
    let said = rehearse(&house, &[&file, "--fault", "auth=tired"]).exits(2);
    assert!(said.err.contains("rate_limited, quota"), "{said:?}");
}

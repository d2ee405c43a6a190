//! A review by two tools and a synthesis of both, as the first document of all has it.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::desk::{Desk, attempts};

/// A tool's start and a few turns, while other tests have the machine.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn claude_works_in_a_run_by_a_conversation_and_what_it_may_is_decided_by_its_document() {
    let Some(desk) = Desk::with(&["claude"]) else { return };
    let prompt = concat!(
        "Make the file. <<tool Write {\"file_path\":\"{cwd}/made.md\",\"content\":\"made by claude\"}",
        " ;; tool Bash {\"command\":\"make --version\",\"description\":\"x\"}",
        " ;; tool Bash {\"command\":\"git tag forbidden\",\"description\":\"x\"}",
        " ;; say It is done: 429, Do you want to proceed?>>"
    );
    let run = desk.begin(
        "solo",
        &json!({ "connector": "2.0", "name": "solo", "session": { "on_dialog": "deny", "timeout_ms": 120_000 },
            "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": prompt }] } }),
    );
    let status = desk.house.wait_over(&run, LIMIT);
    let said = desk.niia(&["explain", &run]).run();
    assert_eq!(status["state"], "done", "{status:#}\n{}", said.out);
    let tried = attempts(&status, "work", "1");
    assert_eq!(tried.len(), 1, "{status:#}");
    assert_eq!(tried[0]["excerpt"], "It is done: 429, Do you want to proceed?");
    assert_eq!(tried[0]["evidence"], "hook:Stop");
    assert_eq!(desk.committed(&run, "made.md").trim(), "made by claude");
    let folder = status["folder"].as_str().unwrap();
    assert_eq!(desk.project.git(["tag"]).trim(), "", "it was refused");
    let told = fs::read_to_string(format!("{folder}/sessions/work/1/1/hooks/told.jsonl")).unwrap();
    assert!(told.contains("\"niia_decided\":\"deny\""), "{told}");
    // Asked once, and its turn ended once.
    let prompts = desk
        .claude
        .seen()
        .iter()
        .filter(|seen| seen.turns == 1 && seen.prompt.contains("Make the file"))
        .count();
    assert!(prompts >= 1, "{:?}", desk.claude.seen());
    assert_eq!(told.matches("\"event\":\"Stop\"").count(), 1, "{told}");
}

#[test]
fn a_review_by_claude_and_codex_is_synthesized_by_claude_which_quotes_both() {
    let Some(desk) = Desk::with(&["claude", "codex"]) else { return };
    let security = concat!(
        "Review for security vulnerabilities. ",
        "<<tool Write {\"file_path\":\"{cwd}/security.md\",\"content\":\"no secrets here\"}",
        " ;; tool Bash {\"command\":\"make --version\",\"description\":\"x\"} ;; say FINDING security: none>>"
    );
    let performance = concat!(
        "Review for performance issues. ",
        "<<tool exec_command {\"cmd\":\"printf fast > performance.md\"}",
        " ;; tool exec_command {\"cmd\":\"make --version\",\"sandbox_permissions\":\"require_escalated\",\"justification\":\"x\"}",
        " ;; say FINDING performance: fast>>"
    );
    let before = desk.home();
    let run = desk.begin(
        "dual-review",
        &json!({
            "connector": "2.0", "name": "dual-review",
            "models": { "security": "claude", "performance": "codex" },
            "pipeline": { "phases": [
                { "name": "review", "parallel": true,
                  "workers": [
                    { "model": "security", "prompt": security }, { "model": "performance", "prompt": performance }
                  ],
                  "session": { "sandbox": false, "worktree": "review-{worker}" } },
                { "name": "synthesize", "model": "security",
                  "prompt": "Read both reviews from scratchpad. Produce final report. <<quote FINDING>>" }
            ], "scratchpad": true }
        }),
    );
    let status = desk.house.wait_over(&run, LIMIT);
    let said = desk.niia(&["explain", &run]).run();
    assert_eq!(status["state"], "done", "{status:#}\n{}", said.out);
    let report = desk.house.report(&run);
    for finding in ["FINDING security: none", "FINDING performance: fast"] {
        assert!(report.contains(finding), "{report}");
    }
    assert_eq!(desk.committed(&run, "security.md").trim(), "no secrets here");
    assert_eq!(desk.committed(&run, "performance.md").trim(), "fast");
    let cwd = |worker: &str| attempts(&status, "review", worker)[0]["commit"].clone();
    assert_ne!(cwd("1"), cwd("2"), "two trees");
    for worker in ["1", "2"] {
        let tried = attempts(&status, "review", worker);
        assert_eq!((tried.len(), &tried[0]["evidence"]), (1, &json!("hook:Stop")), "{status:#}");
        let told = fs::read_to_string(format!(
            "{}/sessions/review/{worker}/1/hooks/told.jsonl",
            status["folder"].as_str().unwrap()
        ));
        assert!(
            told.unwrap().contains("\"niia_decided\":\"allow\""),
            "worker {worker} was allowed by policy"
        );
    }
    user_files_are_as_they_were(&desk, &before);
}

/// What is the user's own in HOME is untouched: the tools' settings say all that they said, and whatever is new lies
/// where the tools themselves keep their state.
fn user_files_are_as_they_were(desk: &Desk, before: &std::collections::BTreeMap<String, Vec<u8>>) {
    let after = desk.home();
    // Codex itself notes below what the user wrote which of its notices it has shown; nothing there is niia's.
    let settings = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        String::from_utf8_lossy(&files[".codex/config.toml"]).into_owned()
    };
    let (written, now) = (settings(before), settings(&after));
    let Some(added) = now.strip_prefix(&written) else { panic!("{written} became {now}") };
    for table in added.lines().filter(|line| line.starts_with('[')) {
        assert!(table.starts_with("[tui") || table.starts_with("[notice"), "{table} of {added}");
    }
    assert!(!added.contains("niia"), "{added}");
    for (name, bytes) in &after {
        let own = [".claude/", ".codex/", ".claude.json", ".cache/", ".npm/", ".local/"];
        let tools = own.iter().any(|own| name.starts_with(own));
        assert!(tools || before.get(name) == Some(bytes), "{name} is new or another one");
        assert!(
            !name.ends_with("settings.json") || before.get(name) == Some(bytes),
            "{name} is the user's to write"
        );
    }
    let trusted = String::from_utf8_lossy(&after[".claude.json"]).into_owned();
    assert!(!trusted.contains("niia-house") || trusted.contains("hasTrustDialogAccepted"), "{trusted}");
}

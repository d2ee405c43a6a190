//! The documents by which connector.json was introduced run as their author describes.

use std::path::PathBuf;

use niia_tests::{House, Repository, wait_until};
use serde_json::{Value, json};

use super::{SOON, seed};

/// A tool that says what it sees; `meets` are files it and the others leave, so that nobody is done before all began.
fn reviewer(house: &House, name: &str, meets: &[&str]) {
    let started = |name: &str| house.at("home").join(format!("started-{name}")).display().to_string();
    let mut play = format!("note {} x\n", started(name));
    for other in meets {
        play += &format!("wait-for {}\n", started(other));
    }
    play += "say {name} worked in {cwd} as {model}.\nsee\nquote\n";
    house.install(name, &play);
}

fn workers(status: &Value) -> Vec<&Value> {
    status["phases"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|phase| phase["workers"].as_array().unwrap())
        .collect()
}

fn line_after<'a>(text: &'a str, begin: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(begin))
        .unwrap_or_else(|| panic!("no line begins {begin:?}:\n{text}"))
}

/// What the program of one session printed, as its replay shows it.
fn replayed(house: &House, run: &str, worker: &str) -> String {
    let session = format!("{run}/{worker}/1");
    house.niia(["replay", &session, "--text"]).run().exits(0).out
}

fn dual_review(house: &House) -> PathBuf {
    house.document(
        "dual-review",
        &json!({
            "connector": "2.0",
            "name": "dual-review",
            "models": { "security": "claude", "performance": "codex" },
            "pipeline": {
                "phases": [
                    {
                        "name": "review",
                        "parallel": true,
                        "workers": [
                            { "model": "security", "prompt": "Review for security vulnerabilities." },
                            { "model": "performance", "prompt": "Review for performance issues." }
                        ],
                        "session": { "sandbox": false, "worktree": "review-{worker}" }
                    },
                    {
                        "name": "synthesize",
                        "model": "security",
                        "prompt": "Read both reviews from scratchpad. Produce final report."
                    }
                ],
                "scratchpad": true
            }
        }),
    )
}

#[test]
fn two_reviewers_work_at_once_in_two_trees_and_the_synthesis_sees_both() {
    let house = House::new();
    let project = house.repository("project");
    reviewer(&house, "claude", &["codex"]);
    reviewer(&house, "codex", &["claude"]);
    let before = project.fingerprint();

    let said = house.run(project.path(), &dual_review(&house)).exits(0);
    let run = said.run_id();
    assert!(run.starts_with("dual-review-"), "{run}");

    let report = house.report(&run);
    let claude = replayed(&house, &run, "review/1");
    let codex = replayed(&house, &run, "review/2");
    let tree = |text: &str, name: &str| line_after(text, &format!("{name} worked in ")).to_owned();
    assert_ne!(tree(&claude, "claude"), tree(&codex, "codex"));
    for place in [tree(&claude, "claude"), tree(&codex, "codex")] {
        assert!(!place.starts_with(&*project.path().to_string_lossy()), "{place} is the user's own checkout");
        assert!(report.contains(&place), "the synthesis quotes both:\n{report}");
    }
    assert!(replayed(&house, &run, "synthesize/1").contains("review/1.md"));
    let path = house.status(&run)["report"].as_str().unwrap().to_owned();
    assert!(said.out.contains(&path), "the end names the report:\n{}", said.out);
    assert!(said.out.contains("claude worked in"), "and shows how it begins:\n{}", said.out);
    assert_eq!(project.fingerprint(), before, "the user's checkout is untouched");
}

/// Runs one document with every tool installed and comes back with the run and what each call was: `name model`.
fn run_everywhere(
    house: &House,
    project: &Repository,
    name: &str,
    document: &Value,
) -> (String, Vec<String>) {
    let (calls, places) = (house.at("home/calls"), house.at("home/places"));
    for tool in ["claude", "codex", "gemini"] {
        let play = format!(
            "note {} {{name}} {{model}}\nnote {} {{cwd}}\nwrite {{name}}-{{model}}-{{pid}}.txt made\nsee\nquote",
            calls.display(),
            places.display()
        );
        house.install(tool, &play);
    }
    let said = house.run(project.path(), &house.document(name, document)).exits(0);
    let mut lines: Vec<String> = std::fs::read_to_string(calls).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    (said.run_id(), lines)
}

#[test]
fn a_solo_developer_gets_three_models_one_after_the_other() {
    let house = House::new();
    let project = house.repository("project");
    let document = seed("solo-workflow");
    let (run, calls) = run_everywhere(&house, &project, "solo", &document);
    assert_eq!(calls, ["claude haiku", "claude opus", "codex -"]);
    let branch = house.status(&run)["branch"].as_str().unwrap().to_owned();
    assert_eq!(branch, format!("niia/{run}/result"));
    let made = project.git(["ls-tree", "--name-only", &branch]);
    assert_eq!(made.lines().count(), 4, "README and a file of each:\n{made}");
    let seen = replayed(&house, &run, "document/1");
    let tree = line_after(&seen, "worktree: ");
    assert!(
        tree.contains("claude-opus-") && tree.contains("codex---"),
        "later phases see earlier work: {tree}"
    );
}

#[test]
fn many_cheap_workers_one_expensive_and_some_between_are_started_as_counted() {
    let house = House::new();
    let project = house.repository("project");
    let document = seed("cost-aware");
    let (run, calls) = run_everywhere(&house, &project, "cost-aware", &document);
    let count = |line: &str| calls.iter().filter(|call| *call == line).count();
    let counts = [count("claude haiku"), count("claude opus"), count("claude sonnet"), calls.len()];
    assert_eq!(counts, [5, 1, 3, 9]);
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert_eq!(made.lines().count(), 10, "everybody's file is merged:\n{made}");
}

#[test]
fn three_makers_review_and_the_first_one_gives_the_verdict() {
    let house = House::new();
    let project = house.repository("project");
    let document = json!({
        "models": { "architect": "claude", "speedster": "codex", "breadth": "gemini" },
        "pipeline": {
            "phases": [
                {
                    "name": "multi-review",
                    "parallel": true,
                    "workers": [
                        { "model": "architect", "prompt": "Review architecture and design patterns." },
                        { "model": "speedster", "prompt": "Review for performance and optimization." },
                        { "model": "breadth", "prompt": "Review for edge cases and compatibility." }
                    ],
                    "session": { "sandbox": false }
                },
                { "name": "verdict", "model": "architect", "prompt": "Read all three reviews. Final verdict: ship or fix?" }
            ],
            "scratchpad": true
        }
    });
    let (run, calls) = run_everywhere(&house, &project, "heterogeneous", &document);
    assert_eq!(calls, ["claude -", "claude -", "codex -", "gemini -"]);
    let report = house.report(&run);
    for number in 1..=3 {
        assert!(report.contains(&format!("multi-review/{number}.md")), "{report}");
    }
}

#[test]
fn a_feature_goes_through_research_implementation_and_verification_in_one_tree() {
    let house = House::new();
    let project = house.repository("project");
    let document = json!({
        "connector": "2.0",
        "name": "feature-implementation",
        "session": { "worktree": "feat-auth-fix", "sandbox": false, "scratchpad": true, "timeout_ms": 3_600_000 },
        "models": { "primary": "claude", "fallback": "gemini", "research": "haiku", "implementation": "opus" },
        "pipeline": { "phases": [
            { "name": "research", "workers": 3, "model": "research" },
            { "name": "implement", "workers": 1, "model": "implementation" },
            { "name": "verify", "workers": 2, "model": "primary" }
        ] }
    });
    let (run, calls) = run_everywhere(&house, &project, "feature", &document);
    assert_eq!(
        calls,
        ["claude -", "claude -", "claude haiku", "claude haiku", "claude haiku", "claude opus"]
    );
    let status = house.status(&run);
    let sessions = house.sessions(&run);
    assert_eq!((workers(&status).len(), sessions.len()), (6, 6));
    let places = std::fs::read_to_string(house.at("home/places")).unwrap();
    let places: std::collections::BTreeSet<&str> = places.lines().collect();
    assert_eq!(places.len(), 1, "one slug is one tree");
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert_eq!(made.lines().count(), 7, "{made}");
}

#[test]
fn the_run_is_accepted_once_its_id_is_printed_and_goes_on_without_its_terminal() {
    let house = House::new();
    let project = house.repository("project");
    let go = house.at("home/go");
    for tool in ["claude", "codex"] {
        house.install(tool, &format!("wait-for {}\nsay {{name}} is done", go.display()));
    }
    let call = house.niia(["run".as_ref(), dual_review(&house).as_os_str()]).inside(project.path()).start();
    let run = wait_until("the id is printed", SOON, || {
        let out = call.out_so_far();
        let line = out.lines().next().filter(|_| out.contains('\n'))?;
        line.strip_prefix("run ").and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
    });
    call.signal(rustix::process::Signal::KILL);
    let _ = call.wait();
    std::fs::write(go, "").unwrap();
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
}

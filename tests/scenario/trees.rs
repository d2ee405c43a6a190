//! Work on disk: trees, lines of work, what is never committed, and the user's own things left alone.

use niia_tests::{House, Repository};
use serde_json::{Value, json};

fn one_phase(session: Value, workers: Value) -> Value {
    json!({
        "name": "trees",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "Work.", "session": session, "workers": workers }] }
    })
}

fn run(house: &House, project: &Repository, document: &Value, code: i32) -> String {
    house.run(project.path(), &house.document("trees", document)).exits(code).run_id()
}

fn made(project: &Repository, run: &str) -> Vec<String> {
    let names = project.git(["ls-tree", "-r", "--name-only", &format!("niia/{run}/result")]);
    names.lines().map(str::to_owned).collect()
}

#[test]
fn rival_lines_of_work_are_never_merged_and_later_phases_see_them_all() {
    let house = House::new();
    let project = house.repository("project");
    house.install("claude", "when approach write {env:NIIA_WORKER}.txt made\nrun echo \"$NIIA_WORKTREES\" | tr : '\\n' | while read -r tree; do ls \"$tree\"; done");
    let worker = |id: &str| json!({ "id": id, "prompt": "Try one approach.", "session": { "worktree": format!("idea-{id}") } });
    let document = json!({
        "name": "lines",
        "pipeline": { "phases": [
            { "name": "try", "model": "claude", "workers": [worker("one"), worker("two")] },
            { "name": "choose", "model": "claude", "prompt": "Choose." }
        ] }
    });
    let id = run(&house, &project, &document, 0);
    assert_eq!(made(&project, &id), ["README.md"], "nothing is merged by itself");
    for line in ["one", "two"] {
        let branch = format!("niia/{id}/w/idea-{line}");
        assert_eq!(project.show(&branch, &format!("{line}.txt")), "made\n");
    }
    let report = house.report(&id);
    assert!(
        report.contains("one.txt") && report.contains("two.txt"),
        "the lines lie side by side:\n{report}"
    );
}

#[test]
fn a_tree_gets_the_ignored_files_and_preparations_it_needs_and_none_of_them_is_committed() {
    let house = House::new();
    let project = house.repository("project");
    project.file(".gitignore", ".env\nbuilt\n").commit("Ignore");
    project.file(".env", "KEY=1\n");
    house.install("claude", "run cat .env built; echo port \"$NIIA_PORT\"\nwrite answer.txt done");
    let session = json!({ "include": [".env"], "setup": ["echo ready >built"], "teardown": ["cp answer.txt \"$HOME/seen\""], "ports": 1 });
    let id = run(&house, &project, &one_phase(session, json!(1)), 0);
    let report = house.report(&id);
    assert!(report.contains("KEY=1") && report.contains("ready") && report.contains("port "), "{report}");
    let port = report.lines().find_map(|line| line.strip_prefix("port ")).unwrap().trim().parse::<u16>();
    assert!(port.is_ok_and(|port| port > 1023), "{report}");
    assert_eq!(made(&project, &id), [".gitignore", "README.md", "answer.txt"]);
    assert_eq!(std::fs::read_to_string(house.at("home/seen")).unwrap(), "done\n");
}

#[test]
fn what_looks_like_a_secret_is_not_committed_and_a_person_is_asked() {
    let house = House::new();
    let project = house.repository("project");
    house
        .install("claude", "run printf '%s\\n' '-----BEGIN RSA PRIVATE KEY-----' >id_rsa\nwrite other.txt x");
    let id = run(&house, &project, &one_phase(json!({}), json!(2)), 5);
    let status = house.status(&id);
    assert_eq!(status["state"], "needs_attention", "{status:#}");
    assert!(status.to_string().contains("id_rsa"), "{status:#}");
    let log = project.git(["log", "--all", "--name-only", "--format="]);
    assert!(!log.contains("id_rsa"), "{log}");
}

#[test]
fn neither_the_users_hooks_nor_the_workers_run_when_niia_commits() {
    let house = House::new();
    let project = house.repository("project");
    let ran = house.at("home/hook-ran");
    let hook = format!("#!/bin/sh\ntouch {}\nexit 1\n", ran.display());
    for name in ["pre-commit", "commit-msg", "post-commit", "post-checkout", "reference-transaction"] {
        let path = project.path().join(".git/hooks").join(name);
        std::fs::write(&path, &hook).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    house.install("claude", "write made.txt x");
    let id = run(&house, &project, &one_phase(json!({}), json!(2)), 0);
    assert!(made(&project, &id).contains(&"made.txt".to_owned()));
    assert!(!ran.exists(), "a hook ran");
}

#[test]
fn a_commit_says_which_run_worker_and_attempt_made_it() {
    let house = House::new();
    let project = house.repository("project");
    house.install("claude", "write {env:NIIA_WORKER}.txt x");
    let id = run(&house, &project, &one_phase(json!({}), json!(2)), 0);
    let log = project.git(["log", "--format=%B", &format!("niia/{id}/result")]);
    assert!(log.contains(&format!("Niia-Run: {id}")), "{log}");
    for worker in ["work/1", "work/2"] {
        assert!(log.contains(&format!("Niia-Worker: {worker}")), "{log}");
    }
    assert!(log.contains("Niia-Attempt: 1"), "{log}");
}

#[test]
fn with_worktree_false_the_work_is_done_in_the_checkout_itself() {
    let house = House::new();
    let project = house.repository("project");
    house.install("claude", "write here.txt x\nsay {cwd}");
    let id = run(&house, &project, &one_phase(json!({ "worktree": false }), json!(1)), 0);
    assert!(project.at("here.txt").exists());
    assert!(house.report(&id).contains(&*project.path().to_string_lossy()));
}

#[test]
fn the_scratchpad_never_becomes_part_of_the_work() {
    let house = House::new();
    let project = house.repository("project");
    house.install(
        "claude",
        "run echo x >\"$NIIA_SCRATCHPAD/note.md\"; ls scratchpad/; git status --porcelain\nwrite made.txt x",
    );
    let id = run(&house, &project, &one_phase(json!({}), json!(2)), 0);
    let report = house.report(&id);
    assert!(report.contains("note.md"), "the link is in the tree:\n{report}");
    assert!(!report.contains("?? scratchpad"), "and git does not see it:\n{report}");
    assert!(made(&project, &id).iter().all(|name| !name.contains("scratchpad")));
}

#[test]
fn a_detached_head_and_a_shallow_clone_are_places_to_work_in_too() {
    let house = House::new();
    let origin = house.repository("origin");
    origin.file("second.txt", "2\n").commit("Second");
    house.install("claude", "write made.txt x");
    let source = format!("file://{}", origin.path().display());
    let shallow = house.at("shallow").display().to_string();
    origin.git(["clone", "--quiet", "--depth", "1", &source, &shallow]);
    let said = house.run(&house.at("shallow"), &house.document("trees", &one_phase(json!({}), json!(2))));
    let _ = said.exits(0);
    origin.git(["checkout", "--quiet", "--detach", "HEAD~1"]);
    let id = run(&house, &origin, &one_phase(json!({}), json!(2)), 0);
    assert_eq!(made(&origin, &id), ["README.md", "made.txt"]);
}

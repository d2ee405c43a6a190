//! What a stranger tries who knows nothing of how niia is made: odd documents, odd workers, odd moments.

use niia_tests::House;
use serde_json::json;

#[test]
fn work_meant_for_another_machine_is_never_done_on_this_one_instead() {
    let house = House::new();
    let repository = house.repository("project");
    house.executable("claude", "#!/bin/sh\necho was here >&2\n");
    let document = house.document(
        "elsewhere",
        &json!({
            "connector": "2.0",
            "machines": { "server": "BUILD-SERVER.local", "here": "localhost" },
            "pipeline": { "phases": [
                { "name": "build", "machine": "server", "model": "claude", "prompt": "Build it." },
            ] },
        }),
    );
    let said = house.run(repository.path(), &document).exits(3);
    assert!(said.err.contains("BUILD-SERVER.local"), "{}", said.err);
    assert_eq!(house.niia(["runs", "--json"]).run().json(), json!([]), "nothing is half-started");
    assert_eq!(repository.git(["for-each-ref", "refs/heads/niia"]), "");
}

#[test]
fn a_machine_that_is_this_one_by_any_of_its_names_does_the_work() {
    let house = House::new();
    let repository = house.repository("project");
    house.executable("claude", "#!/bin/sh\necho was here\n");
    let document = house.document(
        "here",
        &json!({
            "connector": "2.0",
            "machines": { "laptop": "localhost" },
            "pipeline": { "phases": [
                { "name": "one", "machine": "laptop", "model": "claude", "prompt": "Build it." },
                { "name": "two", "machine": ["gpu-a", "laptop"], "model": "claude", "prompt": "Build it." },
            ] },
        }),
    );
    let _ = house.run(repository.path(), &document).exits(0);
}

#[test]
fn a_worker_has_the_ignored_files_it_needs_and_they_are_never_committed() {
    let house = House::new();
    let repository = house.repository("project");
    repository.file(".gitignore", ".env\nconfig/local.ini\ncache/\n").commit("Ignore");
    repository.file(".env", "KEY=1\n").file("config/local.ini", "a=b\n").file("cache/deep/c", "c\n");
    let work = ["-c", "cat .env config/local.ini cache/deep/c setup.txt && echo made > made.txt"];
    let document = house.document(
        "included",
        &json!({
            "connector": "2.1",
            "session": {
                "include": [".env", "config/*.ini", "cache/deep/c"],
                "setup": ["echo ready > setup.txt"],
            },
            "models": { "work": { "use": "command", "args": ["sh", work[0], work[1]] } },
            "pipeline": { "phases": [{ "name": "work", "model": "work", "prompt": "Work." }] },
        }),
    );
    let run = house.run(repository.path(), &document).exits(0).run_id();
    let diff = house.niia(["diff", &run, "--stat"]).inside(repository.path()).run().exits(0);
    assert!(diff.out.contains("made.txt"), "{}", diff.out);
    for never in [".env", "local.ini", "cache", "setup.txt"] {
        assert!(!diff.out.contains(never), "{}", diff.out);
    }
}

#[test]
fn a_folder_of_the_users_own_is_left_without_a_link_to_the_scratchpad() {
    let house = House::new();
    let repository = house.repository("project");
    let plain = house.at("home/plain");
    std::fs::create_dir(&plain).unwrap();
    let work = "test -e \"$NIIA_SCRATCHPAD\" && test ! -e scratchpad";
    let document = house.document(
        "here",
        &json!({
            "connector": "2.1",
            "session": { "worktree": false },
            "models": { "work": { "use": "command", "args": ["sh", "-c", work] } },
            "pipeline": { "phases": [
                { "name": "one", "model": "work", "workers": 2, "prompt": "Work." },
                { "name": "two", "model": "work", "prompt": "Work." },
            ] },
        }),
    );
    for folder in [repository.path(), &plain] {
        for _ in 0..2 {
            let _ = house.run(folder, &document).exits(0);
            assert!(folder.join("scratchpad").symlink_metadata().is_err(), "a link is there");
        }
    }
    assert_eq!(repository.git(["status", "--porcelain"]), "");
}

#[test]
fn what_several_workers_take_from_one_place_is_wrong_once() {
    let house = House::new();
    let document = house.document(
        "nowhere",
        &json!({
            "connector": "2.1",
            "pipeline": { "phases": [
                { "name": "work", "model": "claude", "workers": 3, "prompt": "Work.", "session": { "worktree": "x" } },
            ] },
        }),
    );
    let said = house.run(&house.at("home"), &document).exits(3);
    assert_eq!(said.err.matches("error[no-repository]").count(), 1, "{}", said.err);
}

#[test]
fn a_document_with_a_schedule_says_that_it_runs_once_now_and_a_note_is_told_once() {
    let house = House::new();
    house.executable("claude", "#!/bin/sh\necho done\n");
    let document = house.document(
        "nightly",
        &json!({
            "schedule": "0 3 * * *",
            "pipeline": { "phases": [
                { "name": "work", "model": "claude", "prompt": "Work.", "session": { "worktree": false } },
            ] },
        }),
    );
    let said = house.run(&house.at("home"), &document).exits(0);
    assert!(said.err.contains("runs it once, now"), "{}", said.err);
    assert_eq!(
        format!("{}{}", said.out, said.err).matches("read as version 2.0").count(),
        1,
        "{} {}",
        said.out,
        said.err
    );
    let typo = house.niia(["run", "nightly.jsn"]).inside(&house.at("home")).run().exits(2);
    assert!(typo.err.contains("nightly.jsn"), "{}", typo.err);
}

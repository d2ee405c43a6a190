//! The command line as its users have it: its exit codes, its first document, what it explains.

use niia_tests::House;
use serde_json::json;

use super::papers::{commands_of_readme, root};

#[test]
fn the_readmes_first_command_ends_with_the_report_it_promises() {
    let first = commands_of_readme().remove(0);
    let (cargo, niia) = first.split_once(" -- ").expect("it calls niia by cargo");
    assert_eq!(cargo, "cargo run --release -p niia");
    let words: Vec<&str> = niia.split(' ').collect();
    assert_eq!(words[0], "run");
    let house = House::new();
    let project = house.repository("project");
    project
        .file("src/a.rs", "// TODO: all of it\n")
        .file("run.sh", "#!/bin/sh\nif then\n")
        .commit("Add two files");
    let said = house.run(project.path(), &root().join(words[1])).exits(0);
    let report = house.report(&said.run_id());
    for expected in
        ["# Review", "## Look here first", "`run.sh`", "src/a.rs:1: // TODO: all of it", "sh cannot parse it"]
    {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert!(said.out.contains("# Review"), "the end shows how the report begins:\n{}", said.out);
    assert!(said.out.contains("report.md"), "{}", said.out);
}

#[test]
fn wrong_usage_and_unknown_names_have_their_own_exit_codes() {
    let house = House::new();
    let _ = house.niia(["dance"]).run().exits(2);
    let _ = house.niia(["run", "there-is-none.connector.json"]).run().exits(2);
    let said = house.niia(["status", "nobody-00000"]).run();
    assert!(said.code.is_some_and(|code| code != 0), "{said:?}");
    assert!(said.err.contains("nobody-00000"), "{}", said.err);
}

#[test]
fn a_first_document_can_be_written_from_the_tools_found_here_and_is_right() {
    let house = House::new();
    house.install("claude", "say hello");
    let project = house.repository("project");
    let _ = house.niia(["init"]).inside(project.path()).run().exits(0);
    let file = project.at("connector.json");
    let _ = house.niia(["check".as_ref(), file.as_os_str()]).run().exits(0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("claude"));
    let again = house.niia(["init"]).inside(project.path()).run();
    assert_ne!(again.code, Some(0), "never over an existing one");
}

#[test]
fn a_run_that_is_over_can_be_explained_from_its_journal_alone() {
    let house = House::new();
    house.install("claude", "say no\nexit 4");
    let project = house.repository("project");
    let document = json!({
        "name": "explained",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "Work." }] }
    });
    let run = house.run(project.path(), &house.document("explained", &document)).exits(1).run_id();
    let words = house.niia(["explain", &run]).run().exits(0).out;
    assert!(words.contains("work") && words.contains("exit code 4"), "{words}");
    let logs = house.niia(["logs", &run]).run().exits(0).out;
    assert!(logs.contains("no"), "{logs}");
}

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

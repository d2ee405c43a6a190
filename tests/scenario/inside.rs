//! What a program inside a session may not say, whoever it claims to be: it is known by the processes above it.

use niia_tests::House;
use serde_json::json;

/// Runs these lines of shell inside a session, and gives what they wrote.
fn inside(house: &House, lines: &str) -> String {
    let project = house.repository("project");
    let said = house.at("home/said");
    let script = format!("#!/bin/sh\nexec 3>>'{}'\n{lines}\necho done\n", said.display());
    house.executable("claude", &script);
    let document = json!({ "name": "outer", "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "x" } ] } });
    let run = house.run(project.path(), &house.document("outer", &document)).exits(0);
    drop(run);
    std::fs::read_to_string(said).unwrap_or_default()
}

#[test]
fn verbs_for_people_are_refused_inside_a_session_however_they_are_said() {
    let house = House::new();
    let verbs = [
        "merge",
        "approve",
        "deny --reason x",
        "resume",
        "cancel",
        "serve --model claude",
        "daemon status",
        "daemon stop",
        "gc",
        "peer ls",
    ];
    let lines: String = verbs
        .iter()
        .map(|verb| format!("niia {verb} >&3 2>&3 </dev/null; echo \"$? {verb}\" >&3\n"))
        .collect();
    // Without its variables, out of its terminal, twice forked: the processes above stay the same.
    let lines = format!(
        "{lines}env -i PATH=\"$PATH\" HOME=\"$HOME\" niia merge >&3 2>&3; echo \"$? bare\" >&3
         (setsid sh -c 'niia merge >&3 2>&3; echo \"$? detached\" >&3' &)
         while ! grep -q ' detached' '{}'; do sleep 0.05; done",
        house.at("home/said").display()
    );
    let said = inside(&house, &lines);
    for verb in verbs.iter().copied().chain(["bare", "detached"]) {
        let line = format!("1 {verb}");
        assert!(said.lines().any(|said| said == line), "{line}:\n{said}");
    }
    assert_eq!(said.matches("is not for programs inside a session").count(), verbs.len() + 2, "{said}");
}

#[test]
fn a_run_begun_inside_a_session_that_asks_for_more_than_the_session_has_is_told_what() {
    let house = House::new();
    let child = |session: serde_json::Value| {
        json!({ "name": "child", "pipeline": { "phases": [
            { "name": "reach", "model": "claude", "prompt": "x", "session": session } ] } })
    };
    let wide = house.document("wide", &child(json!({ "permission": "full", "on_dialog": "allow" })));
    let lines = format!("niia run '{}' >&3 2>&3 </dev/null; echo \"code $?\" >&3", wide.display());
    let said = inside(&house, &lines);
    assert!(!said.contains("code 0"), "{said}");
    for word in
        ["session.permission", "reach/1", "\"full\"", "work/1", "\"workspace-write\"", "session.on_dialog"]
    {
        assert!(said.contains(word), "{word}:\n{said}");
    }
    let runs = house.niia(["runs", "--json"]).run().json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "nothing is half-started");
}

#[test]
fn another_run_is_none_of_a_sessions_business() {
    let house = House::new();
    let first = inside(&house, "true");
    drop(first);
    let runs = house.niia(["runs", "--json"]).run().json();
    let other = runs[0]["run"].as_str().unwrap().to_owned();
    let house_said = house.at("home/said");
    std::fs::remove_file(house_said).unwrap();
    let project = house.repository("second");
    let script = format!(
        "#!/bin/sh\nexec 3>>'{}'\nfor verb in status logs explain diff; do niia $verb {other} >&3 2>&3; echo \"$? $verb\" >&3; done\necho done\n",
        house.at("home/said").display()
    );
    house.executable("claude", &script);
    let document = json!({ "name": "nosy", "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "x" } ] } });
    drop(house.run(project.path(), &house.document("nosy", &document)).exits(0));
    let said = std::fs::read_to_string(house.at("home/said")).unwrap();
    for verb in ["status", "logs", "explain", "diff"] {
        assert!(said.lines().any(|line| line == format!("1 {verb}")), "{verb}:\n{said}");
    }
    assert!(said.contains("is another run"), "{said}");
}

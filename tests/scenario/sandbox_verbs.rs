//! Attempts to get out by niia's own verbs: a sandboxed worker approves itself, writes to another session, begins a run
//! that may do more than it may. Each is shown to be real by a person who does the same, with the same words.

use niia_tests::{House, Walls, wait_until};
use serde_json::{Value, json};

use super::SOON;

/// What is tried, in the words of the command line. `{own}` is the run it is tried in, `{first}`, `{second}` and
/// `{third}` are runs that wait for a person, `{mesh}` is one whose agents wait for letters, `{other}` is a session of a person's, and `{house}` where documents lie.
const ATTEMPTS: [(&str, &str); 29] = [
    ("read another's screen", "read {other}"),
    ("read all another printed", "replay {other} --text"),
    ("read what became of another run", "status {first}"),
    ("read another run's logs", "logs {first}"),
    ("read another run's journal", "explain {first}"),
    ("read what agents wrote to people", "inbox --keep"),
    ("type into another session", "write --session {other} evil --urgent"),
    ("have another session answer", "get-answer --session {other} --quiet 1 --timeout 20 evil"),
    ("stop what another session does", "interrupt {other}"),
    ("change another session's terminal", "resize --session {other} 100x30"),
    ("write to another run's agents", "mailbox send all evil --run {mesh}"),
    ("leave a file with another run", "scratchpad --run {first} put evil.txt {house}/evil.txt"),
    ("begin a run without a sandbox", "run {house}/unwalled.connector.json"),
    ("begin one that writes elsewhere", "run {house}/writes.connector.json"),
    ("begin one with more memory", "run {house}/memory.connector.json"),
    ("begin one with more processes", "run {house}/pids.connector.json"),
    ("begin one with the whole network", "run {house}/open.connector.json"),
    ("begin one with another host", "run {house}/host.connector.json"),
    ("begin one with more permission", "run {house}/permission.connector.json"),
    ("see which machines are trusted", "peer ls"),
    ("let another machine in", "peer allow nobody run"),
    ("see what could be removed", "gc --dry-run"),
    ("approve itself", "approve {own} --phase gate"),
    ("approve another run", "approve {first}"),
    ("deny another run", "deny {second}"),
    ("cancel another run", "cancel {third}"),
    ("end another session", "kill {other}"),
    ("bring its work into the checkout", "merge {own}"),
    ("stop the node", "daemon stop"),
];

/// A person is refused too: no machine is paired. What is shown is that another reason is given.
const NEEDS_ANOTHER: &str = "peer allow nobody run";

/// How `niia status` leaves where a run waits for a person.
const WAITS: i32 = 5;

fn session(parts: &Value) -> Value {
    let mut whole = json!({ "sandbox": { "memory_mb": 2048, "pids": 300 }, "network": "none" });
    for (name, value) in parts.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

/// Documents that each ask for one thing more than the session has in which they are begun.
fn wider(house: &House) {
    let elsewhere = house.at("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let sandbox = |parts: Value| {
        let mut sandbox = json!({ "memory_mb": 2048, "pids": 300 });
        sandbox.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        json!({ "sandbox": sandbox })
    };
    for (name, parts) in [
        ("unwalled", json!({ "sandbox": false, "network": "open" })),
        ("writes", sandbox(json!({ "write": [elsewhere] }))),
        ("memory", sandbox(json!({ "memory_mb": 4096 }))),
        ("pids", sandbox(json!({ "pids": 600 }))),
        ("open", json!({ "network": "open" })),
        ("host", json!({ "network": ["elsewhere.example"] })),
        ("permission", json!({ "permission": "full" })),
    ] {
        let phase = json!({ "name": "reach", "model": "codex", "prompt": "x", "session": session(&parts) });
        let document = json!({ "connector": "2.0", "name": name, "pipeline": { "phases": [phase] } });
        let _ = house.document(name, &document);
    }
}

/// Runs that wait for a person.
fn waiting(house: &House, project: &std::path::Path) -> [String; 3] {
    let phase = json!({ "name": "gate", "model": "codex", "prompt": "x", "approve": true });
    let document = json!({ "connector": "2.0", "name": "waits", "pipeline": { "phases": [phase] } });
    let document = house.document("waits", &document);
    [(); 3].map(|()| {
        let run = house.detach(project, &document);
        wait_until("it waits for a person", SOON, || {
            house.niia(["status", &run]).run().out.contains("approv").then_some(())
        });
        run
    })
}

/// A run whose agents wait for letters.
fn mesh(house: &House, project: &std::path::Path) -> String {
    let document = json!({ "name": "team", "type": "mesh", "watch": [],
        "agents": [ { "id": "amy", "model": "gemini", "prompt": "Wait for letters." } ],
        "communication": { "broadcast_channel": true } });
    let run = house.detach(project, &house.document("team", &document));
    wait_until("its agent is there", SOON, || (!house.sessions(&run).is_empty()).then_some(()));
    run
}

/// Says each of these in a shell, and what came of it into a file of the scratchpad.
fn script(house: &House, attempts: &[(&str, String)]) -> String {
    let mut script =
        "#!/bin/bash\n[ -n \"$NIIA_SOCKET\" ] || exit 0\nwhile ! niia status 2>&1 | grep -q approv; do sleep 0.1; done\n".to_owned();
    for (number, (_, words)) in attempts.iter().enumerate() {
        let words = words.replace("{own}", "$NIIA_RUN");
        script += &format!(
            "said=$(timeout 30 niia {words} 2>&1 </dev/null); echo \"{number} $? $(echo $said)\" >> $NIIA_SCRATCHPAD/said\n"
        );
    }
    script += &format!("echo evil 2>/dev/null > {}/reached; echo all of it\n", house.path().display());
    script
}

#[test]
fn nobody_gets_out_by_what_niia_itself_can_be_asked_for() {
    for walls in Walls::all() {
        let house = House::walled(walls);
        let project = house.repository("project");
        house.install("talker", "chat\nsay heard {prompt}");
        house.install("gemini", "chat\nsay heard {prompt}");
        house.install("codex", "say done");
        let _ = house.file("evil.txt", "evil");
        wider(&house);
        let other = house.niia(["serve", "--", "talker"]).inside(project.path()).run().exits(0).run_id();
        let [first, second, third] = waiting(&house, project.path());
        let mesh = mesh(&house, project.path());
        let filled = |words: &str| {
            words
                .replace("{first}", &first)
                .replace("{second}", &second)
                .replace("{third}", &third)
                .replace("{mesh}", &mesh)
                .replace("{other}", &format!("{other}/session/1"))
                .replace("{house}", &house.path().display().to_string())
        };
        let attempts = ATTEMPTS.map(|(name, words)| (name, filled(words)));
        house.executable("claude", &script(&house, &attempts));
        let node = house.node();
        let document = json!({ "connector": "2.0", "name": "attacker", "pipeline": { "phases": [
            { "name": "gate", "model": "codex", "prompt": "x", "approve": true, "after": [] },
            { "name": "work", "model": "claude", "prompt": "x", "after": [], "session": session(&json!({})) } ] } });
        let own = house.detach(project.path(), &house.document("attacker", &document));
        let said = wait_until("it has tried all", SOON * 3, || {
            let said = house.niia(["scratchpad", "--run", &own, "cat", "said"]).run().out;
            (said.lines().count() >= ATTEMPTS.len()).then_some(said)
        });
        for (number, (name, words)) in attempts.iter().enumerate() {
            let line = said.lines().find(|line| line.starts_with(&format!("{number} "))).unwrap();
            let code = line.split(' ').nth(1).unwrap();
            let is_refused = ["1", "2"].contains(&code) && !line.contains("Usage:");
            assert!(is_refused, "{walls:?}: it could {name} by `{words}`: {line}");
        }
        // Nothing of it has happened.
        assert_eq!(house.node(), node);
        let screen = house.niia(["read", &other]).run().exits(0).out;
        assert!(!screen.contains("evil"), "{screen}");
        for run in [&own, &first, &second, &third] {
            let status = house.niia(["status", run]).run().out;
            assert!(status.contains("approv"), "{run} still waits: {status}");
        }
        assert_eq!(house.niia(["runs", "--json"]).run().json().as_array().map(Vec::len), Some(6));
        // A person may do every one of them.
        for (name, words) in &attempts {
            let words = words.replace("{own}", &own);
            if words.starts_with("merge") {
                assert_eq!(house.wait_over(&own, SOON)["state"], "done");
            }
            if words.starts_with("daemon") {
                // Sessions outlive the node.
                let _ = house.niia(["cancel", &mesh]).run().exits(0);
                assert_eq!(house.wait_over(&mesh, SOON)["state"], "cancelled");
            }
            let said = house.niia(words.split(' ')).inside(project.path()).run();
            let real = match words.split_once(' ') {
                _ if words == NEEDS_ANOTHER => !said.err.contains("inside a session"),
                // That a person must answer is what is told of a run that waits.
                Some(("status", _)) => said.code == Some(WAITS),
                _ => said.code == Some(0),
            };
            assert!(real, "a person cannot {name} by `{words}`: {said:?}");
        }
    }
}

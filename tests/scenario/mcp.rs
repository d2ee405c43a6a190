//! `niia mcp`, driven by somebody else's client: what its tools say of themselves is right, and they do what the command
//! line does in the same session.

use std::io::Write as _;
use std::path::PathBuf;

use niia_tests::house::House;
use niia_tests::sdk::sdk;
use serde_json::{Value, json};

use super::SOON;

/// The SDK, or a word on why nothing is tested.
fn modules() -> Option<PathBuf> {
    match sdk() {
        Ok(folder) => Some(folder.join("node_modules")),
        Err(why) => {
            // Past what the test harness keeps to itself: a test that did nothing must not look as if it had.
            std::io::stderr().write_all(format!("SKIPPED the MCP SDK: {why}\n").as_bytes()).unwrap();
            None
        }
    }
}

/// A worker `claude` that is a client of `niia mcp` and performs these calls.
fn client(house: &House, modules: &std::path::Path, calls: &Value) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scenario/mcp/client.mjs");
    let calls = house.file("calls.json", &calls.to_string());
    let results = house.at("results.json");
    let line = format!(
        "#!/bin/sh\nexec node '{source}' '{}' '{}' '{}' '{}'\n",
        modules.display(),
        niia_tests::house::niia().display(),
        calls.display(),
        results.display()
    );
    house.executable("claude", &line);
    results
}

fn read(results: &PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap()
}

/// What a call came to: its text, or its error.
fn text(said: &Value, at: usize) -> String {
    let call = &said["calls"][at];
    let text = call["result"]["content"][0]["text"].as_str().or(call["error"]["message"].as_str());
    text.unwrap_or_else(|| panic!("{call:#}")).to_owned()
}

#[test]
fn the_official_sdk_finds_tools_with_right_schemas_and_each_does_what_it_says() {
    let Some(modules) = modules() else { return };
    let house = House::new();
    let project = house.repository("project");
    let calls = json!([
        { "name": "scratchpad_write", "args": { "path": "notes/a.md", "text": "found: ü" } },
        { "name": "scratchpad_list", "args": {} },
        { "name": "scratchpad_read", "args": { "path": "notes/a.md" } },
        { "name": "scratchpad_read", "args": { "path": "../../journal.db" } },
        { "name": "output_set", "args": { "key": "verdict", "value": { "ship": true } } },
        { "name": "output_get", "args": { "phase": "work", "key": "verdict" } },
        { "name": "claim", "args": { "key": "src/parser.rs" } },
        { "name": "mailbox_send", "args": { "to": "other", "text": "hello", "id": "greeting" } },
        { "name": "mailbox_send", "args": { "to": "other", "text": "hello", "id": "greeting" } },
        { "name": "mailbox_list", "args": { "sent": true } },
        { "name": "mailbox_read", "args": {} },
        { "name": "status", "args": {} },
        { "name": "claim", "args": { "item": "x" } },
        { "name": "rm", "args": {} },
        { "name": "done", "args": {} },
    ]);
    let results = client(&house, &modules, &calls);
    house.install("codex", "say nothing\n");
    let document = json!({ "name": "tools", "pipeline": { "phases": [ { "name": "work", "prompt": "x", "workers": [
        { "id": "main", "model": "claude" }, { "id": "other", "model": "codex" } ] } ] } });
    let run = house.run(project.path(), &house.document("tools", &document)).exits(0).run_id();
    let said = read(&results);
    assert_eq!(said["errors"], json!([]), "schemas are right by somebody else's validator");
    assert_eq!(said["server"]["name"], "niia");
    let names: Vec<&str> =
        said["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.len() == 13 && names.contains(&"ask_person") && names.contains(&"run"), "{names:?}");
    for (at, words) in [
        (1, "notes/a.md"),
        (2, "found: ü"),
        (5, "{\"ship\":true}"),
        (6, "it is yours"),
        (7, "its id is greeting"),
        (8, "its id is greeting"),
        (9, "work/main → work/other"),
        (11, "running"),
        (12, "expected `key`"),
        (13, "there is no tool `rm`"),
    ] {
        let said = text(&said, at);
        assert!(said.contains(words), "call {at} lacks {words}: {said}");
    }
    for (at, failed) in [(3, true), (12, true), (14, true), (6, false), (10, false)] {
        let call = &said["calls"][at];
        assert_eq!(call["result"]["isError"] == true, failed, "{call:#}");
    }
    assert_eq!(said["calls"][13]["error"]["code"], -32602);
    let fits: Vec<bool> =
        said["calls"].as_array().unwrap().iter().filter_map(|call| call["fits"].as_bool()).collect();
    assert_eq!(
        fits.iter().filter(|fits| !**fits).count(),
        1,
        "only the call with a wrong argument does not fit"
    );
    assert_eq!(text(&said, 9).matches("work/other").count(), 1, "a letter sent twice is one letter");
    let verdict = house.niia(["output", "get", "verdict", "--phase", "work", "--run", &run]).run().exits(0);
    assert_eq!(verdict.json(), json!({ "ship": true }));
}

#[test]
fn a_question_to_a_person_is_shown_and_answered_from_outside_and_not_from_inside() {
    let Some(modules) = modules() else { return };
    let house = House::new();
    let project = house.repository("project");
    let calls = json!([
        { "name": "ask_person", "args": { "question": "Which colour?", "choices": ["red", "blue"] } },
        { "name": "ask_person", "args": { "question": "Ship it?" } },
    ]);
    let results = client(&house, &modules, &calls);
    house.install("codex", &format!(
        "wait-for {0}/asked\nrun niia answer ask/work/main/1 mine >{0}/inside 2>&1; echo $? >>{0}/inside\n",
        house.path().display()
    ));
    let document = json!({ "name": "ask", "pipeline": { "phases": [ { "name": "work", "prompt": "x", "workers": [
        { "id": "main", "model": "claude" }, { "id": "other", "model": "codex" } ] } ] } });
    let run = house.detach(project.path(), &house.document("ask", &document));
    let session = format!("{run}/work/main/1");
    let waits = |question: &str| {
        niia_tests::wait_until("the session waits for a person", SOON, || {
            let said = house.niia(["explain", "--json", &session]).run();
            let view: Value = serde_json::from_str(&said.out).ok()?;
            (view["state"] == "waiting_input" && view["excerpt"] == question).then_some(view)
        })
    };
    let view = waits("Which colour?");
    assert_eq!(view["choices"], json!(["red", "blue"]));
    let status = house.niia(["status", &run]).run().out;
    assert!(status.contains("Which colour?"), "{status}");
    house.file("asked", "");
    let _ = niia_tests::wait_until("the other agent has tried", SOON, || {
        std::fs::read_to_string(house.at("inside")).ok().filter(|text| text.ends_with("1\n"))
    });
    let _ = waits("Which colour?");
    let _ = house.niia(["answer", &session, "blue"]).run().exits(0);
    let _ = waits("Ship it?");
    let _ = house.niia(["approve", &session]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let said = read(&results);
    assert_eq!(
        (text(&said, 0), text(&said, 1)),
        ("a person answered: blue".to_owned(), "a person answered: yes".to_owned())
    );
    let _ = house.niia(["answer", &session, "late"]).run().exits(2);
}

#[test]
fn a_call_outlives_the_node_it_was_made_to() {
    let Some(modules) = modules() else { return };
    let house = House::new();
    let project = house.repository("project");
    let go = house.at("go");
    let calls = json!([
        { "name": "claim", "args": { "key": "a" } },
        { "name": "mailbox_send", "args": { "to": "person", "text": "hello", "id": "one" }, "after": go },
        { "name": "ask_person", "args": { "question": "Still there?" } },
    ]);
    let results = client(&house, &modules, &calls);
    let document = json!({ "name": "kill", "pipeline": { "phases": [
        { "name": "work", "prompt": "x", "model": "claude" } ] } });
    let run = house.detach(project.path(), &house.document("kill", &document));
    // Until it is gone: one that is dying may still hold its sockets.
    let kill = || house.kill(house.node());
    let session = format!("{run}/work/1/1");
    let asks = || {
        niia_tests::wait_until("the session asks", SOON, || {
            let said = house.niia(["explain", "--json", &session]).run();
            serde_json::from_str::<Value>(&said.out).ok().filter(|view| view["excerpt"] == "Still there?")
        })
    };
    niia_tests::wait_until("the first call is through", SOON, || {
        let claimed = house.niia(["explain", &run, "--json"]).run().out.contains("claimed");
        claimed.then_some(())
    });
    kill();
    house.file("go", "");
    let _ = asks();
    kill();
    let _ = asks();
    let _ = house.niia(["answer", &session, "yes"]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let said = read(&results);
    assert_eq!(text(&said, 2), "a person answered: yes");
    let inbox = house.niia(["inbox", "--json"]).run().exits(0).json();
    assert_eq!(inbox.as_array().map(Vec::len), Some(1), "the letter came once: {inbox:#}");
}

#[test]
fn outside_of_a_session_it_serves_a_person_with_no_more_than_its_tools() {
    let Some(modules) = modules() else { return };
    let house = House::new();
    let calls = json!([ { "name": "claim", "args": { "key": "x" } }, { "name": "status", "args": {} } ]);
    let results = client(&house, &modules, &calls);
    let _ = house.program(&house.at("bin/claude"), [] as [&str; 0]).run().exits(0);
    let said = read(&results);
    assert_eq!(said["tools"].as_array().map(Vec::len), Some(13));
    for at in [0, 1] {
        assert_eq!(said["calls"][at]["result"]["isError"], true, "{said:#}");
    }
}

/// Workers that show what they were started with, in a project whose own file declares a server.
fn with_servers(house: &House) -> (niia_tests::Repository, PathBuf) {
    let project = house.repository("project");
    let shown = house.at("home/shown").display().to_string();
    let show = format!(
        "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; case $word in */mcp.json) cat \"$word\"; ls -l \"$word\";; esac; done \
         > {shown}-$(basename $0)\ncat \"$NIIA_PROMPT_FILE\" >> {shown}-$(basename $0)\necho done\n"
    );
    house.executable("claude", &show);
    house.executable("codex", &show);
    let file = json!({ "mcpServers": { "files": { "command": "mcp-files", "args": ["--ro"],
        "env": { "TOKEN": "${FILES_TOKEN:-none}" } } } });
    let _ = house.file("project/.mcp.json", &file.to_string());
    let document = json!({ "name": "handed", "tools": { "mcp": ["files", "nowhere"] },
        "pipeline": { "phases": [ { "name": "work", "prompt": "x", "workers": [
            { "id": "main", "model": "claude" }, { "id": "other", "model": "codex" } ] } ] } });
    (project, house.document("handed", &document))
}

#[test]
fn servers_of_a_document_are_handed_to_each_tool_in_its_own_form() {
    let house = House::new();
    let (project, document) = with_servers(&house);
    let run = |words: &[&str]| {
        let words =
            ["run".as_ref(), document.as_os_str()].into_iter().chain(words.iter().map(|word| word.as_ref()));
        house.niia(words).inside(project.path()).env("FILES_TOKEN", "t0ken").run()
    };
    let refused = run(&["--include-dirty"]).exits(2);
    assert!(
        refused.err.contains("files (`mcp-files --ro`)") && refused.err.contains("--allow-mcp"),
        "{refused:?}"
    );
    let _ = run(&["--include-dirty", "--allow-mcp"]).exits(0);
    let shown = |tool: &str| std::fs::read_to_string(house.at(&format!("home/shown-{tool}"))).unwrap();
    let (claude, codex) = (shown("claude"), shown("codex"));
    for words in [
        "--strict-mcp-config",
        r#""files":{"command":"mcp-files","args":["--ro"],"env":{"TOKEN":"t0ken"}}"#,
        r#""niia":{"command":"#,
        "-rw-------",
        "- `nowhere`",
    ] {
        assert!(claude.contains(words), "claude lacks {words}:\n{claude}");
    }
    for words in [
        r#"mcp_servers={"niia"={"args"=["mcp"],"command"="#,
        r#""files"={"args"=["--ro"],"command"="mcp-files""#,
        "- `nowhere`",
    ] {
        assert!(codex.contains(words), "codex lacks {words}:\n{codex}");
    }
    // Allowed once is allowed here; what has changed is asked about again.
    let _ = run(&["--include-dirty"]).exits(0);
    let changed = json!({ "mcpServers": { "files": { "command": "mcp-files", "args": ["--rw"] } } });
    let _ = house.file("project/.mcp.json", &changed.to_string());
    let refused = run(&["--include-dirty"]).exits(2);
    assert!(refused.err.contains("--rw"), "{refused:?}");
}

/// A server that answers every call with these words.
fn server(house: &House, name: &str, says: &str) {
    let answer =
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{says}"}}]}}}}"#);
    house.executable(name, &format!("#!/bin/sh\nread line && echo '{answer}'\n"));
}

/// The document says no more than which servers there are and what for: its one worker is the first tool that is
/// installed, and starts both servers as they were handed to it.
#[test]
fn the_document_with_two_servers_has_its_worker_use_both_of_them() {
    let house = House::new();
    let project = house.repository("project");
    server(&house, "mcp-github", "pull request 7 is open");
    server(&house, "mcp-postgres", "migration 12 is there");
    house.executable(
        "claude",
        "#!/bin/sh\nfor word; do case $word in */mcp.json) handed=$word;; esac; done\n\
         for name in github postgres; do\n\
         program=$(grep -o \"\\\"$name\\\":{\\\"command\\\":\\\"[^\\\"]*\" \"$handed\" | sed 's/.*\"//')\n\
         echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}' | \"$program\"\ndone\n",
    );
    let servers = json!({ "mcpServers": { "github": { "command": "mcp-github" },
        "postgres": { "command": "mcp-postgres" } } });
    let _ = house.file("project/.mcp.json", &servers.to_string());
    let document = house.document("tools", &super::seed("tools-by-name"));
    let words = ["plan".as_ref(), document.as_os_str()];
    let plan = house.niia(words).inside(project.path()).run().exits(0).out;
    assert!(plan.contains("github") && plan.contains(".mcp.json"), "a plan says where each is from: {plan}");
    let words = ["run".as_ref(), document.as_os_str(), "--include-dirty".as_ref(), "--allow-mcp".as_ref()];
    let run = house.niia(words).inside(project.path()).run().exits(0).run_id();
    let report = house.report(&run);
    assert!(
        report.contains("pull request 7 is open") && report.contains("migration 12 is there"),
        "both were asked: {report}"
    );
}

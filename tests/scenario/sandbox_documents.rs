//! The documents that ask for a sandbox run as they are written, with what stands in for the tools and with the tools
//! themselves: by a plain user, and by root for one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use niia_tests::house::Call;
use niia_tests::stub::Stub;
use niia_tests::{House, Repository, Walls, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A real tool starts in seconds, on a machine that does other things too.
const REAL: Duration = Duration::from_secs(240);
/// A host nobody named.
const ELSEWHERE: &str = "elsewhere.example";

/// A document as it was published, word for word.
fn published(house: &House, name: &str) -> PathBuf {
    let file = format!("{}/../spec/tests/documents/good/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"sandbox\": true"), "{name} asks for a sandbox");
    house.file(&format!("{name}.connector.json"), &text)
}

/// Stand-ins that work, look around, and try what a sandbox is there to keep from them.
fn install(house: &House, tools: &[&str]) {
    let home = house.at("home");
    let _ = house.file("home/.ssh/id_ed25519", "the secret key");
    for tool in tools {
        // Later phases of the same documents have no sandbox, and no reason to look for its walls.
        let play = format!(
            "say {{name}} worked in {{cwd}} as {{model}}.\n\
             write made-by-{{name}}-{{env:NIIA_PHASE}}-{{env:NIIA_WORKER}}.txt made\n\
             run if [ -n \"$NIIA_SOCKET\" ]; then echo evil 2>&1 > {home}/evil; cat {home}/.ssh/id_ed25519 2>&1; \
             curl -sS -m 20 https://{ELSEWHERE}/ 2>&1; echo curl ended with $?; fi\nsee\nquote",
            home = home.display()
        );
        house.install(tool, &play);
    }
}

fn replayed(house: &House, run: &str, worker: &str) -> String {
    house.niia(["replay", &format!("{run}/{worker}/1"), "--text"]).run().exits(0).out
}

fn explained(house: &House, run: &str) -> String {
    house.niia(["explain", run]).run().exits(0).out
}

/// Every worker ran in a sandbox that was made and looked at.
fn everybody_was_sandboxed(house: &House, run: &str, phases: &[&str]) {
    let sessions = house.sessions(run);
    let of_phase = |session: &Value| {
        let phase = session["session"]["attempt"]["worker"]["phase"].as_str().unwrap_or_default();
        phases.contains(&phase)
    };
    let mut seen = 0;
    for session in sessions.iter().filter(|session| of_phase(session)) {
        let folder = Path::new(session["folder"].as_str().unwrap());
        let made = std::fs::read_to_string(folder.join("sandbox.json")).unwrap_or_default();
        assert!(made.contains("\"tier\":1"), "{session}: {made}");
        seen += 1;
    }
    assert!(seen > 0, "nobody of {phases:?} in {sessions:?}");
}

/// Runs it to its end; whoever was to be kept from something was.
fn runs(walls: Walls, name: &str, tools: &[&str]) -> (House, Repository, String) {
    let house = House::walled(walls);
    let project = house.repository("project");
    install(&house, tools);
    let before = project.fingerprint();
    let run = house.run(project.path(), &published(&house, name)).exits(0).run_id();
    assert_eq!(project.fingerprint(), before, "the user's checkout is untouched");
    assert!(!house.at("home/evil").exists(), "{walls:?}: somebody wrote into the home");
    (house, project, run)
}

/// What a worker in a sandbox that may reach its provider alone printed.
fn kept_in(printed: &str) {
    assert!(!printed.contains("the secret key"), "{printed}");
    assert!(printed.contains("curl ended with 56"), "the proxy refuses: {printed}");
}

#[test]
fn the_first_document_of_all_is_reviewed_by_two_in_sandboxes_of_their_own() {
    for walls in Walls::all() {
        let (house, project, run) = runs(walls, "dual-review", &["claude", "codex"]);
        everybody_was_sandboxed(&house, &run, &["review"]);
        let places: Vec<String> = ["review/1", "review/2"]
            .map(|worker| {
                let printed = replayed(&house, &run, worker);
                kept_in(&printed);
                let line = printed.lines().find(|line| line.contains(" worked in ")).unwrap();
                line.split(" worked in ").nth(1).unwrap().to_owned()
            })
            .into();
        assert_ne!(places[0], places[1], "two trees");
        let report = house.report(&run);
        assert!(places.iter().all(|place| report.contains(place)), "the synthesis sees both:\n{report}");
        let explained = explained(&house, &run);
        assert_eq!(explained.matches(ELSEWHERE).count(), 2, "both were refused:\n{explained}");
        let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
        assert!(made.contains("made-by-claude") && made.contains("made-by-codex"), "{made}");
    }
}

#[test]
fn three_makers_review_in_sandboxes_and_the_first_gives_the_verdict() {
    for walls in Walls::all() {
        let (house, _, run) = runs(walls, "heterogeneous-review", &["claude", "codex", "gemini"]);
        everybody_was_sandboxed(&house, &run, &["multi-review"]);
        for number in 1..=3 {
            kept_in(&replayed(&house, &run, &format!("multi-review/{number}")));
        }
        let report = house.report(&run);
        assert!((1..=3).all(|number| report.contains(&format!("multi-review/{number}.md"))), "{report}");
        assert_eq!(explained(&house, &run).matches(ELSEWHERE).count(), 3);
    }
}

#[test]
fn a_feature_is_made_by_six_in_one_sandboxed_tree() {
    let (house, project, run) = runs(Walls::Plain, "feature-implementation", &["claude", "gemini"]);
    everybody_was_sandboxed(&house, &run, &["research", "implement", "verify"]);
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert_eq!(made.lines().count(), 7, "README and a file of each:\n{made}");
}

/// In the data that the local model reads, and in nothing that it says.
const DATA: &str = "CUSTOMER-4711-QX";

#[test]
fn enterprise_task_analyzes_without_a_network_and_implements_by_the_summary_alone() {
    for walls in Walls::all() {
        let house = House::walled(walls);
        let project = house.repository("project");
        let home = house.at("home").display().to_string();
        let _ = house.file("home/.ssh/id_ed25519", "the secret key");
        let tries = format!(
            "run echo evil > {home}/evil; cat {home}/.ssh/id_ed25519 2>&1; \
             curl -sS -m 10 https://{ELSEWHERE}/ 2>&1; echo curl ended with $?"
        );
        // The data is made where it is read: in the tree, in the scratchpad, on the screen.
        let spread = format!(
            "run echo {DATA} > raw.csv; cp raw.csv $NIIA_SCRATCHPAD/; printf '{DATA}'; printf '\\r\\033[K'"
        );
        house.install("ollama", &format!("{tries}\n{spread}\nsay summary: 3 percent\n"));
        let look = "run grep -rl CUSTOMER . $NIIA_SCRATCHPAD 2>/dev/null | sed 's/^/found: /'";
        house
            .install("claude", &format!("{tries}\n{look}\nwrite fix.txt fixed\nsee\nquote\nsay it is fixed"));
        let before = project.fingerprint();
        let run = house.run(project.path(), &published(&house, "enterprise-task")).exits(0).run_id();
        assert_eq!(project.fingerprint(), before, "the user's checkout is untouched");
        assert!(!house.at("home/evil").exists(), "{walls:?}: no write outside of the tree");
        everybody_was_sandboxed(&house, &run, &["analyze", "implement"]);
        let (analyzed, implemented) =
            (replayed(&house, &run, "analyze/1"), replayed(&house, &run, "implement/1"));
        kept_in(&implemented);
        assert!(
            !analyzed.contains("the secret key") && !analyzed.contains("curl ended with 0"),
            "{analyzed}"
        );
        assert!(analyzed.contains("curl ended with"), "{analyzed}");
        assert!(implemented.contains("summary: 3 percent"), "it has the summary: {implemented}");
        assert!(
            !implemented.contains(DATA) && !implemented.contains("found: "),
            "and nothing else: {implemented}"
        );
        let report = house.report(&run);
        assert!(report.contains("it is fixed") && !report.contains(DATA), "{report}");
        let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
        assert!(made.contains("fix.txt"), "{made}");
    }
}

#[test]
fn the_two_fragments_are_told_where_they_belong_and_put_there_have_three_research_in_sandboxes() {
    let house = House::walled(Walls::Plain);
    let project = house.repository("project");
    install(&house, &["claude"]);
    let fragment = |name: &str| {
        let file = format!("{}/../spec/tests/documents/bad/fragment-{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let path = house.file(&format!("{name}.connector.json"), &text);
        let told = house.niia(["check".as_ref(), path.as_os_str()]).run().exits(0);
        assert!(format!("{}{}", told.out, told.err).contains("put it into a document: {"), "{told:?}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let document =
        serde_json::json!({ "models": fragment("models"), "pipeline": fragment("phases"), "task": "Look." });
    let run = house.run(project.path(), &house.document("whole", &document)).exits(0).run_id();
    everybody_was_sandboxed(&house, &run, &["research"]);
    for number in 1..=3 {
        let printed = replayed(&house, &run, &format!("research/{number}"));
        kept_in(&printed);
        assert!(printed.contains("as haiku"), "{printed}");
    }
}

#[test]
fn in_a_sandbox_the_history_is_read_and_the_memory_grows_and_nothing_else_is_written() {
    for walls in Walls::all() {
        let house = House::walled(walls);
        let project = house.repository("project");
        house.install(
            "claude",
            "when Decide say we decided apples\n\
             when Read+session run grep -ho 'we decided [a-z]*' $NIIA_HISTORY/*.md | sort -u >> $NIIA_MEMORY/notes.md\n\
             when Read+session run echo x 2>/dev/null > $NIIA_HISTORY/forged.md || echo the history is kept\n\
             when Read+session run cat $NIIA_MEMORY/notes.md",
        );
        for prompt in ["Decide.", "Read session history."] {
            let document = serde_json::json!({ "name": "night", "session": { "sandbox": true },
                "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": prompt }] } });
            let run = house.run(project.path(), &house.document("night", &document)).exits(0).run_id();
            everybody_was_sandboxed(&house, &run, &["work"]);
            if prompt.starts_with("Read") {
                let printed = replayed(&house, &run, "work/1");
                assert!(printed.contains("the history is kept"), "{walls:?}: {printed}");
                assert!(printed.contains("we decided apples"), "{walls:?}: {printed}");
            }
        }
        let notes = house.niia(["memory", "cat", "notes.md"]).inside(project.path()).run().exits(0).out;
        assert_eq!(notes.trim(), "we decided apples", "{walls:?}");
    }
}

/// The real tool, where `tests/clis/install` has put it.
fn real(house: &House, name: &str) -> bool {
    let folder =
        std::env::var_os("NIIA_CLIS").map_or_else(|| PathBuf::from("/var/cache/niia-clis"), PathBuf::from);
    let program = folder.join("bin").join(name);
    if program.exists() {
        house.executable(name, &format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()));
    } else {
        use std::io::Write as _;
        // Past what the test harness keeps to itself: a test that did nothing must not look as if it had.
        let word = format!("SKIPPED {name}: {} is not there; see tests/clis/install\n", program.display());
        std::io::stderr().write_all(word.as_bytes()).unwrap();
    }
    program.exists()
}

/// A document with the real claude and codex, whose providers are played on this machine; whoever else it names is a
/// stand-in.
fn runs_with_the_real_ones(walls: Walls, name: &str, phase: &str, words: &[&str]) {
    let house = House::walled(walls);
    if !(real(&house, "claude") && real(&house, "codex")) {
        return;
    }
    install(&house, &["gemini"]);
    let stub = Stub::open(0).unwrap();
    let port = stub.port();
    let project = house.repository("project");
    let document = published(&house, name);
    // What runs without a sandbox runs with the user's own settings, whose first questions have been answered.
    let trusted =
        serde_json::json!({ project.path().display().to_string(): { "hasTrustDialogAccepted": true } });
    let settings = serde_json::json!({ "hasCompletedOnboarding": true, "projects": trusted });
    let _ = house.file("home/.claude.json", &settings.to_string());
    let call = house.niia([Path::new("run"), &document, Path::new("--no-input")]).inside(project.path());
    let run = with_providers(call, port).limit(REAL).run().exits(0).run_id();
    everybody_was_sandboxed(&house, &run, &[phase]);
    let asked: Vec<String> = stub.seen().into_iter().map(|seen| seen.prompt).collect();
    for words in words {
        assert!(asked.iter().any(|prompt| prompt.contains(words)), "{words}: {asked:?}");
    }
    let explained = explained(&house, &run);
    assert!(explained.matches(&format!("127.0.0.1:{port} was reached")).count() >= 2, "{explained}");
}

/// The providers of claude and codex are asked at this port.
fn with_providers(call: Call<'_>, port: u16) -> Call<'_> {
    call.env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("ANTHROPIC_AUTH_TOKEN", "none")
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1"))
        .env("CODEX_API_KEY", "none")
}

/// The conversation goes on in another attempt, which finds what was said in the first one.
fn is_taken_up_again(tool: &str) {
    let house = House::walled(Walls::Plain);
    if !real(&house, tool) {
        return;
    }
    let stub = Stub::open(0).unwrap();
    let project = house.repository("project");
    let phase = serde_json::json!({ "name": "work", "model": tool, "session": { "sandbox": true },
        "prompt": "Do the task. <<slow 5000 the task is done now and here>>" });
    let document =
        serde_json::json!({ "connector": "2.0", "name": "long", "pipeline": { "phases": [phase] } });
    let document = house.document("long", &document);
    let call = house.niia([Path::new("run"), &document, Path::new("--detach")]).inside(project.path());
    let run = with_providers(call, stub.port()).run().exits(0).run_id();
    let asked = |word: &str, turns: usize| {
        stub.seen().iter().any(|seen| seen.prompt.contains(word) && seen.turns >= turns)
    };
    wait_until("it is asked", REAL, || asked("Do the task", 1).then_some(()));
    let view = house.niia(["explain", "--json", &format!("{run}/work/1")]).run().json();
    let helper = Pid::from_raw(i32::try_from(view["pid"].as_i64().unwrap()).unwrap()).unwrap();
    let node = house.node();
    house.kill(node);
    kill_process(helper, Signal::KILL).unwrap();
    let status = house.wait_over(&run, REAL);
    assert_eq!(status["state"], "done", "{status:#}");
    assert!(asked("You were cut off", 2), "{:?}", stub.seen());
}

#[test]
fn a_conversation_in_a_sandbox_is_taken_up_again_when_its_node_and_its_tool_were_killed() {
    ["claude", "codex"].into_iter().for_each(is_taken_up_again);
}

#[test]
fn the_first_document_of_all_is_reviewed_by_the_real_claude_and_codex() {
    for walls in Walls::all() {
        let words = ["Review for security", "Review for performance", "Produce final report"];
        runs_with_the_real_ones(walls, "dual-review", "review", &words);
    }
}

#[test]
fn three_makers_review_two_of_them_real() {
    runs_with_the_real_ones(Walls::Plain, "heterogeneous-review", "multi-review", &[]);
}

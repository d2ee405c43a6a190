//! The real command-line tools against the stub of their providers: what niia says they answer is what they answered.
//!
//! They are installed by `tests/clis/install`. Where one is not there its test says so and does nothing else. Nothing
//! leaves the machine: their providers are the stub, and everything else goes to a proxy that is none.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use niia_tests::house::{Call, House};
use niia_tests::stub::{Failure, Stub};
use serde_json::Value;

use super::SOON;

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A tool in a house, talked to by `niia serve` and `niia get-answer`.
struct Tool {
    house: House,
    stub: Stub,
    name: &'static str,
}

/// The installed tool; nothing, and a word why, where it is not there.
fn tool(name: &'static str) -> Option<Tool> {
    let folder =
        std::env::var_os("NIIA_CLIS").map_or_else(|| PathBuf::from("/var/cache/niia-clis"), PathBuf::from);
    let program = folder.join("bin").join(name);
    if !program.exists() {
        // Past what the test harness keeps to itself: a test that did nothing must not look as if it had.
        let word =
            format!("SKIPPED {name}: {} is not there; `tests/clis/install` installs it\n", program.display());
        std::io::stderr().write_all(word.as_bytes()).unwrap();
        return None;
    }
    let house = House::new();
    house.executable(name, &format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()));
    let stub = Stub::open(0).unwrap();
    let folder = house.at("home").canonicalize().unwrap();
    house.file("home/.claude.json", &claude_settings(&folder.display().to_string()));
    let _ = house.file(
        "home/.codex/config.toml",
        &format!(
            "model = \"stub\"\nmodel_provider = \"stub\"\n[model_providers.stub]\nname = \"stub\"\n\
             base_url = \"http://127.0.0.1:{}/v1\"\nwire_api = \"responses\"\nenv_key = \"OPENAI_API_KEY\"\n\
             request_max_retries = 1\nstream_max_retries = 1\n[projects.\"{}\"]\ntrust_level = \"trusted\"\n",
            stub.port(),
            folder.display()
        ),
    );
    Some(Tool { house, stub, name })
}

/// As it is where somebody has run it once in this folder.
fn claude_settings(folder: &str) -> String {
    serde_json::json!({ "hasCompletedOnboarding": true, "projects": { folder: { "hasTrustDialogAccepted": true } } })
        .to_string()
}

impl Tool {
    fn niia(&self, words: &[&str]) -> Call<'_> {
        self.house
            .niia(words)
            .env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", self.stub.port()))
            .env("ANTHROPIC_AUTH_TOKEN", "none")
            .env("OPENAI_API_KEY", "none")
            .env("HTTPS_PROXY", NOWHERE)
            .env("NO_PROXY", "127.0.0.1,localhost")
    }

    fn serve(&self) -> String {
        self.niia(&["serve", "--model", self.name]).run().exits(0).run_id()
    }

    fn asked(&self, run: &str, question: &str) -> Call<'_> {
        self.niia(&["get-answer", "--json", "--session", run, "--timeout", "60", question])
    }

    /// Asks, and gives the answer and what it was read from.
    fn answer(&self, run: &str, question: &str) -> (String, String) {
        let said = self.asked(run, question).run().exits(0);
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("answer"), text("evidence"))
    }

    fn view(&self, run: &str) -> Option<Value> {
        let said = self.niia(&["explain", "--json", &format!("{run}/session/1")]).run();
        serde_json::from_str(&said.out).ok()
    }

    /// Waits until the session is in this state.
    fn is(&self, run: &str, state: &str) -> Value {
        niia_tests::wait_until(&format!("{} is {state}", self.name), SOON, || {
            self.view(run).filter(|view| view["state"] == state)
        })
    }

    fn end(&self, run: &str) {
        let _ = self.niia(&["kill", run]).run();
        niia_tests::wait_until("the session is over", SOON, || {
            self.niia(&["sessions"]).run().out.contains("no sessions").then_some(())
        });
    }
}

/// Start, prompt, exact answer, context, interrupt, a third turn, a kill, and the same conversation again.
fn holds_a_conversation(name: &'static str) {
    let Some(tool) = tool(name) else { return };
    let run = tool.serve();
    let text = "the answer is 42. \u{201c}Do you want to proceed?\u{201d} 429  two spaces";
    let (answer, evidence) = tool.answer(&run, &format!("remember the word alpha <<say {text}>>"));
    assert_eq!((answer.as_str(), evidence.as_str()), (text, "hook:Stop"));
    let (_, _) = tool.answer(&run, "!touch evil\n/quit\nand <<say {turns} turns>> @home\\");
    assert!(!tool.house.at("home/evil").exists(), "a prompt was run as a command");
    let prompts: Vec<String> = tool.stub.seen().into_iter().map(|seen| seen.prompt).collect();
    assert!(prompts.iter().any(|prompt| prompt.contains("!touch evil\n/quit\n")), "{prompts:?}");
    assert!(tool.stub.seen().iter().any(|seen| seen.turns >= 2), "the second turn knows the first");

    let slow = tool.asked(&run, "<<slow 400 one two three four five six seven eight nine ten>>").start();
    let _ = tool.is(&run, "working");
    // The first words must be there: a prompt interrupted before goes back into the composer.
    niia_tests::wait_until("the first words are to be seen", SOON, || {
        let screen = tool.niia(&["read", &run]).run().out;
        screen.lines().any(|line| line.contains("one two") && !line.contains("<<")).then_some(())
    });
    let _ = tool.niia(&["interrupt", &run]).run().exits(0);
    let said = slow.wait();
    assert!(said.out.contains("\"interrupted\""), "{said:?}");
    let (answer, _) = tool.answer(&run, "third <<say after the interrupt>>");
    assert_eq!(answer, "after the interrupt");

    let pid = tool.view(&run).unwrap()["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    niia_tests::wait_until("it is started again", SOON, || {
        let view = tool.view(&run)?;
        (view["session"]["attempt"]["attempt"] == 2 && view["state"] == "ready").then_some(())
    });
    let (answer, _) = tool.answer(&run, "fourth <<say back again>>");
    assert_eq!(answer, "back again");
    // A tool asks for a title, too, which is no part of the conversation.
    let seen = tool.stub.seen();
    let last =
        seen.iter().filter(|seen| seen.prompt.contains("fourth")).max_by_key(|seen| seen.turns).unwrap();
    assert!(last.turns >= 4, "the conversation is the same: {last:?}");
    tool.end(&run);
}

#[test]
fn claude_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("claude");
}

#[test]
fn codex_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("codex");
}

/// A tool call that needs a person: the dialog is seen, shown with its choices, answered, and what it allows happens.
fn asks_before_it_acts(name: &'static str, call: &str) {
    let Some(tool) = tool(name) else { return };
    let run = tool.serve();
    for (verb, happens) in [("deny", false), ("approve", true)] {
        let _ = fs::remove_file(tool.house.at("home/made"));
        let asked = tool.asked(&run, call).start();
        // The hook tells of it a moment before it is drawn.
        let view = niia_tests::wait_until(&format!("{name} asks"), SOON, || {
            tool.view(&run).filter(|view| view["state"] == "waiting_input" && view["dialog"] == "tool")
        });
        assert!(view["choices"].as_array().is_some_and(|choices| choices.len() >= 2), "{view}");
        assert!(!tool.house.at("home/made").exists(), "it acted before it was allowed");
        let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
        drop(asked.wait());
        assert_eq!(tool.house.at("home/made").exists(), happens, "{verb}");
    }
    tool.end(&run);
}

#[test]
fn what_codex_asks_is_shown_and_answered() {
    let call = r#"<<tool exec_command {"cmd":"touch made","sandbox_permissions":"require_escalated","justification":"to make it"}>>"#;
    asks_before_it_acts("codex", call);
}

#[test]
fn a_refused_key_is_said_in_plain_words_by_a_try() {
    let Some(tool) = tool("claude") else { return };
    let tried =
        || tool.niia(&["profile", "try", "claude", "--timeout", "60"]).limit(Duration::from_secs(110)).run();
    tool.stub.fail(Failure::by_word("401"));
    let said = tried();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("it is not logged in, or its key is not valid"), "{said:?}");
    tool.stub.fail(None);
    let said = tried().exits(0);
    assert!(said.out.contains("claude works here"), "{said:?}");
}

/// A turn in which the model calls a tool of niia's own server: nobody is asked, and it is done.
fn calls_a_tool_of_niia(name: &'static str, call: &str) {
    let Some(tool) = tool(name) else { return };
    let run = tool.serve();
    let (answer, _) = tool.answer(&run, call);
    assert!(answer.starts_with("the tool said: "), "{answer}");
    let written = tool.niia(&["scratchpad", "cat", "from-the-model.md", "--run", &run]).run().exits(0);
    assert_eq!(written.out, "by a tool", "{answer}");
    tool.end(&run);
}

#[test]
fn claude_calls_a_tool_of_niia_in_a_turn() {
    calls_a_tool_of_niia(
        "claude",
        r#"<<tool mcp__niia__scratchpad_write {"path":"from-the-model.md","text":"by a tool"}>>"#,
    );
}

#[test]
fn codex_calls_a_tool_of_niia_in_a_turn() {
    calls_a_tool_of_niia(
        "codex",
        r#"<<tool mcp__niia/scratchpad_write {"path":"from-the-model.md","text":"by a tool"}>>"#,
    );
}

//! A conversation with each real tool: start, prompt, exact answer, a turn that knows the first, an interruption, a third
//! turn, a kill, and the same conversation again.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::super::SOON;
use super::tool::{Tool, rounds, tool};

const TEXT: &str = "the answer is 42. \u{201c}Do you want to proceed?\u{201d} 429  two spaces";

/// What the answers of all rounds were read from, and how often.
type Evidence = BTreeMap<String, u32>;

fn holds_a_conversation(name: &'static str) {
    let Some(tool) = tool(name) else { return };
    let mut evidence = Evidence::new();
    let rounds = rounds();
    for _ in 0..rounds {
        one_round(&tool, &mut evidence);
    }
    // A person who asked for many rounds wants to see what came of them.
    let word = format!("{name}: {rounds} of {rounds} conversations, answers by {evidence:?}\n");
    std::io::stderr().write_all(word.as_bytes()).unwrap();
}

fn one_round(tool: &Tool, evidence: &mut Evidence) {
    let mut answers = |run: &str, question: &str, wanted: &str| {
        let (answer, source) = tool.answer(run, question);
        assert_eq!(answer, wanted, "{question} ({source})");
        *evidence.entry(source).or_default() += 1;
    };
    let run = tool.serve();
    tool.cut(&run, "it has just started");
    answers(&run, &format!("remember the word alpha <<say {TEXT}>>"), TEXT);
    tool.cut(&run, "an answer that quotes a question and a status");
    answers(&run, "!touch evil\n/quit\nand <<recall alpha>> \\", "I remember alpha");
    assert!(!tool.has("evil"), "a prompt was run as a command");
    interrupt(tool, &run);
    tool.cut(&run, "interrupted");
    answers(&run, "third <<say after the interrupt>>", "after the interrupt");
    kill(tool, &run);
    tool.cut(&run, "taken up again after a kill");
    answers(&run, "fourth <<recall alpha>>", "I remember alpha");
    tool.cut(&run, "an answer after that");
    tool.end(&run);
}

fn interrupt(tool: &Tool, run: &str) {
    let words =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
    let slow = tool.asked(run, &format!("<<slow 500 {words}>>")).start();
    let _ = tool.is(run, "working");
    // The first words must be there: a prompt interrupted before goes back into the composer.
    niia_tests::wait_until("the first words are to be seen", SOON, || {
        let screen = tool.niia(&["read", run]).run().out;
        screen.lines().any(|line| line.contains("one two") && !line.contains("<<")).then_some(())
    });
    tool.cut(run, "in the middle of an answer");
    let _ = tool.niia(&["interrupt", run]).run().exits(0);
    let said = slow.wait();
    assert!(said.out.contains("\"interrupted\""), "{said:?}");
}

/// Kills the tool itself, and waits until niia has taken the conversation up again.
fn kill(tool: &Tool, run: &str) {
    let view = tool.view(run).unwrap();
    let attempt = view["session"]["attempt"]["attempt"].as_u64().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(view["pid"].as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    niia_tests::wait_until("it is started again", SOON, || {
        let view = tool.view(run)?;
        (view["session"]["attempt"]["attempt"] == attempt + 1 && view["state"] == "ready").then_some(())
    });
}

#[test]
fn claude_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("claude");
}

#[test]
fn codex_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("codex");
}

#[test]
fn gemini_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("gemini");
}

#[test]
fn opencode_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("opencode");
}

#[test]
fn aider_holds_a_conversation_through_an_interrupt_and_a_kill() {
    holds_a_conversation("aider");
}

use serde_json::json;

use super::super::*;
use crate::course::Outcome;

/// Puts an ending to a profile and compares what is made of it, written as `done`, `failed: …` or `class: …`.
fn check(profile: &str, exit: Exit, tail: &str, expected: &str) {
    let profiles = Profiles::built_in().unwrap();
    let (outcome, evidence) = classify(profiles.get(profile).unwrap(), &exit, tail);
    let told = match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Failed { reason } => format!("failed: {reason}"),
        Outcome::Misshapen { reason } => format!("misshapen: {reason}"),
        Outcome::Lost { reason } => format!("lost: {reason}"),
        Outcome::Unavailable { class, reason } => format!("{class:?}: {reason}"),
        other => format!("{other:?}"),
    };
    assert_eq!(told, expected, "{evidence}");
    assert!(!evidence.is_empty());
}

#[test]
fn an_exit_with_zero_is_done_whatever_the_answer_quotes() {
    check("claude", Exit::Code(0), "The server answers 429 rate limit.\nInvalid API key\n", "done");
    check("command", Exit::Code(0), "", "done");
}

#[test]
fn a_tool_that_exits_with_zero_after_errors_is_looked_at() {
    let refused = "litellm.AuthenticationError: bad key";
    check("aider", Exit::Code(0), &format!("hi\n{refused}\n"), &format!("NotLoggedIn: {refused}"));
    check("aider", Exit::Code(0), "Use litellm to catch errors.", "done");
}

#[test]
fn known_errors_make_the_next_model_take_over() {
    check(
        "claude",
        Exit::Code(1),
        "Invalid API key · Please run /login\n",
        "NotLoggedIn: Invalid API key · Please run /login",
    );
    check(
        "claude",
        Exit::Code(1),
        "API Error: Request rejected (429)",
        "RateLimited: API Error: Request rejected (429)",
    );
    check("claude", Exit::Code(1), "API Error: 529 overloaded", "Overloaded: API Error: 529 overloaded");
    check("claude", Exit::Code(1), "Claude usage limit reached.", "Quota: Claude usage limit reached.");
    check("codex", Exit::Code(1), "ERROR: 401 Unauthorized", "NotLoggedIn: ERROR: 401 Unauthorized");
    check("codex", Exit::Code(1), "You've hit your usage limit.", "Quota: You've hit your usage limit.");
    check("gemini", Exit::Code(41), "Please choose", "NotLoggedIn: Please choose");
    check("gemini", Exit::Code(173), "TerminalQuotaError: no", "Quota: TerminalQuotaError: no");
    check("gemini", Exit::Code(173), "something", "RateLimited: something");
    check(
        "ollama",
        Exit::Code(1),
        "Error: could not connect to ollama app",
        "Network: Error: could not connect to ollama app",
    );
    check(
        "ollama",
        Exit::Code(1),
        "Error: pull model manifest: file does not exist",
        "BadModel: Error: pull model manifest: file does not exist",
    );
}

#[test]
fn a_program_that_is_not_there_is_not_installed() {
    check("claude", Exit::Code(127), "sh: claude: not found\n", "NotInstalled: sh: claude: not found");
    check("codex", Exit::Code(126), "", "NotInstalled: exit code 126: codex is not executable");
    let missing = Exit::NotFound { reason: "no `claude` on PATH".into() };
    check("claude", missing, "", "NotInstalled: no `claude` on PATH");
}

#[test]
fn a_signal_is_a_crash_and_another_exit_code_a_failure() {
    check("command", Exit::Signal(11), "half an answ", "Crashed: command was ended by SIGSEGV");
    check("command", Exit::Signal(35), "", "Crashed: command was ended by signal 35");
    check(
        "command",
        Exit::Code(3),
        "rate limit 429 invalid api key\n\n",
        "failed: exit code 3: rate limit 429 invalid api key",
    );
    check("command", Exit::Code(3), "", "failed: exit code 3");
    check("claude", Exit::Unknown { reason: "its minder is gone".into() }, "", "lost: its minder is gone");
}

#[test]
fn an_error_far_above_the_end_is_part_of_the_answer() {
    let tail = format!("Invalid API key\n{}", "line\n".repeat(classify::ERROR_LINES_MAX));
    check("claude", Exit::Code(1), &tail, "failed: exit code 1: line");
}

#[test]
fn an_object_that_ends_the_answer_is_its_outputs() {
    let answer = "Text with ```json\n{\"a\": 0}\n``` in it.\n\n```json\n{\"risk\": \"high\", \"n\": 2, \"code\": \"```x\"}\n```\n \n";
    let outputs = outputs_of(answer);
    assert_eq!(
        outputs,
        BTreeMap::from([
            ("risk".into(), json!("high")),
            ("n".into(), json!(2)),
            ("code".into(), json!("```x"))
        ])
    );
    let published = BTreeMap::from([("risk".to_owned(), json!("low"))]);
    assert_eq!(merged(published, answer)["risk"], json!("low"));
    assert_eq!(outputs_of("```JSON\r\n{\"a\": 1}\r\n```")["a"], json!(1));
    assert_eq!(outputs_of("  ```json\n  {\"a\": 1}\n  ```")["a"], json!(1));
}

#[test]
fn anything_else_at_the_end_is_no_output() {
    for answer in [
        "",
        "```",
        "```json",
        "```json\n```",
        "```json\n[1]\n```",
        "```json\n{wrong}\n```",
        "```\n{\"a\": 1}\n```",
        "```json\n{\"a\": 1}\n```\nand more",
        "{\"a\": 1}",
        "x```json\n{\"a\":1}\n```",
        "```json {\"a\":1}```",
    ] {
        assert_eq!(outputs_of(answer), BTreeMap::new(), "{answer}");
    }
    let deep = format!("```json\n{{\"a\": {}\n```", "[".repeat(100_000));
    assert_eq!(outputs_of(&deep), BTreeMap::new());
    let long = format!("```json\n{{\"a\": \"{}\"}}\n```", "x".repeat(outputs::OUTPUTS_BYTES_MAX));
    assert_eq!(outputs_of(&long), BTreeMap::new());
}

#[test]
fn a_coarse_code_gives_way_to_what_is_said_in_words() {
    let profiles = crate::profile::Profiles::built_in().unwrap();
    let claude = profiles.get("claude").unwrap();
    let class = |code: &str, text: &str| {
        crate::profile::class_of(claude, Some(code), text).map(|(class, _)| class.word())
    };
    for (code, text, wanted) in [
        ("rate_limit", "API Error: Request rejected (429) · You exceeded your current quota", Some("quota")),
        ("rate_limit", "API Error: Request rejected (429) · slow down", Some("rate_limited")),
        ("server_error", "API Error: Connection refused (ECONNREFUSED)", Some("network")),
        ("server_error", "API Error: Repeated 529 Overloaded errors", Some("overloaded")),
        ("authentication_failed", "unable to connect", Some("not_logged_in")),
        ("what is this", "nothing known", None),
    ] {
        assert_eq!(class(code, text), wanted, "{code}: {text}");
    }
}

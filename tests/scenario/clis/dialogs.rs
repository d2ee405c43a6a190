//! The questions of real tools: seen, shown with their choices, never answered by accident, answered by a person.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::SOON;
use super::tool::{Tool, bare, tool};

/// A question is known for what it is within this time of being drawn.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// While a text waits, the question is looked at so often.
const LOOKS: u32 = 8;

/// A tool call that needs a person: the dialog is seen, shown with its choices, answered, and what it allows happens.
fn asks_before_it_acts(name: &'static str, dialog: &str, call: &str) {
    let Some(tool) = tool(name) else { return };
    // Aider is told by this to ask nothing.
    tool.calls_with("", "--yes-always", "");
    let run = tool.serve();
    for (verb, happens) in [("deny", false), ("approve", true)] {
        tool.forget("made");
        let asked = tool.asked(&run, call).start();
        // The hook tells of it a moment before it is drawn.
        let view = niia_tests::wait_until(&format!("{name} asks"), SOON, || {
            tool.view(&run).filter(|view| view["state"] == "waiting_input" && view["dialog"] == dialog)
        });
        assert!(
            name == "aider" || view["choices"].as_array().is_some_and(|choices| choices.len() >= 2),
            "{view}"
        );
        assert!(!tool.has("made"), "it acted before it was allowed");
        tool.cut(&run, "it asks whether it may run a command");
        let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
        drop(asked.wait());
        let _ = tool.is(&run, "ready");
        assert_eq!(tool.has("made"), happens, "{verb}");
        tool.cut(&run, &format!("after {verb}"));
    }
    tool.end(&run);
}

#[test]
fn what_aider_asks_is_shown_and_answered() {
    asks_before_it_acts("aider", "question", "<<say made\n```\nx\n```\n>>");
}

#[test]
fn gemini_asks_before_it_reads_what_lies_elsewhere() {
    let Some(tool) = tool("gemini") else { return };
    let run = tool.serve();
    let _ = tool.is(&run, "ready");
    for (verb, happens) in [("deny", false), ("approve", true)] {
        let content = format!("what only {verb} tells");
        let file = tool.house.file(&format!("elsewhere/{verb}.txt"), &content);
        // niia takes the meaning from an `@` in a text of others; a person types it on purpose.
        let mut person = tool.niia(&["attach", &run]).in_terminal();
        let text = format!("{verb} @{} now", file.display());
        person.write(text.as_bytes(), SOON);
        niia_tests::wait_until("it stands in the composer", SOON, || {
            tool.niia(&["read", &run]).run().out.contains(".txt now").then_some(())
        });
        person.write(b"\r", SOON);
        let view = niia_tests::wait_until("gemini asks whether it may read", SOON, || {
            tool.view(&run).filter(|view| view["dialog"] == "read-file")
        });
        assert_eq!(view["state"], "waiting_input", "{view}");
        assert!(tool.prompts(&content).is_empty(), "it read before it was allowed");
        let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
        if happens {
            niia_tests::wait_until("what it read is told", SOON, || {
                (!tool.prompts(&content).is_empty()).then_some(())
            });
        }
        let _ = tool.is(&run, "ready");
        assert_eq!(!tool.prompts(&content).is_empty(), happens, "{verb}");
        person.write(b"\x1cd", SOON);
        assert!(person.end(SOON).0.success());
    }
    tool.end(&run);
}

#[test]
fn what_codex_asks_is_shown_and_answered() {
    let call = r#"<<tool exec_command {"cmd":"touch made","sandbox_permissions":"require_escalated","justification":"to make it"}>>"#;
    asks_before_it_acts("codex", "tool", call);
}

#[test]
fn what_claude_asks_is_shown_and_answered() {
    // What it may edit it may touch and copy, too; of this command it asks.
    let call = r#"<<tool Bash {"command":"truncate -s 0 made","description":"to make it"}>>"#;
    asks_before_it_acts("claude", "tool", call);
}

#[test]
fn what_gemini_asks_is_shown_and_answered() {
    let call = r#"<<tool run_shell_command {"command":"touch made","description":"to make it"}>>"#;
    asks_before_it_acts("gemini", "tool", call);
}

const BOTH: &[&str] = &["approve", "deny"];

/// A tool whose first screen is a question.
struct Question {
    name: &'static str,
    dialog: &'static str,
    /// What it draws.
    text: &'static str,
    /// The answers niia has keys for.
    verbs: &'static [&'static str],
}

/// The question is seen in time, is not answered by a text that waits, and is answered by a person, both ways.
fn is_seen_and_answered(question: &Question, make: impl Fn() -> Option<Tool>) {
    let verbs = question.verbs.iter().copied().map(Some);
    for verb in verbs.chain(question.verbs.is_empty().then_some(None)) {
        let Some(tool) = make() else { return };
        let run = tool.serve();
        let view = seen(&tool, &run, question);
        assert_eq!(view["state"], "waiting_input", "{view}");
        let waits = tool.niia(&["write", "--session", &run, "1 2 3 yes y"]).start();
        for _ in 0..LOOKS {
            let view = tool.view(&run).unwrap_or_default();
            assert_eq!(view["dialog"], question.dialog, "a text that waits has answered: {view}");
        }
        if let Some(verb) = verb {
            let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
            niia_tests::wait_until(&format!("{verb} answers {}", question.dialog), SOON, || {
                let view = tool.view(&run).unwrap_or_default();
                (view["dialog"] != question.dialog).then_some(())
            });
        }
        tool.end(&run);
        drop(waits.wait());
    }
}

/// Waits until the question is drawn, and then until niia says which one it is.
fn seen(tool: &Tool, run: &str, question: &Question) -> Value {
    niia_tests::wait_until(&format!("{} draws {}", question.name, question.dialog), SOON, || {
        tool.niia(&["read", run]).run().out.contains(question.text).then_some(())
    });
    let drawn = Instant::now();
    let view = niia_tests::wait_until(&format!("{} is seen", question.dialog), SOON, || {
        tool.view(run).filter(|view| view["dialog"] == question.dialog)
    });
    assert!(drawn.elapsed() < SEEN_WITHIN, "{} was seen after {:?}", question.dialog, drawn.elapsed());
    view
}

/// Claude as it is where somebody has run it, but not in this folder.
fn claude() -> Option<Tool> {
    let tool = bare("claude")?;
    let _ = tool.house.file("home/.claude.json", r#"{"hasCompletedOnboarding":true}"#);
    Some(tool)
}

#[test]
fn claude_asks_whether_a_folder_is_trusted() {
    let question =
        Question { name: "claude", dialog: "trust-folder", text: "Quick safety check", verbs: BOTH };
    is_seen_and_answered(&question, claude);
}

#[test]
fn claude_asks_whether_a_further_folder_is_trusted() {
    let question =
        Question { name: "claude", dialog: "add-directory", text: "Adding a new directory", verbs: BOTH };
    is_seen_and_answered(&question, || {
        let tool = tool("claude")?;
        let other = tool.house.repository("other");
        tool.calls_with("", "", &format!("--add-dir '{}'", other.path().display()));
        Some(tool)
    });
}

#[test]
fn claude_asks_whether_a_key_is_to_be_used() {
    let question =
        Question { name: "claude", dialog: "api-key", text: "Detected a custom API key", verbs: BOTH };
    is_seen_and_answered(&question, || {
        let tool = tool("claude")?;
        tool.calls_with(
            "unset ANTHROPIC_AUTH_TOKEN; export ANTHROPIC_API_KEY=sk-ant-none-12345678901234567890",
            "",
            "",
        );
        Some(tool)
    });
}

#[test]
fn claude_asks_whether_it_may_go_without_asking() {
    let question = Question {
        name: "claude",
        dialog: "bypass-permissions",
        text: "Bypass Permissions mode",
        verbs: BOTH,
    };
    is_seen_and_answered(&question, || {
        let tool = tool("claude")?;
        tool.calls_with("export IS_SANDBOX=1", "", "--permission-mode bypassPermissions");
        Some(tool)
    });
}

#[test]
fn codex_asks_whether_a_folder_is_trusted() {
    let question =
        Question { name: "codex", dialog: "trust-folder", text: "Trust this folder?", verbs: BOTH };
    is_seen_and_answered(&question, || {
        let tool = bare("codex")?;
        let _ = tool.house.file("home/.codex/config.toml", &tool.codex_settings());
        // It asks in a repository alone, and where nothing says yet what it may do.
        let git = std::process::Command::new("git").args(["init", "-q"]).arg(tool.house.at("home")).status();
        assert!(git.unwrap().success());
        tool.calls_with("", "projects=*|-[sa]|workspace-write|on-request", "");
        Some(tool)
    });
}

#[test]
fn codex_asks_for_a_login() {
    let question = Question { name: "codex", dialog: "sign-in", text: "Sign in with ChatGPT", verbs: &[] };
    is_seen_and_answered(&question, || bare("codex"));
}

#[test]
fn codex_asks_whether_hooks_are_trusted() {
    let question = Question { name: "codex", dialog: "hooks", text: "Hooks need review", verbs: BOTH };
    is_seen_and_answered(&question, || {
        let tool = tool("codex")?;
        tool.calls_with("", "--dangerously-bypass-hook-trust", "");
        Some(tool)
    });
}

#[test]
fn gemini_asks_whether_a_folder_is_trusted() {
    let question = Question {
        name: "gemini",
        dialog: "trust-folder",
        text: "Do you trust the files in this folder",
        verbs: BOTH,
    };
    is_seen_and_answered(&question, || {
        let tool = tool("gemini")?;
        tool.calls_with("", "--skip-trust", "");
        Some(tool)
    });
}

#[test]
fn gemini_asks_for_a_way_to_sign_in() {
    let question = Question {
        name: "gemini",
        dialog: "sign-in",
        text: "How would you like to authenticate",
        verbs: &[],
    };
    is_seen_and_answered(&question, || {
        let tool = bare("gemini")?;
        tool.calls_with("unset GEMINI_API_KEY", "", "");
        Some(tool)
    });
}

#[test]
fn opencode_asks_before_it_runs_a_command() {
    let call = r#"<<tool bash {"command":"touch made","description":"to make it"}>>"#;
    let Some(tool) = tool("opencode") else { return };
    let run = tool.serve();
    for (verb, happens) in [("deny", false), ("approve", true)] {
        let asked = tool.asked(&run, call).start();
        niia_tests::wait_until("opencode asks", SOON, || {
            tool.view(&run).filter(|view| view["state"] == "waiting_input" && view["dialog"] == "tool")
        });
        assert!(!tool.has("made"), "it acted before it was allowed");
        let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
        drop(asked.wait());
        assert_eq!(tool.has("made"), happens, "{verb}");
    }
    tool.end(&run);
}

#[test]
fn codex_asks_whether_it_is_to_be_updated() {
    let question = Question { name: "codex", dialog: "update", text: "Update available", verbs: &["deny"] };
    is_seen_and_answered(&question, || {
        let tool = tool("codex")?;
        let newer =
            r#"{"latest_version":"9.9.9","last_checked_at":"2026-11-30T23:00:00Z","dismissed_version":null}"#;
        let _ = tool.house.file("home/.codex/version.json", newer);
        tool.calls_with("", "", "-c check_for_update_on_startup=true");
        Some(tool)
    });
}

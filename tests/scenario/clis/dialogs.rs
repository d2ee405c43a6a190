//! The questions of real tools: seen, shown with their choices, never answered by accident, answered by a person.

use super::super::SOON;
use super::tool::tool;

/// A tool call that needs a person: the dialog is seen, shown with its choices, answered, and what it allows happens.
fn asks_before_it_acts(name: &'static str, call: &str) {
    let Some(tool) = tool(name) else { return };
    let run = tool.serve();
    for (verb, happens) in [("deny", false), ("approve", true)] {
        tool.forget("made");
        let asked = tool.asked(&run, call).start();
        // The hook tells of it a moment before it is drawn.
        let view = niia_tests::wait_until(&format!("{name} asks"), SOON, || {
            tool.view(&run).filter(|view| view["state"] == "waiting_input" && view["dialog"] == "tool")
        });
        assert!(view["choices"].as_array().is_some_and(|choices| choices.len() >= 2), "{view}");
        assert!(!tool.has("made"), "it acted before it was allowed");
        let _ = tool.niia(&[verb, &format!("{run}/session/1")]).run().exits(0);
        drop(asked.wait());
        assert_eq!(tool.has("made"), happens, "{verb}");
    }
    tool.end(&run);
}

#[test]
fn what_codex_asks_is_shown_and_answered() {
    let call = r#"<<tool exec_command {"cmd":"touch made","sandbox_permissions":"require_escalated","justification":"to make it"}>>"#;
    asks_before_it_acts("codex", call);
}

#[test]
fn what_gemini_asks_is_shown_and_answered() {
    let call = r#"<<tool run_shell_command {"command":"touch made","description":"to make it"}>>"#;
    asks_before_it_acts("gemini", call);
}

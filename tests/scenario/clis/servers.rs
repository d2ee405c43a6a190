//! Tools of niia's own server, called in a real turn: nobody is asked, and it is done.

use super::tool::tool;

fn calls_a_tool_of_niia(name: &'static str, tool_name: &str) {
    let Some(tool) = tool(name) else { return };
    let run = tool.serve();
    let call = format!(r#"<<tool {tool_name} {{"path":"from-the-model.md","text":"by a tool"}}>>"#);
    let (answer, _) = tool.answer(&run, &call);
    assert!(answer.starts_with("the tool said: "), "{answer}");
    let written = tool.niia(&["scratchpad", "cat", "from-the-model.md", "--run", &run]).run().exits(0);
    assert_eq!(written.out, "by a tool", "{answer}");
    tool.end(&run);
}

#[test]
fn claude_calls_a_tool_of_niia_in_a_turn() {
    calls_a_tool_of_niia("claude", "mcp__niia__scratchpad_write");
}

#[test]
fn codex_calls_a_tool_of_niia_in_a_turn() {
    calls_a_tool_of_niia("codex", "mcp__niia/scratchpad_write");
}

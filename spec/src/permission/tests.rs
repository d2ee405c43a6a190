use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Decision, Policy};
use crate::plan::{OnDialog, Permission};
use crate::profile::Profiles;

fn policy(permission: Permission, on_dialog: OnDialog) -> Policy {
    let profiles = Profiles::built_in().unwrap();
    let writable = vec![PathBuf::from("/w/tree"), PathBuf::from("/w/pad")];
    Policy::of(profiles.get("claude").unwrap(), permission, on_dialog, writable).unwrap()
}

fn bash(command: &str) -> Value {
    json!({ "tool_name": "Bash", "tool_input": { "command": command } })
}

fn edit(path: &str) -> Value {
    json!({ "tool_name": "Write", "tool_input": { "file_path": path, "content": "x" } })
}

/// A link in the tree leads out of it.
fn real(path: &Path) -> PathBuf {
    match path.strip_prefix("/w/tree/out") {
        Ok(rest) => Path::new("/etc").join(rest),
        Err(_) => path.to_owned(),
    }
}

fn word(policy: &Policy, body: &Value) -> &'static str {
    match policy.decide("PermissionRequest", body, &real) {
        Some(Decision::Allow { .. }) => "allow",
        Some(Decision::Deny { .. }) => "deny",
        Some(Decision::Ask { .. }) => "ask",
        None => "nothing",
    }
}

#[test]
fn workspace_write_lets_the_worktree_and_safe_commands_through() {
    let policy = policy(Permission::WorkspaceWrite, OnDialog::Ask);
    for (body, wanted) in [
        (bash("cargo test --all"), "allow"),
        (bash("git status && git diff | head -n 20"), "allow"),
        (bash("niia output set verdict good"), "allow"),
        (bash("niia approve x"), "ask"),
        (bash("git push"), "ask"),
        (bash("git statusx"), "ask"),
        (bash("rm -rf target"), "ask"),
        (bash("cargo test; curl x | sh"), "ask"),
        (bash("find . -name x -delete"), "ask"),
        (bash("git diff --output=/etc/passwd"), "ask"),
        (bash("cd src && ls"), "allow"),
        (bash("cd / && make"), "ask"),
        (bash("cd ../other && make"), "ask"),
        (bash("echo hi > made"), "ask"),
        (edit("/w/tree/src/a.rs"), "allow"),
        (edit("src/a.rs"), "allow"),
        (edit("/w/pad/notes.md"), "allow"),
        (edit("/w/tree/../x"), "ask"),
        (edit("/w/treetop/x"), "ask"),
        (edit("/w/tree/out/passwd"), "ask"),
        (edit("/w/tree/.git/hooks/pre-commit"), "ask"),
        (json!({ "tool_name": "WebFetch", "tool_input": { "url": "http://x" } }), "ask"),
        (json!({ "tool_name": "Read", "tool_input": { "file_path": "/etc/hosts" } }), "allow"),
        (json!({}), "ask"),
    ] {
        assert_eq!(word(&policy, &body), wanted, "{body}");
    }
}

#[test]
fn the_other_permissions_and_what_becomes_of_a_question() {
    use OnDialog::{Allow, Ask, Deny, Fail};
    use Permission::{Full, ReadOnly, WorkspaceWrite};
    for (permission, on_dialog, body, wanted) in [
        (Permission::Ask, Ask, bash("cargo test"), "ask"),
        (Permission::Ask, Allow, bash("cargo test"), "allow"),
        (Permission::Ask, Ask, edit("/w/tree/a"), "ask"),
        (ReadOnly, Ask, edit("/w/tree/a"), "deny"),
        (ReadOnly, Allow, bash("rm x"), "deny"),
        (ReadOnly, Ask, bash("git log"), "allow"),
        (Full, Deny, bash("rm -rf /w/tree"), "allow"),
        (WorkspaceWrite, Deny, bash("rm x"), "deny"),
        (WorkspaceWrite, Allow, bash("rm x"), "allow"),
        (WorkspaceWrite, Fail, bash("rm x"), "ask"),
    ] {
        let policy = policy(permission, on_dialog);
        assert_eq!(word(&policy, &body), wanted, "{permission:?} {on_dialog:?} {body}");
    }
    let policy = policy(WorkspaceWrite, Ask);
    assert_eq!(policy.decide("Stop", &json!({}), &real), None, "only what asks is decided");
}

#[test]
fn a_refusal_tells_the_tool_why_in_its_own_form() {
    let policy = policy(Permission::WorkspaceWrite, OnDialog::Deny);
    let denied = policy.decide("PermissionRequest", &bash("rm \"x\""), &real).unwrap();
    let answer: Value = serde_json::from_str(&policy.answer(&denied).unwrap()).unwrap();
    let decision = &answer["hookSpecificOutput"]["decision"];
    assert_eq!(decision["behavior"], "deny");
    assert!(decision["message"].as_str().unwrap().contains("no safe command: rm \"x\""), "{decision}");
    let asked = Decision::Ask { because: String::new() };
    assert_eq!(policy.answer(&asked), None, "the tool's own dialog asks");
}

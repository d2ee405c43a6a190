//! What a child run may ask for, line by line.

use std::path::PathBuf;

use super::Ceiling;
use crate::plan::Plan;
use crate::plan::draw::{KnownProfile, Repository, Surroundings, draw};
use crate::read::read;

fn plan(text: &str) -> Plan {
    let around = Surroundings {
        repository: Some(Repository { root: PathBuf::from("/repo") }),
        profiles: vec![KnownProfile {
            name: "claude".to_owned(),
            lists: Vec::new(),
            program: Some("claude".to_owned()),
            installed: Some(PathBuf::from("/usr/bin/claude")),
            local: false,
        }],
        file_stem: "x.connector.json".to_owned(),
        ..Surroundings::default()
    };
    let (document, found) = read(text.as_bytes(), "x.json");
    draw(&document.unwrap_or_else(|| panic!("{found:?}")), &around).unwrap().plan
}

fn of(session: &str, more: &str) -> Plan {
    plan(&format!(
        r#"{{ {more} "pipeline": {{ "phases": [
            {{ "name": "work", "model": "claude", "prompt": "x", "session": {{ {session} }} }} ] }} }}"#
    ))
}

/// The fields in which the child is wider.
fn wider(parent: &Plan, child: &Plan) -> Vec<String> {
    let phase = &parent.phases[0];
    let ceiling = Ceiling::of(parent, &phase.name, &phase.work.workers()[0].name).unwrap();
    ceiling
        .exceeded_by(child)
        .iter()
        .map(|told| format!("{}: {} > {}", told.field, told.asked, told.granted))
        .collect()
}

fn check(parent: &str, child: &str, expected: &[&str]) {
    assert_eq!(wider(&of(parent, ""), &of(child, "")), expected, "{parent} / {child}");
}

const WALLED: &str = r#""sandbox": true"#;

#[test]
fn a_child_that_asks_the_same_or_less_may_begin() {
    for session in
        ["", WALLED, r#""sandbox": true, "network": false"#, r#""permission": "read-only", "egress": "none""#]
    {
        check(session, session, &[]);
        check("", session, &[]);
    }
    check(WALLED, r#""sandbox": true, "network": "none""#, &[]);
    check(r#""permission": "full""#, r#""permission": "ask""#, &[]);
    check(r#""network": ["a.org", "*.b.org"]"#, r#""network": ["x.b.org", "*.y.b.org", "A.org"]"#, &[]);
}

#[test]
fn a_child_out_of_the_sandbox_of_its_parent_is_wider() {
    check(WALLED, "", &["session.sandbox: false > true", "session.network: \"open\" > \"provider\""]);
    check(WALLED, r#""sandbox": true, "network": "open""#, &["session.network: \"open\" > \"provider\""]);
    check(
        WALLED,
        r#""sandbox": true, "worktree": false"#,
        &["session.worktree: the folder itself > a tree of its own"],
    );
}

#[test]
fn each_part_of_a_sandbox_is_compared() {
    let parent = r#""sandbox": { "write": ["/data/out"], "read_deny": ["/data/secret"], "memory_mb": 512, "pids": 10 }"#;
    check(parent, parent, &[]);
    let narrower =
        r#""sandbox": { "write": ["/data/out/one"], "read_deny": ["/data"], "memory_mb": 256, "pids": 9 }"#;
    check(parent, narrower, &[]);
    let wider =
        r#""sandbox": { "write": ["/data/outer", "/data/out/../x"], "read_deny": [], "memory_mb": 513 }"#;
    let fields = [
        r#"session.sandbox.write: ["/data/outer","/data/out/../x"] > ["/data/out"]"#,
        r#"session.sandbox.read_deny: [] > ["/data/secret"]"#,
        "session.sandbox.memory_mb: 513 > 512",
        "session.sandbox.pids: without a bound > 10",
    ];
    check(parent, wider, &fields);
}

#[test]
fn hosts_are_compared_by_name_and_never_by_their_ends_alone() {
    let parent = r#""network": ["*.b.org"]"#;
    for host in ["b.org", "evilb.org", "b.org.evil", "*.org", "*.b.org.evil"] {
        let child = format!(r#""network": ["{host}"]"#);
        check(parent, &child, &[&format!(r#"session.network: ["{host}"] > ["*.b.org"]"#)]);
    }
    check(parent, r#""network": "provider""#, &[r#"session.network: "provider" > ["*.b.org"]"#]);
    // Without a network an answer is all that leaves.
    let fields = [r#"session.network: ["*.b.org"] > "none""#, r#"session.egress: "all" > "result""#];
    check(r#""network": false"#, parent, &fields);
}

#[test]
fn domains_that_the_parent_does_not_trust_are_wider() {
    let trusted = |hosts: &str| of(WALLED, &format!(r#""trust": {{ "domains": [{hosts}] }},"#));
    assert_eq!(wider(&trusted(r#""*.a.org""#), &trusted(r#""x.a.org""#)), [""; 0]);
    let told = wider(&trusted(r#""a.org""#), &trusted(r#""a.org", "b.org""#));
    assert_eq!(told, [r#"trust.domains: ["a.org","b.org"] > ["a.org"]"#]);
    let child = of(r#""sandbox": true, "network": ["a.org"]"#, "");
    assert_eq!(wider(&trusted(r#""a.org""#), &child), [""; 0]);
}

#[test]
fn permission_egress_and_answers_to_dialogs_are_compared() {
    check(
        r#""permission": "read-only", "egress": "result""#,
        r#""permission": "workspace-write", "egress": "all", "on_dialog": "allow""#,
        &[
            r#"session.permission: "workspace-write" > "read-only""#,
            r#"session.egress: "all" > "result""#,
            r#"session.on_dialog: "allow" > "ask""#,
        ],
    );
}

#[test]
fn what_is_wider_is_told_with_both_sides() {
    let (parent, child) = (of(WALLED, ""), of("", ""));
    let ceiling =
        Ceiling::of(&parent, &parent.phases[0].name, &parent.phases[0].work.workers()[0].name).unwrap();
    assert_eq!(
        ceiling.exceeded_by(&child)[0].to_string(),
        "`session.sandbox` of `work/1` is false (x.json:2:13), and that of `work/1`, which begins this run, is true \
         (x.json:2:78)"
    );
}

//! check, plan, schema, init: nothing is started by any of them.

use super::place::{DOCUMENT, Place, exists};

#[test]
fn check_says_everything_that_is_wrong_and_exits_with_three() {
    let place = Place::new();
    place.write("good.connector.json", DOCUMENT);
    place.write(
        "bad.connector.json",
        "{\n  \"connector\": \"2.0\",\n  \"nmae\": \"x\",\n  \"rounds\": 0\n}\n",
    );
    assert_eq!(place.say(&["check", "good.connector.json"]).code, 0);
    let said = place.say(&["check", "good.connector.json", "bad.connector.json"]);
    assert_eq!(said.code, 3);
    assert!(said.out.contains("good.connector.json: nothing is wrong"), "{}", said.out);
    assert!(
        said.out.contains("bad.connector.json:3:3") && said.out.contains("bad.connector.json:4:"),
        "{}",
        said.out
    );
    let said = place.say(&["check", "bad.connector.json", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, found[0]["sound"].as_bool()), (3, Some(false)));
    assert!(found[0]["findings"].as_array().unwrap().len() >= 2);
    assert_eq!(place.say(&["check", "no-such.json"]).code, 2);
    assert_eq!(place.say_with(&["check", "-"], DOCUMENT.as_bytes()).code, 0);
}

#[test]
fn a_document_may_not_do_anything_to_the_terminal() {
    let place = Place::new();
    place.write("evil.json", "{ \"\u{1b}]0;owned\u{7}\": 1, \"\u{202e}x\": \"\u{9b}2J\" }");
    let said = place.say(&["check", "evil.json"]);
    assert_eq!(said.code, 3);
    assert!(!said.out.chars().any(|c| c.is_control() && c != '\n'), "{:?}", said.out);
    assert!(!said.out.contains('\u{202e}'));
}

#[test]
fn plan_names_what_would_be_started_and_starts_nothing() {
    let place = Place::new();
    place.write("connector.json", DOCUMENT);
    let said = place.say(&["plan", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let plan: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(plan["plan"]["phases"][0]["name"], "find");
    assert!(!exists(&place.state().join("run/node.log")), "no node was started");
    let people = place.say(&["plan"]);
    assert_eq!(people.code, 0);
    assert!(people.out.contains("find"), "{}", people.out);
}

#[test]
fn a_flow_that_names_a_file_travels_as_its_text() {
    let place = Place::new();
    let text = DOCUMENT.replacen("\"name\"", "\"agent\": { \"flow\": \"flow.md\" }, \"name\"", 1);
    place.write("connector.json", &text);
    place.write("flow.md", "# How we work\n");
    let said = place.say(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(plan["plan"]["flow"], "# How we work\n");
}

#[test]
fn init_writes_a_document_for_what_is_installed_and_never_over_one() {
    let place = Place::new();
    place.program("codex", "true");
    place.program("claude", "true");
    let said = place.say(&["init"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("with claude, codex"), "{}", said.out);
    assert_eq!(place.say(&["check", "connector.json"]).code, 0);
    assert_eq!(place.say(&["plan"]).code, 0);
    let again = place.say(&["init"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("was left as it is"), "{}", again.err);
}

#[test]
fn the_schema_is_one_json_object() {
    let said = Place::new().say(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(schema["$defs"].is_object());
}

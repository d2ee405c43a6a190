//! What conditions mean.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Condition, EvaluateError, Outputs, Verdict};

fn outputs(phases: &Value) -> Outputs {
    let workers = |list: &Value| -> Vec<BTreeMap<String, Value>> {
        list.as_array().unwrap().iter().map(|one| serde_json::from_value(one.clone()).unwrap()).collect()
    };
    let phases =
        phases.as_object().unwrap().iter().map(|(name, list)| (name.clone(), workers(list))).collect();
    Outputs { phases, event: json!({ "action": "opened", "number": 7 }) }
}

fn check(condition: &str, phases: &Value, expected: Verdict) {
    let verdict = Condition::parse(condition).unwrap().evaluate(&outputs(phases));
    assert_eq!(verdict, Ok(expected), "{condition}");
}

fn never(keys: &[&str]) -> Verdict {
    Verdict::NeverSet { keys: keys.iter().map(|key| (*key).to_owned()).collect() }
}

#[test]
fn a_condition_reads_a_phase_under_its_name() {
    let said = json!({ "triage": [{}, { "classification": "auth" }, { "classification": "docs" }] });
    check("triage.classification == 'auth'", &said, Verdict::Holds);
    check("triage.classification == 'docs'", &said, Verdict::DoesNotHold);
    check("triage.all.classification == ['auth', 'docs']", &said, Verdict::Holds);
    check("triage.workers[2].classification == 'docs'", &said, Verdict::Holds);
    check("triage.workers[0].classification == null", &said, Verdict::Holds);
    check("triage.all.classification.exists(c, c == 'docs')", &said, Verdict::Holds);
    check("triage.workers.exists(w, w.classification == 'docs')", &said, Verdict::Holds);
    check("size(triage.workers) == 3", &said, Verdict::Holds);
    check("'docs' in triage.all.classification", &said, Verdict::Holds);
}

#[test]
fn any_phase_is_found_in_the_table_of_phases() {
    let said = json!({ "multi-review": [{ "verdict": "ship", "bugs": 3, "ratio": 0.5 }] });
    check("phases['multi-review'].verdict == 'ship'", &said, Verdict::Holds);
    check("phases['multi-review'].bugs > 2 && phases['multi-review'].ratio < 0.6", &said, Verdict::Holds);
    check("phases['multi-review']['verdict'] in ['fix', 'wait']", &said, Verdict::DoesNotHold);
}

#[test]
fn an_output_nobody_set_is_null_and_is_told_apart_from_a_false_condition() {
    let said = json!({ "triage": [{ "size": 1 }] });
    check("triage.classification == 'auth'", &said, never(&["triage.classification"]));
    check("triage.classification == null", &said, Verdict::Holds);
    check("triage.classification > 3", &said, never(&["triage.classification"]));
    check("gone.x == 1 && triage.y == 2", &said, never(&["gone.x", "triage.y"]));
    check("phases['gone'].x == 1", &said, never(&["gone.x"]));
    check("triage.workers[0].x == 1", &said, never(&["triage.x"]));
    check("size(triage.all.x) == 0", &said, Verdict::Holds);
}

#[test]
fn what_is_false_by_itself_is_no_missing_output() {
    let said = json!({ "triage": [{ "size": 1 }] });
    check("triage.size == 2 && triage.x == 'q'", &said, Verdict::DoesNotHold);
    check("triage.x == 'q' && triage.size == 2", &said, Verdict::DoesNotHold);
    check("triage.size == 1 || triage.x == 'q'", &said, Verdict::Holds);
    check("triage.size == 1 && triage.x == 'q'", &said, never(&["triage.x"]));
}

#[test]
fn the_event_is_a_variable() {
    check("event.action == 'opened' && event.number == 7", &json!({}), Verdict::Holds);
    check("event.action == 'closed'", &json!({}), Verdict::DoesNotHold);
}

#[test]
fn what_is_neither_true_nor_false_has_no_verdict() {
    let said = outputs(&json!({ "a": [{ "x": 1, "l": [1] }] }));
    for (text, found) in [("a.x", "a number"), ("a.x + 1", "a number"), ("a.l", "a list"), ("'x'", "a text")]
    {
        let verdict = Condition::parse(text).unwrap().evaluate(&said);
        assert_eq!(verdict, Err(EvaluateError::NotATruth { found: found.to_owned() }), "{text}");
    }
    for text in
        ["a.x / 0 == 1", "a.x == 1 ? a.workers[9].x == 1 : false", "a.x.nothing() == 1", "a.l[7] == 1"]
    {
        let verdict = Condition::parse(text).unwrap().evaluate(&said);
        assert!(matches!(verdict, Err(EvaluateError::Failed { .. })), "{text}: {verdict:?}");
    }
}

#[test]
fn a_condition_tells_what_it_reads_and_what_it_is_compared_with() {
    let told = |text: &str| {
        let condition = Condition::parse(text).unwrap();
        let reads = condition
            .reads()
            .iter()
            .map(|read| format!("{}.{} {:?}", read.phase, read.key, read.compared_with));
        reads.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(told("triage.kind == 'auth' || 'docs' == triage.kind"), r#"triage.kind ["auth", "docs"]"#);
    assert_eq!(
        told("triage.kind in ['a', 'b'] && triage.bugs > 3"),
        r#"triage.kind ["a", "b"]; triage.bugs ["3"]"#
    );
    assert_eq!(told("phases['multi-review']['ok'] == true"), r#"multi-review.ok ["true"]"#);
    assert_eq!(told("t.all.k.exists(x, x == 'q') && t.workers[0].j != 'r'"), r#"t.k ["q"]; t.j ["r"]"#);
    assert_eq!(told("t.workers.all(w, w.k == 'q')"), r#"t.k ["q"]"#);
    assert_eq!(told("has(t.k) && size(t.workers) == 2"), "t.k []");
    assert_eq!(told("event.x == 'y'"), "");
    let named: Vec<String> = Condition::parse("size(a.workers) == 1 && multi-review.b == 'x'")
        .unwrap()
        .phases()
        .map(str::to_owned)
        .collect();
    assert_eq!(named, ["a", "multi", "review"]);
}

#[test]
fn a_text_that_is_no_condition_is_refused_at_its_place() {
    for (text, offset) in [("a.b ==", 6), ("a.b = 'x'", 4), ("(a", 2), ("a.b == 'x", 7), ("", 0), ("  ", 0)] {
        let error = Condition::parse(text).unwrap_err();
        assert_eq!(error.offset, offset, "{text}: {}", error.message);
    }
    for text in ["[1].exists(x, [2].exists(y, x == y))", &format!("a == '{}'", "x".repeat(3000))] {
        assert!(Condition::parse(text).is_err(), "{text}");
    }
}

/// Whatever the text, the answer is a condition or a refusal, in a stack as small as a thread's.
#[test]
fn no_text_breaks_the_parser_or_the_evaluation() {
    let deep = [
        "(".repeat(1000),
        "[".repeat(1000),
        "!".repeat(2000),
        "-".repeat(2000),
        format!("{}a{}", "(".repeat(6), ")".repeat(6)),
        format!("a{}", ".b".repeat(48)),
        format!("a{}", "[0]".repeat(48)),
        format!("{}a", "!".repeat(48)),
        format!("1{}", "+1".repeat(48)),
        format!("{}true", "true ? true : ".repeat(48)),
        format!("a{}", "()".repeat(48)),
        format!("[{}]", "1,".repeat(900)),
        format!("a.b == 1{}", " && a.b == 1".repeat(160)),
        format!("{}1{}", "(1+1+1+1+1+1+".repeat(6), ")".repeat(6)),
        format!("{}1{}", "[1].exists(x, ".repeat(3), ")".repeat(3)),
        format!("'{}", "(".repeat(1000)),
        format!("'\n{}'", "(".repeat(1000)),
        format!("'\\q{}'", "(".repeat(1000)),
        format!("r'\\'{}'", "(".repeat(1000)),
        format!("1r'\\' '{}'", "(".repeat(1000)),
        format!("((((((')))))){}'\\'", "(".repeat(1000)),
        format!("'''a'{}'''", "(".repeat(1000)),
        format!("// '\n{}'", "(".repeat(1000)),
        format!("a.`b{}`", "(".repeat(1000)),
        "\"".to_owned(),
        "a.b == '\u{0}'".to_owned(),
        "9223372036854775808 == 1".to_owned(),
        "-9223372036854775808 / -1 == 1".to_owned(),
        "1e999 == 1.0".to_owned(),
        "'a'.matches('(a+)+$')".to_owned(),
        "b'\\xff' == b'a'".to_owned(),
        "duration('9999999999h') == duration('1s')".to_owned(),
        "timestamp('0000-00-00T00:00:00Z') == timestamp('x')".to_owned(),
        "a.b{c: 1} == 1".to_owned(),
        "'\\ud800' == 'a'".to_owned(),
    ];
    let said = outputs(&json!({ "a": [{ "b": 1 }] }));
    for text in &deep {
        if let Ok(condition) = Condition::parse(text) {
            drop(condition.evaluate(&said));
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet = [
        "a", ".", "b", "'", "==", "&&", "||", "!", "(", ")", "[", "]", "1", "?", ":", "in", " ", "-", "{",
        "}", "x", ",", "all", "\\", "é",
    ];
    for _ in 0..3000 {
        let text: String =
            (0..random.usize(1..24)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        if let Ok(condition) = Condition::parse(&text) {
            drop(condition.evaluate(&said));
        }
    }
}

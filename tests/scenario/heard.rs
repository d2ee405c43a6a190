//! Talks as their participants lived them: from the recordings of their sessions alone, who saw whose words, how often
//! and in which order.
//!
//! Each participant prints what it was told under another word than what it says itself: `saw-` and `said-by-`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use niia_tests::House;
use regex::Regex;
use serde_json::{Value, json};

use super::SOON;

mod letters;

/// A turn as its terminal shows it.
#[derive(Debug)]
struct Turn {
    who: String,
    began: std::time::SystemTime,
    saw: Vec<String>,
    said: Option<String>,
    /// It was the turn's effective attempt.
    counts: bool,
}

/// A tool that shows what it was told, and says something nobody else says.
fn speaker(house: &House, name: &str, more: &str) {
    let saw = "grep -o 'said-by-[a-z0-9]*-[0-9]*-end' \"$NIIA_PROMPT_FILE\" | sed 's/said-by-/saw-/'";
    house.install(name, &format!("run {saw}\n{more}\nsay said-by-{{env:NIIA_WORKER}}-{{pid}}-end\n"));
}

/// Every turn of a run, from its sessions' recordings, in the order in which they began.
fn turns(house: &House, run: &str) -> Vec<Turn> {
    let status = house.status(run);
    let workers = status["phases"][0]["workers"].as_array().unwrap();
    let done: BTreeMap<String, bool> = workers
        .iter()
        .flat_map(|worker| {
            worker["attempts"].as_array().unwrap().iter().map(move |attempt| {
                let name = format!("{}/{}", worker["worker"].as_str().unwrap(), attempt["attempt"]);
                (name, attempt["outcome"] == "done")
            })
        })
        .collect();
    let mut turns: Vec<Turn> =
        house.sessions(run).iter().map(|session| turn(house, session, &done)).collect();
    turns.sort_by_key(|turn| turn.began);
    turns
}

fn turn(house: &House, session: &Value, done: &BTreeMap<String, bool>) -> Turn {
    let text = String::from_utf8_lossy(&house.recording(session)).into_owned();
    let words = |pattern: &str| -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect()
    };
    let attempt = &session["session"]["attempt"];
    let who = attempt["worker"]["worker"].as_str().unwrap().to_owned();
    let name = format!("{who}/{}", attempt["attempt"]);
    let folder = PathBuf::from(session["folder"].as_str().unwrap());
    let began = std::fs::metadata(folder.join("prompt.md")).unwrap().modified().unwrap();
    let mut said = words("said-by-([a-z0-9]+-[0-9]+)-end");
    assert!(said.len() <= 1, "{who} speaks once in a turn: {said:?}");
    let counts = done.get(&name).copied().unwrap_or_else(|| panic!("{name} is no attempt of {done:?}"));
    Turn { who, began, saw: words("saw-([a-z0-9]+-[0-9]+)-end"), said: said.pop(), counts }
}

/// Each saw all that was said before its turn: once, in order, nothing else; and everybody's words but the last were seen
/// by all others who spoke after them.
fn check(turns: &[Turn]) {
    let mut said: Vec<String> = Vec::new();
    for turn in turns {
        assert_eq!(turn.saw, said, "{} at {:?}", turn.who, turn.said);
        if turn.counts {
            said.push(turn.said.clone().unwrap_or_else(|| panic!("{} said nothing", turn.who)));
        }
    }
}

fn meeting(house: &House, seats: usize, more: &Value) -> PathBuf {
    let participants: Vec<Value> = (0..seats)
        .map(|at| {
            let mut one = json!({ "id": format!("p{at:02}x"), "model": "claude", "role": "Speak." });
            if at == 1 {
                one["model"] = json!("codex");
                for (key, value) in more.as_object().unwrap() {
                    one[key] = value.clone();
                }
            }
            one
        })
        .collect();
    let phase = json!({ "name": "talk", "type": "meeting", "participants": participants,
        "agenda": [ { "topic": "Which first?", "rounds": 2 } ] });
    house.document(
        "meeting",
        &json!({ "name": "meeting", "limits": { "max_turns": 400 }, "pipeline": { "phases": [phase] } }),
    )
}

/// Two who talk in turns, three times each; the second one has these words in its seat too.
fn dialogue(house: &House, more: &Value) -> PathBuf {
    let mut second = json!({ "id": "p01x", "model": "codex", "role": "Speak." });
    for (key, value) in more.as_object().unwrap() {
        second[key] = value.clone();
    }
    let phase = json!({ "name": "talk", "type": "dialogue", "rounds": 3,
        "participants": [{ "id": "p00x", "model": "claude", "role": "Speak." }, second] });
    house.document("dialogue", &json!({ "name": "dialogue", "pipeline": { "phases": [phase] } }))
}

/// Runs a dialogue in which the second one acts like this, and checks what both saw.
fn talked(state: &str, trouble: &str, more: &Value) -> (Vec<Turn>, Value) {
    let house = House::new();
    let project = house.repository("project");
    speaker(&house, "claude", "");
    speaker(&house, "gemini", "");
    speaker(&house, "codex", &trouble.replace("{once}", &house.at("once").display().to_string()));
    let run = house.detach(project.path(), &dialogue(&house, more));
    let status = house.wait_over(&run, SOON * 4);
    assert_eq!(status["state"], state, "{status:#}");
    let turns = turns(&house, &run);
    check(&turns);
    (turns, status)
}

/// Runs a meeting in which the second participant acts like this, and checks what everybody saw.
fn held(seats: usize, trouble: &str, more: &Value) -> (Vec<Turn>, Value) {
    let house = House::new();
    let project = house.repository("project");
    speaker(&house, "claude", "");
    speaker(&house, "gemini", "");
    speaker(&house, "codex", &trouble.replace("{once}", &house.at("once").display().to_string()));
    let run = house.detach(project.path(), &meeting(&house, seats, more));
    let status = house.wait_over(&run, SOON * 4);
    assert_eq!(status["state"], "done", "{status:#}");
    let turns = turns(&house, &run);
    check(&turns);
    (turns, status)
}

fn spoken(turns: &[Turn], who: &str) -> usize {
    turns.iter().filter(|turn| turn.who == who && turn.counts).count()
}

#[test]
fn two_see_each_others_words_once_and_in_order() {
    let (turns, _) = held(2, "", &json!({}));
    assert_eq!(turns.len(), 5, "twice each, and the last one sums up");
}

#[test]
fn five_see_each_others_words_once_and_in_order() {
    let (turns, _) = held(5, "", &json!({}));
    assert_eq!(turns.len(), 11);
}

#[test]
fn twenty_see_each_others_words_once_and_in_order() {
    let (turns, _) = held(20, "", &json!({}));
    assert_eq!(turns.len(), 41);
}

#[test]
fn five_see_the_same_when_one_is_killed_and_failed_over() {
    let (turns, _) = held(5, "once {once} crash", &json!({ "failover": ["gemini"] }));
    assert_eq!(spoken(&turns, "p01x"), 2, "{turns:?}");
    assert_eq!(turns.iter().filter(|turn| !turn.counts).count(), 1);
}

#[test]
fn five_see_the_same_when_one_is_killed_for_good() {
    let (turns, _) = held(5, "crash", &json!({}));
    assert_eq!(spoken(&turns, "p01x"), 0);
    assert_eq!(turns.iter().filter(|turn| turn.counts).count(), 9, "{turns:?}");
}

#[test]
fn twenty_see_the_same_when_one_is_killed_for_good() {
    let (turns, _) = held(20, "crash", &json!({}));
    assert_eq!(turns.iter().filter(|turn| turn.counts).count(), 39);
}

#[test]
fn five_see_the_same_when_one_is_rate_limited() {
    let limited = "once {once} say API Error: 429 rate limit\nonce {once}-2 exit 1";
    let (turns, _) = held(5, limited, &json!({ "failover": ["gemini"] }));
    assert_eq!(spoken(&turns, "p01x"), 2, "{turns:?}");
}

#[test]
fn five_see_the_same_when_one_answers_after_its_deadline() {
    let more = json!({ "session": { "timeout_ms": 4_000 }, "failover": ["gemini"] });
    let (turns, status) = held(5, "once {once} pause 9000", &more);
    let late: Vec<&Turn> = turns.iter().filter(|turn| !turn.counts).collect();
    assert!(late.len() == 1 && late[0].who == "p01x", "{status:#}");
}

#[test]
fn two_in_a_dialogue_see_each_others_words_once_and_in_order() {
    let (turns, _) = talked("done", "", &json!({}));
    assert_eq!((spoken(&turns, "p00x"), spoken(&turns, "p01x")), (3, 3), "{turns:?}");
}

#[test]
fn two_in_a_dialogue_see_the_same_when_one_is_killed_or_rate_limited_and_failed_over() {
    for trouble in ["once {once} crash", "once {once} say API Error: 429 rate limit\nonce {once}-2 exit 1"] {
        let (turns, status) = talked("done", trouble, &json!({ "failover": ["gemini"] }));
        assert_eq!((spoken(&turns, "p00x"), spoken(&turns, "p01x")), (3, 3), "{trouble}: {status:#}");
        assert_eq!(turns.iter().filter(|turn| !turn.counts).count(), 1, "{trouble}");
    }
}

#[test]
fn a_dialogue_whose_other_one_is_killed_for_good_or_answers_too_late_ends_and_says_who_is_missing() {
    let late = json!({ "session": { "timeout_ms": 3_000 } });
    for (trouble, more) in [("crash", json!({})), ("pause 9000", late)] {
        let (turns, status) = talked("failed", trouble, &more);
        assert_eq!((spoken(&turns, "p00x"), spoken(&turns, "p01x")), (1, 0), "{trouble}: {turns:?}");
        let told = status["phases"][0]["outcome"].to_string();
        assert!(told.contains("`p01x` is not there"), "{trouble}: {told}");
    }
}

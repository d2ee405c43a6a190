//! Meshes as their agents lived them: what each wrote to all, as its own terminal shows it, is in the terminal of every
//! other one: once, and in the order in which it was written.
//!
//! Tools that hold no conversation are told all that they knew with each turn, so that a turn's words begin with those of
//! the turn before; what is new in it is what was heard.

use std::collections::BTreeMap;

use niia_tests::House;
use regex::Regex;
use serde_json::{Value, json};

use super::super::SOON;

/// Shows what it is told; writes two letters to all, each once however often it is begun anew, and says nothing else.
fn writer(house: &House, name: &str, trouble: &str) {
    let write = |number: u32| {
        let done = house.at("home").join(format!("wrote-{{env:NIIA_WORKER}}-{number}"));
        let word = format!("{{env:NIIA_WORKER}}-{{pid}}-{number}-end");
        let send = format!("niia mailbox send all word-{word} >/dev/null && echo wrote-{word}");
        format!("once {} run {send}", done.display())
    };
    let saw = "grep -o 'word-[a-z0-9]*-[0-9]*-[12]-end' \"$NIIA_PROMPT_FILE\" | sed 's/word-/saw-/'";
    house.install(name, &format!("run {saw}\n{}\n{trouble}\n{}\nsay that is all\n", write(1), write(2)));
}

/// What each agent wrote, and what each was told in its turns, both in order.
#[derive(Debug, Default)]
struct Heard {
    wrote: BTreeMap<String, Vec<String>>,
    turns: BTreeMap<String, Vec<Vec<String>>>,
}

impl Heard {
    fn of(house: &House, run: &str) -> Heard {
        let mut heard = Heard::default();
        let mut sessions = house.sessions(run);
        sessions.sort_by_key(|session| session["session"]["attempt"]["attempt"].as_u64());
        for session in &sessions {
            let who = session["session"]["attempt"]["worker"]["worker"].as_str().unwrap().to_owned();
            let text = String::from_utf8_lossy(&house.recording(session)).into_owned();
            let words = |pattern: &str| -> Vec<String> {
                let pattern = Regex::new(pattern).unwrap();
                pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect()
            };
            heard.wrote.entry(who.clone()).or_default().extend(words("wrote-([a-z0-9]+-[0-9]+-[12])-end"));
            // Its own letters it is told as its own.
            let own = format!("{who}-");
            let saw = words("saw-([a-z0-9]+-[0-9]+-[12])-end");
            let saw = saw.into_iter().filter(|word| !word.starts_with(&own)).collect();
            heard.turns.entry(who).or_default().push(saw);
        }
        heard
    }

    /// Everybody but the absent ones has all words of all others.
    fn check(&self, seats: usize, absent: &[&str]) {
        assert_eq!(self.turns.len(), seats, "{self:#?}");
        for (who, turns) in &self.turns {
            for pair in turns.windows(2) {
                // Who died in a turn is told the same again.
                assert!(pair[1].starts_with(&pair[0]), "{who} lost its memory: {pair:?}");
            }
            let last = turns.last().unwrap();
            for (from, wrote) in self.wrote.iter().filter(|(from, _)| *from != who) {
                let own = format!("{from}-");
                let saw: Vec<&String> = last.iter().filter(|word| word.starts_with(&own)).collect();
                if absent.contains(&who.as_str()) {
                    assert!(
                        wrote.iter().collect::<Vec<_>>().starts_with(&saw),
                        "{who} of {from}: {saw:?} {wrote:?}"
                    );
                } else {
                    assert_eq!(saw, wrote.iter().collect::<Vec<_>>(), "{who} of {from}, once and in order");
                }
            }
        }
    }
}

/// A mesh of so many in which the second one acts like this between its two letters.
fn wrote(seats: usize, trouble: &str, more: &Value, absent: &[&str]) -> (Heard, Value) {
    let house = House::new();
    let project = house.repository("project");
    writer(&house, "claude", "");
    writer(&house, "gemini", "");
    writer(&house, "codex", &trouble.replace("{once}", &house.at("once").display().to_string()));
    let agents: Vec<Value> = (0..seats)
        .map(|at| {
            let mut agent = json!({ "id": format!("p{at:02}x"), "model": "claude", "prompt": "Write." });
            if at == 1 {
                agent["model"] = json!("codex");
                for (key, value) in more.as_object().unwrap() {
                    agent[key] = value.clone();
                }
            }
            agent
        })
        .collect();
    let document = json!({ "name": "net", "limits": { "max_messages": 5000, "max_turns": 2000 },
        "pipeline": { "phases": [{ "name": "net", "type": "mesh", "agents": agents, "quiet_ms": 500,
            "communication": { "topology": "mesh", "broadcast_channel": true } }] } });
    let run = house.detach(project.path(), &house.document("net", &document));
    let status = house.wait_over(&run, SOON * 4);
    assert_eq!(status["state"], "done", "{status:#}");
    let heard = Heard::of(&house, &run);
    heard.check(seats, absent);
    (heard, status)
}

fn all_wrote(heard: &Heard, words: usize) {
    assert_eq!(heard.wrote.values().map(Vec::len).sum::<usize>(), words, "{heard:#?}");
}

#[test]
fn two_agents_see_each_others_letters_once_and_in_order() {
    all_wrote(&wrote(2, "", &json!({}), &[]).0, 4);
}

#[test]
fn five_agents_see_each_others_letters_once_and_in_order() {
    all_wrote(&wrote(5, "", &json!({}), &[]).0, 10);
}

#[test]
fn twenty_agents_see_each_others_letters_once_and_in_order() {
    all_wrote(&wrote(20, "", &json!({}), &[]).0, 40);
}

#[test]
fn five_agents_see_the_same_when_one_is_killed_or_rate_limited_between_its_letters_and_failed_over() {
    for trouble in ["once {once} crash", "once {once} say API Error: 429 rate limit\nonce {once}-2 exit 1"] {
        let (heard, status) = wrote(5, trouble, &json!({ "failover": ["gemini"] }), &[]);
        // The first letter of the one that died is told too; who takes over writes the second.
        all_wrote(&heard, 10);
        let attempts = status["phases"][0]["workers"][1]["attempts"].as_array().unwrap();
        assert!(attempts.len() > 1 && attempts[0]["outcome"] != "done", "{status:#}");
    }
}

#[test]
fn four_agents_see_the_same_when_the_fifth_is_killed_for_good_or_answers_too_late() {
    let late = json!({ "session": { "timeout_ms": 3_000 } });
    for (trouble, more) in [("crash", json!({})), ("pause 9000", late)] {
        let (heard, _) = wrote(5, trouble, &more, &["p01x"]);
        // It wrote the first letter, and the second never.
        all_wrote(&heard, 9);
    }
}

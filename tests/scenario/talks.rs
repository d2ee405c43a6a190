//! Agents that talk: dialogues, meetings and meshes with local programs.

use std::path::PathBuf;

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::SOON;

const TOOLS: [&str; 3] = ["claude", "codex", "gemini"];

/// A tool that keeps each prompt it is given and says its session's name, which nobody else says.
pub(super) fn talker(house: &House, name: &str, more: &str) {
    let home = house.at("home").display().to_string();
    let play = format!(
        "write {home}/asked/{{env:NIIA_PHASE}}-{{env:NIIA_WORKER}}-{{pid}}.txt {{prompt}}\n{more}\n\
         say said-by-{{env:NIIA_WORKER}}-{{pid}}-end\n"
    );
    house.install(name, &play);
}

/// Every prompt that was given to one worker, the oldest first.
pub(super) fn prompts(house: &House, worker: &str) -> Vec<String> {
    let folder = house.at("home/asked");
    let mut found: Vec<(std::time::SystemTime, String)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(&format!("-{worker}-")))
        .map(|entry| {
            let written = entry.metadata().unwrap().modified().unwrap();
            (written, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

pub(super) fn pad(house: &House, run: &str, path: &str) -> String {
    house.niia(["scratchpad", "--run", run, "cat", path]).run().exits(0).out
}

/// What was said, line by line of the transcript that programs read.
pub(super) fn lines(house: &House, run: &str, phase: &str) -> Vec<Value> {
    let text = pad(house, run, &format!("{phase}/transcript.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Everybody has heard what every other one said before, once and in order, and nothing of it twice.
pub(super) fn everybody_heard_everything(house: &House, lines: &[Value]) {
    let said: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["who"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
    let speakers: std::collections::BTreeSet<&str> = said.iter().map(|(who, _)| *who).collect();
    for who in speakers {
        let asked = prompts(house, who);
        let turns: Vec<usize> = (0..said.len()).filter(|at| said[*at].0 == who).collect();
        assert_eq!(asked.len(), turns.len(), "{who} was asked as often as it spoke");
        for (prompt, turn) in asked.iter().zip(turns) {
            let words: Vec<&str> = said.iter().map(|(_, text)| text.trim()).collect();
            let places: Vec<usize> = words[..turn]
                .iter()
                .map(|text| prompt.find(text).unwrap_or_else(|| panic!("{who} missed {text}")))
                .collect();
            assert!(places.is_sorted(), "in order:\n{prompt}");
            for text in &words[..turn] {
                assert_eq!(prompt.matches(text).count(), 1, "once:\n{prompt}");
            }
            for text in &words[turn..] {
                assert!(!prompt.contains(text), "nothing is heard before it is said");
            }
        }
    }
}

fn dialogue(house: &House, more: &Value) -> PathBuf {
    let mut phase = json!({
        "name": "talk", "type": "dialogue", "rounds": 2, "prompt": "Find a name for it.",
        "participants": [ { "id": "ann", "model": "claude", "role": "You are bold." },
                          { "id": "bob", "model": "codex", "role": "You are careful." } ]
    });
    for (key, value) in more.as_object().unwrap() {
        phase[key] = value.clone();
    }
    house.document("dialogue", &json!({ "name": "dialogue", "pipeline": { "phases": [phase] } }))
}

#[test]
fn two_talk_in_turns_and_each_hears_the_other_once_and_in_order() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    talker(&house, "codex", "");
    let said = house.run(project.path(), &dialogue(&house, &json!({}))).exits(0);
    let run = said.run_id();
    let lines = lines(&house, &run, "talk");
    let who: Vec<&str> = lines.iter().map(|line| line["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["ann", "bob", "ann", "bob"]);
    everybody_heard_everything(&house, &lines);
    let first = &prompts(&house, "ann")[0];
    assert!(
        first.contains("You are bold.") && first.contains("Find a name") && !first.contains("careful"),
        "{first}"
    );
    let causes: Vec<&Value> = lines.iter().map(|line| &line["cause"]).collect();
    assert_eq!(causes, [&Value::Null, &json!("talk/1"), &json!("talk/2"), &json!("talk/3")]);
    let transcript = pad(&house, &run, "talk/transcript.md");
    assert_eq!(house.report(&run), transcript, "the transcript is the result");
    assert_eq!(transcript.matches("said-by-").count(), 4, "{transcript}");
}

#[test]
fn a_dialogue_ends_as_soon_as_its_until_holds() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    talker(&house, "codex", "when said-by-ann say agreed");
    let more = json!({ "rounds": 9, "until": "last.from == 'bob' && last.text.contains('agreed')" });
    let run = house.run(project.path(), &dialogue(&house, &more)).exits(0).run_id();
    assert_eq!(lines(&house, &run, "talk").len(), 2);
}

#[test]
fn participants_look_at_the_work_and_cannot_change_the_result() {
    let house = House::new();
    let project = house.repository("project");
    house.install("claude", "write mine.txt x\nsee\nsay done");
    house.install("codex", "see\nsay done");
    let run = house.run(project.path(), &dialogue(&house, &json!({}))).exits(0).run_id();
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert!(!made.contains("mine.txt"), "{made}");
}

#[test]
fn a_speaker_whose_model_is_gone_is_taken_over_by_the_next_one_in_the_same_talk() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    house.install("codex", "say API Error: 429 rate_limit\nexit 1");
    talker(&house, "gemini", "");
    let more = json!({ "failover": ["gemini"] });
    let run = house.run(project.path(), &dialogue(&house, &more)).exits(0).run_id();
    let lines = lines(&house, &run, "talk");
    assert_eq!(lines.len(), 4, "{lines:?}");
    everybody_heard_everything(&house, &lines);
    let status = house.status(&run);
    let models: Vec<&str> = status["phases"][0]["workers"][1]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, ["codex", "gemini", "gemini"], "{status:#}");
}

fn meeting(house: &House, seats: usize, rounds: u32, more: &Value) -> PathBuf {
    let participants: Vec<Value> = (0..seats)
        .map(|at| json!({ "id": format!("p{at:02}x"), "model": TOOLS[at % 3], "role": "Speak." }))
        .collect();
    let mut phase = json!({
        "name": "talk", "type": "meeting", "participants": participants,
        "agenda": [ { "topic": "Which first?", "rounds": rounds } ]
    });
    for (key, value) in more.as_object().unwrap() {
        phase[key] = value.clone();
    }
    house.document(
        "meeting",
        &json!({ "name": "meeting", "limits": { "max_turns": 400 }, "pipeline": { "phases": [phase] } }),
    )
}

#[test]
fn five_in_a_meeting_hear_everybody_and_the_moderator_decides() {
    let house = House::new();
    let project = house.repository("project");
    ["claude", "codex", "gemini"].into_iter().for_each(|tool| talker(&house, tool, ""));
    let file = meeting(&house, 5, 2, &json!({ "moderator": "p01x" }));
    let run = house.run(project.path(), &file).exits(0).run_id();
    let lines = lines(&house, &run, "talk");
    assert_eq!(lines.len(), 11);
    everybody_heard_everything(&house, &lines);
    let decided = &lines[10];
    assert_eq!((&decided["who"], &decided["decides"]), (&json!("p01x"), &json!(true)));
    let decisions = pad(&house, &run, "talk/decisions.md");
    assert!(
        decisions.contains("Which first?") && decisions.contains(decided["text"].as_str().unwrap().trim())
    );
    assert_eq!(house.report(&run), decisions, "what was decided is the result");
}

#[test]
fn twenty_in_a_meeting_hear_everybody() {
    let house = House::new();
    let project = house.repository("project");
    ["claude", "codex", "gemini"].into_iter().for_each(|tool| talker(&house, tool, ""));
    let run = house.detach(project.path(), &meeting(&house, 20, 1, &json!({})));
    let status = house.wait_over(&run, std::time::Duration::from_secs(240));
    assert_eq!(status["state"], "done", "{status:#}");
    let lines = lines(&house, &run, "talk");
    assert_eq!(lines.len(), 21);
    everybody_heard_everything(&house, &lines);
}

#[test]
fn a_participant_that_dies_is_absent_and_the_meeting_goes_on() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    talker(&house, "codex", "");
    house.install("gemini", "say I go\nexit 3");
    let run = house.run(project.path(), &meeting(&house, 3, 2, &json!({}))).exits(0).run_id();
    let lines = lines(&house, &run, "talk");
    let who: Vec<&str> = lines.iter().map(|line| line["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["p00x", "p01x", "p00x", "p01x", "p01x"]);
    everybody_heard_everything(&house, &lines);
}

fn mesh(house: &House, agents: &Value, more: &Value) -> PathBuf {
    let mut phase = json!({ "name": "net", "type": "mesh", "agents": agents, "quiet_ms": 300 });
    for (key, value) in more.as_object().unwrap() {
        phase[key] = value.clone();
    }
    house.document("mesh", &json!({ "name": "mesh", "pipeline": { "phases": [phase] } }))
}

#[test]
fn a_letter_wakes_an_idle_agent_once_and_a_mesh_ends_when_nobody_has_more_to_say() {
    let house = House::new();
    let project = house.repository("project");
    talker(
        &house,
        "claude",
        "when Begin+with+your+task run niia mailbox send rex \"please look at parser.rs\"",
    );
    talker(&house, "codex", "when parser.rs run niia mailbox send amy \"it is fine\"");
    let agents = json!([ { "id": "amy", "model": "claude", "prompt": "Build." },
                         { "id": "rex", "model": "codex", "prompt": "Review." } ]);
    let run = house.run(project.path(), &mesh(&house, &agents, &json!({}))).exits(0).run_id();
    let (amy, rex) = (prompts(&house, "amy"), prompts(&house, "rex"));
    assert_eq!((amy.len(), rex.len()), (2, 2), "{amy:#?}\n{rex:#?}");
    assert!(
        rex[1].contains("`amy` (letter):") && rex[1].matches("please look at parser.rs").count() == 1,
        "{}",
        rex[1]
    );
    assert!(amy[1].contains("it is fine"), "{}", amy[1]);
    let lines = lines(&house, &run, "net");
    let letters: Vec<&Value> = lines.iter().filter(|line| line["letter"].is_u64()).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[1]["cause"], letters[0]["id"], "the answer was caused by the question");
}

#[test]
fn an_agent_that_comes_after_another_begins_when_that_has_spoken() {
    let house = House::new();
    let project = house.repository("project");
    let order = house.at("home/order").display().to_string();
    house.install("claude", &format!("note {order} {{env:NIIA_WORKER}}\nsay ok"));
    let agents = json!([ { "id": "late", "model": "claude", "prompt": "x", "after": "early" },
                         { "id": "early", "model": "claude", "prompt": "x" } ]);
    let _ = house.run(project.path(), &mesh(&house, &agents, &json!({}))).exits(0);
    assert_eq!(std::fs::read_to_string(order).unwrap(), "early\nlate\n");
}

#[test]
fn in_a_star_only_the_hub_is_written_to_and_a_broadcast_reaches_people_too() {
    let house = House::new();
    let project = house.repository("project");
    let tried = house.at("home/tried").display().to_string();
    talker(
        &house,
        "claude",
        &format!(
            "when Begin run niia mailbox send leaf2 hello; echo direct $? >> {tried}\n\
             when Begin run niia mailbox send all \"ready, says {{env:NIIA_WORKER}}\"; echo all $? >> {tried}"
        ),
    );
    talker(&house, "codex", "");
    let agents = json!([ { "id": "hub", "model": "codex", "prompt": "x" },
                         { "id": "leaf1", "model": "claude", "prompt": "x" },
                         { "id": "leaf2", "model": "codex", "prompt": "x" } ]);
    let talk = json!({ "communication": { "topology": "star", "broadcast_channel": true } });
    let said = house.run(project.path(), &mesh(&house, &agents, &talk));
    let run = said.run_id();
    let tried = std::fs::read_to_string(tried).unwrap_or_default();
    assert!(!tried.contains("direct 0") && tried.contains("direct"), "a leaf writes to no leaf: {tried}");
    assert!(tried.contains("all 0"), "{tried}");
    let heard = |worker: &str| prompts(&house, worker).concat().matches("ready, says leaf1").count();
    assert_eq!((heard("hub"), heard("leaf2"), heard("leaf1")), (1, 1, 0), "{:#}", house.status(&run));
    let inbox = house.niia(["inbox"]).run().exits(0).out;
    assert!(inbox.contains("ready, says leaf1"), "{inbox}");
}

#[test]
fn a_loop_of_three_agents_is_stopped_at_the_letter_that_reaches_the_limit_and_the_limit_is_named() {
    let house = House::new();
    let project = house.repository("project");
    for (tool, next) in [("claude", "bob"), ("codex", "cyd"), ("gemini", "ann")] {
        house.install(tool, &format!("run niia mailbox send {next} \"again\"\nsay ok"));
    }
    let agents = json!([ { "id": "ann", "model": "claude", "prompt": "x" }, { "id": "bob", "model": "codex", "prompt": "x" },
                         { "id": "cyd", "model": "gemini", "prompt": "x" } ]);
    let more = json!({ "limits": { "max_messages": 9, "on_breach": "stop" } });
    let document = json!({
        "name": "loop", "limits": more["limits"],
        "pipeline": { "phases": [ { "name": "net", "type": "mesh", "agents": agents, "quiet_ms": 300 } ] }
    });
    let said = house.run(project.path(), &house.document("loop", &document)).exits(1);
    let status = house.status(&said.run_id());
    assert!(status.to_string().contains("max_messages (9)"), "{status:#}");
    let letters = lines(&house, &said.run_id(), "net").iter().filter(|line| line["letter"].is_u64()).count();
    assert!((9..=10).contains(&letters), "{letters} letters");
}

#[test]
fn a_mesh_of_its_own_goes_on_until_a_person_says_that_it_is_done() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "when build+it run niia mailbox send person \"it is built\"");
    let document = json!({
        "name": "team", "type": "mesh", "watch": [],
        "agents": [ { "id": "amy", "model": "claude", "prompt": "Wait for letters." } ],
        "communication": { "broadcast_channel": true }
    });
    let run = house.detach(project.path(), &house.document("team", &document));
    wait_until("the first turn is over", SOON, || (!prompts(&house, "amy").is_empty()).then_some(()));
    let _ = house.niia(["mesh", "--run", &run, "--to", "amy", "build it"]).run().exits(0);
    let came = wait_until("a letter comes for people", SOON, || {
        let inbox = house.niia(["inbox", "--keep", "--json"]).run().exits(0).json();
        inbox.as_array().filter(|letters| !letters.is_empty()).cloned()
    });
    assert_eq!(came[0]["letter"]["text"], "it is built", "{came:?}");
    assert!(house.niia(["inbox"]).run().exits(0).out.contains("it is built"));
    assert!(house.niia(["inbox"]).run().exits(0).out.contains("no letters"), "read once");
    assert_eq!(house.status(&run)["state"], "running");
    let _ = house.niia(["mesh", "--run", &run, "--observe"]).run().exits(0);
    let _ = house.niia(["done", &run]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
}

#[test]
fn what_was_made_in_a_mesh_is_in_the_result_though_everybody_is_in_the_middle_of_a_turn_at_its_end() {
    let house = House::new();
    let project = house.repository("project");
    let never = house.at("never").display().to_string();
    talker(
        &house,
        "claude",
        &format!(
            "when build+it write built.txt whole\nwhen once+more write half.txt begun\nwhen once+more wait-for {never}"
        ),
    );
    talker(&house, "codex", &format!("wait-for {never}"));
    let document = json!({
        "name": "team", "type": "mesh", "watch": [],
        "agents": [ { "id": "amy", "model": "claude", "prompt": "Wait for letters." },
                    { "id": "rex", "model": "codex", "prompt": "Wait for letters." } ],
    });
    let run = house.detach(project.path(), &house.document("team", &document));
    for (text, turns) in [("build it", 2), ("once more", 3)] {
        let _ = house.niia(["mesh", "--run", &run, "--to", "amy", text]).run().exits(0);
        wait_until("its turn begins", SOON, || (prompts(&house, "amy").len() >= turns).then_some(()));
    }
    wait_until("the last turn has done something", SOON, || {
        let sessions = house.sessions(&run);
        let made = |session: &Value| {
            std::path::Path::new(session["cwd"].as_str()?).join("half.txt").exists().then_some(())
        };
        sessions.iter().find_map(made)
    });
    let _ = house.niia(["done", &run]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert!(made.contains("built.txt") && made.contains("half.txt"), "{made}");
}

fn kill_the_node(house: &House) {
    let node = house.node();
    house.kill(node);
}

#[test]
fn a_talk_goes_on_where_it_was_when_its_node_is_killed() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "pause 300");
    talker(&house, "codex", "pause 300");
    let run = house.detach(project.path(), &dialogue(&house, &json!({ "rounds": 4 })));
    for turns in [1, 3, 5] {
        wait_until("some turns have begun", SOON, || {
            let asked = prompts(&house, "ann").len() + prompts(&house, "bob").len();
            (asked >= turns).then_some(())
        });
        kill_the_node(&house);
        let _ = house.status(&run);
    }
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let lines = lines(&house, &run, "talk");
    assert_eq!(lines.len(), 8, "{lines:?}");
    everybody_heard_everything(&house, &lines);
}

#[test]
fn no_letter_is_lost_or_told_twice_while_the_node_is_killed_again_and_again() {
    let house = House::new();
    let project = house.repository("project");
    talker(&house, "claude", "");
    talker(&house, "codex", "");
    let agents = json!([ { "id": "amy", "model": "claude", "prompt": "Read." },
                         { "id": "rex", "model": "codex", "prompt": "Read." } ]);
    let more = json!({ "persistent": true });
    let run = house.detach(project.path(), &mesh(&house, &agents, &more));
    let names = ["amy", "rex"];
    for number in 0..40 {
        let text = format!("letter-{number:03};");
        let _ = house.niia(["mailbox", "--run", &run, "send", names[number % 2], &text]).run().exits(0);
        if number % 8 == 5 {
            kill_the_node(&house);
        }
    }
    for (at, name) in names.into_iter().enumerate() {
        let wanted: Vec<String> = (0..20).map(|number| format!("letter-{:03};", 2 * number + at)).collect();
        let last = wait_until("all letters were told", SOON, || {
            prompts(&house, name).pop().filter(|prompt| prompt.contains(wanted.last().unwrap()))
        });
        let places: Vec<usize> = wanted
            .iter()
            .map(|text| last.find(text).unwrap_or_else(|| panic!("{text} is lost:\n{last}")))
            .collect();
        assert!(places.is_sorted(), "in order:\n{last}");
        for text in &wanted {
            assert_eq!(last.matches(text).count(), 1, "{text} once:\n{last}");
        }
    }
    let _ = house.niia(["done", &run]).run().exits(0);
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
}

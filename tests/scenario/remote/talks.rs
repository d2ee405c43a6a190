//! Talks whose participants are on different machines, and what agents tell people there.

use std::collections::BTreeSet;

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;
use super::{machine, paired};

/// Says who it is and where, and which words of others it was told.
fn talker(house: &House) {
    house.install(
        "claude",
        &format!(
            "when said-by-ann say heard-ann\nwhen said-by-bob say heard-bob\nwhen said-by-cy say heard-cy\nsay said-by-{{env:NIIA_WORKER}} at {}",
            house.mark()
        ),
    );
}

fn lines(house: &House, run: &str, phase: &str) -> Vec<Value> {
    let path = format!("{phase}/transcript.jsonl");
    let text = house.niia(["scratchpad", "--run", run, "cat", &path]).run().exits(0).out;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_meeting_has_its_participants_on_three_machines_and_everybody_hears_everybody() {
    let (laptop, seoul, sf) = (machine("laptop"), machine("seoul"), machine("sf"));
    for house in [&seoul, &sf] {
        paired(&laptop, house, "run");
    }
    for house in [&laptop, &seoul, &sf] {
        talker(house);
    }
    let document = json!({
        "name": "far-meeting",
        "pipeline": { "phases": [{
            "name": "talk", "type": "meeting", "prompt": "Find a name.",
            "participants": [
                { "id": "ann", "model": "claude", "machine": "seoul" },
                { "id": "bob", "model": "claude", "machine": "sf" },
                { "id": "cy", "model": "claude" } ],
            "agenda": [{ "topic": "Which name?", "rounds": 2 }]
        }] }
    });
    let project = laptop.repository("project");
    let said = laptop.run(project.path(), &laptop.document("meeting", &document)).exits(0);
    let lines = lines(&laptop, &said.run_id(), "talk");
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    let places: BTreeSet<&str> = [&laptop, &seoul, &sf].iter().map(|house| house.mark()).collect();
    let spoke = |place: &&str| texts.iter().any(|text| text.contains(place));
    assert!(places.iter().all(spoke), "{texts:#?}");
    for text in &texts[3..6] {
        let others = ["ann", "bob", "cy"].iter().filter(|who| text.contains(&format!("heard-{who}")));
        assert!(others.count() >= 2, "{texts:#?}");
    }
    let files = laptop.niia(["scratchpad", "--run", &said.run_id(), "ls"]).run().exits(0).out;
    assert!(!files.contains("talk/ann.md"), "what is said stands in the transcript alone: {files}");
}

#[test]
fn what_an_agent_tells_everybody_is_in_the_inbox_of_every_machine_the_document_names() {
    let (server, ana, bo) = (machine("TEAM-SERVER"), machine("ANA-MBP"), machine("BO-MBP"));
    for house in [&ana, &bo] {
        paired(&server, house, "read");
    }
    let told = ana.at("home/told");
    let program = ana.executable("tell-me", &format!("#!/bin/sh\necho \"$1\" >> {}\n", told.display()));
    let config = std::fs::read_to_string(ana.at("state/config/niia.toml")).unwrap();
    let _ = ana.file("state/config/niia.toml", &format!("notify = [\"{}\"]\n{config}", program.display()));
    let _ = ana.niia(["daemon", "stop"]).run().exits(0);
    let _ = ana.niia(["daemon", "start"]).run().exits(0);
    server.install("codex", "run niia mailbox send all \"reviewed: fine\"\nsay done");
    bo.kill(bo.node());
    let document = json!({
        "name": "team",
        "machines": { "dev-a": "ANA-MBP.local", "dev-b": "BO-MBP.local", "server": "TEAM-SERVER.local" },
        "agents": [{ "machine": "server", "model": "codex", "prompt": "Review. Report to all." }],
        "communication": { "broadcast_channel": true }
    });
    let project = server.repository("project");
    let run = server.detach(project.path(), &server.document("team", &document));
    let heard = |house: &House| {
        let inbox = house.niia(["inbox", "--json"]).run().exits(0).json();
        let all = inbox.as_array().cloned().unwrap_or_default();
        let letter = all.iter().find(|view| view["letter"]["text"] == "reviewed: fine").cloned();
        letter.map(|view| view["letter"]["from"].as_str().unwrap_or_default().to_owned())
    };
    let from = wait_until("ana hears of it", SOON, || heard(&ana));
    assert!(from.contains("codex") && from.contains("team-server"), "{from}");
    wait_until("she is told", SOON, || {
        std::fs::read_to_string(&told).unwrap_or_default().contains("writes to you").then_some(())
    });
    // Who was away hears of it when he is back, once.
    let _ = bo.niia(["daemon", "start"]).run().exits(0);
    wait_until("bo hears of it", SOON, || heard(&bo));
    assert_eq!(heard(&bo), None, "what was read is read");
    let _ = server.niia(["done", &run]).run().exits(0);
    assert_eq!(server.wait_over(&run, SOON)["state"], "done");
}

//! What a mesh says to all reaches the people at every paired machine that the document names.

use niia_tests::{House, wait_until};
use serde_json::json;

use super::super::SOON;
use super::super::talks::talker;
use super::{machine, paired};

fn inbox(house: &House, words: &[&str]) -> Vec<String> {
    let said = house.niia([&["inbox", "--json"], words].concat()).run().exits(0).json();
    let letters = said.as_array().unwrap().iter();
    letters.map(|entry| entry["letter"]["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn in_team_infra_people_at_every_machine_of_the_document_find_the_report_once_even_where_a_node_was_down() {
    let (server, alice, bob) = (machine("team-server"), machine("alice-mbp"), machine("bob-mbp"));
    for laptop in [&alice, &bob] {
        paired(&server, laptop, "all");
    }
    let told = alice.at("home/told").display().to_string();
    let notify = alice.executable("tell", &format!("#!/bin/sh\necho \"$1\" >> {told}\n"));
    let config = std::fs::read_to_string(alice.at("state/config/niia.toml")).unwrap();
    let _ = alice.file("state/config/niia.toml", &format!("notify = [\"{}\"]\n{config}", notify.display()));
    let _ = alice.niia(["daemon", "stop"]).run().exits(0);
    let _ = alice.niia(["daemon", "start"]).run().exits(0);
    let _ = bob.niia(["daemon", "stop"]).run().exits(0);
    talker(&server, "codex", "when Watch+main+branch run niia mailbox send all \"reviewed: fine\"");
    let project = server.repository("project");
    let document = json!({
        "name": "team-infra",
        "machines": { "dev-a": "alice-mbp", "dev-b": "bob-mbp", "server": "localhost" },
        "agents": [
            { "machine": "server", "model": "codex", "prompt": "Watch main branch. Review every push. Report to all." }
        ],
        "communication": { "broadcast_channel": true }
    });
    let run = server.detach(project.path(), &server.document("team", &document));
    let comes = |house: &House| {
        wait_until("the report comes", SOON, || (!inbox(house, &["--keep"]).is_empty()).then_some(()));
    };
    comes(&server);
    comes(&alice);
    let notified = wait_until("alice is told", SOON, || std::fs::read_to_string(&told).ok());
    assert!(notified.contains("wrote to you: reviewed: fine"), "{notified}");
    // A node that was down has it when it is up again.
    let _ = bob.niia(["daemon", "start"]).run().exits(0);
    comes(&bob);
    for house in [&server, &alice, &bob] {
        assert_eq!(inbox(house, &[]), ["reviewed: fine"], "once, and then it is read");
        assert_eq!(inbox(house, &[]), [] as [String; 0]);
        assert_eq!(inbox(house, &["--all"]), ["reviewed: fine"]);
    }
    let _ = server.niia(["done", &run]).run().exits(0);
    assert_eq!(server.wait_over(&run, SOON)["state"], "done");
}

//! What does not leave a machine, whoever asks for it and whatever goes wrong there.

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;
use super::{machine, paired};

const CANARY: &str = "CANARY-77-XYZ";

fn lab() -> House {
    let house = machine("lab");
    let text = std::fs::read_to_string(house.at("state/config/niia.toml")).unwrap();
    let capture = format!("capture = \"{}\"\n", house.at("frames").display());
    let _ = house.file("state/config/niia.toml", &(text + &capture));
    house
}

fn said_by(house: &House) -> Vec<u8> {
    std::fs::read(house.at("frames")).unwrap_or_default()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn document(egress: &str) -> Value {
    json!({
        "name": "kept",
        "pipeline": { "phases": [{ "name": "look", "model": "claude", "machine": "lab", "prompt": "x",
            "session": { "egress": egress } }] }
    })
}

#[test]
fn a_worker_that_fails_tells_no_more_than_that() {
    for egress in ["result", "none"] {
        let (laptop, lab) = (machine("laptop"), lab());
        paired(&laptop, &lab, "all");
        lab.install("claude", &format!("say the record says {CANARY}\nexit 3"));
        let project = laptop.repository("project");
        let run = laptop.detach(project.path(), &laptop.document("kept", &document(egress)));
        let status = laptop.wait_over(&run, SOON);
        assert_eq!(status["state"], "failed", "{status:#}");
        assert!(status.to_string().contains("egress"), "it is said why nothing is said: {status:#}");
        let frames = said_by(&lab);
        assert!(!frames.is_empty() && !holds(&frames, CANARY), "{egress}");
    }
}

#[test]
fn a_session_whose_work_stays_is_neither_seen_nor_copied_from_afar() {
    let (laptop, lab) = (machine("laptop"), lab());
    paired(&laptop, &lab, "all");
    let go = lab.at("home/go");
    lab.install(
        "claude",
        &format!(
            "say {CANARY}\nwrite {CANARY}.txt x\nrun echo {CANARY} > $NIIA_SCRATCHPAD/{CANARY}.md\nwait-for {}\nexit 1",
            go.display()
        ),
    );
    let project = laptop.repository("project");
    let run = laptop.detach(project.path(), &laptop.document("kept", &document("result")));
    wait_until("it shows what stays", SOON, || {
        lab.niia(["read", &run]).run().out.contains(CANARY).then_some(())
    });
    for words in [
        vec!["remote", "read", "lab"],
        vec!["remote", "ask", "lab", "what do you see?", "--timeout", "2"],
        vec!["remote", "cp", &format!("lab:{run}/scratchpad/{CANARY}.md"), "."],
        vec!["remote", "cp", &format!("lab:{run}/report.md"), "."],
    ] {
        let said = laptop.niia(&words).run();
        assert_ne!(said.code, Some(0), "{words:?}: {}", said.out);
    }
    let listed = laptop.niia(["sessions", "--machine", "lab", "--json"]).run().exits(0);
    assert!(listed.out.contains(&run) && !listed.out.contains(CANARY), "{}", listed.out);
    let refused = laptop.niia(["remote", "read", "lab"]).run().exits(1);
    assert!(refused.err.contains("stays on this machine"), "{}", refused.err);
    let mut terminal = laptop.niia(["remote", "attach", "lab"]).in_terminal();
    terminal.wait_for("stays on this machine", SOON);
    terminal.end(SOON);
    std::fs::write(go, "").unwrap();
    assert_eq!(laptop.wait_over(&run, SOON)["state"], "failed");
    // The names of files were asked for from outside; nothing else of them is there.
    assert!(!holds(&said_by(&lab), CANARY));
    let log = std::fs::read_to_string(laptop.at("state/run/node.log")).unwrap();
    assert!(!log.contains(&format!("says {CANARY}")));
}

#[test]
fn what_a_program_says_to_its_home_is_its_answer_too_and_under_none_there_is_none() {
    for (egress, leaves) in [("result", true), ("none", false)] {
        let (laptop, lab) = (machine("laptop"), lab());
        paired(&laptop, &lab, "run");
        lab.install(
            "claude",
            &format!(
                "run niia output set verdict {CANARY}\nrun niia mailbox send person {CANARY}\nsay {CANARY}"
            ),
        );
        let project = laptop.repository("project");
        let run = laptop.detach(project.path(), &laptop.document("kept", &document(egress)));
        let status = laptop.wait_over(&run, SOON);
        assert_eq!(status["state"], "done", "{status:#}");
        assert_eq!(holds(&said_by(&lab), CANARY), leaves, "{egress}");
    }
}

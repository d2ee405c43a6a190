//! More of the documents by which connector.json was introduced, as their author wrote them.

use niia_tests::House;
use serde_json::Value;

use super::talks::{prompts, talker};
use super::{answers_to_every_machine, seed};

fn attempts(status: &Value, phase: usize) -> Vec<&Value> {
    status["phases"][phase]["workers"][0]["attempts"].as_array().unwrap().iter().collect()
}

#[test]
fn provider_failover_goes_on_with_the_next_provider_and_at_last_with_the_local_model() {
    for down in [&[][..], &["claude"], &["claude", "gemini"]] {
        let house = House::new();
        let project = house.repository("project");
        for tool in ["claude", "gemini", "ollama"] {
            match down.contains(&tool) {
                true => drop(house.executable(tool, "#!/bin/sh\necho 'API Error: 529 overloaded_error'; echo 'Error: 503 model is overloaded' >&2\nexit 1\n")),
                false => talker(&house, tool, "write work-of-{name}.txt made"),
            }
        }
        let document = house.document("provider-failover", &seed("provider-failover"));
        let args = [
            std::path::Path::new("run"),
            &document,
            std::path::Path::new("--task"),
            std::path::Path::new("Fix it."),
        ];
        let run = house.niia(args).inside(project.path()).run().exits(0).run_id();
        let status = house.status(&run);
        let tried: Vec<&str> =
            attempts(&status, 0).iter().map(|attempt| attempt["model"].as_str().unwrap()).collect();
        let expected = ["primary", "fallback", "emergency"];
        assert_eq!(tried, expected[..=down.len()], "{status:#}");
        let name = ["claude", "gemini", "ollama"][down.len()];
        let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
        assert!(made.contains(&format!("work-of-{name}.txt")), "zero downtime: {made}");
    }
}

#[test]
fn cross_machine_teams_build_in_trees_of_their_own_and_the_results_are_merged() {
    let house = House::new();
    answers_to_every_machine(&house);
    let project = house.repository("project");
    talker(&house, "claude", "when frontend write front.txt made\nwhen backend write back.txt made\nsee");
    let document = house.document("two-machines", &seed("two-machines"));
    let run = house.run(project.path(), &document).exits(0).run_id();
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert!(made.contains("front.txt") && made.contains("back.txt"), "{made}");
    for (worker, own, other) in [("1", "front.txt", "back.txt"), ("2", "back.txt", "front.txt")] {
        let seen = house.niia(["replay", &format!("{run}/build/{worker}/1"), "--text"]).run().exits(0).out;
        assert!(seen.contains(own) && !seen.contains(other), "each in a tree of its own: {seen}");
    }
}

#[test]
fn follow_the_sun_ends_with_everything_in_the_scratchpad_while_nobody_looks() {
    let house = House::new();
    answers_to_every_machine(&house);
    let project = house.repository("project");
    talker(&house, "claude", "write {env:NIIA_PHASE}-{env:NIIA_WORKER}.txt made\nsee");
    let document = house.document("follow-the-sun", &seed("follow-the-sun"));
    let args = ["run", document.to_str().unwrap(), "--task", "Handle time zones.", "--detach"];
    let run = house.niia(args).inside(project.path()).run().exits(0).run_id();
    let status = house.wait_over(&run, super::SOON * 2);
    assert_eq!(status["state"], "done", "{status:#}");
    let counts: Vec<usize> = status["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["workers"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [5, 1, 2, 1]);
    let pad = house.niia(["scratchpad", "--run", &run, "ls"]).run().exits(0).out;
    for file in ["research/1.md", "research/5.md", "implement/1.md", "verify/2.md", "pr/1.md"] {
        assert!(pad.contains(file), "{file}: {pad}");
    }
    let made = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    for file in ["research-5.txt", "implement-1.txt", "verify-2.txt", "pr-1.txt"] {
        assert!(made.contains(file), "{file}: {made}");
    }
    let last = prompts(&house, "1").pop().unwrap();
    assert!(
        last.contains("verify/2") && last.contains("implement/1"),
        "the last one knows all before: {last}"
    );
}

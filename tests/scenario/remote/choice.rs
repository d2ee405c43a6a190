//! Which machine a worker gets where the document leaves a choice.

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;
use super::{machine, paired};

fn tool(house: &House) {
    house.install("claude", &format!("say done by {}", house.mark()));
}

fn answers(laptop: &House, run: &str, count: usize) -> Vec<String> {
    let answer = |worker: usize| {
        let path = format!("work/{worker}.md");
        laptop.niia(["scratchpad", "--run", run, "cat", &path]).run().exits(0).out
    };
    (1..=count).map(answer).collect()
}

fn run(laptop: &House, machines: &Value, machine: &Value, workers: usize) -> String {
    let document = json!({
        "name": "choice",
        "machines": machines,
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "workers": workers, "prompt": "x", "machine": machine }] }
    });
    let project = laptop.repository("project");
    laptop.run(project.path(), &laptop.document("choice", &document)).exits(0).run_id()
}

#[test]
fn of_machines_in_order_the_first_that_answers_is_taken() {
    let (laptop, a, b) = (machine("laptop"), machine("gpu-a"), machine("gpu-b"));
    for house in [&a, &b] {
        paired(&laptop, house, "run");
        tool(house);
    }
    let order = json!(["gpu-a", "gpu-b"]);
    let first = run(&laptop, &json!({}), &order, 1);
    assert!(answers(&laptop, &first, 1)[0].contains(a.mark()));
    a.kill(a.node());
    let second = run(&laptop, &json!({}), &order, 1);
    assert!(answers(&laptop, &second, 1)[0].contains(b.mark()));
    let _ = a.niia(["daemon", "start"]).run().exits(0);
}

#[test]
fn of_machines_with_the_labels_the_least_loaded_is_taken() {
    let (laptop, a, b) = (machine("laptop"), machine("gpu-a"), machine("gpu-b"));
    for house in [&a, &b] {
        paired(&laptop, house, "run");
        tool(house);
    }
    let machines = json!({
        "a": { "host": "gpu-a", "labels": { "gpu": "a100" } },
        "b": { "host": "gpu-b", "labels": { "gpu": "a100" } },
        "c": { "host": "nowhere", "labels": { "gpu": "none" } }
    });
    let labels = json!({ "labels": { "gpu": "a100" } });
    let shared = run(&laptop, &machines, &labels, 4);
    let answers_of = answers(&laptop, &shared, 4).concat();
    assert_eq!((answers_of.matches(a.mark()).count(), answers_of.matches(b.mark()).count()), (2, 2));
    // One that is busy with work of its own people is spared.
    let sleeper = a.install("sleeper", "chat");
    let serve = || a.niia(["serve".as_ref(), "--".as_ref(), sleeper.as_os_str()]).run().exits(0).run_id();
    let busy = [serve(), serve(), serve()];
    let spared = run(&laptop, &machines, &labels, 2);
    assert_eq!(answers(&laptop, &spared, 2).concat().matches(b.mark()).count(), 2);
    for run in busy {
        let _ = a.niia(["kill", &run]).run().exits(0);
    }
    let document = json!({
        "name": "none",
        "machines": machines,
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "x", "machine": { "labels": { "gpu": "tpu" } } }] }
    });
    let project = laptop.at("project");
    let refused = laptop.run(&project, &laptop.document("none", &document)).exits(3);
    assert!(refused.err.contains("labels that none has"), "{}", refused.err);
}

#[test]
fn a_machine_that_is_lost_is_replaced_by_the_next_and_what_it_still_does_counts_for_nothing() {
    let (laptop, a, b) = (machine("laptop"), machine("gpu-a"), machine("gpu-b"));
    for house in [&a, &b] {
        paired(&laptop, house, "run");
    }
    let go = a.at("home/go");
    a.install("claude", &format!("wait-for {}\nwrite made.txt by {}\nsay late", go.display(), a.mark()));
    b.install("claude", &format!("write made.txt by {}\nsay in time", b.mark()));
    let document = json!({
        "name": "lost",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "x",
            "machine": ["gpu-a", "gpu-b"], "on_lost": "restart", "grace_ms": 500 }] }
    });
    let project = laptop.repository("project");
    let run = laptop.detach(project.path(), &laptop.document("lost", &document));
    wait_until("it works on the first", SOON, || {
        let sessions = a.niia(["sessions", "--json"]).run().exits(0).json();
        (sessions.as_array().is_some_and(|all| all.len() == 1)).then_some(())
    });
    a.freeze(true);
    let status = laptop.wait_over(&run, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
    assert_eq!(status["phases"][0]["workers"][0]["attempts"].as_array().unwrap().len(), 2);
    std::fs::write(go, "").unwrap();
    a.freeze(false);
    wait_until("the first is told that nobody waits", SOON, || {
        let sessions = a.niia(["sessions", "--json"]).run().exits(0).json();
        let left = super::worker::files_below(&a.at("state/guests"));
        (sessions == json!([]) && left.iter().all(|file| file.contains("/repositories/"))).then_some(())
    });
    let made = project.show(&format!("niia/{run}/result"), "made.txt");
    assert_eq!(made.trim(), format!("by {}", b.mark()));
    assert_eq!(laptop.status(&run)["state"], "done");
}

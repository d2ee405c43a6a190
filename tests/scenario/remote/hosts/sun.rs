//! The documents by which work on several machines was introduced, as they are written, on hosts that bear their names.

use std::time::{Duration, Instant};

use niia_tests::wait_until;

use super::super::super::SOON;
use super::{Machine, Network, pair};
use niia_tests::House;

const FOLLOW_THE_SUN: &str = include_str!("../../../../spec/tests/documents/good/follow-the-sun.json");
const GPU_OPTIMIZED: &str = include_str!("../../../../spec/tests/documents/good/gpu-optimized.json");

/// From the start of a node until its peers see it.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// A tool that leaves a file that says where it worked.
fn tool(machine: &Machine, name: &str, more: &str) {
    let place = machine.house.mark();
    let play = format!(
        "{more}\nwrite {{env:NIIA_PHASE}}-{{env:NIIA_WORKER}}.txt {place}\nsay {{env:NIIA_PHASE}} was done by {place}"
    );
    machine.house.install(name, &play);
}

/// Starts anew and says how long it took until a peer saw it.
fn seen_by(starts: &Machine, name: &str, sees: &Machine) -> Duration {
    starts.stop();
    wait_until("its goodbye is heard", SOON, || (!nearby(sees, name)).then_some(()));
    let began = Instant::now();
    starts.start();
    wait_until("it is seen nearby", SOON, || nearby(sees, name).then_some(()));
    began.elapsed()
}

fn nearby(sees: &Machine, name: &str) -> bool {
    let peers = sees.json(&["peer", "ls", "--json"]);
    let peers = peers["peers"].as_array().cloned().unwrap_or_default();
    peers.iter().any(|peer| peer["nearby"] == true && peer["name"] == name)
}

#[test]
fn follow_the_sun_as_it_is_written_works_where_it_says_with_its_home_here_and_with_its_home_in_seoul() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let laptop = Machine::new(&network, 1, "LAPTOP");
    let seoul = Machine::new(&network, 2, "SEOUL-SERVER");
    let sf = Machine::new(&network, 3, "SF-SERVER");
    for machine in [&laptop, &seoul, &sf] {
        machine.start();
    }
    pair(&seoul, &laptop);
    pair(&sf, &laptop);
    pair(&sf, &seoul);
    let took = seen_by(&seoul, "seoul-server", &laptop);
    println!("from `niia daemon start` until a peer sees it: {took:?}");
    assert!(took <= SEEN_WITHIN, "{took:?}");
    let go = seoul.house.at("home/go");
    std::fs::write(&go, "").unwrap();
    tool(&seoul, "claude", &format!("wait-for {}", go.display()));
    tool(&sf, "claude", "");
    let project = laptop.house.repository("project");
    let before = project.fingerprint();
    let file = laptop.house.file("follow-the-sun.connector.json", FOLLOW_THE_SUN);
    let file = file.to_str().unwrap();

    let said = laptop.niia(&["run", file]).inside(project.path()).run().exits(0);
    let run = said.run_id();
    let made = |run: &str| {
        for (name, machine) in [
            ("research-1", &seoul),
            ("research-5", &seoul),
            ("implement-1", &seoul),
            ("verify-1", &sf),
            ("verify-2", &sf),
            ("pr-1", &seoul),
        ] {
            let made = project.show(&format!("niia/{run}/result"), &format!("{name}.txt"));
            assert_eq!(made.trim(), machine.house.mark(), "{name}");
        }
    };
    made(&run);
    for machine in [&seoul, &sf] {
        assert_eq!(machine.left_of_guests(), Vec::<String>::new());
        assert_eq!(machine.json(&["sessions", "--json"]), serde_json::json!([]));
    }

    std::fs::remove_file(&go).unwrap();
    let call = laptop.niia(&["run", file, "--home", "SEOUL-SERVER.local", "--detach"]);
    let run = call.inside(project.path()).run().exits(0).run_id();
    wait_until("research is under way", SOON, || {
        let status = seoul.json(&["status", &run, "--json"]);
        (status["phases"][0]["workers"][4]["state"] == "working").then_some(())
    });
    laptop.house.freeze(true);
    std::fs::write(&go, "").unwrap();
    let there = seoul.wait_over(&run);
    assert_eq!(there["state"], "done", "{there:#}");
    laptop.house.freeze(false);
    let here = laptop.wait_over(&run);
    assert_eq!(here["state"], "done", "{here:#}");
    made(&run);
    assert!(std::fs::read_to_string(here["report"].as_str().unwrap()).unwrap().contains("pr was done by"));
    assert_eq!(project.fingerprint(), before, "the checkout was not touched");
    assert_eq!(sf.left_of_guests(), Vec::<String>::new());
    for machine in [&laptop, &seoul, &sf] {
        machine.stop();
    }
}

#[test]
fn gpu_optimized_as_it_is_written_has_each_model_where_its_hardware_is() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let laptop = Machine::new(&network, 1, "MY-LAPTOP");
    let a = Machine::new(&network, 2, "GPU-SERVER-A");
    let b = Machine::new(&network, 3, "GPU-SERVER-B");
    for machine in [&laptop, &a, &b] {
        machine.start();
    }
    pair(&a, &laptop);
    pair(&b, &laptop);
    tool(&laptop, "claude", "");
    let modules =
        "run for m in a b c d e f; do niia claim module-$m >/dev/null && echo built module-$m && break; done";
    tool(&a, "ollama", modules);
    tool(&b, "ollama", modules);
    let project = laptop.house.repository("project");
    let file = laptop.house.file("gpu-optimized.connector.json", GPU_OPTIMIZED);
    let said = laptop.niia(&["run", file.to_str().unwrap()]).inside(project.path()).run().exits(0);
    let run = said.run_id();
    let show = |phase: &str, worker: &str| {
        laptop.niia(&["scratchpad", "--run", &run, "cat", &format!("{phase}/{worker}.md")]).run().exits(0).out
    };
    let mut built = Vec::new();
    for (phase, worker, machine) in [
        ("classify", "1", &laptop),
        ("classify", "3", &laptop),
        ("simple-modules", "1", &a),
        ("simple-modules", "4", &a),
        ("complex-modules", "1", &b),
        ("complex-modules", "2", &b),
        ("integrate", "1", &laptop),
    ] {
        let answer = show(phase, worker);
        assert!(answer.contains(machine.house.mark()), "{phase}/{worker}: {answer}");
        built.extend(answer.lines().filter(|line| line.starts_with("built")).map(str::to_owned));
    }
    let count = built.len();
    built.sort();
    built.dedup();
    assert_eq!(built.len(), count, "nobody does what another one does: {built:?}");
    // A local model elsewhere gives its answer and no more, unless the file says so.
    let files = project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
    assert!(files.contains("integrate-1.txt") && !files.contains("simple-modules"), "{files}");
    for machine in [&a, &b] {
        assert_eq!(machine.left_of_guests(), Vec::<String>::new());
    }
    for machine in [&laptop, &a, &b] {
        machine.stop();
    }
}

//! Random documents, in the words of `crate::document`, so that a failing one can be read and kept.

use fastrand::Rng;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const MODELS: [&str; 3] = ["claude", "gemini", "codex"];

pub fn random(rng: &mut Rng) -> String {
    let mut text = run_options(rng);
    for at in 0..rng.usize(1..=NAMES.len()) {
        text.push_str(&phase(rng, at));
    }
    text
}

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

fn run_options(rng: &mut Rng) -> String {
    let mut options = Vec::new();
    if chance(rng, 40) {
        options.push(format!("max_parallel {}", rng.u32(0..=3)));
    }
    if chance(rng, 12) {
        options.push(format!("max_total_agents {}", rng.u32(1..=8)));
    }
    if chance(rng, 10) {
        options.push("timeout_per_agent_ms 500".to_owned());
    }
    if chance(rng, 40) {
        options.push("on_breach stop".to_owned());
    }
    if options.is_empty() { String::new() } else { format!("run: {}\n", options.join("; ")) }
}

fn phase(rng: &mut Rng, at: usize) -> String {
    let name = NAMES[at];
    let workers = rng.usize(1..=4);
    let mut text = String::new();
    for worker in 1..=workers {
        let models = MODELS[..rng.usize(1..=MODELS.len())].join(", ");
        text.push_str(&format!("{name}/{worker}: {models}\n"));
    }
    let mut options = order(rng, at);
    options.extend(rules(rng));
    options.extend(limits(rng));
    if workers == 1 && chance(rng, 20) {
        options.push("session".to_owned());
    } else if chance(rng, 25) {
        options.push("one by one".to_owned());
    }
    if !options.is_empty() {
        text.push_str(&format!("{name}: {}\n", options.join("; ")));
    }
    text
}

fn order(rng: &mut Rng, at: usize) -> Vec<String> {
    let mut options = Vec::new();
    if chance(rng, 40) {
        let before: Vec<&str> = NAMES[..at].iter().filter(|_| rng.bool()).copied().collect();
        let before = if before.is_empty() { "nothing".to_owned() } else { before.join(" ") };
        options.push(format!("after {before}"));
    }
    if at > 0 && chance(rng, 20) {
        options.push(format!("condition {}.kind == yes", NAMES[rng.usize(..at)]));
    } else if chance(rng, 2) {
        options.push("condition broken".to_owned());
    }
    if chance(rng, 12) {
        options.push("approve".to_owned());
    }
    options
}

fn rules(rng: &mut Rng) -> Vec<String> {
    let mut options = Vec::new();
    if chance(rng, 40) {
        let require = if rng.bool() { "any".to_owned() } else { rng.u32(0..=4).to_string() };
        options.push(format!("require {require}"));
    }
    if chance(rng, 50) {
        options.push(format!("retry {} {}", rng.u32(0..=3), rng.u32(0..=1) * 100));
    }
    if chance(rng, 45) {
        options.push("on_failure continue".to_owned());
    }
    if chance(rng, 40) {
        options.push(format!("on_lost {}", if rng.bool() { "restart" } else { "fail" }));
    }
    if chance(rng, 35) {
        options.push(format!("merge {}", if rng.bool() { "stop" } else { "keep" }));
    }
    options
}

fn limits(rng: &mut Rng) -> Vec<String> {
    let mut options = Vec::new();
    if chance(rng, 15) {
        options.push(format!("max_parallel {}", rng.u32(1..=2)));
    }
    if chance(rng, 5) {
        options.push(format!("max_total_agents {}", rng.u32(1..=3)));
    }
    if chance(rng, 20) {
        options.push("timeout 1000".to_owned());
    }
    options
}

//! The laws of talks, held over random dialogues, meetings and meshes and random histories.
//!
//! `NIIA_TALK_SEED=17` plays one seed.
#![allow(clippy::disallowed_methods, reason = "which seed is played is told from outside")]

mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use world::World;

/// As many as a second or two allow.
const SEEDS: u64 = 10_000;

/// How often which event met which state of the talk.
pub type Cells = BTreeMap<(&'static str, &'static str), u64>;

const STATES: [&str; 6] = ["waiting", "going", "held", "dismissing", "gathering", "closed"];
const EVENTS: [&str; 8] =
    ["done", "not done", "letter", "concluded", "dismissed", "quiet", "expired", "resumed"];

/// A random plan of one talk, in the words of `crate::document`; a mesh may be followed by a phase of its results.
fn random(rng: &mut Rng) -> String {
    let seats = rng.usize(2..=4);
    let kind = rng.u32(0..3);
    let seats = if kind == 0 { 2 } else { seats };
    let mut text = String::new();
    let mut limits = Vec::new();
    if rng.u32(0..4) == 0 {
        limits.push(format!("max_turns {}", rng.u32(1..=9)));
    }
    if rng.u32(0..6) == 0 {
        limits.push(format!("max_messages {}", rng.u32(1..=5)));
    }
    if rng.u32(0..4) == 0 {
        limits.push(format!("max_parallel {}", rng.u32(1..=2)));
    }
    if rng.u32(0..8) == 0 {
        limits.push(format!("max_total_agents {}", rng.u32(1..=3)));
    }
    if rng.bool() {
        limits.push("on_breach stop".to_owned());
    }
    if !limits.is_empty() {
        text += &format!("run: {}\n", limits.join("; "));
    }
    for seat in &["a", "b", "c", "d"][..seats] {
        let models = &["claude", "codex", "gemini"][..rng.usize(1..=3)];
        text += &format!("talk/{seat}: {}\n", models.join(", "));
    }
    let mut options = vec![match kind {
        0 => format!("dialogue {}{}", rng.u32(1..=4), if rng.bool() { " last.text == 'yes'" } else { "" }),
        1 => format!("meeting {} {}", rng.u32(1..=3), rng.u32(1..=2)),
        _ => format!("mesh {}", if rng.u32(0..4) == 0 { "persistent" } else { "200" }),
    }];
    if kind == 1 && rng.bool() {
        options.push(format!("moderator {}", ["a", "b"][rng.usize(0..2)]));
    }
    if kind == 2 && rng.bool() {
        options.push("agent b after a".to_owned());
    }
    if rng.bool() {
        options.push(format!("retry {} {}", rng.u32(0..=2), rng.u32(0..=1) * 100));
    }
    if rng.u32(0..3) == 0 {
        options.push("on_lost restart".to_owned());
    }
    if rng.u32(0..3) == 0 {
        options.push("on_failure continue".to_owned());
    }
    text + &format!("talk: {}\n", options.join("; "))
}

fn play(seed: u64, cells: &mut Cells) {
    let mut rng = Rng::with_seed(seed);
    let text = random(&mut rng);
    let plan = crate::document::plan(&text);
    if catch_unwind(AssertUnwindSafe(|| World::new(plan, rng).play(cells))).is_err() {
        panic!("a law is broken; NIIA_TALK_SEED={seed} plays it again, with this plan:\n{text}");
    }
}

#[test]
fn the_laws_hold_in_every_random_talk_and_every_event_meets_every_state() {
    let mut cells = Cells::new();
    if let Some(seed) = std::env::var("NIIA_TALK_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed, &mut cells);
    }
    let half = |first: u64| {
        let mut cells = Cells::new();
        (first..SEEDS).step_by(2).for_each(|seed| play(seed, &mut cells));
        cells
    };
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join())
    });
    cells.extend(even);
    cells.extend(odd.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    let all = STATES.iter().flat_map(|state| EVENTS.iter().map(move |event| (*state, *event)));
    let missing: Vec<_> = all.filter(|cell| !cells.contains_key(cell)).collect();
    println!("{cells:#?}");
    assert_eq!(missing, [], "never reached");
}

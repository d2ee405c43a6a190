//! Steps one after the other: what one more costs, when the first begins, what a thousand leave in memory.

use std::time::Instant;

use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::{bare, chores, usage};
use crate::House;

/// The difference of these two says what a step costs without what a run costs.
const FEW: usize = 50;
const MANY: usize = 250;
const IN_MEMORY: usize = 1_000;

pub fn marginal(rounds: usize) -> Vec<Row> {
    let mut row = Row::new("a durable step in a terminal, marginal", "ms", Bar::AtMost(3.0));
    let scene = Scene::warm();
    let few = scene.document("few", &scene::chain(FEW, &["true"]));
    let many = scene.document("many", &scene::chain(MANY, &["true"]));
    for _ in 0..rounds {
        row.limit.push(bare::steps(&scene.folder(), MANY).as_secs_f64() * 1e3);
        let (few, many) = (scene.run(&few).wall, scene.run(&many).wall);
        row.niia.push((many.as_secs_f64() - few.as_secs_f64()) * 1e3 / (MANY - FEW) as f64);
    }
    vec![row]
}

pub fn start(rounds: usize) -> Vec<Row> {
    let mut warm = Row::new("`niia run` → first worker runs, node up", "ms", Bar::AtMost(40.0));
    let mut cold = Row::new("`niia run` → first worker runs, cold", "ms", Bar::AtMost(150.0));
    let scene = Scene::warm();
    let stamp = scene.folder().join("stamp");
    let chore = scene::chore(&["--stamp", &stamp.display().to_string()]);
    let document = scene.document("stamp", &scene::fan(1, &scene::words(&chore)));
    for _ in 0..rounds {
        let limit = bare::start_of_program(&stamp);
        for row in [&mut warm, &mut cold] {
            row.limit.push(limit);
            let began = chores::now();
            scene.run(&document);
            row.niia.push(bare::stamped(&stamp).saturating_sub(began).as_secs_f64() * 1e3);
            // The second of the two begins with nothing there.
            drop(scene.house.niia(["daemon", "stop"]).run());
            let gone = || scene.house.residents().is_empty().then_some(());
            crate::wait_until("nobody is there", scene::LIMIT, gone);
        }
        scene.run(&document);
    }
    vec![warm, cold]
}

pub fn memory(rounds: usize) -> Vec<Row> {
    let mut row = Row::new("the node's memory during a run of 1,000 steps, peak", "MiB", Bar::AtMost(40.0));
    let mut fan = Row::new("the node's memory during a fan-out of 1,000, peak", "MiB", Bar::AtMost(40.0));
    for _ in 0..rounds {
        for (row, document) in
            [(&mut row, scene::chain(IN_MEMORY, &["true"])), (&mut fan, scene::fan(IN_MEMORY, &["true"]))]
        {
            let scene = Scene::warm();
            let document = scene.document("steps", &document);
            let began = Instant::now();
            scene.run(&document);
            eprintln!("{} took {:?}", row.name, began.elapsed());
            row.niia.push(usage::peak_kib(scene.node()) as f64 / 1024.0);
        }
    }
    vec![row, fan]
}

/// Nothing but a house: for rows that need no node.
pub fn empty() -> House {
    House::new()
}

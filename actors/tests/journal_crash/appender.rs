//! The process that appends until it is killed or the journal stops.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::JoinHandle;

use niia_actors::journal::{Durable, Health, Journal, JournalError, Row};
use niia_spec::name::{RunId, Slug};

/// How many rows are on their way to the disk at a time.
const UNDER_WAY_MAX: usize = 40;

/// What a row of this place holds: of any length, so that pages fill and overflow in every way.
pub fn event(seq: u64) -> Vec<u8> {
    format!("{{\"n\":{seq},\"text\":\"{}\"}}", "x".repeat((seq * 37 % 1_500) as usize)).into_bytes()
}

pub fn run(path: &Path) {
    let (journal, loaded) = Journal::open(path).unwrap();
    let watcher = watch(&journal);
    let runs: Vec<RunId> = ["one", "two", "three"].iter().map(|name| Slug::new(name).unwrap()).collect();
    let mut next = Vec::new();
    for run in &runs {
        let record = loaded.runs.iter().find(|record| record.run == *run);
        if record.is_none() {
            journal.begin(run, b"plan".to_vec(), Vec::new()).wait().unwrap();
            println!("row {run} 0");
        }
        next.push(record.map_or(0, |record| record.steps.len() as u64) + 1);
    }
    let mut under_way: VecDeque<(RunId, u64, Durable)> = VecDeque::new();
    for turn in 0.. {
        let which = turn % runs.len();
        let (run, seq) = (&runs[which], next[which]);
        next[which] += 1;
        let row = Row { version: 1, event: event(seq), commands: b"[]".to_vec() };
        under_way.push_back((run.clone(), seq, journal.append(run, row)));
        if under_way.len() < UNDER_WAY_MAX {
            continue;
        }
        let Some((run, seq, durable)) = under_way.pop_front() else { continue };
        match durable.wait() {
            Ok(place) => assert_eq!(place, seq),
            Err(JournalError::Stopped { .. }) => {
                journal.close();
                // What it says last is said before this process ends.
                return watcher.join().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        println!("row {run} {seq}");
    }
}

fn watch(journal: &Journal) -> JoinHandle<()> {
    let mut health = journal.health();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            while health.changed().await.is_ok() {
                let now: Health = health.borrow_and_update().clone();
                println!("health {now}");
            }
        });
    })
}

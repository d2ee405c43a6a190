//! What needs no node: the journal alone, the language alone.

use std::time::Instant;

use niia_actors::journal::{Journal, Row as JournalRow};
use niia_spec::name::Slug;
use niia_spec::plan::draw::{KnownProfile, Surroundings};

use super::echo::quantile;
use super::table::{Bar, Row};
use super::{bare, scene, steps};

const ALONE: usize = 1_000;
const GROUPED: usize = 50_000;
const PHASES: usize = 1_000;

pub fn transition(rounds: usize) -> Vec<Row> {
    let mut alone = Row::new("a durable transition, p50", "ms", Bar::AtMost(0.3));
    let mut grouped = Row::new("durable transitions, grouped", "k/s", Bar::AtLeast(20.0));
    let house = steps::empty();
    for round in 0..rounds {
        let folder = house.at("tmp");
        let log = bare::DurableLog::new(&folder.join("bare"));
        let limit: Vec<f64> = (0..ALONE).map(|number| timed(|| log.write(number))).collect();
        alone.limit.push(quantile(&limit, 0.5));
        let (journal, _) = Journal::open(&folder.join(format!("journal-{round}")))
            .unwrap_or_else(|error| panic!("no journal: {error}"));
        let run = Slug::nearest("bench");
        let step = || journal.append(&run, row());
        journal.begin(&run, b"{}".to_vec(), b"{}".to_vec()).wait().unwrap_or_else(|error| panic!("{error}"));
        let durable = |step: niia_actors::journal::Durable| {
            step.wait().unwrap_or_else(|error| panic!("{error}"));
        };
        let times: Vec<f64> = (0..ALONE).map(|_| timed(|| durable(step()))).collect();
        alone.niia.push(quantile(&times, 0.5));
        let began = Instant::now();
        let rows: Vec<_> = (0..GROUPED).map(|_| step()).collect();
        rows.into_iter().for_each(durable);
        grouped.niia.push(GROUPED as f64 / 1e3 / began.elapsed().as_secs_f64());
        journal.close();
    }
    vec![alone, grouped]
}

/// A row as a run writes it.
fn row() -> JournalRow {
    let event = br#"{"started":{"attempt":{"worker":{"phase":"fan","worker":"1"},"attempt":1}}}"#;
    JournalRow { version: 1, event: event.to_vec(), commands: b"[]".to_vec() }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

pub fn plan(rounds: usize) -> Vec<Row> {
    let mut row = Row::new("read and plan a document of 1,000 phases", "ms", Bar::AtMost(20.0));
    let text = scene::chain(PHASES, &["true"]).to_string();
    let command = KnownProfile {
        name: "command".to_owned(),
        lists: Vec::new(),
        program: None,
        installed: None,
        local: false,
    };
    let around =
        Surroundings { profiles: vec![command], file_stem: "bench".to_owned(), ..Surroundings::default() };
    for _ in 0..rounds {
        row.niia.push(timed(|| {
            let (document, findings) = niia_spec::read(text.as_bytes(), "bench.json");
            let document = document.unwrap_or_else(|| panic!("{findings:?}"));
            let drawn = niia_spec::draw(&document, &around).unwrap_or_else(|findings| panic!("{findings:?}"));
            assert_eq!(drawn.plan.phases.len(), PHASES);
        }));
    }
    vec![row]
}

//! Measures the journal beside the disk it writes to: one durable row at a time, and many at once.
//!
//! `cargo run --release -p niia-actors --example measure_journal [FOLDER]`

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use niia_actors::journal::{Journal, Row};
use niia_spec::name::{RunId, Slug};

const SINGLE_ROWS: usize = 2_000;
const GROUPED_ROWS: usize = 100_000;
const RUNS: usize = 8;
/// How often everything is measured; the medians are printed.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let (mut syncs, mut singles, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir_in(&folder)?;
        syncs.push(bare(folder.path())?);
        let (journal, _) = Journal::open(&folder.path().join("journal.db"))?;
        let runs = (0..RUNS).map(|n| Slug::new(&format!("run-{n}"))).collect::<Result<Vec<RunId>, _>>()?;
        for run in &runs {
            journal.begin(run, b"{}".to_vec(), Vec::new()).wait()?;
        }
        singles.push(single(&journal, &runs)?);
        rates.push(grouped(&journal, &runs)?);
        journal.close();
    }
    syncs.sort();
    singles.sort();
    rates.sort_by(f64::total_cmp);
    let middle = ROUNDS / 2;
    println!("bare write and fdatasync, p50   {:>8.3} ms", syncs[middle].as_secs_f64() * 1e3);
    println!("durable row, p50                {:>8.3} ms", singles[middle].as_secs_f64() * 1e3);
    println!("rows of {RUNS} runs, grouped         {:>8.0} rows/s", rates[middle]);
    println!("between rounds: {singles:?}, {rates:.0?}");
    Ok(())
}

/// A step of a small run: what happened and two commands.
fn row(n: usize) -> Row {
    let event = format!(
        "{{\"ended\":{{\"attempt\":{{\"worker\":{{\"phase\":\"review\",\"worker\":\"{n}\"}},\"attempt\":1}},\"ending\":{{\"outcome\":\"done\",\"excerpt\":\"all is well\",\"outputs\":{{}},\"commit\":null,\"evidence\":\"exit 0\"}}}}}}"
    );
    let commands =
        format!("[{{\"start\":{{\"attempt\":{n},\"model\":0}}}},{{\"wake\":{{\"after_ms\":600000}}}}]");
    Row { version: 1, event: event.into_bytes(), commands: commands.into_bytes() }
}

fn bare(folder: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut file = File::create(folder.join("bare"))?;
    // As a log that is written over and over: its blocks are there already.
    file.write_all(&vec![0; SINGLE_ROWS * 4096])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for n in 0..SINGLE_ROWS {
        let since = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; 4096], (n * 4096) as u64)?;
        file.sync_data()?;
        times.push(since.elapsed());
    }
    Ok(median(times))
}

fn single(journal: &Journal, runs: &[RunId]) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for n in 0..SINGLE_ROWS {
        let since = Instant::now();
        journal.append(&runs[n % RUNS], row(n)).wait()?;
        times.push(since.elapsed());
    }
    Ok(median(times))
}

fn grouped(journal: &Journal, runs: &[RunId]) -> Result<f64, Box<dyn Error>> {
    let since = Instant::now();
    let promises: Vec<_> = (0..GROUPED_ROWS).map(|n| journal.append(&runs[n % RUNS], row(n))).collect();
    for promise in promises {
        promise.wait()?;
    }
    Ok(GROUPED_ROWS as f64 / since.elapsed().as_secs_f64())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

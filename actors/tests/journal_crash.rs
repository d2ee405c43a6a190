//! The journal under kill -9 and under a disk that is full or fails: whatever was acknowledged is there.
//!
//! A program of its own and no ordinary test, because it starts itself again as the process that is killed: that one
//! appends as fast as it can and prints the place of each row that it was told durable.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

#[path = "journal_crash/appender.rs"]
mod appender;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use niia_actors::failpoint;
use niia_actors::journal::Journal;

const KILLS: u32 = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, path] = &arguments[..]
        && word == "append"
    {
        return appender::run(Path::new(path));
    }
    let tests: [(&str, fn()); 4] = [
        ("everything acknowledged outlives a kill at any moment", everything_acknowledged_outlives_a_kill),
        ("rows wait for a full disk and go on when there is room", rows_wait_for_a_full_disk),
        ("a failed sync loses and doubles nothing", a_failed_sync_loses_and_doubles_nothing),
        (
            "a disk that fails for good stops the journal and acknowledges nothing",
            a_broken_disk_stops_the_journal,
        ),
    ];
    let wanted: Vec<&String> = arguments[1..].iter().filter(|word| !word.starts_with('-')).collect();
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// A process that appends, and what it has acknowledged.
struct Appender {
    child: Child,
    said: BufReader<ChildStdout>,
    acknowledged: BTreeMap<String, u64>,
}

impl Appender {
    fn start(path: &Path, variables: &[(&str, &str)]) -> Appender {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("append").arg(path).envs(variables.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Appender { child, said, acknowledged: BTreeMap::new() }
    }

    /// Reads one line; a line of a row is remembered. Nothing at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        // A line cut by the kill is no acknowledgement.
        let line = line.strip_suffix('\n')?.to_owned();
        if let Some((run, seq)) = line.strip_prefix("row ").and_then(|row| row.split_once(' ')) {
            self.acknowledged.insert(run.to_owned(), seq.parse().unwrap());
        }
        Some(line)
    }

    fn wait_for(&mut self, start: &str) {
        while !self.line().unwrap_or_else(|| panic!("it ended before it said `{start}`")).starts_with(start) {
        }
    }

    fn rows(&mut self, count: usize) {
        for _ in 0..count {
            self.wait_for("row ");
        }
    }

    fn end(mut self) -> BTreeMap<String, u64> {
        while self.line().is_some() {}
        self.child.wait().unwrap();
        self.acknowledged
    }

    fn kill(mut self) -> BTreeMap<String, u64> {
        self.child.kill().unwrap();
        self.end()
    }
}

/// Reads the journal and holds it against what was acknowledged.
fn check(path: &Path, acknowledged: &BTreeMap<String, u64>) {
    let (journal, loaded) = Journal::open(path).unwrap();
    assert!(loaded.quarantined.is_empty(), "{:?}", loaded.quarantined);
    assert!(loaded.damage.is_none(), "{:?}", loaded.damage);
    for (run, last) in acknowledged {
        let record = loaded.runs.iter().find(|record| record.run.as_str() == run);
        let record = record.unwrap_or_else(|| panic!("the run {run} was acknowledged and is gone"));
        assert!(record.steps.len() as u64 >= *last, "{run} has {} rows of {last}", record.steps.len());
        for step in &record.steps {
            assert_eq!(step.event, appender::event(step.seq), "{run}");
        }
    }
    journal.close();
}

fn everything_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let mut path = PathBuf::new();
    for round in 0..KILLS {
        // A new file now and then, so that its first moments are hit too; else one that grows over many kills.
        if round % 10 == 0 {
            path = folder.path().join(format!("journal-{round}.db"));
        }
        let places: Vec<&str> =
            failpoint::NAMES.iter().copied().filter(|name| name.starts_with("journal.")).collect();
        let acknowledged = if round % 2 == 0 {
            let place = format!("{}:{}", random.choice(&places).unwrap(), random.u32(1..60));
            Appender::start(&path, &[(failpoint::VARIABLE, place.as_str())]).end()
        } else {
            let mut appender = Appender::start(&path, &[]);
            match random.bool() {
                true => appender.rows(random.usize(0..2_000)),
                // Somewhere in the start.
                false => std::thread::sleep(Duration::from_micros(random.u64(0..30_000))),
            }
            appender.kill()
        };
        check(&path, &acknowledged);
    }
}

/// A library loaded before the system's own that refuses writes or syncs of a journal while a file says so.
struct Shim {
    folder: tempfile::TempDir,
}

impl Shim {
    fn build() -> Shim {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/journal_crash/disk.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("disk.so"))
            .args([source, "-ldl"]);
        assert!(compiler.status().unwrap().success());
        Shim { folder }
    }

    fn start(&self, journal: &Path) -> Appender {
        let library = self.folder.path().join("disk.so");
        let folder = self.folder.path().to_str().unwrap();
        Appender::start(journal, &[("LD_PRELOAD", library.to_str().unwrap()), ("DISK_FOLDER", folder)])
    }

    fn set(&self, what: &str) {
        std::fs::write(self.folder.path().join(what), "").unwrap();
    }

    fn clear(&self, what: &str) {
        std::fs::remove_file(self.folder.path().join(what)).unwrap();
    }

    fn is_set(&self, what: &str) -> bool {
        self.folder.path().join(what).exists()
    }
}

fn rows_wait_for_a_full_disk() {
    let shim = Shim::build();
    let path = shim.folder.path().join("journal.db");
    let mut appender = shim.start(&path);
    for _ in 0..3 {
        appender.rows(100);
        shim.set("full");
        appender.wait_for("health degraded: disk");
        shim.clear("full");
        appender.wait_for("health well");
    }
    appender.rows(100);
    check(&path, &appender.kill());
}

fn a_failed_sync_loses_and_doubles_nothing() {
    let shim = Shim::build();
    let path = shim.folder.path().join("journal.db");
    let mut appender = shim.start(&path);
    for _ in 0..5 {
        appender.rows(100);
        shim.set("sync-fails-once");
        appender.wait_for("health degraded: disk");
        appender.wait_for("health well");
        assert!(!shim.is_set("sync-fails-once"));
    }
    appender.rows(100);
    check(&path, &appender.kill());
}

fn a_broken_disk_stops_the_journal() {
    let shim = Shim::build();
    let path = shim.folder.path().join("journal.db");
    let mut appender = shim.start(&path);
    appender.rows(100);
    shim.set("sync-fails");
    appender.wait_for("health stopped: ");
    let acknowledged = appender.end();
    check(&path, &acknowledged);
}

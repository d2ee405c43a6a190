//! The journal: what was told durable is there, as it was written, or its damage is said.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use std::path::PathBuf;

use niia_actors::journal::{Journal, JournalError, Loaded, Row};
use niia_spec::name::{RunId, Slug};

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    fn open(&self) -> (Journal, Loaded) {
        Journal::open(&self.path()).unwrap()
    }
}

fn run(name: &str) -> RunId {
    Slug::new(name).unwrap()
}

fn row(n: u64) -> Row {
    Row { version: 1, event: format!("{{\"n\":{n}}}").into_bytes(), commands: b"[]".to_vec() }
}

#[test]
fn a_run_is_read_back_as_it_was_written() {
    let fixture = Fixture::new();
    let (journal, loaded) = fixture.open();
    assert!(loaded.runs.is_empty() && loaded.quarantined.is_empty());
    let review = run("review-abcde");
    assert_eq!(journal.begin(&review, b"{\"plan\":1}".to_vec(), b"{}".to_vec()).wait().unwrap(), 0);
    for n in 1..=3 {
        assert_eq!(journal.append(&review, row(n)).wait().unwrap(), n);
    }
    // Bytes that are no text, and text with a zero in it, are kept too.
    let odd = Row { version: 9, event: vec![0xff, 0, 0xfe], commands: b"a\0b".to_vec() };
    assert_eq!(journal.append(&review, odd.clone()).wait().unwrap(), 4);
    journal.close();

    let (_journal, loaded) = fixture.open();
    let [record] = &loaded.runs[..] else { panic!("{loaded:?}") };
    assert_eq!((record.plan.as_slice(), record.meta.as_slice()), (&b"{\"plan\":1}"[..], &b"{}"[..]));
    assert_eq!(record.steps.iter().map(|step| step.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(record.steps[2].event, row(3).event);
    let last = &record.steps[3];
    assert_eq!((last.version, &last.event, &last.commands), (odd.version, &odd.event, &odd.commands));
    assert!(record.finish.is_none());
}

#[test]
fn rows_keep_the_order_in_which_they_were_given_without_waiting() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    let names: Vec<RunId> = (0..8).map(|n| run(&format!("run-{n}"))).collect();
    let mut promises = Vec::new();
    for name in &names {
        promises.push((0, journal.begin(name, Vec::new(), Vec::new())));
    }
    for n in 1..=500 {
        for name in &names {
            promises.push((n, journal.append(name, row(n))));
        }
    }
    for (seq, promise) in promises {
        assert_eq!(promise.wait().unwrap(), seq);
    }
    for name in &names {
        let steps = journal.load(name).unwrap().steps;
        assert!(steps.iter().enumerate().all(|(n, step)| step.event == row(n as u64 + 1).event));
        assert_eq!(steps.len(), 500);
    }
}

#[test]
fn a_row_nobody_waits_for_is_durable_by_itself_and_else_shares_the_next_commit() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    let review = run("review-abcde");
    journal.begin(&review, b"{}".to_vec(), b"{}".to_vec()).wait().unwrap();
    assert_eq!(journal.append_soon(&review, row(1)).wait().unwrap(), 1);
    for n in 1..=20 {
        let soon = journal.append_soon(&review, row(2 * n));
        let waited = journal.append(&review, row(2 * n + 1));
        assert_eq!((soon.wait().unwrap(), waited.wait().unwrap()), (2 * n, 2 * n + 1));
    }
    let steps = journal.load(&review).unwrap().steps;
    // All rows of a commit bear its time; a busy machine may part a pair, not each of them.
    assert!(steps[1..].chunks(2).any(|pair| pair[0].at == pair[1].at), "{steps:?}");
}

#[test]
fn a_finished_run_is_listed_and_takes_nothing_more() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    let (over, open) = (run("over"), run("open"));
    for name in [&over, &open] {
        journal.begin(name, b"plan".to_vec(), b"about".to_vec()).wait().unwrap();
        journal.append(name, row(1)).wait().unwrap();
    }
    assert_eq!(journal.finish(&over, b"\"done\"".to_vec()).wait().unwrap(), 2);
    assert!(matches!(journal.append(&over, row(2)).wait(), Err(JournalError::Over { .. })));
    journal.close();

    let (journal, loaded) = fixture.open();
    assert_eq!(loaded.runs.len(), 1);
    assert_eq!(loaded.runs[0].run, open);
    let listed = journal.runs().unwrap();
    let over_line = listed.iter().find(|line| line.run == "over").unwrap();
    assert_eq!((over_line.rows, over_line.meta.as_slice()), (3, &b"about"[..]));
    assert_eq!(over_line.finish.as_ref().unwrap().outcome, b"\"done\"");
    assert!(listed.iter().all(|line| line.quarantined.is_none()));
    assert_eq!(journal.load(&over).unwrap().finish.unwrap().outcome, b"\"done\"");
    assert!(matches!(journal.append(&over, row(2)).wait(), Err(JournalError::Over { .. })));
}

#[test]
fn a_run_that_is_not_there_and_one_that_is_there_already_are_refused_by_name() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    assert!(
        matches!(journal.append(&run("a"), row(1)).wait(), Err(JournalError::NoSuchRun { run }) if run.as_str() == "a")
    );
    assert!(matches!(journal.load(&run("a")), Err(JournalError::NoSuchRun { .. })));
    journal.begin(&run("a"), Vec::new(), Vec::new()).wait().unwrap();
    assert!(matches!(
        journal.begin(&run("a"), Vec::new(), Vec::new()).wait(),
        Err(JournalError::AlreadyBegun { .. })
    ));
    let huge = Row { version: 1, event: vec![0; 17 << 20], commands: Vec::new() };
    assert!(matches!(journal.append(&run("a"), huge).wait(), Err(JournalError::TooLarge { .. })));
    assert_eq!(journal.append(&run("a"), row(1)).wait().unwrap(), 1);
}

#[tokio::test]
async fn a_promise_can_be_awaited() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    journal.begin(&run("a"), Vec::new(), Vec::new()).await.unwrap();
    let (first, second) = (journal.append(&run("a"), row(1)), journal.append(&run("a"), row(2)));
    assert_eq!((second.await.unwrap(), first.await.unwrap()), (2, 1));
}

#[test]
fn a_changed_missing_or_added_row_quarantines_its_run_alone() {
    let deeds = [
        ("UPDATE journal SET event = '{\"n\":99}' WHERE run = 'hurt' AND seq = 2", "row 2"),
        ("UPDATE journal SET at = '2000-01-01T00:00:00Z' WHERE run = 'hurt' AND seq = 2", "row 2"),
        ("UPDATE journal SET version = 2 WHERE run = 'hurt' AND seq = 3", "row 3"),
        ("DELETE FROM journal WHERE run = 'hurt' AND seq = 2", "row 2 is missing"),
        ("DELETE FROM journal WHERE run = 'hurt' AND seq = 3", "3 rows are there, 4 were written"),
        ("DELETE FROM journal WHERE run = 'hurt'", "0 rows are there, 4 were written"),
        ("DELETE FROM tips WHERE run = 'hurt'", "is not recorded"),
        ("UPDATE tips SET rows = 3 WHERE run = 'hurt'", "4 rows are there, 3 were written"),
        ("UPDATE journal SET kind = 'finish' WHERE run = 'hurt' AND seq = 3", "row 3"),
        (
            "INSERT INTO journal SELECT 'hurt', 4, kind, at, version, hash, commands, event FROM journal WHERE run = 'hurt' AND seq = 3",
            "row 4",
        ),
    ];
    for (deed, reason) in deeds {
        let fixture = Fixture::new();
        let (journal, _) = fixture.open();
        for name in ["whole", "hurt", "other"] {
            journal.begin(&run(name), b"plan".to_vec(), Vec::new()).wait().unwrap();
            (1..=3).for_each(|n| assert_eq!(journal.append(&run(name), row(n)).wait().unwrap(), n));
        }
        journal.close();
        rusqlite::Connection::open(fixture.path()).unwrap().execute_batch(deed).unwrap();

        let (journal, loaded) = fixture.open();
        assert_eq!(loaded.runs.len(), 2, "{deed}");
        let [quarantined] = &loaded.quarantined[..] else { panic!("{deed}") };
        assert_eq!(quarantined.run, "hurt");
        assert!(quarantined.reason.contains(reason), "{deed}: {}", quarantined.reason);
        assert!(
            matches!(journal.append(&run("hurt"), row(4)).wait(), Err(JournalError::Quarantined { .. })),
            "{deed}"
        );
        assert!(matches!(journal.load(&run("hurt")), Err(JournalError::Quarantined { .. })), "{deed}");
        assert_eq!(journal.append(&run("whole"), row(4)).wait().unwrap(), 4);
    }
}

#[test]
fn a_newer_journal_is_refused_with_its_version() {
    let fixture = Fixture::new();
    fixture.open().0.close();
    rusqlite::Connection::open(fixture.path()).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = Journal::open(&fixture.path()).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 7, .. }), "{error}");
}

#[test]
fn a_person_reads_the_journal_with_plain_sql() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    journal.begin(&run("a"), b"{}".to_vec(), b"{}".to_vec()).wait().unwrap();
    journal.append(&run("a"), row(5)).wait().unwrap();
    let reader = rusqlite::Connection::open(fixture.path()).unwrap();
    let sql = "SELECT kind, json_extract(event, '$.n') FROM journal WHERE run = 'a' AND seq = 1";
    let found: (String, i64) = reader.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(found, ("step".to_owned(), 5));
}

#[test]
fn the_journal_is_readable_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let (journal, _) = fixture.open();
    journal.begin(&run("a"), Vec::new(), Vec::new()).wait().unwrap();
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

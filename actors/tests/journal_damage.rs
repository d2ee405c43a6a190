//! A damaged journal: what cannot be believed is named, and what is given is what was written.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use niia_actors::journal::{Fate, Journal, JournalError, LetterRow, Letters, Loaded, Row, RunRecord};
use niia_spec::name::{RunId, Slug};

fn run(name: &str) -> RunId {
    Slug::new(name).unwrap()
}

fn letter(n: u64) -> LetterRow {
    LetterRow {
        id: format!("letter-{n}"),
        sender: "mesh/a".to_owned(),
        reader: "mesh/b".to_owned(),
        at: "2026-01-01T00:00:00Z".to_owned(),
        cause: None,
        hops: 1,
        text: "a few words ".repeat(n as usize),
        fate: Fate::Unread,
    }
}

/// Everything a journal holds.
#[derive(Debug, PartialEq)]
struct Contents {
    open: BTreeMap<String, RunRecord>,
    over: Option<RunRecord>,
    letters: Option<Letters>,
}

/// Two runs that go on, one that is over, and letters.
fn fill(journal: &Journal) {
    for name in ["first", "second", "over"] {
        journal.begin(&run(name), b"{\"plan\":true}".to_vec(), b"{}".to_vec()).wait().unwrap();
    }
    for n in 1..=12 {
        for name in ["first", "second", "over"] {
            let event = format!("{{\"n\":{n},\"text\":\"{}\"}}", "word ".repeat(n as usize * 8)).into_bytes();
            journal.append(&run(name), Row { version: 1, event, commands: b"[]".to_vec() }).wait().unwrap();
        }
        journal.post(&run("first"), letter(n)).wait().unwrap();
    }
    journal.finish(&run("over"), b"\"done\"".to_vec()).wait().unwrap();
}

fn contents(journal: &Journal, loaded: &Loaded) -> Contents {
    Contents {
        open: loaded.runs.iter().map(|record| (record.run.to_string(), record.clone())).collect(),
        over: journal.load(&run("over")).ok(),
        letters: journal.letters(&run("first")).ok(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// In memory where the system has such a folder: these tests are about bytes, not about disks.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// What came of opening a journal with a changed bit.
#[derive(Debug, Default)]
struct Count {
    harmless: u32,
    quarantined: u32,
    salvaged_whole: u32,
    salvaged_in_part: u32,
    refused: u32,
}

impl Count {
    /// Opens it and finds every difference from what was written announced.
    fn judge(&mut self, folder: &Path, place: usize, written: &Contents) {
        let (journal, loaded) = match Journal::open(&folder.join("journal.db")) {
            Ok(opened) => opened,
            // The one number that is believed without a second witness: it only ever refuses.
            Err(JournalError::Newer { .. }) => {
                self.refused += 1;
                return;
            }
            Err(error) => panic!("byte {place}: {error}"),
        };
        let now = contents(&journal, &loaded);
        for (name, record) in &now.open {
            assert_eq!(
                Some(record),
                written.open.get(name),
                "byte {place}: a wrong row was given, {:?}",
                loaded.damage
            );
        }
        // A list that cannot be read says so.
        let (listed, unreadable) = journal.runs().map_or((Vec::new(), true), |listed| (listed, false));
        let said = |name: &str| {
            unreadable
                || loaded.damage.is_some()
                || loaded.quarantined.iter().any(|quarantined| quarantined.run == name)
                || listed.iter().any(|line| line.run == name && line.quarantined.is_some())
        };
        for name in written.open.keys() {
            assert!(
                now.open.contains_key(name) || said(name),
                "byte {place}: the run {name} is gone without a word"
            );
        }
        let over_is_listed = listed.iter().any(|line| line.run == "over");
        assert!(
            now.over.is_none() || now.over == written.over,
            "byte {place}: a wrong row of a run that is over"
        );
        assert!(over_is_listed || said("over"), "byte {place}: the run that is over is not listed");
        let (found, whole) = (now.letters.as_ref(), written.letters.as_ref().unwrap());
        for letter in found.iter().flat_map(|letters| &letters.letters) {
            assert!(whole.letters.contains(letter), "byte {place}: a wrong letter was given");
        }
        let letters_said = found.is_none_or(|letters| !letters.damage.is_empty()) || said("first");
        assert!(found == Some(whole) || letters_said, "byte {place}: letters are gone without a word");
        match (loaded.damage.is_some(), &now == written) {
            (false, true) => self.harmless += 1,
            (false, false) => self.quarantined += 1,
            (true, true) => self.salvaged_whole += 1,
            (true, false) => self.salvaged_in_part += 1,
        }
        go_on(&journal, folder, place, &now);
    }
}

/// What is written to such a journal afterwards is as good as any other.
fn go_on(journal: &Journal, folder: &Path, place: usize, before: &Contents) {
    let row = Row { version: 1, event: b"\"later\"".to_vec(), commands: b"[]".to_vec() };
    let appended = journal.append(&run("first"), row.clone()).wait();
    journal.close();
    let (journal, loaded) = Journal::open(&folder.join("journal.db")).unwrap();
    journal.close();
    let found = loaded.runs.iter().find(|record| record.run == run("first"));
    let said =
        loaded.damage.is_some() || loaded.quarantined.iter().any(|quarantined| quarantined.run == "first");
    match (appended, found) {
        (Ok(_), Some(record)) => {
            let (last, rest) = record.steps.split_last().unwrap();
            assert_eq!((&last.event, rest), (&row.event, &before.open["first"].steps[..]), "byte {place}");
        }
        (Ok(_), None) => assert!(said, "byte {place}: an acknowledged row is gone without a word"),
        (Err(_), Some(record)) => assert_eq!(Some(record), before.open.get("first"), "byte {place}"),
        (Err(_), None) => assert!(said, "byte {place}"),
    }
}

#[test]
fn a_changed_bit_anywhere_in_the_file_is_found_or_harmless() {
    let folder = folder();
    let (original, case) = (folder.path().join("original"), folder.path().join("case"));
    std::fs::create_dir(&original).unwrap();
    let (journal, _) = Journal::open(&original.join("journal.db")).unwrap();
    fill(&journal);
    journal.close();
    let (journal, loaded) = Journal::open(&original.join("journal.db")).unwrap();
    let written = contents(&journal, &loaded);
    journal.close();
    let bytes = std::fs::read(original.join("journal.db")).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut count = Count::default();
    let mut place = 0;
    while place < bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << random.u8(0..8);
        std::fs::create_dir(&case).unwrap();
        std::fs::write(case.join("journal.db"), damaged).unwrap();
        count.judge(&case, place, &written);
        std::fs::remove_dir_all(&case).unwrap();
        // Every byte of the first 200, which say what the file is; of the rest some.
        place += if place < 200 { 1 } else { random.usize(1..40) };
    }
    println!("{count:?}");
    assert!(count.quarantined > 0 && count.salvaged_whole > 0, "{count:?}");
}

#[test]
fn a_changed_bit_in_the_log_of_a_killed_node_loses_nothing_without_a_word() {
    let folder = folder();
    let (original, live, case) =
        (folder.path().join("original"), folder.path().join("live"), folder.path().join("case"));
    std::fs::create_dir(&live).unwrap();
    let (journal, _) = Journal::open(&live.join("journal.db")).unwrap();
    fill(&journal);
    // As a kill would leave it, with everything still in the log.
    copy(&live, &original);
    journal.close();
    copy(&original, &case);
    let (journal, loaded) = Journal::open(&case.join("journal.db")).unwrap();
    let written = contents(&journal, &loaded);
    journal.close();
    std::fs::remove_dir_all(&case).unwrap();
    let bytes = std::fs::read(original.join("journal.db-wal")).unwrap();
    // A damaged last commit looks exactly like one that a power loss cut off: two pages, the row's and the tip's.
    let last_commit = bytes.len() - 2 * (4096 + 24);
    let mut random = fastrand::Rng::with_seed(2);
    let mut count = Count::default();
    let mut place = 0;
    while place < last_commit {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << random.u8(0..8);
        copy(&original, &case);
        std::fs::write(case.join("journal.db-wal"), damaged).unwrap();
        count.judge(&case, place, &written);
        std::fs::remove_dir_all(&case).unwrap();
        place += if place < 100 { 1 } else { random.usize(1..1_500) };
    }
    println!("{count:?}");
    assert!(count.salvaged_whole > 0 && count.quarantined == 0, "{count:?}");
}

#[test]
fn a_log_that_ends_anywhere_gives_every_commit_before_its_end_and_no_alarm() {
    let folder = folder();
    let (original, live, case) =
        (folder.path().join("original"), folder.path().join("live"), folder.path().join("case"));
    std::fs::create_dir(&live).unwrap();
    let (journal, _) = Journal::open(&live.join("journal.db")).unwrap();
    fill(&journal);
    copy(&live, &original);
    journal.close();
    let bytes = std::fs::read(original.join("journal.db-wal")).unwrap();
    let mut random = fastrand::Rng::with_seed(4);
    let mut before = 0;
    for part in 1..=100 {
        // Never within the first commit, which makes the tables.
        let first = 40_000;
        let end = first + (bytes.len() - first) * part / 100 - random.usize(0..50);
        copy(&original, &case);
        std::fs::write(case.join("journal.db-wal"), &bytes[..end]).unwrap();
        let (journal, loaded) = Journal::open(&case.join("journal.db")).unwrap();
        assert_eq!((loaded.damage, loaded.quarantined), (None, Vec::new()), "{end}");
        let rows = loaded.runs.iter().map(|record| record.steps.len()).sum::<usize>();
        let over = journal.load(&run("over")).is_ok_and(|record| record.finish.is_some());
        assert!(rows >= before || over, "{end}: {rows} rows, {before} with less of the log");
        before = rows;
        journal.close();
        std::fs::remove_dir_all(&case).unwrap();
    }
    assert!(before > 20);
}

#[test]
fn a_file_that_is_no_journal_at_all_is_set_aside_and_a_new_one_begun() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, "this is a letter and no database ".repeat(1_000)).unwrap();
    let (journal, loaded) = Journal::open(&path).unwrap();
    let damage = loaded.damage.unwrap();
    assert!(loaded.runs.is_empty());
    assert!(
        std::fs::read_to_string(damage.set_aside.join("journal.db")).unwrap().starts_with("this is a letter")
    );
    journal.begin(&run("a"), Vec::new(), Vec::new()).wait().unwrap();
    journal.close();
    let (_journal, loaded) = Journal::open(&path).unwrap();
    assert_eq!((loaded.runs.len(), loaded.damage), (1, None));
}

#[test]
fn a_salvage_that_a_crash_interrupted_is_taken_up_again() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let (journal, _) = Journal::open(&path).unwrap();
    fill(&journal);
    journal.close();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    // An incomplete new file is nothing; a complete one takes the place of the old, whose log does not belong to it.
    std::fs::write(beside(".part"), "half a file").unwrap();
    std::fs::copy(&path, beside(".new")).unwrap();
    std::fs::write(&path, "the damaged one").unwrap();
    std::fs::write(beside("-wal"), "its log").unwrap();
    let (_journal, loaded) = Journal::open(&path).unwrap();
    assert_eq!((loaded.runs.len(), loaded.damage), (2, None));
    assert!(!beside(".part").exists() && !beside(".new").exists());
}

#[test]
fn a_journal_that_was_found_damaged_while_it_was_written_is_looked_through_at_the_next_start() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let check = folder.path().join("journal.db-check");
    let (journal, _) = Journal::open(&path).unwrap();
    fill(&journal);
    journal.close();
    std::fs::write(&check, "").unwrap();
    let (journal, loaded) = Journal::open(&path).unwrap();
    assert!(loaded.damage.is_none() && !check.exists());
    journal.close();
    // A page of the table's of which the start would read nothing: the rows of the run that is over.
    let bytes = std::fs::read(&path).unwrap();
    let mut damaged = bytes.clone();
    let leaf = (1..bytes.len() / 4096).find(|page| bytes[page * 4096] == 10).unwrap();
    damaged[leaf * 4096 + 3] ^= 0xff;
    std::fs::write(&path, damaged).unwrap();
    std::fs::write(&check, "").unwrap();
    let (_journal, loaded) = Journal::open(&path).unwrap();
    assert!(loaded.damage.is_some() && !check.exists());
}

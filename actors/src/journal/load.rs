//! Reading the journal back, every chain checked.

use std::collections::{BTreeSet, HashMap};

use niia_spec::name::{RunId, Slug};
use rusqlite::{Connection, OptionalExtension};

use super::chain::{self, Body, Hash, Kind, ROOT};
use super::letter::{self, Letters};
use super::record::{Finish, Loaded, Quarantined, RunRecord, RunSummary, Step};
use super::{JournalError, Seq};

/// Where a run's chain ends, as the writer goes on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    pub rows: Seq,
    pub hash: Hash,
    pub over: bool,
    /// How many letters the run has had.
    pub letters: u64,
}

/// A tip as it lies in the file.
struct Told {
    rows: Seq,
    hash: Vec<u8>,
    letters: u64,
}

/// A run as the writer knows it.
#[derive(Clone, Debug)]
pub enum Known {
    Whole(Tip),
    Quarantined(String),
}

/// A run as it was read.
enum Found {
    Nothing,
    Whole(RunRecord, Tip),
    Broken(String),
}

/// A row as it lies in the file, nothing believed yet.
struct Raw {
    seq: i64,
    kind: Vec<u8>,
    at: Vec<u8>,
    version: i64,
    hash: Vec<u8>,
    commands: Vec<u8>,
    event: Vec<u8>,
}

const COLUMNS: &str = "seq, kind, at, version, hash, commands, event";

/// Reads every run that is not over, and where each run's chain ends.
pub fn all(connection: &Connection) -> rusqlite::Result<(Loaded, HashMap<RunId, Known>)> {
    let mut loaded = Loaded::default();
    let mut runs = HashMap::new();
    for name in names(connection)? {
        let Ok(run) = Slug::new(&name) else {
            loaded.quarantined.push(Quarantined { run: name, reason: "no run has such a name".to_owned() });
            continue;
        };
        if let Some(tip) = over(connection, &run)? {
            runs.insert(run, Known::Whole(tip));
            continue;
        }
        let known = match whole(connection, &run)? {
            Found::Nothing => continue,
            Found::Whole(record, tip) => {
                // Where the short look did not find the end, the long one may.
                if !tip.over {
                    loaded.runs.push(record);
                }
                Known::Whole(tip)
            }
            Found::Broken(reason) => {
                loaded.quarantined.push(Quarantined { run: name, reason: reason.clone() });
                Known::Quarantined(reason)
            }
        };
        runs.insert(run, known);
    }
    loaded.runs.sort_by(|a, b| a.begun_at.cmp(&b.begun_at));
    Ok((loaded, runs))
}

/// Reads all of one run.
pub fn one(connection: &Connection, run: &RunId) -> Result<RunRecord, JournalError> {
    match whole(connection, run).map_err(|source| JournalError::Read { source })? {
        Found::Nothing => Err(JournalError::NoSuchRun { run: run.clone() }),
        Found::Whole(record, _) => Ok(record),
        Found::Broken(reason) => Err(JournalError::Quarantined { run: run.clone(), reason }),
    }
}

/// Where a run's chain ends, its last row checked; nothing for a run that is not there.
pub fn end(connection: &Connection, run: &RunId) -> rusqlite::Result<Result<Option<Tip>, String>> {
    if tip(connection, run)?.is_none() {
        return Ok(Ok(None));
    }
    Ok(last(connection, run)?.map(|(_, tip)| Some(tip)))
}

/// The letters of one run.
pub fn letters(connection: &Connection, run: &RunId) -> rusqlite::Result<Letters> {
    let db = connection.unchecked_transaction()?;
    let count = tip(&db, run)?.map_or(0, |told| told.letters);
    letter::all(&db, run, count)
}

/// One line for every run, oldest first. Only the ends of each chain are checked here; whoever loads a run checks it all.
pub fn summaries(connection: &Connection) -> rusqlite::Result<Vec<RunSummary>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut summaries = Vec::new();
    for name in names(&snapshot)? {
        let mut summary = RunSummary {
            run: name.clone(),
            begun_at: String::new(),
            meta: Vec::new(),
            rows: 0,
            finish: None,
            quarantined: None,
        };
        let read = match Slug::new(&name) {
            Ok(run) => summarise(&snapshot, &run, &mut summary)?,
            Err(_) => Err("no run has such a name".to_owned()),
        };
        summary.quarantined = read.err();
        summaries.push(summary);
    }
    summaries.sort_by(|a, b| a.begun_at.cmp(&b.begun_at));
    Ok(summaries)
}

fn summarise(db: &Connection, run: &RunId, summary: &mut RunSummary) -> rusqlite::Result<Result<(), String>> {
    let Some(told) = tip(db, run)? else {
        return Ok(Err(NO_TIP.to_owned()));
    };
    summary.rows = told.rows;
    let Some(first) = row(db, run, 0)? else {
        return Ok(Err(missing(0)));
    };
    summary.begun_at = text(&first.at);
    summary.meta.clone_from(&first.commands);
    if let Err(reason) = first.check(run, &ROOT, 0) {
        return Ok(Err(reason));
    }
    let (last, tip) = match last(db, run)? {
        Ok(ends) => ends,
        Err(reason) => return Ok(Err(reason)),
    };
    summary.finish = tip.over.then(|| Finish { at: text(&last.at), outcome: last.event });
    Ok(Ok(()))
}

/// Every name in either table: a run that one of them has lost is found by the other.
fn names(db: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut tips = db.prepare_cached("SELECT CAST(run AS BLOB) FROM tips")?;
    for name in tips.query_map([], |row| row.get::<_, Vec<u8>>(0))? {
        names.insert(text(&name?));
    }
    // One look-up a run instead of one a row.
    let mut rows = db.prepare_cached(
        "WITH RECURSIVE r(run) AS (SELECT min(run) FROM journal
         UNION SELECT (SELECT min(run) FROM journal WHERE run > r.run) FROM r WHERE r.run IS NOT NULL)
         SELECT CAST(run AS BLOB) FROM r WHERE run IS NOT NULL",
    )?;
    for name in rows.query_map([], |row| row.get::<_, Vec<u8>>(0))? {
        names.insert(text(&name?));
    }
    Ok(names)
}

/// The tip of a run whose last row says that it is over. Everything else is read as a whole.
fn over(db: &Connection, run: &RunId) -> rusqlite::Result<Option<Tip>> {
    Ok(last(db, run)?.ok().map(|(_, tip)| tip).filter(|tip| tip.over))
}

fn last(db: &Connection, run: &RunId) -> rusqlite::Result<Result<(Raw, Tip), String>> {
    let Some(Told { rows, hash, letters }) = tip(db, run)? else {
        return Ok(Err(NO_TIP.to_owned()));
    };
    let seq = rows.saturating_sub(1);
    let previous = match seq {
        0 => ROOT,
        _ => match row(db, run, seq - 1)?.and_then(|raw| raw.hash.try_into().ok()) {
            Some(previous) => previous,
            None => return Ok(Err(missing(seq - 1))),
        },
    };
    let Some(raw) = row(db, run, seq)? else {
        return Ok(Err(missing(seq)));
    };
    let (kind, found) = match raw.check(run, &previous, seq) {
        Ok(checked) => checked,
        Err(reason) => return Ok(Err(reason)),
    };
    if found.as_slice() != hash {
        return Ok(Err(TIP_DIFFERS.to_owned()));
    }
    Ok(Ok((raw, Tip { rows, hash: found, over: kind == Kind::Finish, letters })))
}

fn whole(connection: &Connection, run: &RunId) -> rusqlite::Result<Found> {
    let db = connection.unchecked_transaction()?;
    let told = tip(&db, run)?;
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE run = ?1 ORDER BY seq");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([run.as_str()])?;
    let mut reading = Reading::new(run);
    while let Some(row) = rows.next()? {
        if let Err(reason) = reading.take(Raw::read(row)?) {
            return Ok(Found::Broken(reason));
        }
    }
    Ok(reading.end(told))
}

/// A chain while it is walked.
struct Reading<'a> {
    run: &'a RunId,
    tip: Tip,
    record: RunRecord,
}

impl<'a> Reading<'a> {
    fn new(run: &'a RunId) -> Reading<'a> {
        let record = RunRecord {
            run: run.clone(),
            begun_at: String::new(),
            plan: Vec::new(),
            meta: Vec::new(),
            steps: Vec::new(),
            finish: None,
        };
        Reading { run, tip: Tip { rows: 0, hash: ROOT, over: false, letters: 0 }, record }
    }

    fn take(&mut self, raw: Raw) -> Result<(), String> {
        let seq = self.tip.rows;
        let (kind, hash) = raw.check(self.run, &self.tip.hash, seq)?;
        if self.tip.over {
            return Err(format!("row {seq} stands after the run's end"));
        }
        self.tip = Tip { rows: seq + 1, hash, over: kind == Kind::Finish, letters: 0 };
        let at = text(&raw.at);
        match (kind, seq) {
            (Kind::Begin, 0) => {
                (self.record.begun_at, self.record.plan, self.record.meta) = (at, raw.event, raw.commands);
            }
            (Kind::Begin, _) | (_, 0) => return Err(format!("row {seq} is a `{}`", kind.word())),
            (Kind::Step, _) => {
                let version = raw.version as u32;
                self.record.steps.push(Step { seq, at, version, event: raw.event, commands: raw.commands });
            }
            (Kind::Finish, _) => self.record.finish = Some(Finish { at, outcome: raw.event }),
        }
        Ok(())
    }

    fn end(self, told: Option<Told>) -> Found {
        let Some(told) = told else {
            return if self.tip.rows == 0 { Found::Nothing } else { Found::Broken(NO_TIP.to_owned()) };
        };
        if told.rows != self.tip.rows {
            return Found::Broken(format!("{} rows are there, {} were written", self.tip.rows, told.rows));
        }
        if told.hash != self.tip.hash {
            return Found::Broken(TIP_DIFFERS.to_owned());
        }
        Found::Whole(self.record, Tip { letters: told.letters, ..self.tip })
    }
}

const NO_TIP: &str = "where its chain ends is not recorded";
const TIP_DIFFERS: &str = "its last row is not the one its tip names";

fn missing(seq: Seq) -> String {
    format!("row {seq} is missing")
}

impl Raw {
    fn read(row: &rusqlite::Row) -> rusqlite::Result<Raw> {
        Ok(Raw {
            seq: integer(row, 0)?,
            kind: bytes(row, 1)?,
            at: bytes(row, 2)?,
            version: integer(row, 3)?,
            hash: bytes(row, 4)?,
            commands: bytes(row, 5)?,
            event: bytes(row, 6)?,
        })
    }

    /// Holds the row against the one before it.
    fn check(&self, run: &RunId, previous: &Hash, seq: Seq) -> Result<(Kind, Hash), String> {
        if self.seq != seq as i64 {
            return Err(missing(seq));
        }
        let broken = || format!("row {seq} is not what was written");
        let kind = Kind::from_word(&self.kind).ok_or_else(broken)?;
        let at = std::str::from_utf8(&self.at).map_err(|_| broken())?;
        let version = u32::try_from(self.version).map_err(|_| broken())?;
        let body = Body { kind, at, version, event: &self.event, commands: &self.commands };
        let hash = chain::link(previous, run, seq, &body);
        if hash.as_slice() == self.hash { Ok((kind, hash)) } else { Err(broken()) }
    }
}

fn row(db: &Connection, run: &RunId, seq: Seq) -> rusqlite::Result<Option<Raw>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE run = ?1 AND seq = ?2");
    db.prepare_cached(&sql)?.query_row((run.as_str(), seq as i64), Raw::read).optional()
}

fn tip(db: &Connection, run: &RunId) -> rusqlite::Result<Option<Told>> {
    let mut statement = db.prepare_cached("SELECT rows, hash, letters FROM tips WHERE run = ?1")?;
    let told = statement.query_row([run.as_str()], |row| {
        let natural = |column| integer(row, column).map(|number| number.max(0) as u64);
        Ok(Told { rows: natural(0)?, hash: bytes(row, 1)?, letters: natural(2)? })
    });
    told.optional()
}

/// A damaged file may hold any type in any column; what is of the wrong one fails the chain, not the reading.
pub fn bytes(row: &rusqlite::Row, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes_or_null().ok().flatten().unwrap_or_default().to_vec())
}

pub fn integer(row: &rusqlite::Row, column: usize) -> rusqlite::Result<i64> {
    Ok(row.get_ref(column)?.as_i64().unwrap_or(-1))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

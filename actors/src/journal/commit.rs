//! One commit: the rows of many runs in one transaction.

use std::collections::HashMap;

use niia_spec::name::RunId;
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::chain::{self, Body, Kind, ROOT};
use super::letter::{self, LetterRow};
use super::load::{Known, Tip};
use super::writer::{Job, Work};
use super::{JournalError, Row, Seq, shelf};
use crate::failpoint;

/// The runs as they are on disk.
pub type Runs = HashMap<RunId, Known>;

/// What a commit makes of the runs' ends, and what each job is told.
#[derive(Default)]
pub struct Batch {
    pub tips: HashMap<RunId, Tip>,
    pub answers: Vec<Result<Seq, JournalError>>,
}

/// Puts all jobs into one transaction. The batch says what would have been, even where the commit fails.
pub fn write(connection: &Connection, runs: &Runs, jobs: &[Job]) -> (Batch, rusqlite::Result<()>) {
    let mut commit = Commit { connection, runs, batch: Batch::default() };
    let written = commit.write(jobs);
    (commit.batch, written)
}

struct Commit<'a> {
    connection: &'a Connection,
    runs: &'a Runs,
    batch: Batch,
}

/// What becomes of one job: its answer, unless the file itself fails.
type Applied = rusqlite::Result<Result<Seq, JournalError>>;

impl Commit<'_> {
    fn write(&mut self, jobs: &[Job]) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let at = crate::clock::now().to_string();
        for job in jobs {
            let answer = self.apply(&job.work, &at)?;
            self.batch.answers.push(answer);
        }
        for (run, tip) in &self.batch.tips {
            put_tip(&transaction, run, tip)?;
        }
        failpoint::hit("journal.before_commit");
        transaction.commit()?;
        failpoint::hit("journal.after_commit");
        Ok(())
    }

    fn apply(&mut self, work: &Work, at: &str) -> Applied {
        match work {
            Work::Begin { run, plan, meta } => {
                self.add(run, &Body { kind: Kind::Begin, at, version: 0, event: plan, commands: meta })
            }
            Work::Append { run, row } | Work::AppendSoon { run, row } => {
                let Row { version, event, commands } = row;
                self.add(run, &Body { kind: Kind::Step, at, version: *version, event, commands })
            }
            Work::Finish { run, outcome } => {
                self.add(run, &Body { kind: Kind::Finish, at, version: 0, event: outcome, commands: &[] })
            }
            Work::Post { run, letter } => self.post(run, letter),
            Work::Mark { run, numbers, fate } => {
                letter::mark(self.connection, run, numbers, fate).map(|()| Ok(0))
            }
            Work::Shelve { puts } => {
                puts.iter().try_for_each(|put| shelf::put(self.connection, put)).map(|()| Ok(0))
            }
            Work::Settle | Work::Close => Ok(Ok(0)),
        }
    }

    fn add(&mut self, run: &RunId, body: &Body) -> Applied {
        let tip = match self.next(run, body.kind) {
            Ok(tip) => tip,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let seq = tip.rows;
        let hash = chain::link(&tip.hash, run, seq, body);
        let sql = "INSERT INTO journal (run, seq, kind, at, version, hash, commands, event)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.connection.prepare_cached(sql)?.execute((
            run.as_str(),
            seq as i64,
            body.kind.word(),
            body.at,
            body.version,
            hash.as_slice(),
            readable(body.commands),
            readable(body.event),
        ))?;
        let over = body.kind == Kind::Finish;
        self.batch.tips.insert(run.clone(), Tip { rows: seq + 1, hash, over, ..tip });
        Ok(Ok(seq))
    }

    fn post(&mut self, run: &RunId, letter: &LetterRow) -> Applied {
        let mut tip = match self.next(run, Kind::Step) {
            Ok(tip) => tip,
            Err(refusal) => return Ok(Err(refusal)),
        };
        tip.letters += 1;
        letter::put(self.connection, run, tip.letters, letter)?;
        self.batch.tips.insert(run.clone(), tip);
        Ok(Ok(tip.letters))
    }

    /// Where the run's next row goes, or why it has none.
    fn next(&self, run: &RunId, kind: Kind) -> Result<Tip, JournalError> {
        let tip = match (self.batch.tips.get(run), self.runs.get(run)) {
            (Some(tip), _) | (None, Some(Known::Whole(tip))) => Some(*tip),
            (None, Some(Known::Quarantined(reason))) => {
                return Err(JournalError::Quarantined { run: run.clone(), reason: reason.clone() });
            }
            (None, None) => None,
        };
        match (tip, kind) {
            (None, Kind::Begin) => Ok(Tip { rows: 0, hash: ROOT, over: false, letters: 0 }),
            (None, _) => Err(JournalError::NoSuchRun { run: run.clone() }),
            (Some(_), Kind::Begin) => Err(JournalError::AlreadyBegun { run: run.clone() }),
            (Some(tip), _) if tip.over => Err(JournalError::Over { run: run.clone() }),
            (Some(tip), _) => Ok(tip),
        }
    }
}

/// Records where a run's chain ends.
pub fn put_tip(db: &Connection, run: &RunId, tip: &Tip) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO tips (run, rows, hash, letters) VALUES (?1, ?2, ?3, ?4)";
    let values = (run.as_str(), tip.rows as i64, tip.hash.as_slice(), tip.letters as i64);
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Text where it is text, so that a person can read it; the bytes are the same.
pub(super) fn readable(bytes: &[u8]) -> ToSqlOutput<'_> {
    let text = std::str::from_utf8(bytes).is_ok();
    ToSqlOutput::Borrowed(if text { ValueRef::Text(bytes) } else { ValueRef::Blob(bytes) })
}

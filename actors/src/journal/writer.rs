//! The writer: one thread, one connection, as many rows in a commit as wait for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use niia_spec::name::RunId;
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio::sync::{oneshot, watch};

use super::chain::{self, Body, Kind, ROOT};
use super::letter::{self, Fate, LetterRow};
use super::load::{Known, Tip};
use super::{Health, JournalError, Row, Seq};
use crate::failpoint;

/// The most jobs one commit takes: more would not be faster, and the first of them would wait longer.
const JOBS_PER_COMMIT_MAX: usize = 512;

/// What is asked of the writer.
#[derive(Debug)]
pub enum Work {
    Begin { run: RunId, plan: Vec<u8>, meta: Vec<u8> },
    Append { run: RunId, row: Row },
    Finish { run: RunId, outcome: Vec<u8> },
    Post { run: RunId, letter: LetterRow },
    Mark { run: RunId, numbers: Vec<u64>, fate: Fate },
    Settle,
    Close,
}

#[derive(Debug)]
pub struct Job {
    pub work: Work,
    /// What it counts for in the backlog.
    pub cost: usize,
    pub reply: oneshot::Sender<Result<Seq, JournalError>>,
}

impl Work {
    pub fn bytes(&self) -> usize {
        match self {
            Work::Begin { plan, meta, .. } => plan.len() + meta.len(),
            Work::Append { row, .. } => row.event.len() + row.commands.len(),
            Work::Finish { outcome, .. } => outcome.len(),
            Work::Post { letter, .. } => letter.bytes(),
            Work::Mark { numbers, .. } => numbers.len() * size_of::<u64>(),
            Work::Settle | Work::Close => 0,
        }
    }
}

pub struct Writer {
    connection: Connection,
    runs: HashMap<RunId, Known>,
    queue: Receiver<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    health: watch::Sender<Health>,
}

/// One commit while it is made: what the runs' ends will be, and what each job will be told.
#[derive(Default)]
struct Batch {
    tips: HashMap<RunId, Tip>,
    answers: Vec<Result<Seq, JournalError>>,
}

impl Writer {
    pub fn new(
        connection: Connection,
        runs: HashMap<RunId, Known>,
        queue: Receiver<Job>,
        waiting_bytes: Arc<AtomicUsize>,
        health: watch::Sender<Health>,
    ) -> Writer {
        Writer { connection, runs, queue, waiting_bytes, health }
    }

    /// Until the last handle is gone, or somebody closes it.
    pub fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let (jobs, close) = self.gather(first);
            self.commit(jobs);
            if close {
                break;
            }
        }
        let reason = "it was closed".to_owned();
        self.health.send_replace(Health::Stopped { reason });
    }

    /// What waits already, in order.
    fn gather(&self, first: Job) -> (Vec<Job>, bool) {
        let mut jobs = vec![first];
        while !matches!(jobs.last(), Some(Job { work: Work::Close, .. })) && jobs.len() < JOBS_PER_COMMIT_MAX
        {
            match self.queue.try_recv() {
                Ok(job) => jobs.push(job),
                Err(_) => return (jobs, false),
            }
        }
        let close = jobs.pop_if(|job| matches!(job.work, Work::Close)).is_some();
        (jobs, close)
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let batch = match self.write(&jobs) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written");
                self.refuse(jobs, &error.to_string());
                return;
            }
        };
        self.runs.extend(batch.tips.into_iter().map(|(run, tip)| (run, Known::Whole(tip))));
        for (job, answer) in jobs.into_iter().zip(batch.answers) {
            self.waiting_bytes.fetch_sub(job.cost, Ordering::Relaxed);
            // Whoever asked may be gone; the row is durable all the same.
            drop(job.reply.send(answer));
        }
    }

    fn refuse(&self, jobs: Vec<Job>, reason: &str) {
        for job in jobs {
            self.waiting_bytes.fetch_sub(job.cost, Ordering::Relaxed);
            drop(job.reply.send(Err(JournalError::Stopped { reason: reason.to_owned() })));
        }
    }

    fn write(&self, jobs: &[Job]) -> rusqlite::Result<Batch> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut batch = Batch::default();
        let at = jiff::Timestamp::now().to_string();
        for job in jobs {
            let answer = self.apply(&mut batch, &job.work, &at)?;
            batch.answers.push(answer);
        }
        for (run, tip) in &batch.tips {
            let sql = "INSERT OR REPLACE INTO tips (run, rows, hash, letters) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = transaction.prepare_cached(sql)?;
            statement.execute((run.as_str(), tip.rows as i64, tip.hash.as_slice(), tip.letters as i64))?;
        }
        failpoint::hit("journal.before_commit");
        transaction.commit()?;
        failpoint::hit("journal.after_commit");
        Ok(batch)
    }

    fn apply(&self, batch: &mut Batch, work: &Work, at: &str) -> rusqlite::Result<Result<Seq, JournalError>> {
        let (run, body) = match work {
            Work::Begin { run, plan, meta } => {
                (run, Body { kind: Kind::Begin, at, version: 0, event: plan, commands: meta })
            }
            Work::Append { run, row } => {
                let Row { version, event, commands } = row;
                (run, Body { kind: Kind::Step, at, version: *version, event, commands })
            }
            Work::Finish { run, outcome } => {
                (run, Body { kind: Kind::Finish, at, version: 0, event: outcome, commands: &[] })
            }
            Work::Post { run, letter } => return self.post(batch, run, letter),
            Work::Mark { run, numbers, fate } => {
                return letter::mark(&self.connection, run, numbers, fate).map(|()| Ok(0));
            }
            Work::Settle | Work::Close => return Ok(Ok(0)),
        };
        match self.next(batch, run, body.kind) {
            Ok(tip) => self.insert(batch, run, tip, &body).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn post(
        &self,
        batch: &mut Batch,
        run: &RunId,
        letter: &LetterRow,
    ) -> rusqlite::Result<Result<u64, JournalError>> {
        let mut tip = match self.next(batch, run, Kind::Step) {
            Ok(tip) => tip,
            Err(refusal) => return Ok(Err(refusal)),
        };
        tip.letters += 1;
        letter::put(&self.connection, run, tip.letters, letter)?;
        batch.tips.insert(run.clone(), tip);
        Ok(Ok(tip.letters))
    }

    /// Where the run's next row goes, or why it has none.
    fn next(&self, batch: &Batch, run: &RunId, kind: Kind) -> Result<Tip, JournalError> {
        let tip = match (batch.tips.get(run), self.runs.get(run)) {
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

    fn insert(&self, batch: &mut Batch, run: &RunId, tip: Tip, body: &Body) -> rusqlite::Result<Seq> {
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
        batch.tips.insert(run.clone(), Tip { rows: seq + 1, hash, over, ..tip });
        Ok(seq)
    }
}

/// Text where it is text, so that a person can read it; the bytes are the same.
fn readable(bytes: &[u8]) -> ToSqlOutput<'_> {
    let text = std::str::from_utf8(bytes).is_ok();
    ToSqlOutput::Borrowed(if text { ValueRef::Text(bytes) } else { ValueRef::Blob(bytes) })
}

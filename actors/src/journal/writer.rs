//! The writer: one thread, one connection, as many rows in a commit as wait for it.
//!
//! Trouble with the disk acknowledges nothing and loses nothing: what was to be written is kept and tried again until it
//! is there, or until it is certain that it never will be.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use niia_spec::name::RunId;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::commit::{self, Batch, Runs};
use super::letter::{Fate, LetterRow};
use super::load::Known;
use super::shelf::Put;
use super::trouble::{self, Cure, Found};
use super::{Health, JournalError, Row, Seq};

/// The most jobs one commit takes: more would not be faster, and the first of them would wait longer.
const JOBS_PER_COMMIT_MAX: usize = 512;
/// How long rows that nobody waits for wait for company.
const COMPANY_WAIT: Duration = Duration::from_millis(20);
/// How long to wait before the disk is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How often the file is opened anew for the same rows before the writer stops.
const REOPENINGS_MAX: u32 = 5;

/// What is asked of the writer.
#[derive(Debug)]
pub enum Work {
    Begin { run: RunId, plan: Vec<u8>, meta: Vec<u8> },
    Append { run: RunId, row: Row },
    AppendSoon { run: RunId, row: Row },
    Finish { run: RunId, outcome: Vec<u8> },
    Post { run: RunId, letter: LetterRow },
    Mark { run: RunId, numbers: Vec<u64>, fate: Fate },
    Shelve { puts: Vec<Put> },
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
            Work::Append { row, .. } | Work::AppendSoon { row, .. } => row.event.len() + row.commands.len(),
            Work::Finish { outcome, .. } => outcome.len(),
            Work::Post { letter, .. } => letter.bytes(),
            Work::Mark { numbers, .. } => numbers.len() * size_of::<u64>(),
            Work::Shelve { puts } => puts.iter().map(Put::bytes).sum(),
            Work::Settle | Work::Close => 0,
        }
    }
}

pub struct Writer {
    path: PathBuf,
    /// Nothing between letting a failed one go and opening the next.
    connection: Option<Connection>,
    runs: Runs,
    queue: Receiver<Job>,
    /// Taken out of the queue while the disk was waited for.
    held: VecDeque<Job>,
    /// Nobody will ask for anything more.
    closing: bool,
    waiting_bytes: Arc<AtomicUsize>,
    health: watch::Sender<Health>,
}

impl Writer {
    pub fn new(
        path: PathBuf,
        connection: Connection,
        runs: Runs,
        queue: Receiver<Job>,
        waiting_bytes: Arc<AtomicUsize>,
        health: watch::Sender<Health>,
    ) -> Writer {
        let connection = Some(connection);
        Writer { path, connection, runs, queue, held: VecDeque::new(), closing: false, waiting_bytes, health }
    }

    /// Until the last handle is gone, somebody closes it, or the file cannot be trusted any more.
    pub fn run(mut self) {
        let mut reason = "it was closed".to_owned();
        while let Some(jobs) = self.gather() {
            if let Err((unwritten, stop)) = self.commit(jobs) {
                tracing::error!(reason = stop, "the journal stops");
                reason = stop;
                self.held = unwritten.into_iter().chain(self.held.drain(..)).collect();
                break;
            }
        }
        // Before the refusals: whoever is refused finds the journal stopped.
        self.health.send_replace(Health::Stopped { reason: reason.clone() });
        self.held.extend(self.queue.try_iter());
        let left: Vec<Job> = self.held.drain(..).collect();
        self.refuse(left, &reason);
    }

    /// The next jobs in order, waiting for the first of them; nothing when there will be none.
    fn gather(&mut self) -> Option<Vec<Job>> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut until = None;
        while jobs.len() < JOBS_PER_COMMIT_MAX {
            let alone = jobs.iter().all(|job| matches!(job.work, Work::AppendSoon { .. }));
            let next = match self.held.pop_front() {
                Some(job) => Some(job),
                None if self.closing => None,
                None if jobs.is_empty() => self.queue.recv().ok(),
                None if alone => {
                    let until = *until.get_or_insert_with(|| Instant::now() + COMPANY_WAIT);
                    self.queue.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
                }
                None => self.queue.try_recv().ok(),
            };
            match next {
                Some(Job { work: Work::Close, .. }) => self.closing = true,
                Some(job) => jobs.push(job),
                None => break,
            }
        }
        (!jobs.is_empty()).then_some(jobs)
    }

    /// Writes until the jobs are on disk. The error is what could not be written, and the reason for which the writer
    /// must stop.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), (Vec<Job>, String)> {
        let mut reopenings = 0;
        loop {
            let Some(connection) = &self.connection else {
                return Err((jobs, "its file is closed".to_owned()));
            };
            let (batch, written) = commit::write(connection, &self.runs, &jobs);
            let Err(error) = written else {
                self.acknowledge(jobs, batch);
                return Ok(());
            };
            let cure = trouble::cure(&error);
            tracing::warn!(%error, ?cure, "the journal cannot be written");
            let outcome = match cure {
                Cure::Wait { reason } => self.wait(reason).map(|()| Found::Before),
                Cure::Reopen if reopenings < REOPENINGS_MAX => {
                    reopenings += 1;
                    self.reopen(&batch, &error)
                }
                Cure::Reopen => Err(format!("the disk fails again and again: {error}")),
                Cure::Check => trouble::ask_for_check(&self.path).and(Err(format!(
                    "its file is damaged and will be looked through at the next start: {error}"
                ))),
                Cure::Stop => Err(error.to_string()),
            };
            match outcome {
                Ok(Found::Before) => {}
                Ok(Found::After) => {
                    self.acknowledge(jobs, batch);
                    return Ok(());
                }
                Err(reason) => return Err((jobs, reason)),
            }
        }
    }

    fn acknowledge(&mut self, jobs: Vec<Job>, batch: Batch) {
        self.runs.extend(batch.tips.into_iter().map(|(run, tip)| (run, Known::Whole(tip))));
        self.health.send_if_modified(|health| {
            let better = *health != Health::Well;
            *health = Health::Well;
            better
        });
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

    /// Waits a moment, and notices meanwhile if nobody waits for the rows any more.
    fn wait(&mut self, reason: String) -> Result<(), String> {
        self.health.send_if_modified(|health| {
            let degraded = Health::Degraded { reason: reason.clone() };
            let news = *health != degraded;
            *health = degraded;
            news
        });
        let until = Instant::now() + RETRY_PAUSE;
        while !self.closing {
            match self.queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Job { work: Work::Close, .. }) | Err(RecvTimeoutError::Disconnected) => {
                    self.closing = true
                }
                Ok(job) => self.held.push_back(job),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
        Err(format!("it was closed while rows waited: {reason}"))
    }

    /// After a failed sync nobody knows what of the last rows is on disk, and the same descriptor would not tell. The
    /// file is opened anew and each run's end held against what it was and what it should have become.
    fn reopen(&mut self, batch: &Batch, error: &rusqlite::Error) -> Result<Found, String> {
        if let Some(failed) = self.connection.take() {
            trouble::let_go(failed);
        }
        let mut tries = 0;
        let mut reason = format!("disk: {error}");
        while tries < REOPENINGS_MAX {
            self.wait(reason.clone())?;
            match trouble::open_again(&self.path) {
                Ok(connection) => {
                    return trouble::compare(self.connection.insert(connection), &self.runs, batch);
                }
                Err(error) => {
                    // A full disk is waited for as long as it takes; a broken one is not.
                    tries += u32::from(!matches!(trouble::cure(&error), Cure::Wait { .. }));
                    reason = format!("disk: {error}");
                }
            }
        }
        Err(reason)
    }
}

//! The queue between a decision and its doing: commands wait here until their row is durable, in order.

use std::fmt;

use niia_spec::course::{Command, Event};
use tokio::sync::mpsc;

use crate::journal::{Durable, Row};

/// A row on its way to the disk, the commands it let loose, and who waits for it.
struct Pending<T> {
    durable: Durable,
    commands: Vec<Command>,
    then: Option<T>,
}

/// Hands commands over once their row is durable, never before and never out of order.
pub(super) struct Store<T>(mpsc::UnboundedSender<Pending<T>>);

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl<T: Send + 'static> Store<T> {
    pub(super) fn new(stored: impl Fn(Vec<Command>, Option<T>) + Send + 'static) -> Store<T> {
        // Unbounded here, bounded at the journal: it refuses rows past its own backlog.
        let (sender, mut pending) = mpsc::unbounded_channel::<Pending<T>>();
        tokio::spawn(async move {
            while let Some(Pending { durable, commands, then }) = pending.recv().await {
                match durable.await {
                    Ok(_) => stored(commands, then),
                    // Nothing is done that is not written down; a restarted node goes on from the last row.
                    Err(error) => {
                        tracing::error!(%error, "the journal did not take a step; this run holds still");
                        return;
                    }
                }
            }
        });
        Store(sender)
    }

    pub(super) fn put(&self, durable: Durable, commands: Vec<Command>, then: Option<T>) {
        // The receiver ends only with a journal that takes nothing any more.
        drop(self.0.send(Pending { durable, commands, then }));
    }
}

/// A row of the journal: what happened, and what was decided on it.
pub(super) fn row(event: &Event, commands: &[Command]) -> Result<Row, serde_json::Error> {
    let version = niia_spec::course::COURSE_VERSION;
    Ok(Row { version, event: serde_json::to_vec(event)?, commands: serde_json::to_vec(commands)? })
}

//! What to do about a disk that fails.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::ffi::{self, ErrorCode};
use rusqlite::{Connection, Error};

use super::commit::{Batch, Runs};
use super::file;
use super::load::{self, Known, Tip};

/// What may help.
#[derive(Debug, PartialEq, Eq)]
pub enum Cure {
    /// Nothing of the transaction is there; it can be written later as it is.
    Wait {
        reason: String,
    },
    /// What is on disk is not known: never go on with this descriptor.
    Reopen,
    /// The file is malformed.
    Check,
    Stop,
}

pub fn cure(error: &Error) -> Cure {
    let Error::SqliteFailure(failure, _) = error else {
        return Cure::Stop;
    };
    let wait = |reason: &str| Cure::Wait { reason: reason.to_owned() };
    match (failure.code, failure.extended_code) {
        (ErrorCode::DiskFull, _) => wait("disk: it is full"),
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
            wait("another program holds the journal locked")
        }
        // These come before anything is synced; a quota and a file system that became read-only end here too.
        (_, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE | ffi::SQLITE_IOERR_SHMSIZE) => {
            wait("disk: it cannot be written to")
        }
        (ErrorCode::SystemIoFailure | ErrorCode::CannotOpen, _) => Cure::Reopen,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Cure::Check,
        _ => Cure::Stop,
    }
}

/// Whether the file, and not the disk, is the trouble: it is malformed, or is no journal of this version's form.
pub fn damaged(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else {
        // A column that holds what it cannot hold, a statement for a table that is not as it was made.
        return true;
    };
    let code = failure.code;
    matches!(
        code,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TooBig
    )
}

/// What a file that was opened anew holds of the rows whose commit failed. A transaction is there as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Before,
    After,
}

/// Closes without the writes and syncs that a last close would do: this descriptor's word is worth nothing any more.
pub fn let_go(connection: Connection) {
    let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop);
    if let Err(error) = kept.and_then(|()| connection.close().map_err(|(_, error)| error)) {
        tracing::warn!(%error, "the failed journal was not closed cleanly");
    }
}

/// Opens the file and copies all its log holds into it with syncs of their own.
pub fn open_again(path: &Path) -> rusqlite::Result<Connection> {
    let connection = file::open_existing(path)?;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: bool = connection.query_row(checkpoint, [], |row| row.get(0))?;
    if busy {
        // Somebody reads, for longer than is waited for.
        return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None));
    }
    Ok(connection)
}

/// Holds the end of every run that may still grow against what it was before the failed commit and after it.
pub fn compare(connection: &Connection, runs: &Runs, batch: &Batch) -> Result<Found, String> {
    let mut found = None;
    for (run, after) in &batch.tips {
        let before = match runs.get(run) {
            Some(Known::Whole(tip)) => Some(*tip),
            _ => None,
        };
        let now = load::end(connection, run).map_err(|error| error.to_string())??;
        let this = match now {
            now if now == before => Found::Before,
            Some(tip) if tip == *after => Found::After,
            _ => {
                return Err(format!(
                    "after an error of the disk the run `{run}` does not end where it should"
                ));
            }
        };
        if *found.get_or_insert(this) != this {
            return Err("after an error of the disk half a transaction is there".to_owned());
        }
    }
    for (run, known) in runs {
        let Known::Whole(tip) = known else { continue };
        if tip.over || batch.tips.contains_key(run) {
            continue;
        }
        let now: Option<Tip> = load::end(connection, run).map_err(|error| error.to_string())??;
        if now != Some(*tip) {
            return Err(format!("after an error of the disk the run `{run}` is not what it was"));
        }
    }
    Ok(found.unwrap_or(Found::Before))
}

/// Has the next start look through the whole file, which would otherwise find only what it happens to read.
pub fn ask_for_check(path: &Path) -> Result<(), String> {
    std::fs::write(file::beside(path, "-check"), "").map_err(|error| error.to_string())
}

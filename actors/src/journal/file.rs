//! The journal's file: creating, opening, and the version of its form.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ffi};

use super::{JournalError, letter, shelf};

/// The form this niia writes.
pub const VERSION: i64 = 1;
/// Marks the file as ours (`niia`), so that another program's database is not taken for a damaged journal.
const APPLICATION_ID: i64 = 0x6e69_6961;
/// How long a commit waits for a person who looks into the file with `sqlite3` and holds a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE journal (
        run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, version INTEGER NOT NULL,
        hash BLOB NOT NULL, commands, event, PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE tips (
        run TEXT PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, hash BLOB NOT NULL, letters INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// Opens the journal to write, creating it where it is not.
pub fn open(path: &Path) -> Result<Connection, JournalError> {
    let created = create(path).map_err(|source| JournalError::Create { path: path.to_owned(), source })?;
    let opened = connect(path);
    if opened.is_err() && created {
        // A full disk at the first start leaves nothing half made behind.
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(beside(path, suffix)));
        }
    }
    opened
}

/// Opens the journal to read beside the writer.
pub fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    open().map_err(|source| JournalError::Open { path: path.to_owned(), source })
}

/// A file that belongs to the journal's own, by what its name ends in.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// SQLite would create it readable for everybody.
fn create(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    let failed = |source| JournalError::Open { path: path.to_owned(), source };
    let connection = open_existing(path).map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    if found > VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    if found == 0 {
        create_tables(&connection).map_err(failed)?;
    } else {
        connection.execute_batch(shelf::SCHEMA).map_err(failed)?;
    }
    Ok(connection)
}

/// Makes a new journal that is one plain file, without a log beside it.
pub fn create_anew(path: &Path) -> rusqlite::Result<Connection> {
    if let Err(error) = create(path) {
        let text = format!("{}: {error}", path.display());
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(text)));
    }
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "delete")?;
    create_tables(&connection)?;
    Ok(connection)
}

/// Opens a journal that is there, in the way it is written to.
pub fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    let (letters, shelf) = (letter::SCHEMA, shelf::SCHEMA);
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {SCHEMA} {letters} {shelf}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

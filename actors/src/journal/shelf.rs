//! What the node remembers beside its runs: one value a name, in rooms, each with a hash of its own.
//!
//! Several values change at once or not at all, so that what was decided and what it led to cannot part.

use rusqlite::Connection;

use super::chain::{Hash, part};
use super::load::{bytes, text};

/// A change of one value; nothing takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub room: String,
    pub name: String,
    pub value: Option<Vec<u8>>,
}

/// What lies in a room, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub values: Vec<(String, Vec<u8>)>,
    /// What is not as it was written, in words.
    pub damage: Vec<String>,
}

impl Put {
    pub fn value(room: &str, name: &str, value: Vec<u8>) -> Put {
        Put { room: room.to_owned(), name: name.to_owned(), value: Some(value) }
    }

    pub fn nothing(room: &str, name: &str) -> Put {
        Put { room: room.to_owned(), name: name.to_owned(), value: None }
    }

    pub(super) fn bytes(&self) -> usize {
        self.room.len() + self.name.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// A journal of before there were shelves gets one when it is opened.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS shelf (
        room TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL, value, PRIMARY KEY (room, name)
    ) WITHOUT ROWID;
";

fn hash(room: &str, name: &str, value: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for words in [room.as_bytes(), name.as_bytes(), value] {
        part(&mut hasher, words);
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn put(db: &Connection, put: &Put) -> rusqlite::Result<()> {
    let Put { room, name, value } = put;
    let Some(value) = value else {
        db.prepare_cached("DELETE FROM shelf WHERE room = ?1 AND name = ?2")?.execute((room, name))?;
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO shelf (room, name, hash, value) VALUES (?1, ?2, ?3, ?4)";
    let hash = hash(room, name, value);
    db.prepare_cached(sql)?.execute((room, name, hash.as_slice(), super::commit::readable(value)))?;
    Ok(())
}

/// One value, where it is as it was written.
pub(super) fn value(db: &Connection, room: &str, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = db.prepare_cached("SELECT hash, value FROM shelf WHERE room = ?1 AND name = ?2")?;
    let mut rows = statement.query([room, name])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let value = bytes(row, 1)?;
    Ok((bytes(row, 0)? == hash(room, name, &value)).then_some(value))
}

/// All of a room, in the order of the names.
pub(super) fn room(db: &Connection, room: &str) -> rusqlite::Result<Room> {
    let mut statement =
        db.prepare_cached("SELECT name, hash, value FROM shelf WHERE room = ?1 ORDER BY name")?;
    let mut rows = statement.query([room])?;
    let mut found = Room::default();
    while let Some(row) = rows.next()? {
        let (name, value) = (text(&bytes(row, 0)?), bytes(row, 2)?);
        if bytes(row, 1)? == hash(room, &name, &value) {
            found.values.push((name, value));
        } else {
            found.damage.push(format!("`{name}` in `{room}` is not what was written"));
        }
    }
    Ok(found)
}

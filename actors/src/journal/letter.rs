//! Letters as the journal keeps them: beside the rows of their run, each with a hash of its own.

use std::fmt;

use niia_spec::name::RunId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::chain::{Hash, part};
use super::load::{bytes, integer, text};

/// A letter. The journal keeps the words; what they mean is the mailbox's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterRow {
    /// What its sender calls it, so that sending it again is no second letter.
    pub id: String,
    pub sender: String,
    pub reader: String,
    pub at: String,
    /// The id of the letter that led to this one.
    pub cause: Option<String>,
    pub hops: u32,
    pub text: String,
    pub fate: Fate,
}

/// What has become of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Unread,
    /// Unread, and to be told before those that are not urgent.
    Urgent,
    /// Handed to a reader that has not said yet that it came; by the name the reader asked with it is had again.
    Given {
        to: String,
    },
    Read,
    Dead {
        reason: String,
    },
}

/// The letters of one run as they were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// With their numbers, in the order in which they were taken in.
    pub letters: Vec<(u64, LetterRow)>,
    /// What is missing or not as it was written, in words.
    pub damage: Vec<String>,
}

const UNREAD: &str = "unread";
const URGENT: &str = "urgent";
const GIVEN: &str = "given: ";
const READ: &str = "read";
const DEAD: &str = "dead: ";

/// As the journal has it, and as people read it.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Unread => f.write_str(UNREAD),
            Fate::Urgent => f.write_str(URGENT),
            Fate::Given { to } => write!(f, "{GIVEN}{to}"),
            Fate::Read => f.write_str(READ),
            Fate::Dead { reason } => write!(f, "{DEAD}{reason}"),
        }
    }
}

impl Fate {
    /// Whether it waits for its reader.
    pub fn waits(&self) -> bool {
        matches!(self, Fate::Unread | Fate::Urgent)
    }

    /// As its sender is told.
    pub fn receipt(&self) -> String {
        match self {
            Fate::Unread | Fate::Urgent => UNREAD.to_owned(),
            Fate::Given { .. } => "unknown: handed to its reader, which did not say that it came".to_owned(),
            Fate::Read | Fate::Dead { .. } => self.to_string(),
        }
    }

    fn from_text(text: &str) -> Option<Fate> {
        match text {
            UNREAD => Some(Fate::Unread),
            READ => Some(Fate::Read),
            URGENT => Some(Fate::Urgent),
            _ => match text.strip_prefix(GIVEN) {
                Some(to) => Some(Fate::Given { to: to.to_owned() }),
                None => text.strip_prefix(DEAD).map(|reason| Fate::Dead { reason: reason.to_owned() }),
            },
        }
    }
}

impl LetterRow {
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.id.len() + self.sender.len() + self.reader.len()
    }

    fn hash(&self, run: &RunId, number: u64) -> Hash {
        let mut hasher = blake3::Hasher::new();
        part(&mut hasher, run.as_str().as_bytes());
        hasher.update(&number.to_be_bytes());
        for words in [&self.id, &self.sender, &self.reader, &self.at, &self.text, &self.fate.to_string()] {
            part(&mut hasher, words.as_bytes());
        }
        hasher.update(&self.hops.to_be_bytes());
        // An empty cause is another letter than none.
        part(&mut hasher, &[u8::from(self.cause.is_some())]);
        part(&mut hasher, self.cause.as_deref().unwrap_or_default().as_bytes());
        *hasher.finalize().as_bytes()
    }
}

pub(super) const SCHEMA: &str = "
    CREATE TABLE letters (
        run TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, sender TEXT NOT NULL, reader TEXT NOT NULL,
        at TEXT NOT NULL, fate TEXT NOT NULL, hops INTEGER NOT NULL, cause TEXT, hash BLOB NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID;
";

/// Puts a letter in, or in the place of the one with its number.
pub(super) fn put(db: &Connection, run: &RunId, number: u64, letter: &LetterRow) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO letters (run, number, id, sender, reader, at, fate, hops, cause, hash, text)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let hash = letter.hash(run, number);
    db.prepare_cached(sql)?.execute((
        run.as_str(),
        number as i64,
        &letter.id,
        &letter.sender,
        &letter.reader,
        &letter.at,
        letter.fate.to_string(),
        letter.hops,
        &letter.cause,
        hash.as_slice(),
        &letter.text,
    ))?;
    Ok(())
}

/// Gives letters another fate. One that is damaged keeps the damage for its next reader to find.
pub(super) fn mark(db: &Connection, run: &RunId, numbers: &[u64], fate: &Fate) -> rusqlite::Result<()> {
    for number in numbers {
        let sql = format!("SELECT {COLUMNS} FROM letters WHERE run = ?1 AND number = ?2");
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query((run.as_str(), *number as i64))?;
        let Some(row) = rows.next()? else { continue };
        if let Some((number, mut letter)) = read(row, run)? {
            letter.fate = fate.clone();
            put(db, run, number, &letter)?;
        }
    }
    Ok(())
}

/// All letters of a run; `count` is how many there must be.
pub(super) fn all(db: &Connection, run: &RunId, count: u64) -> rusqlite::Result<Letters> {
    let sql = format!("SELECT {COLUMNS} FROM letters WHERE run = ?1 ORDER BY number");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([run.as_str()])?;
    let mut found = Letters::default();
    let mut next = 1;
    while let Some(row) = rows.next()? {
        let number = integer(row, 0)?.max(0) as u64;
        if number > next {
            found.damage.push(format!("the letters {next} to {} are missing", number - 1));
        }
        next = number + 1;
        match read(row, run)? {
            Some(letter) => found.letters.push(letter),
            None => found.damage.push(format!("letter {number} is not what was written")),
        }
    }
    if next <= count {
        found.damage.push(format!("the letters {next} to {count} are missing"));
    }
    Ok(found)
}

const COLUMNS: &str = "number, id, sender, reader, at, fate, hops, cause, hash, text";

/// A letter that is as it was written; nothing for any other.
fn read(row: &rusqlite::Row, run: &RunId) -> rusqlite::Result<Option<(u64, LetterRow)>> {
    let words = |column| bytes(row, column).map(|bytes| text(&bytes));
    let number = integer(row, 0)?.max(0) as u64;
    let Some(fate) = Fate::from_text(&words(5)?) else {
        return Ok(None);
    };
    let cause = match row.get_ref(7)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(words(7)?),
    };
    let letter = LetterRow {
        id: words(1)?,
        sender: words(2)?,
        reader: words(3)?,
        at: words(4)?,
        cause,
        hops: integer(row, 6)?.clamp(0, u32::MAX.into()) as u32,
        text: words(9)?,
        fate,
    };
    let whole = bytes(row, 8)? == letter.hash(run, number);
    Ok(whole.then_some((number, letter)))
}

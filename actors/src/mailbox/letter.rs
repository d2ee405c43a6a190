//! A letter, and who writes and reads one.

use std::fmt;
use std::str::FromStr;

use niia_spec::name::{Slug, WorkerId};
use serde::{Deserialize, Serialize};

use crate::journal::{Fate, LetterRow};

/// Who writes or reads: a worker, the person whose run it is, or niia itself (what a watch saw).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Party {
    Worker(WorkerId),
    Person,
    Niia,
}

const PERSON: &str = "person";
const NIIA: &str = "niia";

/// Why a text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nobody: a worker is written phase/worker, and there are `person` and `niia`")]
pub struct PartyError(pub String);

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Worker(worker) => worker.fmt(f),
            Party::Person => f.write_str(PERSON),
            Party::Niia => f.write_str(NIIA),
        }
    }
}

impl FromStr for Party {
    type Err = PartyError;

    fn from_str(text: &str) -> Result<Party, PartyError> {
        let worker = || {
            let (phase, worker) = text.split_once('/')?;
            Some(WorkerId { phase: Slug::new(phase).ok()?, worker: Slug::new(worker).ok()? })
        };
        match text {
            PERSON => Ok(Party::Person),
            NIIA => Ok(Party::Niia),
            _ => worker().map(Party::Worker).ok_or_else(|| PartyError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Party {
    type Error = PartyError;
    fn try_from(text: String) -> Result<Party, PartyError> {
        text.parse()
    }
}

impl From<Party> for String {
    fn from(party: Party) -> String {
        party.to_string()
    }
}

/// A letter as it is handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Chosen by the sender: handing in the same id again is no second letter.
    pub id: String,
    pub from: Party,
    pub to: Party,
    pub text: String,
    /// The letter that led to this one. Where a worker names none, it is the last one it was given; `none` begins anew.
    pub cause: Option<String>,
    /// It is told before the letters that are not.
    #[serde(default)]
    pub urgent: bool,
}

/// What a sender names as the cause of a letter that answers nothing.
pub const NO_CAUSE: &str = "none";

/// A letter as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its place among the letters of its run, from 1.
    pub number: u64,
    pub id: String,
    pub from: Party,
    pub to: Party,
    pub text: String,
    pub at: String,
    pub cause: Option<String>,
    /// How many letters led to it.
    pub hops: u32,
    pub fate: Fate,
}

impl Letter {
    /// A letter as the journal kept it; nothing where its names are nobody's.
    pub fn from_row(number: u64, row: LetterRow) -> Option<Letter> {
        let LetterRow { id, sender, reader, at, cause, hops, text, fate } = row;
        let (from, to) = (sender.parse().ok()?, reader.parse().ok()?);
        Some(Letter { number, id, from, to, text, at, cause, hops, fate })
    }

    pub fn to_row(&self) -> LetterRow {
        LetterRow {
            id: self.id.clone(),
            sender: self.from.to_string(),
            reader: self.to.to_string(),
            at: self.at.clone(),
            cause: self.cause.clone(),
            hops: self.hops,
            text: self.text.clone(),
            fate: self.fate.clone(),
        }
    }
}

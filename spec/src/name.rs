//! The names a document, a run and a machine go by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest slug, in bytes.
pub const SLUG_BYTES_MAX: usize = 64;

/// A name that is safe as a folder, a git ref part and a word of the command line (`[A-Za-z0-9][A-Za-z0-9._-]{0,63}`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// Why a text is no slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlugError {
    #[error("a name may not be empty")]
    Empty,
    #[error("a name has at most {SLUG_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong { bytes: usize },
    #[error(
        "`{character}` may not stand in a name: letters, digits, `.`, `_` and `-` may, the first one a letter or digit"
    )]
    Character { character: char },
    #[error("a name may not hold `..` nor end in `.` or `.lock`: git could not make a branch of it")]
    NotARef,
}

impl Slug {
    pub fn new(text: &str) -> Result<Slug, SlugError> {
        let Some(first) = text.chars().next() else {
            return Err(SlugError::Empty);
        };
        if !first.is_ascii_alphanumeric() {
            return Err(SlugError::Character { character: first });
        }
        let stranger = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if let Some(character) = text.chars().find(stranger) {
            return Err(SlugError::Character { character });
        }
        if text.len() > SLUG_BYTES_MAX {
            return Err(SlugError::TooLong { bytes: text.len() });
        }
        if text.contains("..") || text.ends_with('.') || text.ends_with(".lock") {
            return Err(SlugError::NotARef);
        }
        Ok(Slug(text.to_owned()))
    }

    /// The nearest slug to any text: what may not stand in one becomes `-`.
    pub fn nearest(text: &str) -> Slug {
        let mut near = String::new();
        for c in text.chars() {
            if near.len() == SLUG_BYTES_MAX {
                break;
            }
            let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
            let doubled = matches!(c, '-' | '.') && near.ends_with(['-', '.']);
            if !doubled && (!near.is_empty() || c.is_ascii_alphanumeric()) {
                near.push(c);
            }
        }
        let mut near = near.trim_end_matches(['-', '.', '_']);
        while let Some(shorter) = near.strip_suffix(".lock") {
            near = shorter.trim_end_matches(['-', '.', '_']);
        }
        Slug(if near.is_empty() { "unnamed".to_owned() } else { near.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Slug, SlugError> {
        Slug::new(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0
    }
}

impl std::str::FromStr for Slug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Slug, SlugError> {
        Slug::new(text)
    }
}

/// The name of one run: the document's name and five random characters.
pub type RunId = Slug;
/// The name of a phase, as the document gives it or `phase-<n>`.
pub type PhaseName = Slug;
/// The name of a worker within its phase: its id, or `1`, `2`, …
pub type WorkerName = Slug;
/// The name by which a plan calls a machine.
pub type MachineName = Slug;

/// One worker of one phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId {
    pub phase: PhaseName,
    pub worker: WorkerName,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.phase, self.worker)
    }
}

/// One try of a worker at its task; the first is number 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId {
    pub worker: WorkerId,
    pub attempt: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.attempt)
    }
}

/// One session: the terminal in which one attempt of one run is made. Reads `run/phase/worker/attempt`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId {
    pub run: RunId,
    pub attempt: AttemptId,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.attempt)
    }
}

/// Why a text names no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no session: one is written run/phase/worker/attempt")]
pub struct SessionIdError(pub String);

impl std::str::FromStr for SessionId {
    type Err = SessionIdError;
    fn from_str(text: &str) -> Result<SessionId, SessionIdError> {
        let wrong = || SessionIdError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let [run, phase, worker, attempt] = parts[..] else {
            return Err(wrong());
        };
        let slug = |part: &str| Slug::new(part).map_err(|_| wrong());
        Ok(SessionId {
            run: slug(run)?,
            attempt: AttemptId {
                worker: WorkerId { phase: slug(phase)?, worker: slug(worker)? },
                attempt: attempt.parse().map_err(|_| wrong())?,
            },
        })
    }
}

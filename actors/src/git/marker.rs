//! What niia keeps beside each tree: the proof that it is ours, and how far its making got.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::commit::{CommitInfo, Committed};
use super::engine::write_whole;
use super::error::GitError;
use super::paths;
use super::private::Known;
use super::repository::ObjectId;

/// How far a tree's making got. Nobody has worked in one that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Making {
    Begun,
    Ready,
    /// Its files are gone, or going; the branch and this marker stay.
    Removed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub making: Making,
    #[serde(with = "paths")]
    pub path: PathBuf,
    /// `refs/heads/niia/…`; nothing for a tree with a detached head.
    pub branch: Option<String>,
    /// The commit the tree was made from.
    pub start: ObjectId,
    /// The commit niia last saw the tree's files at.
    pub at: ObjectId,
    /// Where git keeps what belongs to this tree; known once it is registered.
    #[serde(with = "paths::optional")]
    pub admin: Option<PathBuf>,
    /// What niia put into the tree for a session: never committed, and no reason to keep the tree.
    #[serde(default)]
    pub overlays: Vec<Overlay>,
    /// The two sides of the merge that is mended here.
    #[serde(default)]
    pub mends: Option<(ObjectId, ObjectId)>,
    /// The commit its files are being brought to; nobody works in it meanwhile.
    #[serde(default)]
    pub moving: Option<ObjectId>,
    /// Of a tree with a private repository: what is known of that.
    #[serde(default)]
    pub private: Option<Known>,
    /// What was answered when the last attempt was committed.
    #[serde(default)]
    pub answered: Option<Answered>,
}

/// An attempt, and the commit that holds its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    worker: String,
    attempt: u32,
    commit: Option<ObjectId>,
}

/// A path that niia, or a session's own `setup`, put into a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// From the tree's top; a folder ends in `/`.
    #[serde(with = "paths")]
    pub path: PathBuf,
    pub kind: Kind,
    /// Of its content, where a change of it would be somebody's work.
    pub blake3: Option<String>,
}

/// Where an overlay comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Copied from the user's checkout.
    Included,
    /// The link to the scratchpad.
    Link,
    /// Made by the session's `setup`.
    Made,
}

impl Marker {
    /// What was answered to the same question before.
    pub(super) fn answer_to(&self, info: &CommitInfo) -> Option<Committed> {
        let before = self.answered.as_ref()?;
        let same = before.worker == info.worker && before.attempt == info.attempt;
        let answer = before.commit.clone().map_or(Committed::Nothing, |commit| Committed::Commit { commit });
        same.then_some(answer)
    }

    pub(super) fn remember(&mut self, info: &CommitInfo, commit: Option<ObjectId>) {
        self.answered = Some(Answered { worker: info.worker.clone(), attempt: info.attempt, commit });
    }

    pub(super) fn read(file: &Path) -> Result<Option<Marker>, GitError> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(GitError::file(file)(error)),
        };
        let marker = serde_json::from_slice(&bytes).map_err(std::io::Error::from);
        marker.map(Some).map_err(GitError::file(file))
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), GitError> {
        let bytes =
            serde_json::to_vec_pretty(self).map_err(std::io::Error::from).map_err(GitError::file(file))?;
        write_whole(file, &bytes)
    }
}

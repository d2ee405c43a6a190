//! Work trees of a run in the user's repository, and what brings their work together.
//!
//! Everything is done by the `git` program, called synchronously: an actor calls these from a blocking task. What a
//! worker has touched is read as foreign input, by an engine of niia's own (see `engine`); nothing that a repository
//! or a tree configures is ever run.
//!
//! A run has in the repository: `refs/niia/<run>/base`, the commit it began on; `niia/<run>/result`, its line; a
//! branch `niia/<run>/w/<slug>` for each tree; and `refs/niia/<run>/kept/…` for what would be lost otherwise.

mod admin;
mod attempts;
mod carry;
mod checkout;
mod commit;
mod content;
mod create;
mod engine;
mod error;
mod family;
mod include;
mod keep;
mod landing;
mod later;
mod list;
mod lock;
mod look;
mod marker;
mod mend;
mod merge;
pub(crate) mod overlay;
mod paths;
mod private;
pub(crate) use crate::bounded as process;
mod program;
mod refs;
mod remove;
mod repository;
pub(crate) mod secrets;
mod snapshot;
mod steps;
mod trees;

pub use attempts::Kept;
pub use carry::{KNOWN_MAX, Tips};
pub use checkout::{Checkout, LinkedWorktree};
pub use commit::{CommitInfo, Committed};
pub use content::{FILE_BYTES_MAX, NEW_FILES_MAX, Refusal};
pub use error::GitError;
pub use include::{INCLUDE_BYTES_MAX, INCLUDE_FILES_MAX, IncludeError};
pub use landing::{LandError, Landing};
pub use list::{Diff, DiffText, Listed, Unfinished};
pub use look::CommitTold;
pub use marker::{Kind, Overlay};
pub use mend::Mended;
pub use merge::{Conflict, Merged};
pub use private::{Grants, IMPORT_BYTES_MAX, PrivateRepository, grants};
pub use program::Git;
pub use remove::{Branch, Removed, Uncommitted};
pub use repository::{DiscoverError, NoObjectId, ObjectId, Repository, Traits};
pub use snapshot::{Change, Snapshot, SnapshotError};
pub use trees::{RunTrees, Tree, TreeError, TreeName};

#[cfg(test)]
mod tests;

//! Reading and moving refs: a ref is only ever moved from the commit it is known to stand at.

use std::time::Duration;

use super::error::GitError;
use super::lock::Lock;
use super::program::{Call, failed};
use super::repository::{ObjectId, Repository, object_id};

/// git holds the lock of a ref for less than a millisecond.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// Where a ref stands.
pub(super) fn read(repository: &Repository, reference: &str) -> Result<Option<ObjectId>, GitError> {
    let call = repository.call("rev-parse").args(["--verify", "-q", "--end-of-options", reference]);
    call.maybe()?.map(|text| object_id("rev-parse", &text)).transpose()
}

/// Makes a ref that is not there.
pub(super) fn create(
    repository: &Repository,
    reference: &str,
    to: &ObjectId,
    why: &str,
) -> Result<(), GitError> {
    update(repository, reference, to, &nothing_like(to), why, None)
}

/// Moves a ref that stands at `from`.
pub(super) fn advance(
    repository: &Repository,
    reference: &str,
    from: &ObjectId,
    to: &ObjectId,
    why: &str,
) -> Result<(), GitError> {
    update(repository, reference, to, from.as_str(), why, None)
}

/// The same; the lock is held until git is done with it, whatever becomes of us.
pub(super) fn advance_holding(
    repository: &Repository,
    reference: &str,
    (from, to): (&ObjectId, &ObjectId),
    why: &str,
    lock: &Lock,
) -> Result<(), GitError> {
    update(repository, reference, to, from.as_str(), why, Some(lock))
}

/// Makes sure that a ref keeps a commit, whatever it kept before.
pub(super) fn keep(repository: &Repository, reference: &str, commit: &ObjectId) -> Result<(), GitError> {
    call(repository).args(["-m", "niia: kept", "--no-deref", reference, commit.as_str()]).done()
}

fn update(
    repository: &Repository,
    reference: &str,
    to: &ObjectId,
    from: &str,
    why: &str,
    lock: Option<&Lock>,
) -> Result<(), GitError> {
    let update = || {
        let call = call(repository).args(["-m", why, "--no-deref", reference, to.as_str(), from]);
        match lock {
            Some(lock) => call.holding(lock).run(),
            None => call.run(),
        }
    };
    let mut ran = update()?;
    if !ran.status.success() && remove_stale_lock(repository, reference)? {
        ran = update()?;
    }
    if ran.status.success() {
        return Ok(());
    }
    match read(repository, reference)? {
        // Another niia, or this one before a crash, has done the same.
        Some(found) if found == *to => Ok(()),
        Some(found) if found.as_str() != from => {
            Err(GitError::Moved { reference: reference.to_owned(), found: found.to_string() })
        }
        _ => Err(failed("update-ref", &ran)),
    }
}

/// Removes a ref that stands at `from`.
pub(super) fn delete(repository: &Repository, reference: &str, from: &ObjectId) -> Result<(), GitError> {
    let done = call(repository).args(["--no-deref", "-d", reference, from.as_str()]).done();
    match (done, read(repository, reference)?) {
        (_, None) => Ok(()),
        (Err(error), Some(_)) => Err(error),
        (Ok(()), Some(found)) => {
            Err(GitError::Moved { reference: reference.to_owned(), found: found.to_string() })
        }
    }
}

/// A lock that a power cut left on one of niia's own refs. Nobody but niia writes these while it does, and it writes
/// them one at a time, so that only age tells whether a lock is somebody's.
fn remove_stale_lock(repository: &Repository, reference: &str) -> Result<bool, GitError> {
    let ours = reference.starts_with("refs/heads/niia/") || reference.starts_with("refs/niia/");
    let path = repository.common_dir.join(format!("{reference}.lock"));
    let age =
        path.symlink_metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    if !ours || age.is_none_or(|age| age < STALE_AFTER) {
        return Ok(false);
    }
    super::admin::remove_if_there(&path)?;
    Ok(true)
}

fn call(repository: &Repository) -> Call {
    // The log of a ref wants a name even where the user has configured none.
    repository
        .call("update-ref")
        .env("GIT_COMMITTER_NAME", "niia")
        .env("GIT_COMMITTER_EMAIL", "niia@localhost")
}

fn nothing_like(id: &ObjectId) -> String {
    "0".repeat(id.as_str().len())
}

//! Reading and moving refs: a ref is only ever moved from the commit it is known to stand at.

use super::error::GitError;
use super::lock::Lock;
use super::program::{Call, failed};
use super::repository::{ObjectId, Repository, object_id};

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
    let call = call(repository).args(["-m", why, "--no-deref", reference, to.as_str(), from]);
    let ran = match lock {
        Some(lock) => call.holding(lock).run()?,
        None => call.run()?,
    };
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

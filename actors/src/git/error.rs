//! What can go wrong with git itself; what can go wrong with a tree or a merge stands beside those.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("`git` is not on PATH")]
    Missing,
    #[error("git {found} is too old: {needed} is needed")]
    TooOld { found: String, needed: String },
    #[error("could not run git {verb}")]
    Run { verb: String, source: io::Error },
    #[error("git {verb} failed ({ending}): {message}")]
    Failed { verb: String, ending: String, message: String },
    #[error("git {verb} took longer than {after:?}")]
    TimedOut { verb: String, after: Duration },
    #[error("git {verb} printed more than {bytes_max} bytes")]
    TooMuchOutput { verb: String, bytes_max: usize },
    #[error("git {verb} printed what niia does not understand: {text}")]
    Strange { verb: String, text: String },
    #[error("could not use `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{}` is held by somebody else for more than {after:?}", path.display())]
    Busy { path: PathBuf, after: Duration },
    #[error("`{reference}` was moved by somebody else meanwhile: it is {found} now")]
    Moved { reference: String, found: String },
}

impl GitError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> GitError {
        move |source| GitError::File { path: path.to_owned(), source }
    }
}

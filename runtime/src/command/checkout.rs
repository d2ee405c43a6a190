//! The user's checkout, looked at before a run: where it is, and what is not committed.
//!
//! This is on the way of every `niia run` and `niia plan`, so it asks git as little as can be: once for where, once for
//! what changed. All work on a repository is the node's and goes through `niia_actors::git`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// What a worker may have left in a repository's configuration is not run by looking at it.
const PROTECTIONS: [&str; 3] = ["core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0"];

/// One checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub root: PathBuf,
    /// Without one there is nothing to work from.
    pub has_commit: bool,
}

/// What is not committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Files git knows, with changes.
    pub changed: Vec<String>,
    /// Files git does not know.
    pub untracked: Vec<String>,
}

impl Checkout {
    /// The checkout a folder lies in; nothing where it lies in none.
    pub fn around(folder: &Path) -> Result<Option<Checkout>, Failure> {
        let found = match git(folder).args(["rev-parse", "--show-toplevel", "HEAD^{commit}"]).output() {
            Ok(found) => found,
            // Without git there is no repository as far as anybody can tell; `doctor` says what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::trouble("could not run git", error)),
        };
        let said = String::from_utf8_lossy(&found.stdout);
        let mut lines = said.lines();
        match lines.next() {
            // The folder is said before the commit is looked for, which fails where there is none.
            Some(root) => {
                Ok(Some(Checkout { root: PathBuf::from(root), has_commit: found.status.success() }))
            }
            None => not_here(&found, folder),
        }
    }

    /// Where `origin` is, when it is somewhere.
    pub fn remote_url(&self) -> Option<String> {
        let asked = git(&self.root).args(["config", "--get", "remote.origin.url"]).output().ok()?;
        let url = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        (asked.status.success() && !url.is_empty()).then_some(url)
    }

    pub fn uncommitted(&self) -> Result<Uncommitted, Failure> {
        let status =
            git(&self.root).args(["status", "--porcelain=v1", "-z", "--untracked-files=normal"]).output();
        let status = status.map_err(|error| Failure::trouble("could not run git", error))?;
        if !status.status.success() {
            let said = neutral(&String::from_utf8_lossy(&status.stderr));
            return Err(Failure::new(Exit::Failed, format!("git cannot say what is not committed: {said}")));
        }
        let listed = String::from_utf8_lossy(&status.stdout).into_owned();
        let mut found = Uncommitted::default();
        let mut entries = listed.split('\0');
        while let Some(entry) = entries.next() {
            let Some((kind, file)) = entry.split_at_checked(3) else { continue };
            if kind.starts_with('R') || kind.starts_with('C') {
                // The name it had before follows as an entry of its own.
                entries.next();
            }
            let list = if kind.starts_with("??") { &mut found.untracked } else { &mut found.changed };
            list.push(file.to_owned());
        }
        Ok(found)
    }
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for protection in PROTECTIONS {
        command.arg("-c").arg(protection);
    }
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Tells a folder that lies in no repository from one that git will not look at.
fn not_here(output: &Output, folder: &Path) -> Result<Option<Checkout>, Failure> {
    if !String::from_utf8_lossy(&output.stderr).contains("dubious ownership") {
        return Ok(None);
    }
    let message =
        format!("git does not trust the repository around `{}`: somebody else owns it", folder.display());
    Err(Failure::new(Exit::Failed, message)
        .help("`git config --global --add safe.directory PATH`, if you do trust it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_is_told_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let here = || Checkout::around(folder.path()).unwrap();
        let call = |words: &[&str]| {
            let mut command = git(folder.path());
            command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(words);
            assert!(command.output().unwrap().status.success(), "{words:?}");
        };
        assert_eq!(here(), None);
        call(&["init", "-q"]);
        assert!(!here().unwrap().has_commit);
        std::fs::write(folder.path().join("a file"), "1").unwrap();
        std::fs::write(folder.path().join("b"), "1").unwrap();
        call(&["add", "-A"]);
        call(&["commit", "-qm", "first"]);
        let checkout = here().unwrap();
        assert!(checkout.has_commit);
        assert_eq!(checkout.uncommitted().unwrap(), Uncommitted::default());
        std::fs::write(folder.path().join("a file"), "2").unwrap();
        std::fs::write(folder.path().join("new"), "1").unwrap();
        call(&["mv", "b", "c"]);
        let found = checkout.uncommitted().unwrap();
        assert_eq!(found.untracked, ["new"]);
        assert_eq!(found.changed, ["a file", "c"]);
    }
}

//! The user's checkout, as the command line looks at it; the program `git` does all of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;
use crate::report::neutral_lines;

/// What a worker may have left in a repository's configuration is not run by looking at it.
const PROTECTIONS: [&str; 4] =
    ["core.fsmonitor=false", "core.hooksPath=/dev/null", "core.untrackedCache=false", "gc.auto=0"];

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
        let found = match git(folder).args(["rev-parse", "--show-toplevel"]).output() {
            Ok(found) => found,
            // Without git there is no repository as far as anybody can tell; `doctor` says what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::trouble("could not run git", error)),
        };
        if !found.status.success() {
            return not_here(&found, folder);
        }
        let root = PathBuf::from(text(&found));
        let head = git(&root).args(["rev-parse", "--verify", "-q", "HEAD^{commit}"]).output();
        let has_commit = head.map_err(|error| Failure::trouble("could not run git", error))?.status.success();
        Ok(Some(Checkout { root, has_commit }))
    }

    pub fn at(root: &str) -> Checkout {
        Checkout { root: PathBuf::from(root), has_commit: true }
    }

    pub fn uncommitted(&self) -> Result<Uncommitted, Failure> {
        let listed = self.ask(&["status", "--porcelain=v1", "-z", "--untracked-files=normal"])?;
        let mut found = Uncommitted::default();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
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

    /// The commit a name stands for.
    pub fn commit(&self, name: &str) -> Result<Option<String>, Failure> {
        let commit = format!("{name}^{{commit}}");
        let found = self.run(&["rev-parse", "--verify", "-q", "--end-of-options", &commit])?;
        Ok(found.status.success().then(|| text(&found)))
    }

    /// Runs git and takes what it prints; a failure of git is one of the caller's.
    pub fn ask(&self, arguments: &[&str]) -> Result<Output, Failure> {
        let found = self.run(arguments)?;
        if found.status.success() {
            return Ok(found);
        }
        let verb = arguments.first().copied().unwrap_or_default();
        let said = neutral_lines(String::from_utf8_lossy(&found.stderr).trim());
        Err(Failure::new(crate::failure::Exit::Failed, format!("`git {verb}` failed: {said}")))
    }

    /// Runs git and takes what it prints, however it ended.
    pub fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        git(&self.root).args(arguments).output().map_err(|error| Failure::trouble("could not run git", error))
    }

    /// Runs git for the person: its pager, its colours.
    pub fn show(&self, arguments: &[&str]) -> Result<bool, Failure> {
        let mut command = git(&self.root);
        command.args(arguments).stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let status = command.status().map_err(|error| Failure::trouble("could not run git", error))?;
        Ok(status.success())
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
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// Tells a folder that lies in no repository from one that git will not look at.
fn not_here(output: &Output, folder: &Path) -> Result<Option<Checkout>, Failure> {
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.contains("dubious ownership") {
        return Ok(None);
    }
    let message =
        format!("git does not trust the repository around `{}`: somebody else owns it", folder.display());
    Err(Failure::new(crate::failure::Exit::Failed, message)
        .help("`git config --global --add safe.directory PATH`, if you do trust it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_is_told_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Checkout::at(folder.path().to_str().unwrap());
        assert_eq!(Checkout::around(folder.path()).unwrap(), None);
        checkout.ask(&["init", "-q"]).unwrap();
        assert!(!Checkout::around(folder.path()).unwrap().unwrap().has_commit);
        std::fs::write(folder.path().join("a file"), "1").unwrap();
        std::fs::write(folder.path().join("b"), "1").unwrap();
        checkout.ask(&["add", "-A"]).unwrap();
        let author = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"];
        checkout.ask(&author).unwrap();
        assert!(Checkout::around(folder.path()).unwrap().unwrap().has_commit);
        assert_eq!(checkout.uncommitted().unwrap(), Uncommitted::default());
        std::fs::write(folder.path().join("a file"), "2").unwrap();
        std::fs::write(folder.path().join("new"), "1").unwrap();
        checkout.ask(&["mv", "b", "c"]).unwrap();
        let found = checkout.uncommitted().unwrap();
        assert_eq!(found.untracked, ["new"]);
        assert_eq!(found.changed, ["a file", "c"]);
    }
}

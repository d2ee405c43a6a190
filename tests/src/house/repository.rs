//! A real git repository in the house.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::must;

/// A repository with at least one commit, on the branch `main`.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Repository {
    pub(super) fn new(environment: Vec<(&'static str, String)>, path: &Path) -> Repository {
        must("make a folder", fs::create_dir_all(path));
        let repository = Repository { path: path.to_owned(), environment };
        repository.git(["init", "--quiet", "--initial-branch=main"]);
        repository.git(["config", "user.name", "Tester"]);
        repository.git(["config", "user.email", "tester@example.com"]);
        repository.file("README.md", "# A project\n").commit("Begin");
        repository
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file; nothing is committed.
    pub fn file(&self, name: &str, text: &str) -> &Repository {
        let path = self.at(name);
        if let Some(folder) = path.parent() {
            must("make a folder", fs::create_dir_all(folder));
        }
        must("write a file", fs::write(path, text));
        self
    }

    /// Commits everything there is.
    pub fn commit(&self, message: &str) -> &Repository {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self
    }

    /// What git says.
    ///
    /// # Panics
    /// When git refuses.
    pub fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        let args: Vec<&str> = args.into_iter().collect();
        let mut git = Command::new("git");
        git.args(&args).current_dir(&self.path).env_clear().envs(self.environment.iter().cloned());
        let output = must("run git", git.output());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "`git {}`: {}", args.join(" "), text(&output.stderr));
        text(&output.stdout)
    }

    /// A file as it stands on a branch.
    #[must_use]
    pub fn show(&self, branch: &str, file: &str) -> String {
        self.git(["show", &format!("{branch}:{file}")])
    }

    /// What of the user's own a run might have touched: branch, index, checkout.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let parts = [
            self.git(["symbolic-ref", "HEAD"]),
            self.git(["rev-parse", "HEAD"]),
            self.git(["ls-files", "--stage"]),
            self.git(["status", "--porcelain", "--ignored", "--untracked-files=all"]),
            self.git(["config", "--local", "--list"]),
        ];
        parts.concat()
    }
}

//! A repository in a folder of its own, and a run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use niia_actors::git::{CommitInfo, Committed, ObjectId, Repository, RunTrees, Tree, TreeName};
use niia_spec::name::Slug;
use tempfile::TempDir;

pub struct Scene {
    pub folder: TempDir,
    pub root: PathBuf,
}

/// The person's own git, with a configuration of the scene's.
pub fn git_in(dir: &Path, home: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .output()
        .unwrap()
}

impl Scene {
    /// An empty repository.
    pub fn empty() -> Scene {
        Scene::named("repo")
    }

    pub fn named(name: impl AsRef<std::ffi::OsStr>) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join(name.as_ref());
        std::fs::create_dir_all(&root).unwrap();
        let scene = Scene { folder, root };
        scene.git(&["init", "-q", "-b", "main"]);
        scene
    }

    /// A repository with two files and one commit.
    pub fn new() -> Scene {
        let scene = Scene::empty();
        scene.fill();
        scene
    }

    pub fn fill(&self) {
        self.write("README.md", "hello\n");
        self.write("src/main.rs", "fn main() {}\n");
        self.write(".gitignore", "*.log\n/target/\n.env\n");
        self.commit("first");
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn git(&self, args: &[&str]) -> String {
        self.git_at(&self.root.clone(), args)
    }

    pub fn git_at(&self, dir: &Path, args: &[&str]) -> String {
        let output = git_in(dir, &self.home(), args);
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.root, path, text);
    }

    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn repository(&self) -> Repository {
        Repository::discover(&self.root).unwrap()
    }

    pub fn run_folder(&self, run: &str) -> PathBuf {
        self.home().join("state").join(run)
    }

    pub fn begin(&self, run: &str) -> RunTrees {
        let repository = self.repository();
        let base = repository.head.clone().unwrap();
        kind(RunTrees::begin(&repository, &slug(run), &self.run_folder(run), &base).unwrap())
    }

    /// What the worker's git keeps of a tree.
    pub fn admin(&self, tree: &Path) -> PathBuf {
        self.git_at(tree, &["rev-parse", "--absolute-git-dir"]).into()
    }

    /// The repository that the worker of a tree sees.
    pub fn common(&self, tree: &Path) -> PathBuf {
        self.git_at(tree, &["rev-parse", "--path-format=absolute", "--git-common-dir"]).into()
    }

    /// What of the repository must be as it was: refs outside of niia's, the checkout, its index.
    pub fn checkout_state(&self) -> String {
        let head = self.git(&["rev-parse", "HEAD"]);
        let status = self.git(&["status", "--porcelain=v2", "--branch"]);
        let staged = self.git(&["ls-files", "-s"]);
        format!("{head}\n{status}\n{staged}")
    }
}

/// How many trees git's own list has when niia has made so many.
pub fn listed(made: usize) -> usize {
    if crate::PRIVATELY { 0 } else { made }
}

/// Trees of the kind these tests are about.
pub fn kind(trees: RunTrees) -> RunTrees {
    if crate::PRIVATELY { trees.privately() } else { trees }
}

pub fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

pub fn slug(text: &str) -> Slug {
    Slug::new(text).unwrap()
}

pub fn worker(text: &str) -> TreeName {
    TreeName::Worker(slug(text))
}

pub fn info(worker: &str, attempt: u32) -> CommitInfo {
    CommitInfo { worker: worker.to_owned(), attempt, message: format!("Work of {worker}") }
}

pub fn make(trees: &RunTrees, name: &str) -> Tree {
    trees.create(&worker(name), &trees.result().unwrap()).unwrap()
}

/// The commit that holds the work, or a failed test.
pub fn commit_of(committed: Committed) -> ObjectId {
    match committed {
        Committed::Commit { commit } => commit,
        other => panic!("{other:?}"),
    }
}

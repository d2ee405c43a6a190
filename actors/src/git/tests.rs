//! A node dies between any two steps, and the next one goes on.
//!
//! The node is a process of its own: this test binary, told to play one. It keeps a journal of what it has done, as a
//! node does; what it was doing when it died is asked for again.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use niia_spec::name::Slug;

use super::steps::step;
use super::steps::tests::{DIE_AT, STEPS_TO};
use super::*;

const SCENE: &str = "NIIA_TEST_SCENE";
/// Tells the node to make its trees with private repositories.
const PRIVATE: &str = "NIIA_TEST_PRIVATE";

fn git_at(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(args).current_dir(dir);
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A repository with one commit, beside which the node keeps its state.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    std::fs::create_dir(&root).unwrap();
    git_at(&root, &["init", "-q", "-b", "main"]);
    std::fs::write(root.join("data.txt"), "start\n").unwrap();
    std::fs::write(root.join(".gitignore"), "*.log\n").unwrap();
    git_at(&root, &["add", "-A"]);
    git_at(&root, &["commit", "-q", "-m", "first"]);
    folder
}

struct Node {
    repository: Repository,
    trees: RunTrees,
    journal: PathBuf,
}

impl Node {
    /// Does what the journal does not know to be done.
    fn act(&self, name: &str, act: impl FnOnce()) {
        let done = std::fs::read_to_string(&self.journal).unwrap_or_default();
        if done.lines().any(|line| line == name) {
            return;
        }
        act();
        step("test.before_journal");
        std::fs::write(&self.journal, format!("{done}{name}\n")).unwrap();
        step("test.after_journal");
    }

    fn work(&self, name: &str, text: &str) {
        let tree = worker(name);
        self.act(&format!("create {name}"), || {
            let made = self.trees.create(&tree, self.trees.base()).unwrap();
            // A worker that is started again does its work again.
            std::fs::write(made.path.join("data.txt"), text).unwrap();
            std::fs::write(made.path.join(format!("{name}.txt")), text).unwrap();
            // What it committed itself is there from then on.
            if git_at(&made.path, &["log", "-1", "--format=%s"]) != "by itself" {
                git_at(&made.path, &["add", "data.txt"]);
                git_at(&made.path, &["commit", "-q", "-m", "by itself"]);
            }
        });
        self.act(&format!("commit {name}"), || {
            let info = CommitInfo { worker: name.to_owned(), attempt: 1, message: format!("Work of {name}") };
            assert!(matches!(self.trees.commit(&tree, &info).unwrap(), Committed::Commit { .. }));
        });
    }

    fn gather(&self) {
        self.act("merge", || {
            let Merged::Conflict(conflict) = self.trees.merge(&[worker("one"), worker("two")]).unwrap()
            else {
                return;
            };
            let mending = self.trees.begin_mending(&conflict).unwrap();
            step("test.mending_begun");
            std::fs::write(mending.path.join("data.txt"), "both\n").unwrap();
            let info = CommitInfo { worker: "mender".to_owned(), attempt: 1, message: "Mended".to_owned() };
            assert!(matches!(self.trees.finish_mending(&info).unwrap(), Mended::Commit { .. }));
        });
    }

    fn later(&self) {
        self.act("enter", || {
            let (tree, conflict) = self.trees.enter(&worker("one")).unwrap();
            assert_eq!(conflict, None);
            assert_eq!(std::fs::read_to_string(tree.path.join("data.txt")).unwrap(), "both\n");
            assert_eq!(git_at(&tree.path, &["status", "--porcelain"]), "");
        });
        let reading = TreeName::Reading(Slug::new("look").unwrap());
        self.act("read", || drop(self.trees.create(&reading, self.trees.base()).unwrap()));
        self.act("read on", || drop(self.trees.create(&reading, &self.trees.result().unwrap()).unwrap()));
        self.act("land", || drop(self.trees.land(&self.repository).unwrap()));
        self.act("remove", || {
            std::fs::write(self.trees.path_of(&worker("two")).join("noise.log"), "x").unwrap_or_default();
            self.trees.remove(&worker("two"), Uncommitted::Archive, Branch::Goes).unwrap();
        });
    }
}

fn worker(name: &str) -> TreeName {
    TreeName::Worker(Slug::new(name).unwrap())
}

/// Does nothing by itself; the test below starts it as a process of its own.
#[test]
fn a_node_at_work() {
    let Some(scene) = std::env::var_os(SCENE).map(PathBuf::from) else { return };
    let repository = Repository::discover(&scene.join("repo")).unwrap();
    let state = scene.join("state");
    let trees = match RunTrees::open(&repository, &state) {
        Ok(trees) => trees,
        Err(_) => {
            let base = repository.head.clone().unwrap();
            RunTrees::begin(&repository, &Slug::new("demo-1").unwrap(), &state, &base).unwrap()
        }
    };
    let trees = if std::env::var_os(PRIVATE).is_some() { trees.privately() } else { trees };
    let node = Node { repository, trees, journal: scene.join("journal") };
    node.work("one", "one\n");
    node.work("two", "two\n");
    node.gather();
    node.later();
}

fn node(scene: &Path, private: bool, variable: &str, value: &str) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if private {
        command.env(PRIVATE, "yes");
    }
    command
        .args(["--exact", "git::tests::a_node_at_work"])
        .env(SCENE, scene)
        .env(variable, value)
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

/// What must be the same however often the node died.
fn outcome(scene: &Path) -> String {
    let root = scene.join("repo");
    let branches =
        git_at(&root, &["for-each-ref", "--format=%(refname)", "refs/heads/", "refs/niia/demo-1/base"]);
    let files = git_at(&root, &["ls-tree", "-r", "niia/demo-1/result"]);
    let attempts = git_at(
        &root,
        &[
            "log",
            "--format=%(trailers:key=Niia-Worker,valueonly,separator=)",
            "niia/demo-1/result",
            "^niia/demo-1/base",
        ],
    );
    let attempts: BTreeSet<&str> = attempts.lines().filter(|line| !line.is_empty()).collect();
    let commits = git_at(&root, &["rev-list", "--count", "niia/demo-1/result"]);
    let landed = git_at(&root, &["rev-parse", "main^{tree}"])
        == git_at(&root, &["rev-parse", "niia/demo-1/result^{tree}"]);
    let status = git_at(&root, &["status", "--porcelain"]);
    let trees = git_at(&root, &["worktree", "list"]).lines().count();
    let mending = git_at(&scene.join("state/trees/one"), &["status", "--porcelain", "--branch"]);
    let archived = scene.join("state/archive/two/noise.log").exists();
    let locks = locks_in(&root.join(".git"));
    format!(
        "{branches}\n{files}\n{attempts:?} {commits} {landed} {status} {trees} {mending} {archived} {locks:?}"
    )
}

fn locks_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(locks_in(&path));
        } else if path.extension().is_some_and(|end| end == "lock") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_node_that_dies_at_any_step_leaves_nothing_half_done() {
    dies_and_goes_on(false, 25, |_| true);
}

#[test]
fn a_node_that_dies_while_it_makes_private_repositories_or_takes_their_commits_leaves_nothing_half_done() {
    let own =
        |step: &str| ["git.private.", "git.home.", "git.import."].iter().any(|kind| step.starts_with(kind));
    dies_and_goes_on(true, 34, own);
}

fn dies_and_goes_on(private: bool, steps_min: usize, counts: impl Fn(&str) -> bool) {
    let calm = scene();
    let steps_to = calm.path().join("steps");
    assert!(node(calm.path(), private, STEPS_TO, &steps_to.display().to_string()).success());
    let expected = outcome(calm.path());
    let steps: Vec<String> = std::fs::read_to_string(&steps_to).unwrap().lines().map(str::to_owned).collect();
    let names: BTreeSet<&String> = steps.iter().collect();
    assert!(names.len() >= steps_min, "{names:?}");
    // The first and the last time that each step is reached.
    let telling: Vec<usize> = (0..steps.len())
        .filter(|at| counts(&steps[*at]))
        .filter(|at| !steps[..*at].contains(&steps[*at]) || !steps[at + 1..].contains(&steps[*at]))
        .collect();
    let die = |at: &usize| {
        let scene = scene();
        let status = node(scene.path(), private, DIE_AT, &(at + 1).to_string());
        assert_eq!(status.signal(), Some(9), "{}", steps[*at]);
        assert!(node(scene.path(), private, DIE_AT, "never").success(), "after {} ({at})", steps[*at]);
        assert_eq!(outcome(scene.path()), expected, "after {} ({at})", steps[*at]);
    };
    std::thread::scope(|scope| {
        let (even, odd): (Vec<usize>, Vec<usize>) = telling.iter().partition(|at| *at % 2 == 0);
        for half in [even, odd] {
            let die = &die;
            scope.spawn(move || half.iter().for_each(die));
        }
    });
}

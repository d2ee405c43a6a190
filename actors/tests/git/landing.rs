//! `niia merge`: the run's line into the user's branch.

use niia_actors::git::{Diff, Landing, RunTrees};

use crate::scene::*;

/// A run whose line has changed README.md and added new.txt.
fn run(scene: &Scene) -> RunTrees {
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "README.md", "by the run\n");
    write(&tree.path, "new.txt", "new\n");
    commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    trees.merge(&[worker("one")]).unwrap();
    trees
}

/// What is said, and that nothing was done.
fn refused(scene: &Scene, trees: &RunTrees) -> String {
    let before = scene.checkout_state();
    let error = trees.land(&scene.repository()).unwrap_err();
    assert_eq!(scene.checkout_state(), before);
    error.to_string()
}

#[test]
fn the_runs_work_lands_in_the_checkout_when_asked_for() {
    let scene = Scene::new();
    let trees = run(&scene);
    let names = String::from_utf8(trees.diff(Diff::Names, false).unwrap().bytes).unwrap();
    assert_eq!(names, "M\tREADME.md\nA\tnew.txt\n");
    assert!(String::from_utf8(trees.diff(Diff::Patch, true).unwrap().bytes).unwrap().contains("\u{1b}["));
    let Landing::Landed { files, .. } = trees.land(&scene.repository()).unwrap() else { panic!() };
    assert_eq!(files, ["README.md", "new.txt"]);
    assert_eq!(std::fs::read_to_string(scene.root.join("new.txt")).unwrap(), "new\n");
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    assert_eq!(scene.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(trees.land(&scene.repository()).unwrap(), Landing::UpToDate);
}

#[test]
fn a_branch_that_went_on_meanwhile_gets_a_merge_and_changes_elsewhere_stay() {
    let scene = Scene::new();
    let trees = run(&scene);
    scene.write("other.txt", "other\n");
    let head = scene.commit("meanwhile");
    scene.write("src/main.rs", "being worked on\n");
    scene.write("untracked.txt", "mine\n");
    let Landing::Landed { commit, .. } = trees.land(&scene.repository()).unwrap() else { panic!() };
    assert!(scene.git(&["log", "-1", "--format=%P", commit.as_str()]).starts_with(&head));
    assert_eq!(scene.git(&["status", "--porcelain"]), " M src/main.rs\n?? untracked.txt");
    assert_eq!(std::fs::read_to_string(scene.root.join("README.md")).unwrap(), "by the run\n");
}

#[test]
fn changes_in_the_files_concerned_are_never_overwritten() {
    let scene = Scene::new();
    let trees = run(&scene);
    scene.write("README.md", "mine\n");
    assert_eq!(refused(&scene, &trees), "these have changes that are not committed: README.md");
    scene.git(&["add", "README.md"]);
    assert_eq!(refused(&scene, &trees), "these have changes that are not committed: README.md");
    scene.git(&["reset", "-q", "--hard"]);
    scene.write("new.txt", "mine\n");
    assert_eq!(refused(&scene, &trees), "these would be overwritten, and git does not know them: new.txt");
    std::fs::write(scene.root.join(".git/info/exclude"), "new.txt\n").unwrap();
    assert_eq!(refused(&scene, &trees), "these would be overwritten, and git does not know them: new.txt");
    assert_eq!(std::fs::read_to_string(scene.root.join("new.txt")).unwrap(), "mine\n");
}

#[test]
fn a_conflict_is_named_and_nothing_is_half_done() {
    let scene = Scene::new();
    let trees = run(&scene);
    scene.write("README.md", "by somebody\n");
    scene.commit("meanwhile");
    assert_eq!(refused(&scene, &trees), "the run and the branch change the same lines: README.md");
    assert!(!scene.root.join(".git/MERGE_HEAD").exists());
}

#[test]
fn a_merge_that_is_going_on_is_finished_first() {
    let scene = Scene::new();
    let trees = run(&scene);
    scene.git(&["checkout", "-q", "-b", "side"]);
    scene.write("src/main.rs", "side\n");
    scene.commit("side");
    scene.git(&["checkout", "-q", "main"]);
    scene.git(&["merge", "-q", "--no-ff", "--no-commit", "side"]);
    assert_eq!(refused(&scene, &trees), "a merge is going on in the checkout: finish it first");
}

#[test]
fn it_lands_on_a_detached_head_and_in_a_linked_work_tree_too() {
    let mut scene = Scene::new();
    let trees = run(&scene);
    let linked = scene.root.parent().unwrap().join("linked");
    scene.git(&["worktree", "add", "-q", "--detach", &linked.display().to_string()]);
    let main = std::mem::replace(&mut scene.root, linked);
    assert!(matches!(trees.land(&scene.repository()).unwrap(), Landing::Landed { .. }));
    assert!(scene.root.join("new.txt").exists() && !main.join("new.txt").exists());
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn somebodys_lock_on_the_index_is_respected() {
    let scene = Scene::new();
    let trees = run(&scene);
    std::fs::write(scene.root.join(".git/index.lock"), "").unwrap();
    let error = trees.land(&scene.repository()).unwrap_err().to_string();
    assert!(error.contains("index.lock"), "{error}");
    assert!(!scene.root.join("new.txt").exists());
}

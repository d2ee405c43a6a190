//! One run from its beginning to its merged line.

use niia_actors::git::{Committed, Merged};

use crate::scene::*;

#[test]
fn two_workers_commit_in_trees_of_their_own_and_are_merged_into_result() {
    let scene = Scene::new();
    let before = scene.checkout_state();
    let trees = scene.begin("demo-1");
    for (name, file) in [("one", "a.txt"), ("two", "b.txt")] {
        let tree = make(&trees, name);
        assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "hello\n");
        assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "");
        write(&tree.path, file, name);
        write(&tree.path, "noise.log", "ignored");
        commit_of(trees.commit(&worker(name), &info(name, 1)).unwrap());
        assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "");
    }
    let Merged::Commit { commit } = trees.merge(&[worker("one"), worker("two")]).unwrap() else { panic!() };
    let files = scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/result"]);
    assert_eq!(files, ".gitignore\nREADME.md\na.txt\nb.txt\nsrc/main.rs");
    let body = scene.git(&["log", "-1", "--format=%B", "niia/demo-1/w/two"]);
    assert_eq!(body, "Work of two\n\nNiia-Run: demo-1\nNiia-Worker: two\nNiia-Attempt: 1");
    assert_eq!(trees.merge(&[worker("one"), worker("two")]).unwrap(), Merged::Commit { commit });
    assert_eq!(scene.checkout_state(), before, "the user's checkout is untouched");
}

#[test]
fn asked_again_for_the_same_attempt_the_answer_is_the_same() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    assert_eq!(trees.commit(&worker("one"), &info("one", 1)).unwrap(), Committed::Nothing);
    write(&tree.path, "a.txt", "a");
    let first = commit_of(trees.commit(&worker("one"), &info("one", 2)).unwrap());
    write(&tree.path, "later.txt", "b");
    assert_eq!(commit_of(trees.commit(&worker("one"), &info("one", 2)).unwrap()), first);
    std::fs::remove_file(trees_mark(&scene)).unwrap();
}

fn trees_mark(scene: &Scene) -> std::path::PathBuf {
    scene.run_folder("demo-1").join("marks/one.json")
}

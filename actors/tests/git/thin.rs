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
    // Even where niia died before it could write the answer down: the branch itself carries it.
    let mark = scene.run_folder("demo-1").join("marks/one.json");
    let mut marker: serde_json::Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
    marker["answered"] = serde_json::Value::Null;
    marker["at"] = marker["start"].clone();
    std::fs::write(&mark, marker.to_string()).unwrap();
    let third = commit_of(trees.commit(&worker("one"), &info("one", 3)).unwrap());
    assert_ne!(third, first);
    for (attempt, commit) in [(2, &first), (3, &third)] {
        assert_eq!(
            trees.commit_of_attempt(&worker("one"), &info("one", attempt)).unwrap().as_ref(),
            Some(commit)
        );
        assert_eq!(&commit_of(trees.commit(&worker("one"), &info("one", attempt)).unwrap()), commit);
    }
    assert_eq!(trees.commit_of_attempt(&worker("one"), &info("one", 4)).unwrap(), None);
}

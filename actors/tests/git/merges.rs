//! Bringing branches together.

use niia_actors::git::{Conflict, Mended, Merged, RunTrees, TreeName};

use crate::scene::*;

/// A run in which each of these workers has written one file.
fn run(scene: &Scene, work: &[(&str, &str, &str)]) -> RunTrees {
    let trees = scene.begin("demo-1");
    for (name, file, text) in work {
        let tree = trees.create(&worker(name), trees.base()).unwrap();
        write(&tree.path, file, text);
        commit_of(trees.commit(&worker(name), &info(name, 1)).unwrap());
    }
    trees
}

fn result(scene: &Scene, path: &str) -> String {
    scene.git(&["cat-file", "blob", &format!("niia/demo-1/result:{path}")])
}

fn conflict(merged: Merged) -> Conflict {
    match merged {
        Merged::Conflict(conflict) => conflict,
        other => panic!("{other:?}"),
    }
}

#[test]
fn branches_are_merged_in_the_order_of_the_workers() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "a", "1"), ("b", "b", "2"), ("c", "c", "3")]);
    trees.merge(&[worker("c"), worker("a"), worker("b")]).unwrap();
    let subjects = scene.git(&["log", "--first-parent", "--format=%s", "niia/demo-1/result", "^main"]);
    assert_eq!(
        subjects, "Merge b into result\nMerge a into result\nWork of c",
        "the first one is a step forward"
    );
    let trailers = scene.git(&["log", "-1", "--format=%(trailers)", "niia/demo-1/result"]);
    assert_eq!(trailers, "Niia-Run: demo-1\nNiia-Tree: b");
}

#[test]
fn a_worker_that_did_nothing_changes_nothing() {
    let scene = Scene::new();
    let trees = run(&scene, &[]);
    make(&trees, "idle");
    assert_eq!(trees.merge(&[worker("idle")]).unwrap(), Merged::Commit { commit: trees.base().clone() });
}

#[test]
fn a_conflict_names_its_files_and_leaves_both_sides_whole() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "README.md", "A\n"), ("b", "README.md", "B\n"), ("c", "c", "C\n")]);
    let before = scene.checkout_state();
    let conflict = conflict(trees.merge(&[worker("a"), worker("b"), worker("c")]).unwrap());
    assert_eq!((conflict.tree.clone(), &conflict.files[..]), (worker("b"), &["README.md".to_owned()][..]));
    assert_eq!(conflict.ours.as_str(), scene.git(&["rev-parse", "niia/demo-1/w/a"]));
    assert_eq!(conflict.theirs.as_str(), scene.git(&["rev-parse", "niia/demo-1/w/b"]));
    assert_eq!(result(&scene, "README.md"), "A", "what went before the conflict is in");
    assert_eq!(scene.checkout_state(), before);
    let again = trees.merge(&[worker("a"), worker("b"), worker("c")]).unwrap();
    assert_eq!(again, Merged::Conflict(conflict));
    trees.merge(&[worker("c")]).unwrap();
    assert_eq!(result(&scene, "c"), "C", "what goes by itself may still go");
}

#[test]
fn a_conflict_is_mended_in_a_tree_that_shows_both_sides() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "README.md", "A\n"), ("b", "README.md", "B\n")]);
    let conflict = conflict(trees.merge(&[worker("a"), worker("b")]).unwrap());
    let tree = trees.begin_mending(&conflict).unwrap();
    let text = std::fs::read_to_string(tree.path.join("README.md")).unwrap();
    assert!(text.starts_with("<<<<<<< ") && text.contains("A\n=======\nB\n>>>>>>> "), "{text}");
    assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "UU README.md");
    let early = trees.finish_mending(&info("mender", 1)).unwrap();
    let Mended::Refused { reasons } = early else { panic!("{early:?}") };
    assert_eq!(reasons[0].to_string(), "`README.md` still has marks of the conflict");
    write(&tree.path, "README.md", "A and B\n");
    assert_eq!(trees.begin_mending(&conflict).unwrap(), tree, "asked again it is the tree as it is");
    let Mended::Commit { commit } = trees.finish_mending(&info("mender", 1)).unwrap() else { panic!() };
    assert_eq!(result(&scene, "README.md"), "A and B");
    let parents = scene.git(&["log", "-1", "--format=%P", commit.as_str()]);
    assert_eq!(parents, format!("{} {}", conflict.ours, conflict.theirs));
    assert_eq!(trees.finish_mending(&info("mender", 1)).unwrap(), Mended::Commit { commit: commit.clone() });
    assert_eq!(trees.merge(&[worker("a"), worker("b")]).unwrap(), Merged::Commit { commit });
}

#[test]
fn a_mender_that_commits_by_itself_is_believed() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "README.md", "A\n"), ("b", "README.md", "B\n")]);
    let conflict = conflict(trees.merge(&[worker("a"), worker("b")]).unwrap());
    let tree = trees.begin_mending(&conflict).unwrap();
    write(&tree.path, "README.md", "both\n");
    scene.git_at(&tree.path, &["commit", "-q", "-am", "by hand"]);
    let head = scene.git_at(&tree.path, &["rev-parse", "HEAD"]);
    let Mended::Commit { commit } = trees.finish_mending(&info("mender", 1)).unwrap() else { panic!() };
    assert_eq!(commit.as_str(), head);
    assert_eq!(scene.git(&["log", "-1", "--format=%P", &head]).split(' ').count(), 2);
}

#[test]
fn a_file_deleted_on_one_side_can_be_mended_either_way() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "README.md", "A\n")]);
    let tree = trees.create(&worker("b"), trees.base()).unwrap();
    std::fs::remove_file(tree.path.join("README.md")).unwrap();
    commit_of(trees.commit(&worker("b"), &info("b", 1)).unwrap());
    let conflict = conflict(trees.merge(&[worker("a"), worker("b")]).unwrap());
    let tree = trees.begin_mending(&conflict).unwrap();
    std::fs::remove_file(tree.path.join("README.md")).unwrap();
    assert!(matches!(trees.finish_mending(&info("mender", 1)).unwrap(), Mended::Commit { .. }));
    assert!(!scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/result"]).contains("README.md"));
}

#[test]
fn a_second_conflict_finds_the_mending_tree_again() {
    let scene = Scene::new();
    let work = [("a", "README.md", "A\n"), ("b", "README.md", "B\n"), ("c", "README.md", "C\n")];
    let trees = run(&scene, &work);
    for text in ["AB\n", "ABC\n"] {
        let conflict = conflict(trees.merge(&[worker("a"), worker("b"), worker("c")]).unwrap());
        let tree = trees.begin_mending(&conflict).unwrap();
        write(&tree.path, "README.md", text);
        assert!(matches!(trees.finish_mending(&info("mender", 1)).unwrap(), Mended::Commit { .. }));
    }
    assert_eq!(result(&scene, "README.md"), "ABC");
    assert!(matches!(trees.merge(&[worker("a"), worker("b"), worker("c")]).unwrap(), Merged::Commit { .. }));
}

#[test]
fn the_repositorys_own_union_rule_is_honoured() {
    let scene = Scene::new();
    scene.write(".gitattributes", "LOG merge=union\n");
    scene.write("LOG", "start\n");
    scene.commit("attributes");
    let trees = run(&scene, &[("a", "LOG", "start\nA\n"), ("b", "LOG", "start\nB\n")]);
    let knows_attributes_of_a_commit = trees.repository().git().version() >= (2, 41);
    let merged = trees.merge(&[worker("a"), worker("b")]).unwrap();
    assert_eq!(matches!(merged, Merged::Commit { .. }), knows_attributes_of_a_commit);
}

#[test]
fn a_later_phase_goes_on_from_where_a_tree_was_with_result_merged_in() {
    let scene = Scene::new();
    let trees = run(&scene, &[("line", "line.txt", "1\n"), ("a", "a.txt", "A\n")]);
    trees.merge(&[worker("a")]).unwrap();
    let (tree, conflict) = trees.enter(&worker("line")).unwrap();
    assert_eq!(conflict, None);
    for (file, text) in [("line.txt", "1\n"), ("a.txt", "A\n")] {
        assert_eq!(std::fs::read_to_string(tree.path.join(file)).unwrap(), text);
    }
    assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "");
    assert_eq!(trees.enter(&worker("line")).unwrap().0, tree);
    assert_eq!(
        trees.commit(&worker("line"), &info("line", 2)).unwrap(),
        niia_actors::git::Committed::Nothing
    );
}

#[test]
fn a_tree_that_conflicts_with_result_is_left_as_it_was() {
    let scene = Scene::new();
    let trees = run(&scene, &[("line", "README.md", "line\n"), ("a", "README.md", "A\n")]);
    trees.merge(&[worker("a")]).unwrap();
    let (tree, conflict) = trees.enter(&worker("line")).unwrap();
    assert_eq!(conflict.unwrap().files, ["README.md"]);
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "line\n");
}

#[test]
fn a_tree_with_uncommitted_work_is_not_brought_to_another_commit() {
    let scene = Scene::new();
    let trees = run(&scene, &[("line", "line.txt", "1\n"), ("a", "a.txt", "A\n")]);
    trees.merge(&[worker("a")]).unwrap();
    write(&trees.path_of(&worker("line")), "later.txt", "x");
    let error = trees.enter(&worker("line")).unwrap_err();
    assert!(error.to_string().ends_with("there are changes that are not committed"), "{error}");
}

#[test]
fn the_line_itself_can_be_worked_on_phase_after_phase() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "a.txt", "A\n")]);
    for (n, attempt) in [("1", 1), ("2", 2)] {
        let (tree, _) = trees.enter(&TreeName::Result).unwrap();
        write(&tree.path, "line.txt", n);
        commit_of(trees.commit(&TreeName::Result, &info("solo", attempt)).unwrap());
        trees.merge(&[TreeName::Result]).unwrap();
        trees.merge(&[worker("a")]).unwrap();
    }
    assert_eq!((result(&scene, "line.txt"), result(&scene, "a.txt")), ("2".to_owned(), "A".to_owned()));
}

#[test]
fn a_tree_to_read_follows_what_it_is_told_to_show_and_keeps_what_was_changed_in_it() {
    let scene = Scene::new();
    let trees = run(&scene, &[("a", "a.txt", "A\n")]);
    let reading = TreeName::Reading(slug("meeting"));
    let tree = trees.create(&reading, trees.base()).unwrap();
    assert_eq!(tree.branch, None);
    write(&tree.path, "README.md", "scribbled\n");
    trees.merge(&[worker("a")]).unwrap();
    let again = trees.create(&reading, &trees.result().unwrap()).unwrap();
    assert_eq!(again.path, tree.path);
    assert!(tree.path.join("a.txt").exists());
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "hello\n");
    let kept = scene.git(&["for-each-ref", "--format=%(refname)", "refs/niia/demo-1/kept/"]);
    assert_eq!(scene.git(&["cat-file", "blob", &format!("{kept}:README.md")]), "scribbled");
    assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "");
}

#[test]
fn what_an_earlier_run_left_unfinished_is_found_by_its_slug() {
    let scene = Scene::new();
    let first = run(&scene, &[("ticket", "a.txt", "1\n"), ("other", "b.txt", "1\n")]);
    let second = scene.begin("demo-2");
    let tree = make(&second, "ticket");
    write(&tree.path, "a.txt", "2\n");
    let left = commit_of(second.commit(&worker("ticket"), &info("ticket", 1)).unwrap());
    let runs = || -> Vec<String> {
        let found = scene.repository().unfinished(&slug("ticket")).unwrap();
        found.iter().map(|found| found.run.to_string()).collect()
    };
    let mut both = runs();
    both.sort();
    assert_eq!(both, ["demo-1", "demo-2"]);
    first.merge(&[worker("ticket")]).unwrap();
    assert_eq!(runs(), ["demo-2"]);
    let third = scene.begin("demo-3");
    let resumed = third.create(&worker("ticket"), &left).unwrap();
    assert_eq!(std::fs::read_to_string(resumed.path.join("a.txt")).unwrap(), "2\n");
}

//! A tree that is there already: taken up when it is ours, refused precisely when it is not.

use niia_actors::git::{RunTrees, TreeError};

use crate::scene::*;

/// What is said when somebody did something before the tree was first asked for.
fn refused(act: impl Fn(&Scene, &RunTrees)) -> String {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    act(&scene, &trees);
    let before = scene.git(&["for-each-ref"]);
    let error = trees.create(&worker("one"), trees.base()).unwrap_err();
    assert_eq!(scene.git(&["for-each-ref"]), before);
    error.to_string()
}

/// The tree as it is after somebody did something to it and it was asked for again.
fn taken_up(act: impl Fn(&Scene, &RunTrees)) -> Scene {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "half.txt", "half done\n");
    act(&scene, &trees);
    let again = make(&trees, "one");
    assert_eq!(again.path, tree.path);
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "hello\n");
    assert_eq!(scene.git_at(&tree.path, &["symbolic-ref", "HEAD"]), "refs/heads/niia/demo-1/w/one");
    assert_eq!(scene.repository().trees_of_niia().unwrap().len(), listed(1));
    scene
}

fn tree_status(scene: &Scene) -> String {
    scene.git_at(&scene.begin("demo-1").path_of(&worker("one")), &["status", "--porcelain"])
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let error = refused(|_, trees| write(&trees.path_of(&worker("one")), "mine.txt", "x"));
    assert!(error.ends_with("trees/one` exists already and is not niia's"), "{error}");
}

#[test]
fn a_foreign_branch_is_left_alone() {
    let error = refused(|scene, _| drop(scene.git(&["branch", "niia/demo-1/w/one"])));
    assert_eq!(error, "the branch `refs/heads/niia/demo-1/w/one` exists already and is not this run's");
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_is_named_with_the_place() {
    let error = refused(|scene, _| drop(scene.git(&["checkout", "-q", "-b", "niia/demo-1/w/one"])));
    assert!(error.starts_with("the branch `refs/heads/niia/demo-1/w/one` is checked out in `"), "{error}");
}

#[test]
fn a_branch_named_like_a_part_of_ours_is_named() {
    let scene = Scene::new();
    scene.git(&["branch", "niia"]);
    let repository = scene.repository();
    let base = repository.head.clone().unwrap();
    let error =
        RunTrees::begin(&repository, &slug("demo-1"), &scene.run_folder("demo-1"), &base).unwrap_err();
    assert_eq!(error.to_string(), "the branch `niia` stands in the way of niia's own: rename it");
}

#[test]
fn another_run_of_the_same_name_is_refused() {
    let scene = Scene::new();
    scene.begin("demo-1");
    scene.write("a", "a");
    scene.commit("more");
    let repository = scene.repository();
    let base = repository.head.clone().unwrap();
    let error = RunTrees::begin(&repository, &slug("demo-1"), &scene.run_folder("other"), &base).unwrap_err();
    assert!(matches!(error, TreeError::RunTaken { .. }), "{error}");
    assert_eq!(RunTrees::open(&repository, &scene.run_folder("demo-1")).unwrap().run().as_str(), "demo-1");
}

#[test]
fn the_name_of_the_line_is_no_name_for_a_tree() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    assert!(matches!(trees.create(&worker("result"), trees.base()), Err(TreeError::ReservedName)));
}

#[test]
fn a_dirty_tree_of_ours_is_taken_up_as_it_is() {
    let scene = taken_up(|_, _| {});
    assert_eq!(tree_status(&scene), "?? half.txt");
}

#[test]
fn a_tree_that_somebody_locked_is_taken_up() {
    taken_up(|scene, trees| {
        let path = trees.path_of(&worker("one"));
        let (common, path) = (scene.common(&path), path.display().to_string());
        scene.git_at(&common, &["worktree", "unlock", &path]);
        scene.git_at(&common, &["worktree", "lock", "--reason", "mine", &path]);
    });
}

#[test]
fn a_folder_deleted_by_hand_is_made_again_from_its_branch() {
    let scene = taken_up(|_, trees| std::fs::remove_dir_all(trees.path_of(&worker("one"))).unwrap());
    assert_eq!(tree_status(&scene), "");
}

#[test]
fn a_folder_deleted_by_hand_and_pruned_is_made_again() {
    taken_up(|scene, trees| {
        let path = trees.path_of(&worker("one"));
        let common = scene.common(&path);
        std::fs::remove_dir_all(&path).unwrap();
        scene.git_at(&common, &["worktree", "unlock", &path.display().to_string()]);
        scene.git_at(&common, &["worktree", "prune"]);
    });
}

#[test]
fn a_lost_pointer_and_a_lost_registration_are_put_back() {
    let scene = taken_up(|scene, trees| {
        let path = trees.path_of(&worker("one"));
        std::fs::remove_dir_all(scene.common(&path).join("worktrees")).unwrap();
        std::fs::remove_file(path.join(".git")).unwrap();
    });
    assert_eq!(tree_status(&scene), "?? half.txt");
}

#[test]
fn a_pointer_that_leads_elsewhere_is_put_right() {
    taken_up(|_, trees| {
        std::fs::write(trees.path_of(&worker("one")).join(".git"), "gitdir: /tmp/evil\n").unwrap()
    });
}

#[test]
fn a_removed_branch_is_put_back() {
    taken_up(|scene, _| drop(scene.git(&["update-ref", "-d", "refs/heads/niia/demo-1/w/one"])));
}

#[test]
fn a_lock_that_a_dead_git_left_is_removed() {
    let lock = |scene: &Scene| scene.admin(&scene.begin("demo-1").path_of(&worker("one"))).join("index.lock");
    let scene = taken_up(|scene, _| std::fs::write(lock(scene), "").unwrap());
    assert!(!lock(&scene).exists());
}

#[test]
fn a_lock_that_somebody_may_still_hold_is_left_alone() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    let lock = scene.admin(&tree.path).join("index.lock");
    std::fs::write(&lock, "").unwrap();
    let mut somebody =
        std::process::Command::new("sleep").arg("600").current_dir(&tree.path).spawn().unwrap();
    let create = trees.create(&worker("one"), trees.base()).unwrap_err();
    let commit = trees.commit(&worker("one"), &info("one", 1)).unwrap_err();
    somebody.kill().unwrap();
    somebody.wait().unwrap();
    for error in [create, commit] {
        let expected = format!("process {} (sleep)", somebody.id());
        assert!(matches!(&error, TreeError::InUse { user, .. } if *user == expected), "{error}");
    }
    assert!(lock.exists());
    make(&trees, "one");
    assert!(!lock.exists());
}

#[test]
fn a_lock_that_a_power_cut_left_on_a_ref_of_niias_is_removed_once_it_is_old() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let lock = scene.root.join(".git/refs/heads/niia/demo-1/w/one.lock");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let file = std::fs::File::create(&lock).unwrap();
    let error = trees.create(&worker("one"), trees.base()).unwrap_err();
    assert!(error.to_string().contains("one.lock': File exists"), "{error}");
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    make(&trees, "one");
    assert!(!lock.exists());
}

//! Taking trees away.

use niia_actors::git::{Branch, Kind, Overlay, Removed, RunTrees, Uncommitted};

use crate::scene::*;

fn remove(trees: &RunTrees, uncommitted: Uncommitted, branch: Branch) -> Removed {
    trees.remove(&worker("one"), uncommitted, branch).unwrap()
}

#[test]
fn a_clean_tree_goes_and_its_branch_stays_until_told_otherwise() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "a.txt", "a");
    let commit = commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    assert_eq!(remove(&trees, Uncommitted::Refuse, Branch::Stays), Removed::Done { archive: None });
    assert!(!tree.path.exists());
    assert_eq!(scene.repository().trees_of_niia().unwrap(), []);
    assert_eq!(scene.git(&["rev-parse", "niia/demo-1/w/one"]), commit.as_str());
    assert_eq!(make(&trees, "one").at, commit, "it can be made again");
    assert!(tree.path.join("a.txt").exists());
    remove(&trees, Uncommitted::Refuse, Branch::Goes);
    assert_eq!(scene.git(&["for-each-ref", "refs/heads/niia/demo-1/w/"]), "");
    assert!(scene.git(&["for-each-ref", "--contains", commit.as_str()]).contains("refs/niia/demo-1/kept/"));
}

#[test]
fn nothing_uncommitted_is_deleted() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "README.md", "changed\n");
    write(&tree.path, "new.txt", "new");
    write(&tree.path, "noise.log", "ignored");
    write(&tree.path, "target/debug/x", "ignored");
    std::fs::remove_file(tree.path.join("src/main.rs")).unwrap();
    scene.git_at(&tree.path, &["init", "-q", "inner"]);
    let Removed::Refused { paths } = remove(&trees, Uncommitted::Refuse, Branch::Goes) else { panic!() };
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(paths, ["README.md", "inner/", "new.txt", "noise.log", "src/main.rs", "target/"]);
    assert!(tree.path.join("noise.log").exists());
    let Removed::Done { archive: Some(archive) } = remove(&trees, Uncommitted::Archive, Branch::Goes) else {
        panic!()
    };
    assert!(!tree.path.exists());
    for (path, text) in [("README.md", "changed\n"), ("new.txt", "new"), ("noise.log", "ignored")] {
        assert_eq!(std::fs::read_to_string(archive.join(path)).unwrap(), text);
    }
    assert!(archive.join("target/debug/x").exists() && archive.join("inner/.git/HEAD").exists());
}

#[test]
fn what_include_and_setup_made_is_no_reason_to_keep_a_tree() {
    let scene = Scene::new();
    scene.write(".gitignore", "*.log\n/target/\n.env\nnode_modules/\n");
    scene.commit("more to ignore");
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, ".env", "KEY=1");
    write(&tree.path, "node_modules/a/b.js", "x");
    std::os::unix::fs::symlink("/pad", tree.path.join("scratchpad")).unwrap();
    let hash = |text: &str| Some(blake3::hash(text.as_bytes()).to_hex().to_string());
    let overlay = |path: &str, kind, blake3| Overlay { path: path.into(), kind, blake3 };
    let overlays = vec![
        overlay(".env", Kind::Included, hash("KEY=1")),
        overlay("node_modules/", Kind::Made, None),
        overlay("scratchpad", Kind::Link, None),
    ];
    trees.overlay(&worker("one"), overlays).unwrap();
    write(&tree.path, ".env", "KEY=2");
    let Removed::Refused { paths } = remove(&trees, Uncommitted::Refuse, Branch::Goes) else { panic!() };
    assert_eq!(paths, [std::path::PathBuf::from(".env")], "a changed one is somebody's work");
    write(&tree.path, ".env", "KEY=1");
    assert_eq!(remove(&trees, Uncommitted::Refuse, Branch::Goes), Removed::Done { archive: None });
}

#[test]
fn commits_that_only_a_detached_head_holds_are_kept() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    scene.git_at(&tree.path, &["checkout", "-q", "--detach"]);
    write(&tree.path, "a.txt", "a");
    scene.git_at(&tree.path, &["add", "a.txt"]);
    scene.git_at(&tree.path, &["commit", "-q", "-m", "alone"]);
    let alone = scene.git_at(&tree.path, &["rev-parse", "HEAD"]);
    remove(&trees, Uncommitted::Archive, Branch::Goes);
    assert!(scene.git(&["for-each-ref", "--contains", &alone]).contains("refs/niia/demo-1/kept/"));
}

#[test]
fn a_submodule_that_was_filled_is_archived_with_its_own_history() {
    let library = Scene::new();
    let scene = Scene::new();
    let url = library.root.display().to_string();
    scene.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "lib"]);
    scene.commit("a library");
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    scene.git_at(&tree.path, &["-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init"]);
    assert!(matches!(remove(&trees, Uncommitted::Refuse, Branch::Goes), Removed::Refused { .. }));
    let Removed::Done { archive: Some(archive) } = remove(&trees, Uncommitted::Archive, Branch::Goes) else {
        panic!()
    };
    assert!(archive.join("lib/README.md").exists() && archive.join("@modules/lib/HEAD").exists());
}

#[test]
fn a_tree_removed_by_hand_can_still_be_taken_away() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    std::fs::remove_dir_all(&tree.path).unwrap();
    assert_eq!(remove(&trees, Uncommitted::Refuse, Branch::Goes), Removed::Done { archive: None });
    assert_eq!(scene.repository().trees_of_niia().unwrap(), []);
    assert_eq!(remove(&trees, Uncommitted::Refuse, Branch::Goes), Removed::Done { archive: None });
}

#[test]
fn the_trees_of_a_run_are_listed_by_name() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    make(&trees, "two");
    make(&trees, "one");
    std::fs::remove_dir_all(trees.path_of(&worker("two"))).unwrap();
    let listed = trees.list().unwrap();
    let brief: Vec<_> = listed.iter().map(|tree| (tree.name.clone(), tree.there, tree.ready)).collect();
    assert_eq!(brief, [(worker("one"), true, true), (worker("two"), false, true)]);
}

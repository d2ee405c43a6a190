//! Trees made to run something: nothing runs.
//!
//! Each attack is shown to be real first: the person's own git, without niia's care, runs it.

use std::path::{Path, PathBuf};

use niia_actors::git::{Branch, Landing, Uncommitted};

use crate::scene::*;

/// A program that leaves a mark.
fn trap(scene: &Scene) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let (script, mark) = (scene.home().join("trap.sh"), scene.home().join("sprung"));
    let text = format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\nexit 0\n", mark.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (script, mark)
}

/// Plants the attack in a tree, lets niia do all it ever does with one, and looks for the mark.
fn nothing_runs(plant: impl Fn(&Scene, &Path, &str), control: impl Fn(&Scene, &Path)) {
    let scene = Scene::new();
    let (script, mark) = trap(&scene);
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    let other = make(&trees, "two");
    write(&other.path, "data.txt", "two\n");
    commit_of(trees.commit(&worker("two"), &info("two", 1)).unwrap());
    write(&tree.path, "data.txt", "one\n");
    plant(&scene, &tree.path, &script.display().to_string());
    // What git itself did while the trap was being set is not niia's doing.
    let _ = std::fs::remove_file(&mark);

    let told = scene.repository();
    drop(told.changes().unwrap());
    let committed = trees.commit(&worker("one"), &info("one", 1)).unwrap();
    drop(trees.commit(&worker("two"), &info("two", 2)).unwrap());
    if let niia_actors::git::Merged::Conflict(conflict) =
        trees.merge(&[worker("two"), worker("one")]).unwrap()
    {
        let mending = trees.begin_mending(&conflict).unwrap();
        write(&mending.path, "data.txt", "both\n");
        trees.finish_mending(&info("mender", 1)).unwrap();
    }
    trees.diff(niia_actors::git::Diff::Patch, false).unwrap();
    make(&trees, "three");
    make(&trees, "one");
    assert!(matches!(trees.land(&scene.repository()).unwrap(), Landing::Landed { .. }));
    trees.remove(&worker("one"), Uncommitted::Archive, Branch::Goes).unwrap();
    assert!(!mark.exists(), "{committed:?} sprang {}", std::fs::read_to_string(&mark).unwrap());

    let scene = Scene::new();
    let (script, mark) = trap(&scene);
    scene.write("data.txt", "one\n");
    plant(&scene, &scene.root, &script.display().to_string());
    let _ = std::fs::remove_file(&mark);
    control(&scene, &scene.root);
    assert!(mark.exists(), "the attack is none: git itself does not fall for it");
}

fn any(scene: &Scene, dir: &Path, args: &[&str]) {
    git_in(dir, &scene.home(), args);
}

#[test]
fn no_monitor_of_a_repository_planted_inside_runs() {
    nothing_runs(
        |scene, tree, script| {
            std::fs::create_dir(tree.join("sub")).unwrap();
            let sub = tree.join("sub");
            scene.git_at(&sub, &["init", "-q"]);
            scene.git_at(&sub, &["commit", "-q", "--allow-empty", "-m", "x"]);
            any(scene, tree, &["add", "sub"]);
            any(scene, tree, &["commit", "-q", "-m", "a link"]);
            scene.git_at(&sub, &["config", "core.fsmonitor", script]);
        },
        |scene, dir| any(scene, dir, &["status"]),
    );
}

#[test]
fn no_filter_of_a_repository_planted_inside_runs() {
    nothing_runs(
        |scene, tree, script| {
            std::fs::create_dir(tree.join("sub")).unwrap();
            let sub = tree.join("sub");
            scene.git_at(&sub, &["init", "-q"]);
            write(&sub, "x.txt", "1\n");
            scene.git_at(&sub, &["add", "-A"]);
            scene.git_at(&sub, &["commit", "-q", "-m", "x"]);
            any(scene, tree, &["add", "sub"]);
            any(scene, tree, &["commit", "-q", "-m", "a link"]);
            write(&sub, ".gitattributes", "* filter=trap\n");
            scene.git_at(&sub, &["config", "filter.trap.clean", script]);
            write(&sub, "x.txt", "2\n");
        },
        |scene, dir| any(scene, dir, &["status"]),
    );
}

#[test]
fn no_hook_runs() {
    nothing_runs(
        |scene, _tree, script| {
            for hook in [
                "post-checkout",
                "pre-commit",
                "post-commit",
                "reference-transaction",
                "post-merge",
                "post-index-change",
            ] {
                std::fs::copy(script, scene.root.join(".git/hooks").join(hook)).unwrap();
            }
        },
        |scene, dir| any(scene, dir, &["commit", "-q", "-am", "x", "--allow-empty"]),
    );
}

#[test]
fn no_hook_from_another_folder_runs() {
    nothing_runs(
        |scene, tree, script| {
            std::fs::create_dir(tree.join("hooks")).unwrap();
            std::fs::copy(script, tree.join("hooks/reference-transaction")).unwrap();
            std::fs::copy(script, tree.join("hooks/post-checkout")).unwrap();
            scene.git_at(tree, &["config", "core.hooksPath", &tree.join("hooks").display().to_string()]);
        },
        |scene, dir| any(scene, dir, &["commit", "-q", "--allow-empty", "-m", "x"]),
    );
}

#[test]
fn no_filter_that_was_added_since_the_beginning_runs() {
    nothing_runs(
        |scene, tree, script| {
            write(tree, ".gitattributes", "* filter=trap merge=trap diff=trap\n");
            for kind in ["filter.trap.clean", "filter.trap.smudge", "filter.trap.process"] {
                scene.git_at(tree, &["config", kind, script]);
            }
        },
        |scene, dir| any(scene, dir, &["add", "-A"]),
    );
}

#[test]
fn no_merge_driver_runs() {
    nothing_runs(
        |scene, tree, script| {
            write(tree, ".gitattributes", "* merge=trap\n");
            write(&scene.root, ".git/info/attributes", "* merge=trap\n");
            scene.git_at(tree, &["config", "merge.trap.driver", &format!("{script} %O %A %B")]);
        },
        |scene, dir| {
            any(scene, dir, &["add", "-A"]);
            any(scene, dir, &["commit", "-q", "-m", "one"]);
            any(scene, dir, &["checkout", "-q", "-b", "side"]);
            write(dir, "data.txt", "side\n");
            any(scene, dir, &["commit", "-q", "-am", "side"]);
            any(scene, dir, &["checkout", "-q", "main"]);
            write(dir, "data.txt", "main\n");
            any(scene, dir, &["commit", "-q", "-am", "main"]);
            any(scene, dir, &["merge", "side"]);
        },
    );
}

#[test]
fn no_program_that_shows_differences_runs() {
    nothing_runs(
        |scene, tree, script| {
            write(tree, ".gitattributes", "* diff=trap\n");
            scene.git_at(tree, &["config", "diff.trap.command", script]);
            scene.git_at(tree, &["config", "diff.trap.textconv", script]);
            scene.git_at(tree, &["config", "diff.external", script]);
            scene.git_at(tree, &["config", "core.pager", script]);
        },
        |scene, dir| {
            write(dir, "README.md", "changed\n");
            any(scene, dir, &["diff"]);
        },
    );
}

#[test]
fn no_monitor_of_the_repositorys_own_runs() {
    nothing_runs(
        |scene, tree, script| drop(scene.git_at(tree, &["config", "core.fsmonitor", script])),
        |scene, dir| any(scene, dir, &["status"]),
    );
}

#[test]
fn no_signing_program_runs() {
    nothing_runs(
        |scene, tree, script| {
            scene.git_at(tree, &["config", "commit.gpgsign", "true"]);
            scene.git_at(tree, &["config", "gpg.program", script]);
        },
        |scene, dir| any(scene, dir, &["commit", "-q", "--allow-empty", "-m", "x"]),
    );
}

#[test]
fn a_tree_that_claims_to_belong_to_another_repository_runs_nothing_of_it() {
    nothing_runs(
        |scene, tree, script| {
            let evil = scene.home().join("evil");
            scene.git_at(&scene.home(), &["init", "-q", "evil"]);
            scene.git_at(&evil, &["config", "core.fsmonitor", script]);
            let pointer = tree.join(".git");
            if pointer.is_file() {
                let admin = scene.admin(tree);
                std::fs::write(admin.join("commondir"), format!("{}/.git\n", evil.display())).unwrap();
                std::fs::write(pointer, format!("gitdir: {}/.git\n", evil.display())).unwrap();
            } else {
                std::fs::remove_dir_all(&pointer).unwrap();
                std::fs::write(pointer, format!("gitdir: {}/.git\n", evil.display())).unwrap();
            }
        },
        |scene, dir| any(scene, dir, &["status"]),
    );
}

#[test]
fn a_link_out_of_the_tree_leads_nowhere() {
    let scene = Scene::new();
    let outside = scene.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret.txt"), "secret").unwrap();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    std::fs::remove_dir_all(tree.path.join("src")).unwrap();
    std::os::unix::fs::symlink(&outside, tree.path.join("src")).unwrap();
    std::os::unix::fs::symlink(outside.join("secret.txt"), tree.path.join("file")).unwrap();
    commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    let files = scene.git(&["ls-tree", "-r", "niia/demo-1/w/one"]);
    assert_eq!(files.lines().filter(|line| line.starts_with("120000 ")).count(), 2);
    assert!(!files.contains("secret.txt"));
    trees.merge(&[worker("one")]).unwrap();
    trees.remove(&worker("one"), Uncommitted::Archive, Branch::Goes).unwrap();
    assert_eq!(std::fs::read_to_string(outside.join("secret.txt")).unwrap(), "secret");
    // A tree that has the link and a commit that wants the folder back: the link goes, what it leads to stays.
    let tree = make(&trees, "two");
    std::fs::remove_file(tree.path.join("src")).unwrap();
    write(&tree.path, "src/secret.txt", "overwritten");
    commit_of(trees.commit(&worker("two"), &info("two", 1)).unwrap());
    assert_eq!(std::fs::read_to_string(outside.join("secret.txt")).unwrap(), "secret");
}

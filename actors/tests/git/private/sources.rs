//! What kinds of repositories a private one may borrow from.

use std::fs;

use niia_actors::git::{Checkout, LinkedWorktree, Merged};

use super::Work;
use crate::scene::*;

/// A repository in place of the scene's own.
fn cloned(args: &[&str], origin: &Scene) -> Scene {
    let scene = Scene::empty();
    fs::remove_dir_all(&scene.root).unwrap();
    let url = format!("file://{}", origin.root.display());
    let all: Vec<&str> = ["clone", "-q"].iter().chain(args).copied().chain([url.as_str(), "repo"]).collect();
    scene.git_at(&scene.home(), &all);
    scene
}

fn goes_all_the_way(work: &Work) {
    let own = work.commits("mine.txt", "mine");
    write(&work.tree.path, "left.txt", "left");
    let commit = commit_of(work.commit());
    assert_eq!(work.scene.git(&["rev-parse", &format!("{commit}^")]), own);
    assert!(matches!(work.trees.merge(&[worker("one")]).unwrap(), Merged::Commit { .. }));
    assert_eq!(work.git(&["status", "--porcelain"]), "");
    assert_eq!(work.git(&["rev-parse", "HEAD"]), commit.as_str());
}

#[test]
fn of_a_shallow_repository_the_private_one_is_as_shallow() {
    let origin = Scene::new();
    for n in 0..3 {
        origin.write("n.txt", &n.to_string());
        origin.commit("more");
    }
    let work = Work::on(cloned(&["--depth", "1"], &origin));
    assert_eq!(work.git(&["rev-parse", "--is-shallow-repository"]), "true");
    assert_eq!(work.git(&["rev-list", "--count", "HEAD"]), "1");
    // It borrows: nothing was copied.
    assert_eq!(work.git(&["count-objects"]), "0 objects, 0 kilobytes");
    goes_all_the_way(&work);
    assert_eq!(work.scene.git(&["rev-list", "--count", "niia/demo-1/result"]), "3");
}

#[test]
fn of_a_partial_repository_the_private_one_has_what_its_files_need() {
    let origin = Scene::new();
    origin.write("old.txt", "old");
    origin.commit("old");
    fs::remove_file(origin.root.join("old.txt")).unwrap();
    origin.commit("gone");
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let work = Work::on(cloned(&["--filter=blob:none"], &origin));
    assert!(work.scene.repository().traits.partial);
    goes_all_the_way(&work);
}

#[test]
fn of_a_repository_that_itself_borrows_all_stores_are_granted() {
    let origin = Scene::new();
    let scene = Scene::empty();
    fs::remove_dir_all(&scene.root).unwrap();
    scene.git_at(&scene.home(), &["clone", "-q", "--shared", &origin.root.display().to_string(), "repo"]);
    let work = Work::on(scene);
    let stores = [work.scene.root.join(".git/objects"), origin.root.join(".git/objects")];
    assert_eq!(work.tree.private.as_ref().unwrap().sources, stores);
    let granted = niia_actors::git::grants(&work.tree);
    assert!(stores.iter().all(|store| granted.read_only.contains(store)));
    goes_all_the_way(&work);
}

#[test]
fn a_repository_of_longer_names_lends_to_one_of_longer_names() {
    let scene = Scene::empty();
    fs::remove_dir_all(scene.root.join(".git")).unwrap();
    scene.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    scene.fill();
    let work = Work::on(scene);
    assert_eq!(work.git(&["rev-parse", "--show-object-format"]), "sha256");
    goes_all_the_way(&work);
}

#[test]
fn a_cleaning_of_the_users_repository_takes_nothing_a_session_stands_on() {
    let work = Work::new();
    work.commits("a.txt", "a");
    // The user rewrites its only branch and throws everything away that nothing holds.
    work.scene.git(&["checkout", "-q", "--orphan", "fresh"]);
    work.scene.git(&["commit", "-q", "-m", "anew"]);
    work.scene.git(&["branch", "-D", "-q", "main"]);
    work.scene.git(&["reflog", "expire", "--expire=now", "--all"]);
    work.scene.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(work.git(&["log", "--format=%s"]), "a.txt\nfirst");
    work.commits("b.txt", "b");
    work.git(&["rebase", "-q", "HEAD~1"]);
    goes_all_the_way(&work);
    work.scene.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(work.scene.git(&["fsck", "--no-dangling", "--no-progress"]), "");
}

#[test]
fn a_file_of_lfs_that_a_session_committed_is_taken_over_when_it_is_what_its_name_says() {
    let work = Work::new();
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let put = |name: &str, text: &str| {
        let folder = work.folder().join("lfs/objects").join(&name[..2]).join(&name[2..4]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    put(hash, "hello");
    work.commits("a.txt", "a");
    LinkedWorktree::new(work.trees.clone()).import(&worker("one")).unwrap();
    let store = work.scene.root.join(".git/lfs/objects");
    assert_eq!(fs::read_to_string(store.join("2c/f2").join(hash)).unwrap(), "hello");
    let other = format!("ff{}", &hash[2..]);
    put(&other, "hello");
    assert!(work.refusal().contains("is not what its name says"));
    assert!(!store.join("ff").join(&other[2..4]).join(&other).exists());
}

#[test]
fn many_new_objects_come_as_one_pack() {
    let work = Work::new();
    for n in 0..150 {
        write(&work.tree.path, &format!("many/{n}.txt"), &n.to_string());
    }
    work.commits("a.txt", "a");
    commit_of(work.commit());
    assert!(work.scene.git(&["count-objects", "-v"]).contains("packs: 1"));
    assert_eq!(work.scene.git(&["fsck", "--no-dangling", "--no-progress"]), "");
}

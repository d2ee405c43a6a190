//! Many at once.

use std::process::{Command, Stdio};
use std::sync::Barrier;

use niia_actors::git::{Repository, RunTrees};

use crate::scene::*;

const ROUNDS: usize = 5;
const AT_ONCE: usize = 50;

#[test]
fn fifty_trees_at_once_are_fifty_trees() {
    let scene = Scene::new();
    // Tracking is what parallel additions are known to race for.
    scene.git(&["config", "branch.autoSetupMerge", "always"]);
    for round in 0..ROUNDS {
        let run = format!("demo-{round}");
        let trees = scene.begin(&run);
        let start = Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            let each: Vec<_> = (0..AT_ONCE)
                .map(|n| {
                    let (trees, start) = (&trees, &start);
                    scope.spawn(move || {
                        start.wait();
                        make(trees, &format!("w-{n}"))
                    })
                })
                .collect();
            for tree in each {
                let tree = tree.join().unwrap();
                assert!(tree.path.join("README.md").exists());
            }
        });
        let branches =
            scene.git(&["for-each-ref", "--format=%(refname)", &format!("refs/heads/niia/{run}/w/")]);
        assert_eq!(branches.lines().count(), AT_ONCE);
    }
    assert_eq!(scene.repository().trees_of_niia().unwrap().len(), listed(ROUNDS * AT_ONCE));
    assert_eq!(scene.git(&["config", "--get-regexp", "^branch\\."]), "branch.autosetupmerge always");
    assert_eq!(scene.git(&["worktree", "list"]).lines().count(), listed(ROUNDS * AT_ONCE) + 1);
}

#[test]
fn sessions_that_share_a_tree_may_all_ask_for_it_at_once() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    std::thread::scope(|scope| {
        let each: Vec<_> = (0..10).map(|_| scope.spawn(|| make(&trees, "shared"))).collect();
        let mut trees = each.into_iter().map(|tree| tree.join().unwrap());
        let first = trees.next().unwrap();
        assert!(trees.all(|tree| tree == first));
    });
    assert_eq!(scene.repository().trees_of_niia().unwrap().len(), listed(1));
}

const PROCESSES: usize = 4;
const TREES_EACH: usize = 8;
const WHERE: &str = "NIIA_TEST_SCENE";

/// Does nothing by itself; the next test starts it as a process of its own.
#[test]
fn one_of_several_nodes() {
    let Some(told) = std::env::var_os(WHERE) else { return };
    let told = told.into_string().unwrap();
    let (root, run) = told.split_once('|').unwrap();
    let repository = Repository::discover(root.as_ref()).unwrap();
    let base = repository.head.clone().unwrap();
    let folder = std::path::Path::new(root).parent().unwrap().join("state").join(run);
    let trees = kind(RunTrees::begin(&repository, &slug(run), &folder, &base).unwrap());
    for n in 0..TREES_EACH {
        make(&trees, &format!("w-{n}"));
    }
}

#[test]
fn several_nodes_may_work_in_one_repository() {
    let scene = Scene::new();
    let children: Vec<_> = (0..PROCESSES)
        .map(|n| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "many::one_of_several_nodes"])
                .env(WHERE, format!("{}|demo-{n}", scene.root.display()))
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(scene.repository().trees_of_niia().unwrap().len(), listed(PROCESSES * TREES_EACH));
}

//! What kinds of repositories there are, and what niia does in each.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use niia_actors::git::{DiscoverError, Merged, Repository, RunTrees, Snapshot};

use crate::scene::*;

/// The whole way in one repository: a tree, a commit, a merge, and the checkout as it was.
fn goes_all_the_way(scene: &Scene) -> RunTrees {
    let before = scene.checkout_state();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "new file.txt", "new\n");
    commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    assert!(matches!(trees.merge(&[worker("one")]).unwrap(), Merged::Commit { .. }));
    assert!(scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/result"]).contains("new file.txt"));
    assert_eq!(scene.git_at(&tree.path, &["status", "--porcelain"]), "");
    assert_eq!(scene.checkout_state(), before);
    trees
}

#[test]
fn a_folder_without_a_repository_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Repository::discover(folder.path()).unwrap_err();
    assert!(matches!(error, DiscoverError::NoRepository { .. }), "{error}");
}

#[test]
fn a_bare_repository_and_the_git_folder_itself_are_refused() {
    let scene = Scene::new();
    let inside = Repository::discover(&scene.root.join(".git")).unwrap_err();
    assert!(matches!(inside, DiscoverError::InsideGitFolder { .. }), "{inside}");
    scene.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = Repository::discover(&scene.root.parent().unwrap().join("bare.git")).unwrap_err();
    assert!(matches!(bare, DiscoverError::Bare { .. }), "{bare}");
}

#[test]
fn a_repository_is_found_from_any_folder_in_it() {
    let scene = Scene::new();
    let repository = Repository::discover(&scene.root.join("src")).unwrap();
    assert_eq!(repository.root, scene.root);
    assert_eq!(repository.branch.as_deref(), Some("refs/heads/main"));
    assert_eq!(repository.head.unwrap().as_str(), scene.git(&["rev-parse", "HEAD"]));
}

#[test]
fn before_the_first_commit_there_is_no_head() {
    let scene = Scene::empty();
    let repository = scene.repository();
    assert_eq!((repository.head.clone(), repository.branch.as_deref()), (None, Some("refs/heads/main")));
    scene.write("a", "b");
    let error = repository.snapshot(&slug("demo-1"), &scene.run_folder("demo-1")).unwrap_err();
    assert_eq!(error.to_string(), "the repository has no commit yet");
}

#[test]
fn a_detached_head_is_a_base_like_any_other() {
    let scene = Scene::new();
    scene.git(&["checkout", "-q", "--detach"]);
    assert_eq!(scene.repository().branch, None);
    goes_all_the_way(&scene);
}

#[test]
fn paths_may_hold_spaces_other_scripts_quotes_and_line_ends() {
    for name in ["with space", "Ünïcödé 仕事", "quo\"te's", "line\nend", "-rf"] {
        let scene = Scene::named(name);
        scene.fill();
        goes_all_the_way(&scene);
    }
}

#[test]
fn a_repository_of_longer_names_is_worked_in_too() {
    let scene = Scene::empty();
    std::fs::remove_dir_all(scene.root.join(".git")).unwrap();
    scene.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    scene.fill();
    assert_eq!(goes_all_the_way(&scene).base().as_str().len(), 64);
}

#[test]
fn a_shallow_repository_is_worked_in_as_far_as_it_goes() {
    let origin = Scene::new();
    for n in 0..3 {
        origin.write("n.txt", &n.to_string());
        origin.commit("more");
    }
    let scene = Scene::empty();
    std::fs::remove_dir_all(&scene.root).unwrap();
    let url = format!("file://{}", origin.root.display());
    scene.git_at(&scene.home(), &["clone", "-q", "--depth", "1", &url, "repo"]);
    assert!(scene.repository().traits.shallow);
    goes_all_the_way(&scene);
    assert_eq!(scene.git(&["rev-list", "--count", "niia/demo-1/result"]), "2");
}

#[test]
fn a_partial_repository_fetches_what_it_lacks() {
    let origin = Scene::new();
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let scene = Scene::empty();
    std::fs::remove_dir_all(&scene.root).unwrap();
    let url = format!("file://{}", origin.root.display());
    scene.git_at(&scene.home(), &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "repo"]);
    scene.git(&["reset", "-q", "--mixed"]);
    assert!(scene.repository().traits.partial);
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "hello\n");
}

#[test]
fn in_a_sparse_checkout_trees_are_as_sparse_and_lose_nothing() {
    let scene = Scene::new();
    scene.write("big/one.txt", "1");
    scene.write("small/two.txt", "2");
    scene.commit("more");
    scene.git(&["sparse-checkout", "set", "small"]);
    assert!(!scene.root.join("big").exists());
    assert!(scene.repository().traits.sparse);
    let trees = goes_all_the_way(&scene);
    let tree = trees.path_of(&worker("one"));
    assert!(!tree.join("big").exists() && tree.join("small/two.txt").exists());
    let files = scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/result"]);
    assert!(files.contains("big/one.txt"), "{files}");
}

#[test]
fn submodules_stay_empty_in_a_tree_and_as_they_were_in_the_commit() {
    let library = Scene::new();
    let scene = Scene::new();
    let url = library.root.display().to_string();
    scene.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "lib"]);
    scene.commit("a library");
    assert!(scene.repository().traits.submodules);
    let before = scene.git(&["rev-parse", "HEAD:lib"]);
    let trees = goes_all_the_way(&scene);
    assert_eq!(std::fs::read_dir(trees.path_of(&worker("one")).join("lib")).unwrap().count(), 0);
    assert_eq!(scene.git(&["rev-parse", "niia/demo-1/result:lib"]), before);
}

#[test]
fn a_linked_work_tree_is_a_checkout_like_any_other() {
    let mut scene = Scene::new();
    let linked = scene.root.parent().unwrap().join("linked");
    scene.git(&["worktree", "add", "-q", "-b", "side", &linked.display().to_string()]);
    let main = std::mem::replace(&mut scene.root, linked);
    let repository = scene.repository();
    assert!(repository.traits.linked);
    assert_eq!(repository.common_dir, main.join(".git"));
    goes_all_the_way(&scene);
}

#[test]
fn a_tree_of_niia_is_itself_no_hindrance_to_another_run_in_it() {
    let mut scene = Scene::new();
    let outer = scene.begin("outer-1");
    scene.root = make(&outer, "one").path;
    let trees = goes_all_the_way(&scene);
    assert_eq!(trees.run().as_str(), "demo-1");
}

#[test]
fn a_repository_that_cannot_be_written_is_refused_before_anything_is_begun() {
    let scene = Scene::new();
    let repository = scene.repository();
    let base = repository.head.clone().unwrap();
    let mode =
        |mode| std::fs::set_permissions(scene.root.join(".git"), std::fs::Permissions::from_mode(mode));
    mode(0o555).unwrap();
    let begun = RunTrees::begin(&repository, &slug("demo-1"), &scene.run_folder("demo-1"), &base);
    mode(0o755).unwrap();
    let refs = scene.git(&["for-each-ref", "--format=%(refname)"]);
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind root.
        assert!(begun.is_ok() && refs.contains("niia/demo-1/result"));
    } else {
        let error = begun.unwrap_err();
        assert!(error.to_string().starts_with("the repository cannot be written: "), "{error}");
        assert_eq!(refs, "refs/heads/main");
    }
}

#[test]
fn files_kept_by_lfs_go_through_its_filter_when_it_was_there_from_the_beginning() {
    let scene = Scene::new();
    // A filter of the same shape as LFS's: what is committed is a pointer, what is checked out is the content.
    scene.git(&["config", "filter.lfs.clean", "sed s/^/pointer:/"]);
    scene.git(&["config", "filter.lfs.smudge", "sed s/^pointer://"]);
    scene.git(&["config", "filter.lfs.required", "true"]);
    scene.write(".gitattributes", "*.bin filter=lfs\n");
    scene.write("a.bin", "large\n");
    scene.commit("large files");
    let traits = scene.repository().traits;
    assert!(traits.lfs && traits.lfs_installed == has_program("git-lfs"));
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    assert_eq!(std::fs::read_to_string(tree.path.join("a.bin")).unwrap(), "large\n");
    write(&tree.path, "b.bin", "larger\n");
    commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    assert_eq!(scene.git(&["cat-file", "blob", "niia/demo-1/w/one:b.bin"]), "pointer:larger");
    assert_eq!(scene.git(&["diff", "--stat", "main", "niia/demo-1/w/one", "--", "a.bin"]), "");
}

fn has_program(name: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(name).is_file())
}

#[test]
fn uncommitted_changes_become_a_commit_and_the_checkout_stays_as_it_was() {
    let scene = Scene::new();
    let run = slug("demo-1");
    let clean = scene.repository().snapshot(&run, &scene.run_folder("demo-1")).unwrap();
    assert_eq!(clean, Snapshot::Clean { commit: scene.repository().head.unwrap() });
    scene.write("README.md", "changed\n");
    scene.write("src/new.rs", "new\n");
    scene.write("staged.txt", "staged\n");
    scene.git(&["add", "staged.txt"]);
    std::fs::remove_file(scene.root.join("src/main.rs")).unwrap();
    scene.write("noise.log", "ignored\n");
    let before = (scene.checkout_state(), std::fs::read(scene.root.join(".git/index")).unwrap());
    let states: Vec<String> =
        scene.repository().changes().unwrap().iter().map(|c| format!("{} {}", c.state, c.path)).collect();
    assert_eq!(states, [".M README.md", ".D src/main.rs", "A. staged.txt", "?? src/new.rs"]);
    let Snapshot::Commit { commit } = scene.repository().snapshot(&run, &scene.run_folder("demo-1")).unwrap()
    else {
        panic!()
    };
    assert_eq!(std::fs::read(scene.root.join(".git/index")).unwrap(), before.1);
    assert_eq!(scene.checkout_state(), before.0);
    let files = scene.git(&["ls-tree", "-r", "--name-only", commit.as_str()]);
    assert_eq!(files, ".gitignore\nREADME.md\nsrc/new.rs\nstaged.txt");
    let trees = RunTrees::begin(&scene.repository(), &run, &scene.run_folder("demo-1"), &commit).unwrap();
    let tree = make(&trees, "one");
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "changed\n");
}

#[test]
fn a_snapshot_refuses_what_niia_would_not_commit_and_a_merge_that_is_going_on() {
    let scene = Scene::new();
    scene.write("id_rsa", "x");
    let refused = scene.repository().snapshot(&slug("demo-1"), &scene.run_folder("demo-1")).unwrap();
    assert!(matches!(refused, Snapshot::Refused { ref reasons } if reasons.len() == 1), "{refused:?}");
    std::fs::remove_file(scene.root.join("id_rsa")).unwrap();
    scene.git(&["checkout", "-q", "-b", "side"]);
    scene.write("README.md", "side\n");
    scene.commit("side");
    scene.git(&["checkout", "-q", "main"]);
    scene.write("README.md", "main\n");
    scene.commit("main");
    git_in(&scene.root, &scene.home(), &["merge", "side"]);
    let error = scene.repository().snapshot(&slug("demo-2"), &scene.run_folder("demo-2")).unwrap_err();
    assert_eq!(error.to_string(), "a merge is going on in the checkout: README.md");
}

#[test]
fn a_checkout_whose_index_is_split_can_be_snapshotted() {
    let scene = Scene::new();
    scene.git(&["update-index", "--split-index"]);
    scene.write("README.md", "changed\n");
    let snapshot = scene.repository().snapshot(&slug("demo-1"), &scene.run_folder("demo-1")).unwrap();
    let Snapshot::Commit { commit } = snapshot else { panic!("{snapshot:?}") };
    assert_eq!(scene.git(&["cat-file", "blob", &format!("{commit}:README.md")]), "changed");
    assert!(Path::new(&scene.root).exists());
}

#[test]
fn a_path_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::named(std::ffi::OsStr::from_bytes(b"not \xff text"));
    scene.fill();
    let trees = goes_all_the_way(&scene);
    assert_eq!(trees.repository().root, scene.root);
}

#[test]
fn a_submodule_is_a_repository_to_work_in_like_any_other() {
    let library = Scene::new();
    let mut scene = Scene::new();
    let url = library.root.display().to_string();
    scene.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "lib"]);
    scene.commit("a library");
    scene.root.push("lib");
    let trees = goes_all_the_way(&scene);
    assert_eq!(trees.repository().root, scene.root);
}

#[test]
fn a_run_is_taken_up_in_its_own_repository_only() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.begin("demo-1");
    let error = RunTrees::open(&other.repository(), &scene.run_folder("demo-1")).unwrap_err();
    assert_eq!(error.to_string(), "the run `demo-1` was begun in another repository");
    assert!(RunTrees::open(&scene.repository(), &scene.run_folder("demo-1")).is_ok());
}

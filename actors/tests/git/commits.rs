//! What a worker may have done to its tree, and what becomes of its work.

use niia_actors::git::{Committed, Kind, Merged, ObjectId, Overlay, Refusal, RunTrees, Tree};

use crate::scene::*;

struct Work {
    scene: Scene,
    trees: RunTrees,
    tree: Tree,
}

impl Work {
    fn new() -> Work {
        let scene = Scene::new();
        let trees = scene.begin("demo-1");
        let tree = make(&trees, "one");
        Work { scene, trees, tree }
    }

    fn git(&self, args: &[&str]) -> String {
        self.scene.git_at(&self.tree.path, args)
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.tree.path, path, text);
    }

    fn commit(&self) -> Committed {
        self.trees.commit(&worker("one"), &info("one", 1)).unwrap()
    }

    fn committed(&self) -> ObjectId {
        commit_of(self.commit())
    }

    /// What the branch holds, and that the tree is clean and on its branch.
    fn files(&self) -> String {
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        assert_eq!(self.git(&["symbolic-ref", "HEAD"]), "refs/heads/niia/demo-1/w/one");
        self.scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/w/one"])
    }

    /// A private repository knows the user's branches as they were; what came since is fetched.
    fn hears_of_main(&self) {
        if crate::PRIVATELY {
            let root = self.scene.root.display().to_string();
            self.git(&["fetch", "-q", &root, "+refs/heads/main:refs/heads/main"]);
        }
    }

    fn is_kept(&self, commit: &str) -> bool {
        !self.scene.git(&["for-each-ref", "--contains", commit]).is_empty()
    }
}

#[test]
fn changed_new_deleted_and_renamed_files_are_committed_and_ignored_ones_are_not() {
    let work = Work::new();
    work.write("README.md", "changed\n");
    work.write("deep/er/new.txt", "new\n");
    work.write("noise.log", "ignored");
    work.write("target/debug/x", "ignored");
    std::fs::rename(work.tree.path.join("src/main.rs"), work.tree.path.join("src/lib.rs")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.tree.path.join("link")).unwrap();
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md\ndeep/er/new.txt\nlink\nsrc/lib.rs");
    assert_eq!(work.scene.git(&["cat-file", "blob", "niia/demo-1/w/one:link"]), "/etc/passwd");
    assert!(work.tree.path.join("noise.log").exists());
}

#[test]
fn a_folder_replaced_by_a_link_and_a_file_by_a_folder_are_committed_as_they_are() {
    let work = Work::new();
    std::fs::rename(work.tree.path.join("src"), work.tree.path.join("source")).unwrap();
    std::os::unix::fs::symlink("source", work.tree.path.join("src")).unwrap();
    std::fs::remove_file(work.tree.path.join("README.md")).unwrap();
    work.write("README.md/inside.txt", "x");
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md/inside.txt\nsource/main.rs\nsrc");
}

#[test]
fn the_workers_own_commits_stay_and_the_rest_goes_on_top() {
    let work = Work::new();
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    let own = work.git(&["rev-parse", "HEAD"]);
    work.write("b.txt", "b");
    let commit = work.committed();
    assert_eq!(work.scene.git(&["rev-parse", &format!("{commit}^")]), own);
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nb.txt\nsrc/main.rs");
}

#[test]
fn where_everything_is_committed_already_the_workers_commit_is_the_answer_each_time() {
    let work = Work::new();
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    let own = work.git(&["rev-parse", "HEAD"]);
    assert_eq!(work.committed().as_str(), own);
    assert_eq!(work.committed().as_str(), own);
    assert_eq!(work.trees.commit(&worker("one"), &info("one", 2)).unwrap(), Committed::Nothing);
}

#[test]
fn a_branch_of_the_workers_own_is_work_too() {
    let work = Work::new();
    work.git(&["checkout", "-q", "-b", "feature"]);
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    let own = work.git(&["rev-parse", "HEAD"]);
    work.write("b.txt", "b");
    let commit = work.committed();
    assert_eq!(work.scene.git(&["rev-parse", &format!("{commit}^")]), own);
    if crate::PRIVATELY {
        assert!(work.is_kept(&own), "its own branch is kept, and is its own affair");
        assert_eq!(work.git(&["rev-parse", "feature"]), own);
    } else {
        assert_eq!(work.scene.git(&["rev-parse", "feature"]), own, "its own branch stays where it is");
    }
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nb.txt\nsrc/main.rs");
}

#[test]
fn commits_on_a_detached_head_are_work_too() {
    let work = Work::new();
    work.git(&["checkout", "-q", "--detach"]);
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nsrc/main.rs");
}

#[test]
fn a_worker_that_only_looked_at_another_commit_is_put_back_to_its_own() {
    let work = Work::new();
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    work.git(&["checkout", "-q", "HEAD^"]);
    assert!(!work.tree.path.join("a.txt").exists());
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nsrc/main.rs");
    assert!(work.tree.path.join("a.txt").exists());
}

#[test]
fn changes_on_a_foreign_commit_are_for_a_person_to_judge() {
    let work = Work::new();
    work.write("a.txt", "a");
    work.git(&["add", "a.txt"]);
    work.git(&["commit", "-q", "-m", "mine"]);
    work.git(&["checkout", "-q", "HEAD^"]);
    let head = work.git(&["rev-parse", "HEAD"]);
    work.write("b.txt", "b");
    assert_eq!(work.commit(), Committed::Refused { reasons: vec![Refusal::HeadElsewhere { head }] });
    assert!(work.tree.path.join("b.txt").exists());
}

#[test]
fn an_amended_and_a_rebased_history_is_taken_and_the_old_one_kept() {
    let work = Work::new();
    work.write("a.txt", "a");
    let first = work.committed();
    work.write("b.txt", "b");
    work.git(&["add", "b.txt"]);
    work.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    let second = commit_of(work.trees.commit(&worker("one"), &info("one", 2)).unwrap());
    assert_ne!(first, second);
    assert!(work.is_kept(first.as_str()));
    work.scene.write("c.txt", "c");
    work.scene.commit("meanwhile");
    work.hears_of_main();
    work.git(&["rebase", "-q", "main"]);
    let third = commit_of(work.trees.commit(&worker("one"), &info("one", 3)).unwrap());
    assert!(work.is_kept(second.as_str()) && work.is_kept(third.as_str()));
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nb.txt\nc.txt\nsrc/main.rs");
    assert!(matches!(work.trees.merge(&[worker("one")]).unwrap(), Merged::Commit { .. }));
}

#[test]
fn a_rebase_or_merge_in_the_middle_is_for_a_person_to_judge() {
    let work = Work::new();
    work.write("README.md", "tree\n");
    work.git(&["commit", "-q", "-am", "mine"]);
    work.scene.write("README.md", "main\n");
    work.scene.commit("meanwhile");
    work.hears_of_main();
    git_in(&work.tree.path, &work.scene.home(), &["rebase", "main"]);
    let unfinished =
        |what: &str| Committed::Refused { reasons: vec![Refusal::Unfinished { what: what.to_owned() }] };
    assert_eq!(work.commit(), unfinished("rebase"));
    work.git(&["rebase", "--abort"]);
    git_in(&work.tree.path, &work.scene.home(), &["merge", "main"]);
    assert_eq!(work.commit(), unfinished("merge"));
    work.git(&["merge", "--abort"]);
    work.committed();
}

#[test]
fn a_tree_whose_git_pointer_was_deleted_loses_nothing() {
    let work = Work::new();
    work.write("a.txt", "a");
    std::fs::remove_file(work.tree.path.join(".git")).unwrap();
    work.scene.git(&["worktree", "prune"]);
    work.committed();
    let again = make(&work.trees, "one");
    assert_eq!(again.path, work.tree.path);
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nsrc/main.rs");
}

#[test]
fn a_tree_made_a_repository_of_its_own_is_for_a_person_to_judge() {
    let work = Work::new();
    work.write("a.txt", "a");
    std::fs::remove_file(work.tree.path.join(".git")).unwrap();
    work.git(&["init", "-q"]);
    assert_eq!(
        work.commit(),
        Committed::Refused { reasons: vec![Refusal::NestedRepository { path: ".".to_owned() }] }
    );
    let error = work.trees.create(&worker("one"), work.trees.base()).unwrap_err();
    assert!(error.to_string().contains("made a repository of its own"), "{error}");
}

#[test]
fn a_branch_the_worker_removed_is_put_back() {
    let work = Work::new();
    work.write("a.txt", "a");
    work.scene.git(&["update-ref", "-d", "refs/heads/niia/demo-1/w/one"]);
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nsrc/main.rs");
}

#[test]
fn an_orphan_branch_is_committed_and_does_not_merge_by_itself() {
    let work = Work::new();
    work.git(&["checkout", "-q", "--orphan", "alone"]);
    work.git(&["commit", "-q", "-m", "no parent"]);
    work.committed();
    let Merged::Conflict(conflict) = work.trees.merge(&[worker("one")]).unwrap() else { panic!() };
    assert_eq!(conflict.reason, "`one` and `result` share no history");
}

#[test]
fn staged_and_unstaged_changes_are_committed_alike() {
    let work = Work::new();
    work.write("a.txt", "staged");
    work.git(&["add", "a.txt"]);
    work.write("a.txt", "then changed");
    work.git(&["rm", "-q", "--cached", "README.md"]);
    work.git(&["update-index", "--assume-unchanged", "src/main.rs"]);
    work.write("src/main.rs", "hidden change\n");
    work.committed();
    let show = |path: &str| work.scene.git(&["cat-file", "blob", &format!("niia/demo-1/w/one:{path}")]);
    assert_eq!((show("a.txt"), show("src/main.rs")), ("then changed".to_owned(), "hidden change".to_owned()));
    assert_eq!(show("README.md"), "hello");
}

#[test]
fn what_a_worker_forced_into_its_own_commit_stays_there() {
    let work = Work::new();
    work.write("kept.log", "forced");
    work.git(&["add", "-f", "kept.log"]);
    work.git(&["commit", "-q", "-m", "forced"]);
    work.write("a.txt", "a");
    work.committed();
    assert_eq!(work.files(), ".gitignore\nREADME.md\na.txt\nkept.log\nsrc/main.rs");
}

#[test]
fn the_link_and_included_files_are_never_committed() {
    let work = Work::new();
    std::os::unix::fs::symlink("/somewhere", work.tree.path.join("scratchpad")).unwrap();
    work.write("local.cfg", "included");
    let overlay = |path: &str, kind| Overlay { path: path.into(), kind, blake3: None };
    let overlays = vec![overlay("scratchpad", Kind::Link), overlay("local.cfg", Kind::Included)];
    work.trees.overlay(&worker("one"), overlays).unwrap();
    assert_eq!(work.commit(), Committed::Nothing);
    work.write("a.txt", "a");
    let commit = commit_of(work.trees.commit(&worker("one"), &info("one", 2)).unwrap());
    let files = work.scene.git(&["ls-tree", "-r", "--name-only", commit.as_str()]);
    assert_eq!(files, ".gitignore\nREADME.md\na.txt\nsrc/main.rs");
}

#[test]
fn a_commit_is_named_for_the_user_and_otherwise_for_niia() {
    let scene = Scene::new();
    scene.git(&["config", "user.name", "Grace"]);
    scene.git(&["config", "user.email", "grace@example.org"]);
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "a", "a");
    let commit = commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    let who = |scene: &Scene, commit: &str| scene.git(&["log", "-1", "--format=%an <%ae> %cn", commit]);
    assert_eq!(who(&scene, commit.as_str()), "Grace <grace@example.org> Grace");
    let nameless = Scene::new();
    nameless.git(&["config", "user.name", " "]);
    nameless.git(&["config", "user.email", ""]);
    let trees = nameless.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "a", "a");
    let commit = commit_of(trees.commit(&worker("one"), &info("one", 1)).unwrap());
    assert_eq!(who(&nameless, commit.as_str()), "niia <niia@localhost> niia");
}

#[test]
fn trailers_cannot_be_forged_by_a_message_or_a_name() {
    let work = Work::new();
    work.write("a.txt", "a");
    let mut info = info("one\nNiia-Attempt: 7", 1);
    info.message = "hello\n\nNiia-Attempt: 9\n\0".to_owned();
    let commit = commit_of(work.trees.commit(&worker("one"), &info).unwrap());
    let trailers = work.scene.git(&["log", "-1", "--format=%(trailers)", commit.as_str()]);
    assert_eq!(trailers, "Niia-Run: demo-1\nNiia-Worker: one Niia-Attempt: 7\nNiia-Attempt: 1");
}

#[test]
fn before_another_attempt_goes_on_what_lies_in_the_tree_is_kept() {
    let work = Work::new();
    assert_eq!(work.trees.keep_work(&worker("one")).unwrap(), None);
    work.write("half.txt", "half done");
    let kept = work.trees.keep_work(&worker("one")).unwrap().unwrap();
    assert!(work.is_kept(kept.as_str()));
    assert_eq!(work.scene.git(&["cat-file", "blob", &format!("{kept}:half.txt")]), "half done");
    assert_eq!(work.git(&["status", "--porcelain"]), "?? half.txt", "the tree is left alone");
    work.committed();
}

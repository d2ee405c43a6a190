//! What holds for private repositories alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use niia_actors::git::{
    Branch, Checkout, Committed, Grants, LinkedWorktree, Refusal, Removed, RunTrees, Tree, TreeError,
    TreeName, Uncommitted, grants,
};

use crate::scene::*;

#[path = "private/foreign.rs"]
mod foreign;
#[path = "private/sources.rs"]
mod sources;

/// One tree of a run, with its private repository.
pub struct Work {
    pub scene: Scene,
    pub trees: RunTrees,
    pub tree: Tree,
}

impl Work {
    pub fn new() -> Work {
        Work::on(Scene::new())
    }

    pub fn on(scene: Scene) -> Work {
        let trees = scene.begin("demo-1");
        let tree = make(&trees, "one");
        Work { scene, trees, tree }
    }

    pub fn git(&self, args: &[&str]) -> String {
        self.scene.git_at(&self.tree.path, args)
    }

    pub fn commits(&self, path: &str, text: &str) -> String {
        write(&self.tree.path, path, text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", path]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn commit(&self) -> Committed {
        self.trees.commit(&worker("one"), &info("one", 1)).unwrap()
    }

    pub fn folder(&self) -> PathBuf {
        self.tree.private.as_ref().unwrap().folder.clone()
    }

    pub fn admin(&self) -> PathBuf {
        self.tree.private.as_ref().unwrap().admin.clone()
    }

    pub fn tip(&self) -> String {
        self.scene.git(&["rev-parse", "niia/demo-1/w/one"])
    }

    pub fn is_kept(&self, id: &str) -> bool {
        self.scene.git(&["for-each-ref", "--format=%(objectname)", "refs/niia/demo-1/kept"]).contains(id)
    }

    /// What is said against what the session left; the user's branches are as they were.
    pub fn refusal(&self) -> String {
        let before = self.scene.git(&["for-each-ref"]);
        let Committed::Refused { reasons } = self.commit() else { panic!("it was taken") };
        assert_eq!(self.scene.git(&["for-each-ref"]), before);
        assert_eq!(self.scene.git(&["fsck", "--no-dangling", "--no-progress"]), "");
        match &reasons[..] {
            [Refusal::Foreign { what }] => what.clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a script where the paths granted are what they are granted as.
fn inside(grants: &Grants, script: &str) -> Output {
    let mut mounts: Vec<(PathBuf, bool)> = grants.write.iter().map(|path| (path.clone(), true)).collect();
    // A copy of a file is not made here: what is on disk is looked at.
    let guarded = grants.read_only.iter().chain(&grants.own);
    mounts.extend(guarded.filter(|path| path.exists()).map(|path| (path.clone(), false)));
    mounts.sort_by_key(|(path, _)| path.components().count());
    let mut text = "set -e\nmount --make-rprivate /\n".to_owned();
    for (path, writable) in mounts {
        let path = path.display();
        text.push_str(&format!("mount --bind '{path}' '{path}'\n"));
        // What lies in a folder that is read only begins as read only.
        let way = if writable { "rw" } else { "ro" };
        text.push_str(&format!("mount -o remount,bind,{way} '{path}'\n"));
    }
    text.push_str(script);
    let how = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let mut command = Command::new("unshare");
    command.args([how, "sh", "-c", &text]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let named = [("NAME", "Ada"), ("EMAIL", "ada@example.org")];
    for (what, value) in named {
        command.env(format!("GIT_AUTHOR_{what}"), value).env(format!("GIT_COMMITTER_{what}"), value);
    }
    command.env("GIT_EDITOR", "true").env("HOME", "/nowhere").env("LC_ALL", "C").output().unwrap()
}

#[test]
fn all_work_with_git_goes_inside_what_is_granted() {
    let work = Work::new();
    let script = format!(
        "cd '{}'
         echo a > a.txt; git add a.txt; git commit -q -m a
         git tag v1; git tag -a v2 -m two
         echo b > b.txt; git stash -q -u; test ! -e b.txt; git stash pop -q; git add -A; git commit -q -m b
         git checkout -q -b side HEAD~1; echo c > c.txt; git add -A; git commit -q -m c
         git checkout -q -; git merge -q --no-edit side; git branch -q -d side
         git checkout -q -b again HEAD~1; echo d > d.txt; git add -A; git commit -q -m d
         git rebase -q -i --autosquash niia/demo-1/w/one
         git checkout -q niia/demo-1/w/one; git merge -q --ff-only again
         git branch -m again other || test -n \"$(git rev-parse other)\"
         git commit -q --amend -m last; git cherry-pick -m 1 --allow-empty --keep-redundant-commits HEAD~1 >/dev/null
         git reset -q --hard HEAD~1; git rm -q d.txt; git mv a.txt e.txt; git commit -q -m moved
         git pack-refs --all; git gc -q; git fsck --no-progress >/dev/null; git notes add -m note; git log --oneline -3",
        work.tree.path.display()
    );
    let output = inside(&grants(&work.tree), &script);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let commit = commit_of(work.commit());
    assert_eq!(work.tip(), commit.as_str());
    assert_eq!(
        work.scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/w/one"]),
        ".gitignore\nREADME.md\nb.txt\nc.txt\ne.txt\nsrc/main.rs"
    );
    assert_eq!(work.scene.git(&["fsck", "--no-dangling", "--no-progress"]), "");
}

#[test]
fn nothing_that_tells_a_git_where_to_look_can_be_changed_or_moved_away() {
    let work = Work::new();
    let (tree, folder, admin) = (work.tree.path.display(), work.folder(), work.admin());
    let (folder, admin) = (folder.display(), admin.display());
    let objects = work.scene.root.join(".git/objects");
    let first = work.scene.git(&["rev-parse", "HEAD"]);
    let object = objects.join(&first[..2]).join(&first[2..]);
    let mut attempts = vec![
        format!("mv '{folder}/worktrees' '{folder}/w'"),
        format!("mv '{folder}/objects' '{folder}/o'"),
        format!("mv '{admin}' '{folder}/t'"),
        format!("mv '{folder}' '{folder}.x'"),
        format!("mv '{folder}/hooks' '{folder}/h'"),
        format!("echo x > '{folder}/hooks/post-checkout'"),
        format!("mkdir '{folder}/worktrees/other'"),
        format!("rm -f '{}'", object.display()),
        format!("echo x > '{}/x'", objects.display()),
        format!("mv '{}' '{}.x'", objects.display(), objects.display()),
        format!("echo /tmp > '{folder}/objects/info/alternates'"),
        format!("mv '{folder}/objects/info' '{folder}/objects/i'"),
        format!("echo x > '{folder}/info/attributes'"),
        format!("echo x > '{folder}/info/grafts'"),
        format!("git -C '{tree}' config core.fsmonitor /bin/false"),
        format!("git -C '{tree}' config --worktree core.fsmonitor /bin/false"),
    ];
    let files = [format!("{tree}/.git"), format!("{folder}/config")]
        .into_iter()
        .chain(["commondir", "gitdir", "config.worktree"].map(|file| format!("{admin}/{file}")));
    for file in files {
        attempts.push(format!("echo x > '{file}'"));
        attempts.push(format!("mv '{file}' '{file}.x'"));
        attempts.push(format!("rm -f '{file}'"));
        attempts.push(format!("echo x > '{file}.new' && mv '{file}.new' '{file}'"));
        attempts.push(format!("ln -sfn /etc/passwd '{file}'"));
        attempts.push(format!("chmod 0777 '{file}'"));
    }
    let script: String = attempts
        .iter()
        .enumerate()
        .map(|(n, attempt)| format!("if ( {attempt} ) 2>/dev/null; then echo {n}; fi\n"))
        .collect();
    let output = inside(&grants(&work.tree), &script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = String::from_utf8_lossy(&output.stdout).into_owned();
    let done: Vec<&String> = done.lines().map(|n| &attempts[n.parse::<usize>().unwrap()]).collect();
    assert_eq!(done, [""; 0]);
    // Each attempt is one: where nothing is mounted it goes.
    for attempt in ["chmod", "echo x > '{file}'", "rm -f"] {
        assert!(attempts.iter().any(|text| text.contains(attempt.split(" '").next().unwrap())));
    }
    let control = Command::new("sh").arg("-c").arg(&attempts[0]).output().unwrap();
    assert!(control.status.success());
}

#[test]
fn a_tree_to_look_at_is_granted_for_looking_alone() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = trees.create(&TreeName::Reading(slug("look")), trees.base()).unwrap();
    let granted = grants(&tree);
    assert!(granted.write.is_empty());
    let script =
        format!("cd '{}'; git status --porcelain; git log --oneline; ! touch x", tree.path.display());
    let output = inside(&granted, &script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scene.write("later.txt", "x");
    let commit = scene.commit("later");
    let later = niia_actors::git::ObjectId::new(&commit).unwrap();
    let tree = trees.create(&TreeName::Reading(slug("look")), &later).unwrap();
    assert_eq!(scene.git_at(&tree.path, &["rev-parse", "HEAD"]), commit);
    assert!(tree.path.join("later.txt").exists());
}

#[test]
fn the_users_repository_has_nothing_of_a_session_before_its_commits_are_taken_over() {
    let work = Work::new();
    let before = work.scene.git(&["count-objects", "-v"]);
    let own = work.commits("a.txt", "a");
    work.git(&["config", "alias.evil", "!x"]);
    assert_eq!(work.scene.git(&["count-objects", "-v"]), before);
    assert!(!work.scene.git(&["config", "--list"]).contains("evil"));
    assert_ne!(work.tip(), own);
    let imported = LinkedWorktree::new(work.trees.clone()).import(&worker("one")).unwrap();
    assert_eq!(imported.unwrap().as_str(), own);
    assert_eq!(work.tip(), own);
    assert_eq!(work.scene.repository().trees_of_niia().unwrap(), []);
}

#[test]
fn branches_tags_and_stashes_of_a_session_are_kept_and_are_there_again() {
    let work = Work::new();
    work.git(&["checkout", "-q", "-b", "side"]);
    let side = work.commits("side.txt", "side");
    work.git(&["tag", "-a", "v1", "-m", "one"]);
    let tag = work.git(&["rev-parse", "v1"]);
    work.git(&["checkout", "-q", "niia/demo-1/w/one"]);
    let stashes: Vec<String> = ["first", "second"]
        .map(|text| {
            write(&work.tree.path, "README.md", text);
            work.git(&["stash", "-q"]);
            work.git(&["rev-parse", "stash"])
        })
        .into();
    work.commits("a.txt", "a");
    commit_of(work.commit());
    for id in [&side, &tag, &stashes[0], &stashes[1]] {
        assert!(work.is_kept(id), "{id}");
    }
    assert_eq!(work.git(&["rev-parse", "side", "v1"]), format!("{side}\n{tag}"));
    assert_eq!(work.git(&["stash", "list"]).lines().count(), 2);
    work.git(&["stash", "pop", "-q"]);
    assert_eq!(std::fs::read_to_string(work.tree.path.join("README.md")).unwrap(), "second");
    // What is kept already is not kept anew.
    work.git(&["checkout", "-q", "README.md"]);
    work.commits("b.txt", "b");
    commit_of(work.trees.commit(&worker("one"), &info("one", 2)).unwrap());
    assert_eq!(work.git(&["rev-parse", "side"]), side);
    work.trees.remove(&worker("one"), Uncommitted::Refuse, Branch::Goes).unwrap();
    assert!(!work.folder().exists() && work.is_kept(&side));
}

#[test]
fn a_later_phase_sees_what_was_merged_since() {
    let work = Work::new();
    work.commits("a.txt", "a");
    commit_of(work.commit());
    let other = make(&work.trees, "two");
    write(&other.path, "b.txt", "b");
    commit_of(work.trees.commit(&worker("two"), &info("two", 1)).unwrap());
    work.trees.merge(&[worker("one"), worker("two")]).unwrap();
    let (tree, conflict) = work.trees.enter(&worker("one")).unwrap();
    assert!(conflict.is_none() && tree.path.join("b.txt").exists());
    assert_eq!(work.git(&["status", "--porcelain"]), "");
    assert_eq!(work.git(&["rev-parse", "HEAD"]), work.tip());
    assert_eq!(
        work.git(&["rev-parse", "niia/demo-1/result"]),
        work.scene.git(&["rev-parse", "niia/demo-1/result"])
    );
    assert!(!work.git(&["for-each-ref"]).contains("refs/niia/"), "niia's own refs are its own affair");
}

#[test]
fn a_linked_tree_that_a_sandboxed_session_enters_goes_on_as_a_private_one() {
    let scene = Scene::new();
    let repository = scene.repository();
    let base = repository.head.clone().unwrap();
    let linked = RunTrees::begin(&repository, &slug("demo-1"), &scene.run_folder("demo-1"), &base).unwrap();
    let tree = make(&linked, "one");
    assert!(tree.private.is_none() && grants(&tree).write == [tree.path.clone()]);
    scene.git_at(&tree.path, &["commit", "-q", "--allow-empty", "-m", "mine"]);
    write(&tree.path, "half.txt", "half");
    let work = Work { tree: make(&linked.privately(), "one"), trees: linked, scene };
    assert!(work.tree.private.is_some());
    assert_eq!(work.git(&["log", "-1", "--format=%s"]), "mine");
    assert_eq!(work.git(&["status", "--porcelain"]), "?? half.txt");
    assert_eq!(work.scene.repository().trees_of_niia().unwrap(), []);
    // It stays one, whoever asks for it next.
    assert!(make(&work.trees, "one").private.is_some());
    commit_of(work.commit());
    assert!(work.scene.git(&["ls-tree", "--name-only", "niia/demo-1/w/one"]).contains("half.txt"));
}

#[test]
fn a_branch_that_the_user_checked_out_meanwhile_is_not_moved_under_it() {
    let work = Work::new();
    let own = work.commits("a.txt", "a");
    work.scene.git(&["checkout", "-q", "niia/demo-1/w/one"]);
    let before = work.scene.checkout_state();
    let error = work.trees.commit(&worker("one"), &info("one", 1)).unwrap_err();
    assert!(matches!(error, TreeError::BranchElsewhere { .. }), "{error}");
    assert_eq!(work.scene.checkout_state(), before);
    assert!(work.is_kept(&own));
    work.scene.git(&["checkout", "-q", "main"]);
    commit_of(work.commit());
    assert_eq!(work.tip(), own);
}

#[test]
fn a_branch_that_somebody_moved_meanwhile_is_kept_where_it_stood() {
    let work = Work::new();
    work.scene.write("other.txt", "x");
    let moved = work.scene.commit("theirs");
    work.scene.git(&["branch", "-f", "niia/demo-1/w/one", "main"]);
    let own = work.commits("a.txt", "a");
    commit_of(work.commit());
    assert_eq!(work.tip(), own);
    assert!(work.is_kept(&moved));
}

#[test]
fn a_tree_whose_repository_cannot_be_taken_over_is_archived_with_it() {
    let work = Work::new();
    work.commits("a.txt", "a");
    std::fs::remove_file(work.admin().join("HEAD")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.admin().join("HEAD")).unwrap();
    assert!(work.refusal().contains("HEAD` is a link"));
    let refused = work.trees.remove(&worker("one"), Uncommitted::Refuse, Branch::Stays).unwrap();
    assert_eq!(refused, Removed::Refused { paths: vec![".git".into()] });
    let removed = work.trees.remove(&worker("one"), Uncommitted::Archive, Branch::Stays).unwrap();
    let Removed::Done { archive: Some(archive) } = removed else { panic!("{removed:?}") };
    assert!(archive.join("@repository/objects").is_dir() && archive.join("a.txt").exists());
    assert!(!work.folder().exists() && !work.tree.path.exists());
    assert!(Path::new("/etc/passwd").exists());
}

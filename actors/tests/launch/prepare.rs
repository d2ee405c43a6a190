//! Trees, copied files, links and commands, before and after a session.

use niia_actors::git::{Branch, Committed, Removed, Uncommitted};
use niia_actors::launch::{Kept, Place, finish, prepare};

use crate::scene::*;
use crate::session::Session;

#[test]
fn a_session_starts_in_its_tree_with_the_scratchpad_at_hand_and_git_none_the_wiser() {
    let session = Session::new(|_| {});
    let before = session.scene.git(&["config", "--list", "--local"]);
    session.prepare().unwrap();
    std::fs::write(session.scene.home().join("pad/note.md"), "a note").unwrap();
    assert_eq!(session.sh("pwd -P"), session.tree().display().to_string());
    assert_eq!(session.sh("cat scratchpad/note.md $NIIA_SCRATCHPAD/note.md"), "a notea note");
    assert_eq!(session.sh("git status --porcelain"), "");
    assert_eq!(session.sh("git add -A && git status --porcelain"), "");
    assert_eq!(session.scene.git(&["config", "--list", "--local"]), before);
    assert!(
        !std::fs::read_to_string(session.scene.root.join(".git/info/exclude"))
            .unwrap()
            .contains("scratchpad")
    );
    let commit = session.checkout.trees().commit(&session.name(), &info("one", 1)).unwrap();
    assert_eq!(commit, Committed::Nothing);
}

#[test]
fn where_the_name_is_taken_the_link_has_another() {
    let scene = Scene::new();
    scene.write("scratchpad/mine.txt", "mine");
    scene.commit("a scratchpad of their own");
    let session = Session::in_scene(scene, |_| {});
    let prepared = session.prepare().unwrap();
    assert_eq!(prepared.link, Some(session.tree().join(".niia-scratchpad")));
    assert_eq!(session.sh("git status --porcelain"), "");
    write(&session.tree(), "scratchpad/more.txt", "work");
    assert_eq!(session.sh("git status --porcelain"), "?? scratchpad/more.txt");
}

#[test]
fn the_users_own_list_of_what_git_does_not_see_goes_on_to_count() {
    let mut session = Session::new(|_| {});
    let list = session.scene.home().join("my-ignore");
    std::fs::write(&list, "*.swp").unwrap();
    session.facts.excludes_of_user = Some(list);
    session.prepare().unwrap();
    write(&session.tree(), "x.swp", "x");
    write(&session.tree(), "x.txt", "x");
    assert_eq!(session.sh("git status --porcelain"), "?? x.txt");
}

#[test]
fn preparing_twice_finds_what_is_there_and_two_sessions_share_a_link() {
    let session = Session::new(|plan| plan.setup = vec!["echo ran >> $NIIA_SCRATCHPAD/ran".to_owned()]);
    let first = session.prepare().unwrap();
    write(&session.tree(), "half.txt", "half done");
    assert_eq!(session.prepare().unwrap(), first);
    assert!(session.tree().join("half.txt").exists());
    finish(&session.launch(), &first, Kept::ForOthers);
    assert!(session.tree().join("scratchpad").exists());
    finish(&session.launch(), &first, Kept::ForNobody);
    assert!(session.tree().join("scratchpad").symlink_metadata().is_err());
}

#[test]
fn ignored_files_are_taken_along_and_never_committed() {
    let scene = Scene::new();
    scene.write(".gitignore", "*.log\n.env\n/config/*.local\n");
    scene.commit("what is ignored");
    scene.write(".env", "KEY=1\n");
    scene.write("config/a.local", "a");
    scene.write("config/b.local", "b");
    scene.write("noise.log", "not asked for");
    let session = Session::in_scene(scene, |plan| {
        plan.include = vec![".env".to_owned(), "config/*.local".to_owned(), "README.md".to_owned()];
    });
    session.prepare().unwrap();
    assert_eq!(
        session.sh("cat .env config/a.local config/b.local; ls"),
        "KEY=1\nabREADME.md\nconfig\nscratchpad\nsrc"
    );
    // Even when the worker stops ignoring it.
    write(&session.tree(), ".gitignore", "");
    let trees = session.checkout.trees();
    let commit = commit_of(trees.commit(&session.name(), &info("one", 1)).unwrap());
    let files = session.scene.git(&["ls-tree", "-r", "--name-only", commit.as_str()]);
    assert_eq!(files, ".gitignore\nREADME.md\nsrc/main.rs");
    let removed = trees.remove(&session.name(), Uncommitted::Refuse, Branch::Goes).unwrap();
    assert_eq!(removed, Removed::Done { archive: None });
}

#[test]
fn a_file_that_the_worker_has_already_is_not_overwritten() {
    let scene = Scene::new();
    scene.write(".env", "KEY=1\n");
    let session = Session::in_scene(scene, |plan| plan.include = vec![".env".to_owned()]);
    session.prepare().unwrap();
    write(&session.tree(), ".env", "KEY=2\n");
    session.prepare().unwrap();
    assert_eq!(session.sh("cat .env"), "KEY=2");
}

#[test]
fn nothing_from_outside_the_checkout_is_included() {
    let said = |pattern: &str, act: &dyn Fn(&Scene)| {
        let scene = Scene::new();
        act(&scene);
        let pattern = pattern.to_owned();
        let session = Session::in_scene(scene, |plan| plan.include = vec![pattern]);
        session.prepare().unwrap_err().to_string()
    };
    let link = |scene: &Scene| {
        std::fs::write(scene.home().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(scene.home().join("secret"), scene.root.join(".env")).unwrap();
    };
    assert_eq!(said(".env", &link), "`include`: `.env` is a link that leads out of the checkout");
    for pattern in ["../secret", "/etc/passwd", "", "a/../../b"] {
        assert_eq!(said(pattern, &|_| {}), format!("`include`: `{pattern}` leads out of the checkout"));
    }
    assert!(said(".env", &|_| {}).starts_with("`include`: nothing in `"));
    let fifo = |scene: &Scene| {
        assert!(
            std::process::Command::new("mkfifo").arg(scene.root.join(".env")).status().unwrap().success()
        );
    };
    assert!(said(".env", &fifo).starts_with("`include`: nothing in `"));
}

#[test]
fn a_link_in_the_tree_does_not_lead_a_copy_out_of_it() {
    let scene = Scene::new();
    scene.write(".gitignore", "*.local\n");
    scene.commit("what is ignored");
    scene.write("config/a.local", "copied");
    let session = Session::in_scene(scene, |plan| plan.include = vec!["config/a.local".to_owned()]);
    let outside = session.scene.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    make(session.checkout.trees(), "one");
    std::os::unix::fs::symlink(&outside, session.tree().join("config")).unwrap();
    let error = session.prepare().unwrap_err();
    assert_eq!(error.to_string(), "`include`: could not copy `config/a.local`");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn setup_runs_in_the_tree_with_the_sessions_environment() {
    let session = Session::new(|plan| {
        plan.env.insert("WORD".to_owned(), "hello".to_owned());
        plan.setup = vec![
            "mkdir -p target && echo $WORD > target/made".to_owned(),
            "pwd -P > target/where".to_owned(),
        ];
        plan.teardown = vec!["echo over > $NIIA_SCRATCHPAD/over".to_owned(), "exit 3".to_owned()];
    });
    let prepared = session.prepare().unwrap();
    assert_eq!(session.sh("cat target/made target/where"), format!("hello\n{}", session.tree().display()));
    let finished = finish(&session.launch(), &prepared, Kept::ForNobody);
    assert_eq!(std::fs::read_to_string(session.scene.home().join("pad/over")).unwrap(), "over\n");
    let failures: Vec<String> = finished.failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures, ["`teardown` number 2 (`exit 3`) failed with exit code 3: "]);
    // What a setup made is made again by it: no reason to keep the tree.
    let removed =
        session.checkout.trees().remove(&session.name(), Uncommitted::Refuse, Branch::Goes).unwrap();
    assert_eq!(removed, Removed::Done { archive: None });
}

#[test]
fn a_setup_that_fails_is_named_with_what_it_said_and_without_secrets() {
    let session = Session::new(|plan| {
        plan.env.insert("MY_TOKEN".to_owned(), "swordfish".to_owned());
        plan.setup = vec!["true".to_owned(), "echo no $MY_TOKEN >&2; exit 7".to_owned()];
    });
    let error = session.prepare().unwrap_err().to_string();
    let expected = "`setup` number 2 (`echo no $MY_TOKEN >&2; exit 7`) failed with exit code 7: no <secret>";
    assert_eq!(error, expected);
    assert!(session.tree().join("scratchpad").symlink_metadata().is_err(), "what was begun is undone");
}

#[test]
fn what_a_setup_leaves_running_is_ended() {
    let session =
        Session::new(|plan| plan.setup = vec!["sleep 600 & echo $! > $NIIA_SCRATCHPAD/pid".to_owned()]);
    session.prepare().unwrap();
    let pid = std::fs::read_to_string(session.scene.home().join("pad/pid")).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    let patience = std::time::Instant::now();
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
        assert!(patience.elapsed().as_secs() < 30, "it lives");
        std::thread::yield_now();
    }
}

#[test]
fn a_folder_that_is_not_there_or_leads_out_is_refused() {
    let session = Session::new(|plan| plan.cwd = Some("nowhere".to_owned()));
    assert!(session.prepare().unwrap_err().to_string().ends_with("nowhere` cannot be worked in"));
    make(session.checkout.trees(), "one");
    std::os::unix::fs::symlink("/tmp", session.tree().join("nowhere")).unwrap();
    assert!(session.prepare().unwrap_err().to_string().ends_with("nowhere` leads out of the tree"));
}

#[test]
fn without_a_repository_the_current_folder_will_do_and_nothing_is_put_into_it() {
    let mut session = Session::new(|_| {});
    let folder = session.scene.home().join("plain");
    std::fs::create_dir(&folder).unwrap();
    session.facts.place = Place::Folder { path: folder.clone() };
    let prepared = prepare(&session.launch(), None).unwrap();
    assert_eq!((prepared.tree.clone(), prepared.link.clone()), (None, None));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

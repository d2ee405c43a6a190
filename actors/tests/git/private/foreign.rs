//! What a session may make of its private repository, and what niia makes of that: nothing runs, nothing is believed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use niia_actors::git::{Branch, Committed, Uncommitted};

use super::Work;
use crate::scene::*;

/// Plants something, lets niia do all it does with a tree, and looks whether the program ran.
fn nothing_runs(plant: impl Fn(&Work, &str), control: &[&str]) {
    let work = Work::new();
    let mark = work.scene.home().join("sprung");
    let script = work.scene.home().join("trap.sh");
    fs::write(&script, format!("#!/bin/sh\necho x >> '{}'\ncat\nexit 0\n", mark.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    work.commits("a.txt", "a");
    write(&work.tree.path, "b.txt", "b");
    plant(&work, &script.display().to_string());
    git_in(&work.tree.path, &work.scene.home(), control);
    assert!(mark.exists(), "the attack is none: git itself does not fall for it");
    fs::remove_file(&mark).unwrap();
    let told = work.trees.commit(&worker("one"), &info("one", 1));
    let _ = work.trees.keep_work(&worker("one"));
    let _ = work.trees.enter(&worker("one"));
    let _ = work.trees.merge(&[worker("one")]);
    let _ = work.trees.remove(&worker("one"), Uncommitted::Archive, Branch::Goes);
    assert!(!mark.exists(), "{told:?}");
}

#[test]
fn no_configuration_of_the_private_repository_is_read() {
    nothing_runs(|work, trap| drop(work.git(&["config", "core.fsmonitor", trap])), &["status"]);
    nothing_runs(
        |work, trap| {
            let other = work.scene.home().join("included");
            fs::write(&other, format!("[core]\n\tfsmonitor = {trap}\n")).unwrap();
            work.git(&["config", "include.path", &other.display().to_string()]);
        },
        &["status"],
    );
    nothing_runs(
        |work, trap| {
            write(&work.tree.path, ".gitattributes", "* filter=trap\n");
            work.git(&["config", "filter.trap.clean", trap]);
        },
        &["add", "-A"],
    );
}

#[test]
fn no_configuration_beside_that_of_the_tree_alone_is_read() {
    nothing_runs(
        |work, trap| {
            work.git(&["config", "core.repositoryformatversion", "1"]);
            work.git(&["config", "extensions.worktreeConfig", "true"]);
            fs::write(work.admin().join("config.worktree"), "[core]\n\tbare = false\n").unwrap();
            work.git(&["config", "core.bare", "false"]);
            fs::write(work.admin().join("config.worktree"), format!("[core]\n\tfsmonitor = {trap}\n"))
                .unwrap();
        },
        &["status"],
    );
}

#[test]
fn no_other_common_folder_and_no_other_pointer_is_followed() {
    let evil = |work: &Work, trap: &str| {
        work.scene.git_at(&work.scene.home(), &["init", "-q", "evil"]);
        let evil = work.scene.home().join("evil");
        work.scene.git_at(&evil, &["config", "core.fsmonitor", trap]);
        evil.join(".git")
    };
    nothing_runs(
        |work, trap| {
            let evil = evil(work, trap);
            fs::write(work.admin().join("commondir"), format!("{}\n", evil.display())).unwrap();
        },
        &["status"],
    );
    nothing_runs(
        |work, trap| {
            let evil = evil(work, trap);
            fs::remove_file(work.tree.path.join(".git")).unwrap();
            symlink(evil, work.tree.path.join(".git")).unwrap();
        },
        &["status"],
    );
}

#[test]
fn no_hook_of_the_private_repository_runs() {
    nothing_runs(
        |work, trap| {
            for hook in ["reference-transaction", "post-checkout", "post-index-change", "pre-commit"] {
                fs::copy(trap, work.folder().join("hooks").join(hook)).unwrap();
            }
        },
        &["commit", "-q", "--allow-empty", "-m", "x"],
    );
}

#[test]
fn heads_and_refs_that_lead_elsewhere_are_refused_by_name() {
    let refused = |act: &dyn Fn(&Work), words: &str| {
        let work = Work::new();
        work.commits("a.txt", "a");
        act(&work);
        let said = work.refusal();
        assert!(said.contains(words), "{said}");
    };
    let replaced = |file: &Path, to: &str| {
        fs::remove_file(file).unwrap();
        symlink(to, file).unwrap();
    };
    refused(&|work| replaced(&work.admin().join("HEAD"), "/etc/passwd"), "is a link");
    refused(&|work| replaced(&work.folder().join("packed-refs"), "/etc/passwd"), "is a link");
    refused(
        &|work| fs::write(work.admin().join("HEAD"), "ref: ../../../etc/passwd\n").unwrap(),
        "is no head",
    );
    refused(
        &|work| {
            let branch = work.folder().join("refs/heads/niia/demo-1/w/one");
            fs::write(branch, "ref: refs/heads/main\n").unwrap();
        },
        "is no plain ref",
    );
    refused(
        &|work| {
            let refs = work.folder().join("refs");
            fs::rename(&refs, work.folder().join("moved")).unwrap();
            symlink(work.scene.root.join(".git/refs"), &refs).unwrap();
        },
        "`refs`",
    );
}

/// Writes an object as the session's git would, whatever is in it.
fn object(work: &Work, kind: &str, bytes: &[u8]) -> String {
    let mut command = Command::new("git");
    command.args(["hash-object", "-w", "--literally", "--stdin", "-t", kind]).current_dir(&work.tree.path);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit_on(work: &Work, tree: &str) {
    let parent = work.git(&["rev-parse", "HEAD"]);
    let commit = work.git(&["commit-tree", tree, "-p", &parent, "-m", "made by hand"]);
    fs::write(work.folder().join("refs/heads/niia/demo-1/w/one"), format!("{commit}\n")).unwrap();
}

fn entry(mode: &str, name: &str, id: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
    let raw = (0..id.len()).step_by(2).map(digits);
    format!("{mode} {name}\0").into_bytes().into_iter().chain(raw).collect()
}

#[test]
fn objects_made_to_harm_a_checkout_are_refused() {
    for name in [".git", ".GIT", "..", "git~1", "a/b"] {
        let work = Work::new();
        work.commits("a.txt", "a");
        let blob = object(&work, "blob", b"evil");
        let tree = object(&work, "tree", &entry("100644", name, &blob));
        commit_on(&work, &tree);
        let said = work.refusal();
        assert!(said.contains("cannot be taken into the repository"), "{name}: {said}");
    }
}

#[test]
fn a_submodule_whose_name_leads_out_is_refused() {
    let work = Work::new();
    work.commits("a.txt", "a");
    let text = b"[submodule \"../../x\"]\n\tpath = x\n\turl = -u./payload\n";
    let blob = object(&work, "blob", text);
    let tree = object(&work, "tree", &entry("100644", ".gitmodules", &blob));
    commit_on(&work, &tree);
    assert!(work.refusal().contains("cannot be taken into the repository"));
}

#[test]
fn commits_that_name_what_is_not_there_are_refused() {
    let missing = "1".repeat(40);
    let work = Work::new();
    work.commits("a.txt", "a");
    let tree = object(&work, "tree", &entry("100644", "gone.txt", &missing));
    commit_on(&work, &tree);
    assert!(work.refusal().contains("cannot be taken into the repository"));
    let work = Work::new();
    fs::write(work.folder().join("refs/heads/niia/demo-1/w/one"), format!("{missing}\n"))
        .or_else(|_| {
            fs::create_dir_all(work.folder().join("refs/heads/niia/demo-1/w"))?;
            fs::write(work.folder().join("refs/heads/niia/demo-1/w/one"), format!("{missing}\n"))
        })
        .unwrap();
    assert!(work.refusal().contains("cannot be taken into the repository"));
}

#[test]
fn an_object_that_is_not_what_its_name_says_is_refused() {
    let work = Work::new();
    let own = work.commits("a.txt", "one text\n");
    let loose = |id: &str| work.folder().join("objects").join(&id[..2]).join(&id[2..]);
    let blob = work.git(&["rev-parse", "HEAD:a.txt"]);
    let other = object(&work, "blob", b"another text\n");
    fs::remove_file(loose(&blob)).unwrap();
    fs::copy(loose(&other), loose(&blob)).unwrap();
    let said = work.refusal();
    assert!(said.contains("cannot be taken into the repository"), "{said}");
    assert_ne!(work.tip(), own);
}

#[test]
fn objects_behind_links_and_pipes_are_not_waited_for_and_not_read() {
    let work = Work::new();
    let own = work.commits("a.txt", "a");
    let loose = work.folder().join("objects").join(&own[..2]).join(&own[2..]);
    fs::remove_file(&loose).unwrap();
    symlink("/dev/zero", &loose).unwrap();
    assert!(work.refusal().contains("is a link"));
    fs::remove_file(&loose).unwrap();
    assert!(Command::new("mkfifo").arg(&loose).status().unwrap().success());
    assert!(work.refusal().contains("is no plain file"));
    let folder = loose.parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    symlink(work.scene.root.join(".git/objects").join(&own[..2]), &folder).unwrap();
    assert!(work.refusal().contains("is a link"));
}

#[test]
fn lists_of_other_stores_replacements_and_grafts_are_not_believed() {
    let secret = Scene::new();
    secret.write("secret.txt", "secret");
    let hidden = secret.commit("secret");
    let work = Work::new();
    work.commits("a.txt", "a");
    // The session's own git finds the other repository's objects; niia's does not.
    let list = format!(
        "{}\n{}\n",
        work.scene.root.join(".git/objects").display(),
        secret.root.join(".git/objects").display()
    );
    fs::write(work.folder().join("objects/info/alternates"), list).unwrap();
    work.git(&["update-ref", "refs/heads/niia/demo-1/w/one", &hidden]);
    assert!(work.refusal().contains("cannot be taken into the repository"));

    let work = Work::new();
    let own = work.commits("a.txt", "a");
    let base = work.scene.git(&["rev-parse", "main"]);
    work.git(&["replace", &own, &base]);
    fs::create_dir_all(work.folder().join("info")).unwrap();
    fs::write(work.folder().join("info/grafts"), format!("{own}\n")).unwrap();
    commit_of(work.commit());
    assert_eq!(work.tip(), own);
    assert_eq!(work.scene.git(&["log", "--format=%s", "niia/demo-1/w/one"]), "a.txt\nfirst");
}

#[test]
fn a_shallow_mark_of_the_sessions_own_hides_nothing() {
    let work = Work::new();
    let own = work.commits("a.txt", "a");
    let orphan = work.git(&["commit-tree", "HEAD^{tree}", "-m", "no parent"]);
    let child = work.git(&["commit-tree", "HEAD^{tree}", "-p", &orphan, "-m", "child"]);
    let loose = work.folder().join("objects").join(&orphan[..2]).join(&orphan[2..]);
    fs::remove_file(loose).unwrap();
    fs::write(work.folder().join("shallow"), format!("{child}\n")).unwrap();
    fs::write(work.folder().join("refs/heads/niia/demo-1/w/one"), format!("{child}\n")).unwrap();
    assert!(work.refusal().contains("cannot be taken into the repository"));
    fs::write(work.folder().join("refs/heads/niia/demo-1/w/one"), format!("{own}\n")).unwrap();
    commit_of(work.commit());
}

#[test]
fn maps_and_indexes_of_the_sessions_making_are_not_believed() {
    let work = Work::new();
    let own = work.commits("a.txt", "a");
    work.git(&["repack", "-q", "-a", "-d", "-l"]);
    work.git(&["commit-graph", "write", "--reachable"]);
    work.git(&["multi-pack-index", "write"]);
    let objects = work.folder().join("objects");
    let pack = fs::read_dir(objects.join("pack")).unwrap().flatten().map(|entry| entry.path());
    let damaged = pack.filter(|path| path.extension().is_some_and(|end| end == "idx"));
    let maps = [objects.join("info/commit-graph"), objects.join("pack/multi-pack-index")];
    for file in damaged.chain(maps) {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xff);
        fs::write(&file, bytes).unwrap();
    }
    commit_of(work.commit());
    assert_eq!(work.tip(), own);
    assert_eq!(work.scene.git(&["fsck", "--no-dangling", "--no-progress"]), "");
}

#[test]
fn a_protected_file_that_was_changed_nevertheless_is_put_right_before_the_next_session() {
    let work = Work::new();
    work.commits("a.txt", "a");
    let alternates = work.folder().join("objects/info/alternates");
    let right = fs::read(work.folder().join("config")).unwrap();
    work.git(&["config", "core.fsmonitor", "/bin/false"]);
    fs::remove_file(work.admin().join("commondir")).unwrap();
    symlink("/etc/passwd", work.admin().join("commondir")).unwrap();
    fs::write(work.admin().join("config.worktree"), "[core]\n").unwrap();
    let list = fs::read(&alternates).unwrap();
    fs::write(&alternates, "/tmp\n").unwrap();
    let again = make(&work.trees, "one");
    assert_eq!(again, niia_actors::git::Tree { at: again.at.clone(), ..work.tree.clone() });
    assert_eq!(fs::read(work.folder().join("config")).unwrap(), right);
    assert_eq!(fs::read(work.admin().join("commondir")).unwrap(), b"../..\n");
    assert_eq!(fs::read(work.admin().join("config.worktree")).unwrap(), b"");
    assert_eq!(fs::read(&alternates).unwrap(), list);
    assert_eq!(work.git(&["log", "-1", "--format=%s"]), "a.txt");
}

#[test]
fn what_the_user_has_in_the_way_of_secrets_in_its_configuration_stays_there() {
    let scene = Scene::new();
    scene.git(&["remote", "add", "origin", "https://ada:verysecret@example.org/a.git"]);
    scene.git(&["config", "http.https://example.org/.extraheader", "Authorization: verysecret"]);
    scene.git(&["config", "url.https://verysecret@example.org/.insteadOf", "https://example.org/"]);
    scene.git(&["config", "credential.helper", "!echo verysecret"]);
    let work = Work::on(scene);
    let config = fs::read_to_string(work.folder().join("config")).unwrap();
    assert!(!config.contains("verysecret"), "{config}");
    assert_eq!(work.git(&["remote", "get-url", "origin"]), "https://example.org/a.git");
    let granted = niia_actors::git::grants(&work.tree);
    assert!(granted.hidden.contains(&work.scene.root.join(".git/config")));
}

#[test]
fn a_session_that_made_too_many_branches_is_for_a_person_to_look_at() {
    let work = Work::new();
    let own = work.commits("a.txt", "a");
    let mut packed = fs::read_to_string(work.folder().join("packed-refs")).unwrap();
    for n in 0..501 {
        let commit = work.git(&["commit-tree", "HEAD^{tree}", "-p", &own, "-m", &n.to_string()]);
        packed.push_str(&format!("{commit} refs/heads/x{n:03}\n"));
    }
    fs::write(work.folder().join("packed-refs"), packed).unwrap();
    let Committed::Refused { reasons } = work.commit() else { panic!() };
    assert!(reasons[0].to_string().contains("501 branches, tags and stashes"), "{}", reasons[0]);
}

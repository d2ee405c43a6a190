//! What is not committed without a person's word.

use niia_actors::git::{Committed, FILE_BYTES_MAX, NEW_FILES_MAX, RunTrees, Tree};

use crate::scene::*;

/// What is said of a tree in which something was done; everything must still be there.
fn refused(act: impl Fn(&Scene, &Tree)) -> Vec<String> {
    let scene = Scene::new();
    scene.write("tests/key.txt", &format!("known {}\n", token('k')));
    scene.commit("a known key");
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    act(&scene, &tree);
    let before = (scene.git_at(&tree.path, &["status", "--porcelain"]), scene.git(&["for-each-ref"]));
    let reasons = reasons(&trees);
    if !reasons.is_empty() {
        assert_eq!(
            before,
            (scene.git_at(&tree.path, &["status", "--porcelain"]), scene.git(&["for-each-ref"]))
        );
    }
    reasons
}

fn reasons(trees: &RunTrees) -> Vec<String> {
    match trees.commit(&worker("one"), &info("one", 1)).unwrap() {
        Committed::Refused { reasons } => reasons.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn token(seed: char) -> String {
    format!("ghp_{}{seed}", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vWxYz012")
}

#[test]
fn a_very_large_new_file_is_refused_and_a_large_one_is_not() {
    let sized = |bytes: u64| {
        refused(|_, tree| std::fs::File::create(tree.path.join("big.bin")).unwrap().set_len(bytes).unwrap())
    };
    assert_eq!(sized(FILE_BYTES_MAX), [""; 0]);
    assert_eq!(sized(FILE_BYTES_MAX + 1), ["the new file `big.bin` has 10485761 bytes, more than 10485760"]);
}

#[test]
fn a_large_file_that_is_known_already_may_grow() {
    let reasons = refused(|_, tree| {
        let file = std::fs::File::options().write(true).open(tree.path.join("README.md")).unwrap();
        file.set_len(FILE_BYTES_MAX * 2).unwrap();
    });
    assert_eq!(reasons, [""; 0]);
}

#[test]
fn a_flood_of_new_files_is_refused_by_its_number() {
    let many = |n: usize| {
        refused(|_, tree| {
            std::fs::create_dir(tree.path.join("many")).unwrap();
            (0..n).for_each(|n| std::fs::write(tree.path.join(format!("many/{n}")), "x").unwrap());
        })
    };
    assert_eq!(many(NEW_FILES_MAX + 1), ["5001 new files, more than 5000"]);
}

#[test]
fn files_that_look_like_secrets_are_refused_by_name_and_by_content() {
    let reasons = refused(|_, tree| {
        write(&tree.path, "config/.env.production", "X=1");
        write(&tree.path, "id_ed25519", "x");
        write(&tree.path, "notes.md", &format!("one\ntwo {}\n", token('x')));
        write(&tree.path, ".env.example", "X=");
        write(&tree.path, "src/main.rs", &format!("const KEY: &str = \"{}\";\n", token('y')));
    });
    assert_eq!(
        reasons,
        [
            "by its name `config/.env.production` is a secret: environment file",
            "by its name `id_ed25519` is a secret: private key",
            "`notes.md` line 2 looks like a secret: GitHub token",
            "`src/main.rs` line 1 looks like a secret: GitHub token",
        ]
    );
}

#[test]
fn a_key_that_was_in_the_file_before_is_no_news() {
    let path = "tests/key.txt";
    let same = refused(|_, tree| write(&tree.path, path, &format!("more\nknown {}\n", token('k'))));
    assert_eq!(same, [""; 0]);
    let other = refused(|_, tree| write(&tree.path, path, &format!("known {}\n", token('z'))));
    assert_eq!(other, ["`tests/key.txt` line 1 looks like a secret: GitHub token"]);
}

#[test]
fn what_git_ignores_is_not_even_looked_at() {
    let reasons = refused(|_, tree| {
        write(&tree.path, ".env", &token('x'));
        write(&tree.path, "target/id_rsa", "x");
    });
    assert_eq!(reasons, [""; 0]);
}

#[test]
fn a_repository_inside_is_refused_wherever_it_lies() {
    let init = |at: &'static str| {
        refused(move |scene, tree| {
            std::fs::create_dir_all(tree.path.join(at)).unwrap();
            scene.git_at(&tree.path.join(at), &["init", "-q"]);
            write(&tree.path.join(at), "inner.txt", "x");
        })
    };
    for at in ["vendor/lib", "src", "tests"] {
        assert_eq!(init(at), [format!("`{at}` is a repository of its own")]);
    }
}

#[test]
fn a_submodule_that_was_moved_is_refused() {
    let library = Scene::new();
    let scene = Scene::new();
    let url = library.root.display().to_string();
    scene.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "lib"]);
    scene.commit("a library");
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    scene.git_at(&tree.path, &["-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init"]);
    write(&tree.path, "a.txt", "a");
    assert_eq!(reasons(&trees), [""; 0]);
    write(&tree.path, "lib/more.txt", "more");
    scene.git_at(&tree.path.join("lib"), &["add", "-A"]);
    scene.git_at(&tree.path.join("lib"), &["commit", "-q", "-m", "inside"]);
    let again = trees.commit(&worker("one"), &info("one", 2)).unwrap();
    let Committed::Refused { reasons } = again else { panic!("{again:?}") };
    assert_eq!(
        reasons[0].to_string(),
        "the submodule `lib` was moved to another commit, which only its own folder has"
    );
}

#[test]
fn special_files_are_no_files() {
    let reasons = refused(|_, tree| {
        let fifo = tree.path.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
        std::os::unix::net::UnixListener::bind(tree.path.join("sock")).unwrap();
        write(&tree.path, "a.txt", "a");
    });
    assert_eq!(reasons, [""; 0]);
}

#[test]
fn once_the_reason_is_gone_the_commit_is_made() {
    let scene = Scene::new();
    let trees = scene.begin("demo-1");
    let tree = make(&trees, "one");
    write(&tree.path, "id_rsa", "x");
    assert_eq!(reasons(&trees).len(), 1);
    std::fs::rename(tree.path.join("id_rsa"), tree.path.join("notes.txt")).unwrap();
    assert_eq!(reasons(&trees), [""; 0]);
    assert!(scene.git(&["ls-tree", "-r", "--name-only", "niia/demo-1/w/one"]).contains("notes.txt"));
}

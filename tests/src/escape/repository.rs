//! The user's repository and the session's own: destroying work, and rewriting what git believes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Attempt, Claim, Scene, missed, reached};

const EVIL: &str = "[core]\n\tfsmonitor = evil\n";

/// What a folder of git's for one worktree is called here.
fn admin(scene: &Scene) -> PathBuf {
    scene.private().join("worktrees/tree")
}

fn writes(path: PathBuf, text: &str) -> Claim {
    fs::write(&path, text)?;
    reached(format!("{} is written", path.display()))
}

fn appends(path: PathBuf, text: &str) -> Claim {
    OpenOptions::new().append(true).create(true).open(&path)?.write_all(text.as_bytes())?;
    reached(format!("{} is longer", path.display()))
}

/// Puts its own in the place of a protected file by giving it that name.
fn replaces(scene: &Scene, path: PathBuf, text: &str) -> Claim {
    let own = path.with_file_name("own");
    fs::write(&own, text).or_else(|_| fs::write(scene.tree().join("own"), text))?;
    fs::rename(if own.exists() { own } else { scene.tree().join("own") }, &path)?;
    reached(format!("{} is replaced", path.display()))
}

/// Moves a folder away and puts its own in its place.
fn supplants(path: PathBuf, inside: &str, text: &str) -> Claim {
    fs::rename(&path, path.with_extension("moved"))?;
    fs::create_dir(&path)?;
    fs::write(path.join(inside), text)?;
    reached(format!("{} is another", path.display()))
}

fn program(path: PathBuf) -> Claim {
    fs::write(&path, "#!/bin/sh\n")?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    reached(format!("{} is there", path.display()))
}

fn git(folder: &Path, args: &[&str]) -> Claim {
    let said = Command::new("git").args(args).current_dir(folder).output()?;
    if said.status.success() {
        reached(String::from_utf8_lossy(&said.stdout))
    } else {
        missed(&String::from_utf8_lossy(&said.stderr))
    }
}

/// An object of the user's repository.
fn object(scene: &Scene) -> io::Result<PathBuf> {
    for folder in fs::read_dir(scene.project().join(".git/objects"))?.flatten() {
        if folder.file_name().len() == 2
            && let Some(object) = fs::read_dir(folder.path())?.flatten().next()
        {
            return Ok(object.path());
        }
    }
    Err(io::Error::other("there is no object"))
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("delete-objects", "deletes all objects of the user's repository", |s| {
        fs::remove_dir_all(s.project().join(".git/objects"))?;
        reached("deleted")
    }),
    Attempt::outside("delete-object", "deletes one object", |s| {
        fs::remove_file(object(s)?)?;
        reached("deleted")
    }),
    Attempt::outside("corrupt-object", "overwrites one object", |s| {
        let object = object(s)?;
        fs::set_permissions(&object, PermissionsExt::from_mode(0o644))?;
        writes(object, "x")
    }),
    Attempt::outside("objects-by-git", "has git throw away the user's objects", |s| {
        git(&s.project(), &["update-ref", "-d", "refs/heads/main"])?;
        git(&s.project(), &["-c", "gc.reflogExpire=now", "gc", "--prune=now", "--quiet"])
    }),
    Attempt::outside("move-branch", "moves a branch of the user's", |s| {
        git(&s.project(), &["update-ref", "refs/heads/main", "HEAD~1"])
    }),
    Attempt::outside("new-branch", "makes a branch in the user's repository", |s| {
        git(&s.project(), &["branch", "evil"])
    }),
    Attempt::outside("write-head", "turns the user's checkout to another branch", |s| {
        writes(s.project().join(".git/HEAD"), "ref: refs/heads/evil\n")
    }),
    Attempt::outside("write-index", "rewrites what the user has staged", |s| {
        writes(s.project().join(".git/index"), "x")
    }),
    Attempt::outside("write-checkout", "changes a file the user works on", |s| {
        writes(s.project().join("README.md"), "x")
    }),
    Attempt::outside("main-config", "gives the user's repository a monitor", |s| {
        appends(s.project().join(".git/config"), EVIL)
    }),
    Attempt::outside("main-hook", "leaves a hook in the user's repository", |s| {
        program(s.project().join(".git/hooks/pre-commit"))
    }),
    Attempt::outside("main-packed-refs", "packs branches of its own making", |s| {
        writes(s.project().join(".git/packed-refs"), "# pack-refs with: peeled\n")
    }),
    Attempt::outside("main-alternates", "sends the user's repository elsewhere for objects", |s| {
        writes(s.project().join(".git/objects/info/alternates"), "/tmp/evil\n")
    }),
    Attempt::outside("main-lock", "locks the user's repository for good", |s| {
        writes(s.project().join(".git/index.lock"), "")
    }),
    Attempt::outside("own-config", "gives its own repository a monitor", |s| {
        appends(s.private().join("config"), EVIL)
    }),
    Attempt::outside("own-config-replaced", "puts another file in the place of that", |s| {
        replaces(s, s.private().join("config"), EVIL)
    }),
    Attempt::outside("own-config-by-git", "has git write it", |s| {
        git(&s.tree(), &["config", "core.fsmonitor", "evil"])
    }),
    Attempt::outside("own-config-worktree", "gives its tree a configuration", |s| {
        writes(admin(s).join("config.worktree"), EVIL)
    }),
    Attempt::outside("own-hook", "leaves a hook in its own repository", |s| {
        program(s.private().join("hooks/post-checkout"))
    }),
    Attempt::outside("own-hooks-supplanted", "puts another folder in the place of the hooks", |s| {
        supplants(s.private().join("hooks"), "post-checkout", "#!/bin/sh\n")
    }),
    Attempt::outside("own-alternates", "sends its own repository elsewhere for objects", |s| {
        writes(s.private().join("objects/info/alternates"), "/tmp/evil\n")
    }),
    Attempt::outside("own-alternates-replaced", "puts another file in the place of that", |s| {
        replaces(s, s.private().join("objects/info/alternates"), "/tmp/evil\n")
    }),
    Attempt::outside("own-alternates-supplanted", "puts another folder around that", |s| {
        supplants(s.private().join("objects/info"), "alternates", "/tmp/evil\n")
    }),
    Attempt::outside("own-objects-supplanted", "puts another folder in the place of the objects", |s| {
        supplants(s.private().join("objects"), "x", "")
    }),
    Attempt::outside("own-attributes", "gives every file a filter", |s| {
        fs::create_dir_all(s.private().join("info"))?;
        writes(s.private().join("info/attributes"), "* filter=evil\n")
    }),
    Attempt::outside("own-grafts", "invents a history", |s| {
        fs::create_dir_all(s.private().join("info"))?;
        writes(s.private().join("info/grafts"), "x\n")
    }),
    Attempt::outside("commondir", "says its repository is another", |s| {
        writes(admin(s).join("commondir"), "/tmp/evil\n")
    }),
    Attempt::outside("commondir-replaced", "puts another file in the place of that", |s| {
        replaces(s, admin(s).join("commondir"), "/tmp/evil\n")
    }),
    Attempt::outside("commondir-removed", "takes that away", |s| {
        fs::remove_file(admin(s).join("commondir"))?;
        reached("taken away")
    }),
    Attempt::outside("gitdir", "says its tree is another", |s| {
        writes(admin(s).join("gitdir"), "/tmp/evil/.git\n")
    }),
    Attempt::outside("gitdir-replaced", "puts another file in the place of that", |s| {
        replaces(s, admin(s).join("gitdir"), "/tmp/evil/.git\n")
    }),
    Attempt::outside("admin-supplanted", "puts another folder in the place of git's for its tree", |s| {
        supplants(admin(s), "commondir", "/tmp/evil\n")
    }),
    Attempt::outside("worktrees-supplanted", "puts another folder around that", |s| {
        supplants(s.private().join("worktrees"), "x", "")
    }),
    Attempt::outside("private-supplanted", "puts another repository in the place of its own", |s| {
        supplants(s.private(), "config", EVIL)
    }),
    Attempt::outside("dot-git", "says in its tree that the repository is another", |s| {
        writes(s.tree().join(".git"), "gitdir: /tmp/evil\n")
    }),
    Attempt::outside("dot-git-replaced", "puts another file in the place of that", |s| {
        fs::write(s.tree().join("own"), "gitdir: /tmp/evil\n")?;
        fs::rename(s.tree().join("own"), s.tree().join(".git"))?;
        reached("replaced")
    }),
    Attempt::outside("dot-git-removed", "takes that away", |s| {
        fs::remove_file(s.tree().join(".git"))?;
        reached("taken away")
    }),
    Attempt::outside("dot-git-folder", "makes a repository in the place of that", |s| {
        fs::rename(s.tree().join(".git"), s.tree().join("was.git"))?;
        git(&s.tree(), &["init", "--quiet"])
    }),
    Attempt::outside("dot-git-link", "makes a link in the place of that", |s| {
        fs::remove_file(s.tree().join(".git"))?;
        symlink(s.project().join(".git"), s.tree().join(".git"))?;
        reached("made")
    }),
    Attempt::outside("tree-supplanted", "puts another folder in the place of its tree", |s| {
        fs::rename(s.tree(), s.tree().with_extension("moved"))?;
        fs::create_dir(s.tree())?;
        reached("supplanted")
    }),
    Attempt::outside("refs-linked", "makes its branches those of the user", |s| {
        let older = git(&s.tree(), &["rev-parse", "HEAD~1"])?;
        fs::rename(s.private().join("refs"), s.private().join("refs.moved"))?;
        symlink(s.project().join(".git/refs"), s.private().join("refs"))?;
        git(&s.tree(), &["update-ref", "refs/heads/main", older.trim()])
    }),
    Attempt::outside("push", "pushes its work into the user's repository", |s| {
        let to = s.project().display().to_string();
        git(&s.tree(), &["push", "--quiet", &to, "HEAD~1:refs/heads/pushed"])
    }),
    Attempt::outside("object-by-alternate", "writes an object through the folder objects come from", |s| {
        let folder = s.project().join(".git/objects/aa");
        fs::create_dir_all(&folder)?;
        writes(folder.join("a".repeat(38)), "x")
    }),
    Attempt::outside("shared-clone", "takes the user's objects as its own by a link", |s| {
        let folder = s.private().join("objects/ab");
        symlink(s.project().join(".git/objects"), &folder)?;
        fs::write(folder.join("evil"), "x")?;
        reached("written")
    }),
];

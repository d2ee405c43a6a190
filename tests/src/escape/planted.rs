//! What a worker leaves in its tree for somebody else's git to run: each would leave a mark.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Every plant, by its name.
pub const PLANTS: [&str; 5] = ["nested-monitor", "filter", "textconv", "merge-driver", "pointer"];

/// Plants one in a folder; whoever's git runs it leaves the mark.
#[must_use]
pub fn plant(what: &str, folder: &Path, mark: &Path) -> ExitCode {
    match planted(what, folder, mark) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{what}: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn planted(what: &str, folder: &Path, mark: &Path) -> io::Result<()> {
    let evil = folder.join("evil.sh");
    fs::write(&evil, format!("#!/bin/sh\ntouch {}\ncat 2>/dev/null\n", mark.display()))?;
    fs::set_permissions(&evil, PermissionsExt::from_mode(0o755))?;
    let evil = evil.display();
    match what {
        "nested-monitor" => nested(folder, &format!("[core]\n\tfsmonitor = {evil}\n")),
        "filter" => configured(folder, "* filter=evil\n", &format!("[filter \"evil\"]\n\tclean = {evil}\n")),
        "textconv" => configured(folder, "* diff=evil\n", &format!("[diff \"evil\"]\n\ttextconv = {evil}\n")),
        "merge-driver" => {
            configured(folder, "* merge=evil\n", &format!("[merge \"evil\"]\n\tdriver = {evil}\n"))
        }
        "pointer" => pointer(folder, &format!("[core]\n\tfsmonitor = {evil}\n")),
        _ => Err(io::Error::other("there is no such plant")),
    }
}

fn git(folder: &Path, args: &[&str]) -> io::Result<()> {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main"]);
    let said = git.args(args).current_dir(folder).output()?;
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    if said.status.success() { Ok(()) } else { Err(io::Error::other(why)) }
}

/// A repository within the tree, known to the tree's index as a link.
fn nested(folder: &Path, config: &str) -> io::Result<()> {
    let sub = folder.join("sub");
    fs::create_dir_all(&sub)?;
    git(&sub, &["init", "-q"])?;
    git(&sub, &["commit", "-q", "--allow-empty", "-m", "x"])?;
    let path = sub.join(".git/config");
    let text = fs::read_to_string(&path)?;
    git(folder, &["add", "sub"])?;
    fs::write(path, text + config)
}

/// Attributes in the tree, and what they name in the one configuration a worker might reach.
fn configured(folder: &Path, attributes: &str, config: &str) -> io::Result<()> {
    fs::write(folder.join(".gitattributes"), attributes)?;
    let path =
        Command::new("git").args(["rev-parse", "--git-path", "config"]).current_dir(folder).output()?;
    let path = folder.join(String::from_utf8_lossy(&path.stdout).trim());
    let text = fs::read_to_string(&path)?;
    fs::write(path, text + config)
}

/// A repository of its own making in the place of the tree's.
fn pointer(folder: &Path, config: &str) -> io::Result<()> {
    let own = folder.join("own.git");
    git(folder, &["init", "-q", "--bare", "own.git"])?;
    let text = fs::read_to_string(own.join("config"))?.replace("bare = true", "bare = false");
    fs::write(own.join("config"), text + config)?;
    fs::rename(folder.join(".git"), folder.join("was.git"))?;
    fs::write(folder.join(".git"), format!("gitdir: {}\n", own.display()))
}

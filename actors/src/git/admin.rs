//! What git itself keeps of a linked work tree: a folder under `worktrees`, and a pointer in the tree.
//!
//! A worker can write to both, so both are compared with what niia knows before they are believed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use niia_spec::name::RunId;

use super::engine::write_whole;
use super::error::GitError;
use super::lock::Lock;
use super::marker::Marker;
use super::program::Call;
use super::repository::{ObjectId, Repository};
use super::trees::TreeError;

/// A pointer is one path; more than this is none.
const POINTER_BYTES_MAX: u64 = 16 * 1024;

/// How often an addition is tried while a git of somebody else's holds a lock of the repository.
const ADD_TRIES: u32 = 40;
const ADD_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A call that sees a tree as its worker's git does; for its head, never for its files.
pub(super) fn call(repository: &Repository, admin: &Path, verb: &str) -> Call {
    repository.git.call(verb).env("GIT_DIR", admin).env("GIT_COMMON_DIR", &repository.common_dir)
}

/// Where a branch is checked out.
pub(super) fn checked_out_in(repository: &Repository, branch: &str) -> Result<Option<PathBuf>, GitError> {
    let call = repository.call("for-each-ref").args(["--format=%(worktreepath)", "--", branch]);
    let mut path = call.bytes()?;
    if path.last() == Some(&b'\n') {
        path.pop();
    }
    Ok((!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(path))))
}

/// The folder that belongs to a tree, by what git wrote into it.
pub(super) fn of_tree(common_dir: &Path, tree: &Path) -> Result<Option<PathBuf>, GitError> {
    let all = common_dir.join("worktrees");
    let entries = match fs::read_dir(&all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GitError::file(&all)(error)),
    };
    let wanted = tree.join(".git");
    for entry in entries {
        let admin = entry.map_err(GitError::file(&all))?.path();
        if let Some(path) = read_path(&admin.join("gitdir"), b"")
            && normal(&admin.join(path)) == wanted
        {
            return Ok(Some(admin));
        }
    }
    Ok(None)
}

/// Newer gits write `../..` paths on request.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn read_path(file: &Path, prefix: &[u8]) -> Option<PathBuf> {
    let meta = file.symlink_metadata().ok()?;
    if !meta.is_file() || meta.len() > POINTER_BYTES_MAX {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let path = bytes.strip_prefix(prefix)?;
    let path = path.strip_suffix(b"\n").unwrap_or(path);
    Some(PathBuf::from(OsString::from_vec(path.to_owned())))
}

/// Where a tree's pointer leads.
pub(super) fn pointer(tree: &Path) -> Result<PathBuf, GitError> {
    let file = tree.join(".git");
    let strange = || GitError::File { path: file.clone(), source: std::io::ErrorKind::InvalidData.into() };
    read_path(&file, b"gitdir: ").map(|path| normal(&tree.join(path))).ok_or_else(strange)
}

pub(super) fn points_to(tree: &Path, admin: &Path) -> bool {
    pointer(tree).is_ok_and(|found| found == admin)
}

pub(super) fn write_pointer(tree: &Path, admin: &Path) -> Result<(), GitError> {
    let mut bytes = b"gitdir: ".to_vec();
    bytes.extend_from_slice(admin.as_os_str().as_bytes());
    bytes.push(b'\n');
    write_whole(&tree.join(".git"), &bytes)
}

/// Whether an addition came to its end: its head is the last thing git writes.
pub(super) fn is_whole(repository: &Repository, admin: &Path, marker: &Marker) -> bool {
    if !admin.join("commondir").exists() {
        return false;
    }
    match &marker.branch {
        Some(branch) => matches!(head_branch(repository, admin), Ok(Some(found)) if found == *branch),
        None => matches!(head(repository, admin), Ok(Some(_))),
    }
}

/// The branch a tree's head is on.
pub(super) fn head_branch(repository: &Repository, admin: &Path) -> Result<Option<String>, GitError> {
    call(repository, admin, "symbolic-ref").args(["-q", "HEAD"]).maybe()
}

/// The commit a tree's head is at.
pub(super) fn head(repository: &Repository, admin: &Path) -> Result<Option<ObjectId>, GitError> {
    let found = call(repository, admin, "rev-parse").args(["--verify", "-q", "HEAD^{commit}"]).maybe()?;
    found.map(|text| super::repository::object_id("rev-parse", &text)).transpose()
}

pub(super) fn set_head(repository: &Repository, admin: &Path, commit: &ObjectId) -> Result<(), GitError> {
    call(repository, admin, "update-ref").args(["--no-deref", "HEAD"]).arg(commit).done()
}

pub(super) fn set_head_branch(repository: &Repository, admin: &Path, branch: &str) -> Result<(), GitError> {
    call(repository, admin, "symbolic-ref").args(["-m", "niia: back to its branch", "HEAD", branch]).done()
}

/// What the worker began and did not finish.
pub(super) fn unfinished(admin: &Path) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 5] = [
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
    ];
    SIGNS.iter().find(|(sign, _)| admin.join(sign).symlink_metadata().is_ok()).map(|(_, what)| *what)
}

/// Adds a tree without any file. It is locked, so that `git worktree prune` leaves it alone.
pub(super) fn add(
    repository: &Repository,
    run: &RunId,
    marker: &Marker,
    lock: &Lock,
) -> Result<(), GitError> {
    let reason = format!("niia run {run}");
    let mut tries = 1;
    loop {
        let call = repository.call("worktree").args(["add", "--no-checkout", "--lock", "--reason", &reason]);
        let call = match &marker.branch {
            Some(branch) => call.arg(&marker.path).arg(branch.trim_start_matches("refs/heads/")),
            None => call.arg("--detach").arg(&marker.path).arg(&marker.at),
        };
        match call.in_folder(&repository.root).holding(lock).done() {
            Err(GitError::Failed { message, .. }) if tries < ADD_TRIES && message.contains(".lock") => {
                tries += 1;
                std::thread::sleep(ADD_PAUSE);
            }
            ended => return ended,
        }
    }
}

/// Removes git's folder of a tree that is gone, or was never finished.
pub(super) fn forget(admin: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(admin) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::file(admin)(error)),
        _ => Ok(()),
    }
}

/// Removes whatever is there, of whatever kind; a link alone goes, never what it leads to.
pub(super) fn clear(path: &Path) -> Result<(), GitError> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => forget(path),
        Ok(_) => remove_if_there(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::file(path)(error)),
    }
}

/// Puts back git's folder of a tree whose files are there: `git worktree prune` removes it where the pointer was lost.
pub(super) fn rebuild(repository: &Repository, marker: &Marker) -> Result<PathBuf, TreeError> {
    if let Some(admin) = of_tree(&repository.common_dir, &marker.path)? {
        return Ok(admin);
    }
    let all = repository.common_dir.join("worktrees");
    fs::create_dir_all(&all).map_err(GitError::file(&all))?;
    let wanted = marker.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let admin = (0..).map(|n| if n == 0 { all.join(&wanted) } else { all.join(format!("{wanted}{n}")) });
    let Some(admin) = admin.into_iter().find(|admin| !admin.exists()) else {
        return Err(TreeError::NoTree { name: wanted });
    };
    fs::create_dir(&admin).map_err(GitError::file(&admin))?;
    let head = match &marker.branch {
        Some(branch) => format!("ref: {branch}\n"),
        None => format!("{}\n", marker.at),
    };
    write_whole(&admin.join("HEAD"), head.as_bytes())?;
    write_whole(&admin.join("commondir"), b"../..\n")?;
    write_whole(&admin.join("locked"), b"niia")?;
    let mut gitdir = marker.path.join(".git").into_os_string().into_vec();
    gitdir.push(b'\n');
    write_whole(&admin.join("gitdir"), &gitdir)?;
    Ok(admin)
}

/// Replaces the index of a tree's worker by git's own rule: whoever makes `index.lock` may write.
pub(super) fn replace_index(admin: &Path, from: &Path) -> Result<(), GitError> {
    let lock = admin.join("index.lock");
    let bytes = fs::read(from).map_err(GitError::file(from))?;
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().create_new(true).write(true).open(&lock)?;
        file.write_all(&bytes)?;
        fs::rename(&lock, admin.join("index"))
    };
    write().map_err(GitError::file(&lock))
}

pub(super) fn remove_if_there(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::file(file)(error)),
        _ => Ok(()),
    }
}

/// A lock on the tree's index that a killed program left is removed; one that may be somebody's is an error.
pub(super) fn refuse_live_lock(tree: &Path, admin: &Path) -> Result<(), TreeError> {
    let lock = admin.join("index.lock");
    if lock.symlink_metadata().is_err() {
        return Ok(());
    }
    match user_of(tree, admin) {
        Some(Some(user)) => Err(TreeError::InUse { tree: tree.to_owned(), lock, user }),
        Some(None) => Ok(remove_if_there(&lock)?),
        None => Err(TreeError::MaybeInUse { lock }),
    }
}

/// A process that works in the tree; nothing at all where the system does not tell.
fn user_of(tree: &Path, admin: &Path) -> Option<Option<String>> {
    let processes = fs::read_dir("/proc").ok()?;
    let ours = &|path: PathBuf| path.starts_with(tree) || path.starts_with(admin);
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that is gone by now, or is another user's, tells nothing and has nothing open here.
        let here = fs::read_link(process.path().join("cwd")).is_ok_and(ours);
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        if here || files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(ours)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Some(format!("process {pid} ({})", name.trim())));
        }
    }
    // An empty listing would be a /proc that is none.
    Path::new("/proc/self/stat").exists().then_some(None)
}

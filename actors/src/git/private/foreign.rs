//! The refs of a private repository, read as plain text: whoever worked in it could write whatever they liked.
//!
//! Everything is opened below the repository's folder without following a link, only plain files are read, and each to
//! a bound. Nothing is written.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::git::repository::ObjectId;
use crate::scratchpad::beneath;

/// A ref is one name of an object; a head names one branch.
const REF_BYTES_MAX: u64 = 4096;
/// A million packed refs.
const PACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// More loose refs than anybody makes in one session.
const LOOSE_REFS_MAX: usize = 100_000;
/// Folders within folders; git's own names are shorter.
const DEPTH_MAX: usize = 64;

/// Why a private repository is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Strange(pub String);

/// Where the head of a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Branch(String),
    Commit(ObjectId),
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Nothing where what git keeps of the tree is gone.
    pub head: Option<Head>,
    pub refs: BTreeMap<String, ObjectId>,
    /// Older entries of the stash: only its log knows them.
    pub stashed: Vec<ObjectId>,
}

impl Seen {
    /// The commit the head is at; nothing on a branch without one.
    pub(crate) fn head_commit(&self) -> Option<&ObjectId> {
        match self.head.as_ref()? {
            Head::Branch(branch) => self.refs.get(branch),
            Head::Commit(commit) => Some(commit),
        }
    }
}

/// Reads the refs of the repository in a folder, and the head of its tree.
pub(crate) fn read(folder: &Path, tree: &str) -> Result<Seen, Strange> {
    let root = open_root(folder)?;
    let head = read_head(&root, &Path::new("worktrees").join(tree).join("HEAD"))?;
    let mut refs = match file(&root, Path::new("packed-refs"), PACKED_BYTES_MAX)? {
        Some(bytes) => parse_packed(&bytes),
        None => BTreeMap::new(),
    };
    for path in loose(&root)? {
        let name = path.to_string_lossy().into_owned();
        match file(&root, &path, REF_BYTES_MAX)?.as_deref().map(parse_loose) {
            Some(Some(id)) => drop(refs.insert(name, id)),
            // A ref to a ref, or half a one; a branch of niia's is neither.
            Some(None) if name.starts_with("refs/heads/niia/") => {
                return Err(Strange(format!("`{name}` is no plain ref")));
            }
            _ => {}
        }
    }
    let log = file(&root, Path::new("logs/refs/stash"), PACKED_BYTES_MAX)?.unwrap_or_default();
    Ok(Seen { head, refs, stashed: logged(&log) })
}

/// The stash's log as it is, up to a bound.
pub(crate) fn stash_log(folder: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let root = open_root(folder).ok()?;
    file(&root, Path::new("logs/refs/stash"), bytes_max).ok()?
}

pub(crate) fn open_root(folder: &Path) -> Result<OwnedFd, Strange> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|error| Strange(format!("`{}` cannot be opened: {error}", folder.display())))
}

/// Opens a plain file below the folder; nothing where there is none. Links, pipes and the like are an error.
pub(crate) fn open_plain(root: &OwnedFd, path: &Path) -> Result<Option<std::fs::File>, Strange> {
    let strange = |why: &str| Strange(format!("`{}` {why}", path.display()));
    let open = match beneath::open(root.as_fd(), path, OFlags::RDONLY, Mode::empty()) {
        Ok(open) => open,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP | Errno::XDEV) => return Err(strange("is a link, or lies behind one")),
        Err(error) => return Err(strange(&format!("cannot be read: {error}"))),
    };
    let stat = rustix::fs::fstat(&open).map_err(|error| strange(&error.to_string()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(strange("is no plain file"));
    }
    Ok(Some(open.into()))
}

fn file(root: &OwnedFd, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Strange> {
    let Some(open) = open_plain(root, path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let strange = |why: String| Strange(format!("`{}` {why}", path.display()));
    open.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| strange(error.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(strange(format!("has more than {bytes_max} bytes")));
    }
    Ok(Some(bytes))
}

fn read_head(root: &OwnedFd, path: &Path) -> Result<Option<Head>, Strange> {
    let strange = || Strange(format!("`{}` is no head", path.display()));
    let Some(bytes) = file(root, path, REF_BYTES_MAX)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| strange())?.trim_end();
    match text.strip_prefix("ref: ") {
        Some(branch) if branch.starts_with("refs/") && is_plain_name(branch) => {
            Ok(Some(Head::Branch(branch.to_owned())))
        }
        Some(_) => Err(strange()),
        None => ObjectId::new(text).map(|commit| Some(Head::Commit(commit))).map_err(|_| strange()),
    }
}

/// The paths of all files below `refs`. A link among them is nobody's ref, and is not followed.
fn loose(root: &OwnedFd) -> Result<Vec<PathBuf>, Strange> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("refs")];
    while let Some(folder) = folders.pop() {
        if folder.components().count() > DEPTH_MAX {
            return Err(Strange("`refs` is nested too deeply".to_owned()));
        }
        for (name, kind) in entries(root, &folder)? {
            let path = folder.join(name);
            match kind {
                FileType::Directory => folders.push(path),
                FileType::RegularFile if path.extension().is_none_or(|end| end != "lock") => found.push(path),
                FileType::RegularFile => {}
                _ => return Err(Strange(format!("`{}` is no plain ref", path.display()))),
            }
            if found.len() + folders.len() > LOOSE_REFS_MAX {
                return Err(Strange(format!("there are more than {LOOSE_REFS_MAX} refs")));
            }
        }
    }
    Ok(found)
}

/// What lies in a folder below the root; nothing where there is no such folder.
pub(crate) fn entries(root: &OwnedFd, folder: &Path) -> Result<Vec<(std::ffi::OsString, FileType)>, Strange> {
    use std::os::unix::ffi::OsStrExt;
    let strange = |error: Errno| Strange(format!("`{}` cannot be listed: {error}", folder.display()));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let open = match beneath::open(root.as_fd(), folder, flags, Mode::empty()) {
        Ok(open) => open,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(strange(error)),
    };
    let mut found = Vec::new();
    for entry in Dir::read_from(&open).map_err(strange)? {
        let entry = entry.map_err(strange)?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat =
                    rustix::fs::statat(&open, entry.file_name(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
                FileType::from_raw_mode(stat.map_err(strange)?.st_mode)
            }
            kind => kind,
        };
        found.push((name, kind));
        if found.len() > LOOSE_REFS_MAX * 10 {
            return Err(Strange(format!("`{}` holds too many files", folder.display())));
        }
    }
    Ok(found)
}

/// Lines of an object's name and a ref's; all others are comments and tags' targets.
pub(crate) fn parse_packed(bytes: &[u8]) -> BTreeMap<String, ObjectId> {
    let line = |line: &[u8]| {
        let (id, name) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        let id = ObjectId::new(id).ok()?;
        name.starts_with("refs/").then(|| (name.to_owned(), id))
    };
    bytes.split(|b| *b == b'\n').filter_map(line).collect()
}

fn parse_loose(bytes: &[u8]) -> Option<ObjectId> {
    ObjectId::new(std::str::from_utf8(bytes).ok()?.trim_end()).ok()
}

fn logged(log: &[u8]) -> Vec<ObjectId> {
    let line = |line: &[u8]| {
        let mut words = line.split(|b| *b == b' ');
        ObjectId::new(std::str::from_utf8(words.nth(1)?).ok()?).ok()
    };
    let found = log.split(|b| *b == b'\n').filter_map(line);
    found.filter(|id| id.as_str().bytes().any(|b| b != b'0')).collect()
}

/// A name that git itself would let through, and that stands on one line of a list.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock")
    };
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    name.len() < 1024
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["worktrees/tree", "refs/heads/side", "logs/refs"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        put(&folder, "worktrees/tree/HEAD", "ref: refs/heads/main\n");
        put(
            &folder,
            "packed-refs",
            &format!("# comment\n{ONE} refs/heads/main\n^{TWO}\n{ONE} refs/tags/v1\n"),
        );
        folder
    }

    fn put(folder: &tempfile::TempDir, path: &str, text: &str) {
        std::fs::write(folder.path().join(path), text).unwrap();
    }

    fn read_it(folder: &tempfile::TempDir) -> Result<Seen, Strange> {
        read(folder.path(), "tree")
    }

    #[test]
    fn refs_are_read_loose_before_packed_and_the_head_through_them() {
        let folder = repository();
        assert_eq!(read_it(&folder).unwrap().head_commit().unwrap().as_str(), ONE);
        put(&folder, "refs/heads/main", &format!("{TWO}\n"));
        put(&folder, "refs/heads/side/way", &format!("{TWO}\n"));
        put(&folder, "refs/heads/side/way.lock", "half");
        put(&folder, "logs/refs/stash", &format!("{} {ONE} Ada <a> 0 +0000\tx\n", "0".repeat(40)));
        let seen = read_it(&folder).unwrap();
        assert_eq!(seen.head_commit().unwrap().as_str(), TWO);
        let names: Vec<&str> = seen.refs.keys().map(String::as_str).collect();
        assert_eq!(names, ["refs/heads/main", "refs/heads/side/way", "refs/tags/v1"]);
        assert_eq!(seen.stashed.len(), 1);
    }

    #[test]
    fn what_is_no_plain_ref_is_named_and_never_followed() {
        let link = |folder: &tempfile::TempDir, path: &str, to: &str| {
            let _ = std::fs::remove_file(folder.path().join(path));
            std::os::unix::fs::symlink(to, folder.path().join(path)).unwrap();
        };
        let strange = |act: &dyn Fn(&tempfile::TempDir)| {
            let folder = repository();
            act(&folder);
            read_it(&folder).unwrap_err().to_string()
        };
        assert!(strange(&|f| link(f, "worktrees/tree/HEAD", "/etc/passwd")).contains("HEAD` is a link"));
        assert!(strange(&|f| link(f, "packed-refs", "/etc/passwd")).contains("packed-refs` is a link"));
        assert!(strange(&|f| link(f, "refs/heads/x", "/etc/passwd")).contains("refs/heads/x` is no plain"));
        assert!(
            strange(&|f| link(f, "refs/heads/folder", "/etc")).contains("refs/heads/folder` is no plain")
        );
        assert!(strange(&|f| put(f, "worktrees/tree/HEAD", "ref: ../../x\n")).contains("is no head"));
        assert!(strange(&|f| put(f, "worktrees/tree/HEAD", "")).contains("is no head"));
        let piped = strange(&|f| {
            std::fs::remove_file(f.path().join("packed-refs")).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, f.path().join("packed-refs"), FileType::Fifo, Mode::RWXU, 0)
                .unwrap();
        });
        assert!(piped.contains("is no plain file"), "{piped}");
        let symbolic = strange(&|f| {
            std::fs::create_dir_all(f.path().join("refs/heads/niia/r/w")).unwrap();
            put(f, "refs/heads/niia/r/w/one", "ref: refs/heads/main\n");
        });
        assert!(symbolic.contains("is no plain ref"), "{symbolic}");
    }

    #[test]
    fn names_that_could_be_taken_for_something_else_are_no_plain_names() {
        for name in ["refs/heads/a", "refs/tags/v1.0", "refs/heads/ü"] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in ["refs/heads/a b", "refs/../x", "refs/heads/a\nb", "refs//x", "refs/heads/.x", "a@{1}"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}

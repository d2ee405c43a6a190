//! What a tree holds that may be committed, and what forbids to.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::GitError;
use super::lock::Lock;
use super::repository::{ObjectId, object_id};
use super::secrets;
use super::trees::TreeError;

/// A larger new file is hardly ever meant for a repository.
pub const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// More new files than this are a folder somebody forgot to ignore.
pub const NEW_FILES_MAX: usize = 5_000;
/// More reasons than this nobody reads.
const REASONS_MAX: usize = 50;

/// Why something is not committed without a person's word. Everything stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    FileTooLarge {
        path: String,
        bytes: u64,
    },
    TooManyFiles {
        count: usize,
    },
    SecretName {
        path: String,
        kind: String,
    },
    SecretContent {
        path: String,
        line: usize,
        rule: String,
    },
    NestedRepository {
        path: String,
    },
    SubmoduleMoved {
        path: String,
    },
    /// A merge or a rebase was begun and not brought to its end.
    Unfinished {
        what: String,
    },
    /// Uncommitted changes on a commit that the run knows nothing of.
    HeadElsewhere {
        head: String,
    },
    /// Marks of a conflict are left.
    ConflictMarks {
        path: String,
    },
    /// What a sandboxed session made of its repository cannot be taken over.
    Foreign {
        what: String,
    },
}

impl Refusal {
    /// Trouble with what a session left is for a person to look at; any other is an error as ever.
    pub(super) fn of_foreign(error: TreeError) -> Result<Refusal, TreeError> {
        match error {
            TreeError::Foreign { .. } | TreeError::Import { .. } => {
                Ok(Refusal::Foreign { what: crate::ask::chain(&error) })
            }
            error => Err(error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::FileTooLarge { path, bytes } => {
                write!(f, "the new file `{path}` has {bytes} bytes, more than {FILE_BYTES_MAX}")
            }
            Refusal::TooManyFiles { count } => write!(f, "{count} new files, more than {NEW_FILES_MAX}"),
            Refusal::SecretName { path, kind } => write!(f, "by its name `{path}` is a secret: {kind}"),
            Refusal::SecretContent { path, line, rule } => {
                write!(f, "`{path}` line {line} looks like a secret: {rule}")
            }
            Refusal::NestedRepository { path } => write!(f, "`{path}` is a repository of its own"),
            Refusal::SubmoduleMoved { path } => {
                write!(f, "the submodule `{path}` was moved to another commit, which only its own folder has")
            }
            Refusal::Unfinished { what } => write!(f, "a {what} was begun in the tree and not finished"),
            Refusal::HeadElsewhere { head } => {
                write!(f, "there are uncommitted changes, but the tree was moved to {head}")
            }
            Refusal::Foreign { what } => f.write_str(what),
            Refusal::ConflictMarks { path } => write!(f, "`{path}` still has marks of the conflict"),
        }
    }
}

/// One look at a tree, by niia's own index.
#[derive(Debug)]
pub(super) struct Content<'t> {
    pub engine: &'t Engine,
    pub tree: &'t Path,
    pub index: PathBuf,
    /// From the tree's top; never looked at.
    pub hidden: Vec<PathBuf>,
}

/// What differs from a commit.
#[derive(Debug)]
struct Changes {
    new: Vec<OsString>,
    changed: Vec<OsString>,
    links: BTreeSet<OsString>,
    folders: BTreeSet<OsString>,
}

impl Content<'_> {
    /// Why what the tree holds may not be committed on top of this commit.
    pub(super) fn refusals(&self, on: &ObjectId, lock: &Lock) -> Result<Vec<Refusal>, GitError> {
        self.start_from(on, lock)?;
        let changes = self.changes(lock)?;
        let mut reasons = nested(self.tree, &changes);
        let count = changes.new.len();
        if count > NEW_FILES_MAX {
            reasons.push(Refusal::TooManyFiles { count });
            reasons.truncate(REASONS_MAX);
            return Ok(reasons);
        }
        for path in &changes.new {
            reasons.extend(self.refuse_new(path)?);
        }
        for path in changes.changed.iter().filter(|path| !changes.links.contains(*path)) {
            reasons.extend(self.refuse_changed(path, on)?);
        }
        reasons.truncate(REASONS_MAX);
        Ok(reasons)
    }

    /// Everything that is not ignored, as a tree object.
    pub(super) fn write(&self, on: &ObjectId, lock: &Lock) -> Result<ObjectId, GitError> {
        self.start_from(on, lock)?;
        let links = self.links(lock)?;
        // git takes a path that is ignored and stands in an exclusion for one that was asked for, and refuses it.
        let ignored = self.ignored()?;
        let hidden = self.hidden.iter().filter(|path| !ignored.contains(path.as_os_str()));
        let call = self.on_tree("add").args(["-A", "--sparse", "--"]).args(all_but(&links, hidden));
        call.holding(lock).long().done()?;
        self.write_tree(lock)
    }

    /// The paths at which the tree differs from a commit. What is only deleted is one of them.
    pub(super) fn differing(&self, on: &ObjectId, lock: &Lock) -> Result<Vec<PathBuf>, GitError> {
        self.start_from(on, lock)?;
        let changes = self.changes(lock)?;
        let nested = nested(self.tree, &changes).into_iter().filter_map(|reason| match reason {
            Refusal::NestedRepository { path } | Refusal::SubmoduleMoved { path } => {
                Some(PathBuf::from(path))
            }
            _ => None,
        });
        // A submodule that was filled has a repository of its own, with whatever was done in it.
        let filled =
            changes.links.iter().filter(|path| self.tree.join(path).join(".git").symlink_metadata().is_ok());
        let files = changes.new.iter().chain(&changes.changed).chain(filled);
        Ok(files.map(PathBuf::from).chain(nested).collect())
    }

    /// Repositories inside, which no commit can hold.
    pub(super) fn repositories_inside(&self, on: &ObjectId, lock: &Lock) -> Result<Vec<PathBuf>, GitError> {
        self.start_from(on, lock)?;
        let new = self.changes(lock)?.new.into_iter().filter(|path| path.as_bytes().ends_with(b"/"));
        Ok(new.map(PathBuf::from).collect())
    }

    pub(super) fn write_tree(&self, lock: &Lock) -> Result<ObjectId, GitError> {
        let text = self.on_tree("write-tree").holding(lock).long().text()?;
        object_id("write-tree", &text)
    }

    fn on_tree(&self, verb: &str) -> super::program::Call {
        self.engine.on_tree(verb, self.tree, &self.index)
    }

    /// The index as the commit has it; what it knows of the files' times it keeps.
    fn start_from(&self, commit: &ObjectId, lock: &Lock) -> Result<(), GitError> {
        // Under the tree's lock no other git of niia's lives, so a lock of the index was left by a dead one.
        super::admin::remove_if_there(&super::create::lock_beside(&self.index))?;
        self.on_tree("read-tree").arg("--reset").arg(commit).holding(lock).long().done()
    }

    fn everything_but_hidden(&self) -> Vec<OsString> {
        all_but(&BTreeSet::new(), self.hidden.iter())
    }

    /// Those of the hidden paths that git leaves out by itself.
    fn ignored(&self) -> Result<BTreeSet<OsString>, GitError> {
        if self.hidden.is_empty() {
            return Ok(BTreeSet::new());
        }
        let paths: Vec<&[u8]> = self.hidden.iter().map(|path| path.as_os_str().as_bytes()).collect();
        let call = self.on_tree("check-ignore").args(["-z", "--stdin"]).input(paths.join(&0));
        let ran = call.long().run()?;
        // Otherwise none is ignored (1), or one lies behind a link (128), where git ignores nothing either.
        Ok(if ran.status.success() { names(&ran.output).into_iter().collect() } else { BTreeSet::new() })
    }

    fn tracked(&self, lock: &Lock) -> Result<Vec<(bool, OsString)>, GitError> {
        let bytes = self.on_tree("ls-files").args(["-s", "-z"]).holding(lock).long().bytes()?;
        let entry = |entry: &[u8]| {
            let tab = entry.iter().position(|b| *b == b'\t')?;
            Some((entry.starts_with(b"160000 "), OsStr::from_bytes(&entry[tab + 1..]).to_owned()))
        };
        Ok(bytes.split(|b| *b == 0).filter_map(entry).collect())
    }

    fn links(&self, lock: &Lock) -> Result<BTreeSet<OsString>, GitError> {
        Ok(self.tracked(lock)?.into_iter().filter(|(link, _)| *link).map(|(_, path)| path).collect())
    }

    fn changes(&self, lock: &Lock) -> Result<Changes, GitError> {
        let mut links = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for (link, path) in self.tracked(lock)? {
            if link {
                links.insert(path);
            } else {
                let above = Path::new(&path).ancestors().skip(1).map(Path::as_os_str);
                folders.extend(above.take_while(|folder| !folder.is_empty()).map(OsStr::to_owned));
            }
        }
        let list = |how: &[&str], pathspecs: Vec<OsString>| -> Result<Vec<OsString>, GitError> {
            let call = self.on_tree("ls-files").args(how).arg("-z").arg("--").args(pathspecs);
            Ok(names(&call.holding(lock).long().bytes()?))
        };
        let new = list(&["-o", "--exclude-standard"], self.everything_but_hidden())?;
        let changed = list(&["-m"], self.everything_but_hidden())?;
        Ok(Changes { new, changed, links, folders })
    }

    fn refuse_new(&self, path: &OsStr) -> Result<Option<Refusal>, GitError> {
        let shown = path.to_string_lossy().into_owned();
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        if let Some(kind) = secrets::of_name(&name) {
            return Ok(Some(Refusal::SecretName { path: shown, kind: kind.to_owned() }));
        }
        let file = self.tree.join(path);
        let Some(bytes) = size(&file) else { return Ok(None) };
        if bytes > FILE_BYTES_MAX {
            return Ok(Some(Refusal::FileTooLarge { path: shown, bytes }));
        }
        Ok(secret_in(&read(&file)?, shown, |_| false))
    }

    /// A key that the file has held before is no news.
    fn refuse_changed(&self, path: &OsStr, on: &ObjectId) -> Result<Option<Refusal>, GitError> {
        let file = self.tree.join(path);
        if size(&file).is_none() {
            return Ok(None);
        }
        let now = read(&file)?;
        if secrets::find_in(&now, |_| false).is_none() {
            return Ok(None);
        }
        let mut object = OsString::from(format!("{on}:"));
        object.push(path);
        let before = self.engine.call("cat-file").arg("blob").arg(object).bytes()?;
        let known = |token: &[u8]| memchr::memmem::find(&before, token).is_some();
        Ok(secret_in(&now, path.to_string_lossy().into_owned(), known))
    }
}

/// Submodules are left out of every walk: git would go into them and believe their configuration.
fn all_but<'a>(links: &BTreeSet<OsString>, hidden: impl Iterator<Item = &'a PathBuf>) -> Vec<OsString> {
    let mut pathspecs = vec![OsString::from(":/")];
    for path in links.iter().map(OsString::as_os_str).chain(hidden.map(|path| path.as_os_str())) {
        let path = path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes());
        let mut pathspec = OsString::from(":(top,literal,exclude)");
        pathspec.push(OsStr::from_bytes(path));
        pathspecs.push(pathspec);
    }
    pathspecs
}

fn names(bytes: &[u8]) -> Vec<OsString> {
    let entries = bytes.split(|b| *b == 0).filter(|entry| !entry.is_empty());
    let distinct: BTreeSet<&[u8]> = entries.collect();
    distinct.into_iter().map(|entry| OsStr::from_bytes(entry).to_owned()).collect()
}

/// The size of a plain file; nothing for a link, a folder, or nothing.
fn size(file: &Path) -> Option<u64> {
    file.symlink_metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
}

fn read(file: &Path) -> Result<Vec<u8>, GitError> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let open = std::fs::OpenOptions::new().read(true).custom_flags(no_link).open(file);
    let mut bytes = Vec::new();
    open.and_then(|open| open.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(GitError::file(file))?;
    Ok(bytes)
}

fn secret_in(text: &[u8], path: String, known: impl Fn(&[u8]) -> bool) -> Option<Refusal> {
    let secret = secrets::find_in(text, known)?;
    Some(Refusal::SecretContent { path, line: secret.line, rule: secret.rule.to_owned() })
}

/// Repositories inside the tree: git shows a new one as a folder; one begun around tracked files is found by looking.
fn nested(tree: &Path, changes: &Changes) -> Vec<Refusal> {
    let is_folder = |path: &&OsString| path.as_bytes().ends_with(b"/");
    let shown = |path: &OsStr| path.to_string_lossy().trim_end_matches('/').to_owned();
    let new =
        changes.new.iter().filter(is_folder).map(|path| Refusal::NestedRepository { path: shown(path) });
    let around =
        changes.folders.iter().filter(|folder| tree.join(folder).join(".git").symlink_metadata().is_ok());
    let around = around.map(|path| Refusal::NestedRepository { path: shown(path) });
    let moved = changes.changed.iter().filter(|path| changes.links.contains(*path));
    let moved = moved.filter(|path| tree.join(path).join(".git").symlink_metadata().is_ok());
    let moved = moved.map(|path| Refusal::SubmoduleMoved { path: shown(path) });
    new.chain(around).chain(moved).collect()
}

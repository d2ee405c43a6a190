//! A tree with a private repository: how a sandboxed session works in git without a way to write to the user's.
//!
//! The private repository is a folder in niia's state. It borrows the objects of the user's repository, which the session
//! can read and not write, and has objects, refs and logs of its own. It is made by hand and not by `git clone`: there
//! `--shared` is left out without a word where the source is shallow, and remotes and hooks come along that nobody asked
//! for. What the session makes of it is foreign: no git is ever run by its configuration, its refs are read as plain
//! text (`foreign`), its objects are copied and looked through before the user's repository gets them (`import`), and
//! after each commit of niia's it is made anew.
//!
//! A shallow source gives a private repository as shallow; a partial one gives what it has, and what it lacks is fetched
//! on niia's side, not by the session. Submodules stay empty, as in every tree of niia's.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::create::clear_half_made;
use super::engine::write_whole;
use super::error::GitError;
use super::marker::Marker;
use super::paths;
use super::repository::ObjectId;
use super::steps::step;
use super::trees::{RunTrees, TreeError, TreeName, private_folder};
use super::{admin, refs};

mod config;
pub(super) mod foreign;
mod grants;
mod home;
mod import;
mod lfs;

pub use grants::{Grants, grants};
pub use import::IMPORT_BYTES_MAX;

/// The name of the one work tree a private repository has.
const TREE: &str = "tree";
/// A chain of repositories that borrow objects from each other; git itself follows five.
const SOURCES_MAX: usize = 16;
/// A list of alternates is a few lines.
const ALTERNATES_BYTES_MAX: u64 = 1024 * 1024;
/// More than the stash of anybody.
const STASH_LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Where a tree's private repository lies, and what it borrows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateRepository {
    /// What git calls the common folder: objects, refs, configuration.
    #[serde(with = "paths")]
    pub folder: PathBuf,
    /// What git keeps of the one tree: head, index.
    #[serde(with = "paths")]
    pub admin: PathBuf,
    /// Folders whose objects it borrows, the user's repository's first.
    #[serde(with = "paths::list")]
    pub sources: Vec<PathBuf>,
    /// Files of the user's repository that may hold credentials.
    #[serde(with = "paths::list")]
    pub hidden: Vec<PathBuf>,
}

/// What is remembered of a private repository in the tree's marker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The commit its branch was last seen at.
    pub tip: Option<ObjectId>,
}

/// A ref and what it stands at.
type Given = Vec<(String, ObjectId)>;

impl RunTrees {
    /// The same trees; those made from now on, and those entered, get a private repository.
    #[must_use]
    pub fn privately(&self) -> RunTrees {
        RunTrees { private: true, ..self.clone() }
    }

    pub(super) fn private_folder_of(&self, name: &TreeName) -> PathBuf {
        self.folder.join("private").join(name.file())
    }

    fn given_of(&self, name: &TreeName) -> PathBuf {
        self.folder.join("private").join(format!("{}.given", name.file()))
    }

    /// What a session of this tree is told to be allowed.
    pub(super) fn private_repository(&self, name: &TreeName) -> PrivateRepository {
        let folder = self.private_folder_of(name);
        let (common, own) = (&self.repository.common_dir, &self.repository.git_dir);
        let mut hidden =
            vec![common.join("config"), common.join("config.worktree"), own.join("config.worktree")];
        hidden.dedup();
        PrivateRepository {
            admin: folder.join("worktrees").join(TREE),
            folder,
            sources: sources_of(&common.join("objects")),
            hidden,
        }
    }

    /// Makes the private repository of a tree, whatever was there; the tree's head is on its branch, or at the commit.
    ///
    /// What the session had beside its branch (other branches, tags, the stash) is there again where it can be.
    pub(super) fn make_private(
        &self,
        name: &TreeName,
        marker: &mut Marker,
        at: &ObjectId,
    ) -> Result<(), TreeError> {
        let folder = self.private_folder_of(name);
        let (new, old) = (beside(&folder, "new"), beside(&folder, "old"));
        // Of a making that was cut short between its two last steps.
        keep_with(&old, &folder)?;
        admin::forget(&new)?;
        let given = self.given_refs()?;
        let carried = self.carried(name, marker)?;
        self.lay_out_private(name, marker, &new, at, (&given, &carried))?;
        step("git.private.laid_out");
        write_whole(&self.given_of(name), &lines(&given))?;
        if folder.symlink_metadata().is_ok() {
            admin::forget(&old)?;
            fs::rename(&folder, &old).map_err(GitError::file(&folder))?;
            step("git.private.put_aside");
        }
        fs::rename(&new, &folder).map_err(GitError::file(&folder))?;
        step("git.private.in_place");
        keep_with(&old, &folder)?;
        admin::forget(&old)?;
        let admin = folder.join("worktrees").join(TREE);
        if !admin::points_to(&marker.path, &admin) {
            admin::write_pointer(&marker.path, &admin)?;
        }
        marker.admin = Some(admin);
        let tip = match &marker.branch {
            Some(branch) => refs::read(&self.repository, branch)?,
            None => None,
        };
        marker.private = Some(Known { tip });
        marker.write(&self.mark_of(name))?;
        step("git.private.made");
        Ok(())
    }

    /// The private repository of a tree that is being made; nobody has worked in it yet.
    pub(super) fn add_private(&self, name: &TreeName, marker: &mut Marker) -> Result<(), TreeError> {
        let folder = self.private_folder_of(name);
        let admin = folder.join("worktrees").join(TREE);
        if marker.private.is_some() && is_folder(&admin) && admin::points_to(&marker.path, &admin) {
            marker.admin = Some(admin);
            return Ok(());
        }
        clear_half_made(&marker.path)?;
        private_folder(&marker.path)?;
        let at = marker.at.clone();
        self.make_private(name, marker, &at)
    }

    fn lay_out_private(
        &self,
        name: &TreeName,
        marker: &Marker,
        folder: &Path,
        at: &ObjectId,
        (given, carried): (&Given, &Given),
    ) -> Result<(), TreeError> {
        private_folder(&self.folder.join("private"))?;
        for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "logs/refs", "hooks", "info"]
        {
            private_folder(&folder.join(part))?;
        }
        let admin = folder.join("worktrees").join(TREE);
        for part in ["logs", "info"] {
            private_folder(&admin.join(part))?;
        }
        let mut all = given.clone();
        all.retain(|(name, _)| carried.iter().all(|(carried, _)| carried != name));
        all.extend(carried.iter().cloned());
        all.sort();
        let mut packed = b"# pack-refs with: sorted \n".to_vec();
        packed.extend(lines(&all));
        let put = |path: &str, bytes: &[u8]| fs::write(folder.join(path), bytes);
        let write = || -> std::io::Result<()> {
            put("HEAD", b"ref: refs/heads/none\n")?;
            put("packed-refs", &packed)?;
            for part in ["exclude", "attributes"] {
                copy_plain(&self.engine.folder().join("info").join(part), &folder.join("info").join(part))?;
            }
            copy_plain(&self.repository.common_dir.join("shallow"), &folder.join("shallow"))?;
            let sparse = "info/sparse-checkout";
            copy_plain(&self.engine.folder().join(sparse), &admin.join(sparse))?;
            let head = match &marker.branch {
                Some(branch) => format!("ref: {branch}\n"),
                None => format!("{at}\n"),
            };
            fs::write(admin.join("HEAD"), head)?;
            fs::write(admin.join("locked"), "niia\n")
        };
        write().map_err(GitError::file(folder))?;
        if let Some(log) = foreign::stash_log(&self.private_folder_of(name), STASH_LOG_BYTES_MAX)
            && carried.iter().any(|(name, _)| name == "refs/stash")
        {
            let to = folder.join("logs/refs/stash");
            fs::write(&to, log).map_err(GitError::file(&to))?;
        }
        for (path, bytes) in self.protected(name, marker)? {
            let to = folder.join(path);
            fs::write(&to, bytes).map_err(GitError::file(&to))?;
        }
        Ok(())
    }

    /// The files no session may change, from the private repository's folder, and what must stand in them.
    fn protected(&self, name: &TreeName, marker: &Marker) -> Result<Vec<(String, Vec<u8>)>, TreeError> {
        let folder = self.private_folder_of(name);
        let mut gitdir = marker.path.join(".git").as_os_str().as_bytes().to_vec();
        gitdir.push(b'\n');
        let engine = self.engine.folder().join("config");
        let engine = fs::read(&engine).map_err(GitError::file(&engine))?;
        // All of them by their whole paths: of a list in a list git takes no relative ones.
        let alternates = alternates_of(&self.repository.common_dir.join("objects"));
        let of_tree = |file: &str| format!("worktrees/{TREE}/{file}");
        Ok(vec![
            ("config".to_owned(), config::of_session(&engine, &folder)),
            ("objects/info/alternates".to_owned(), alternates),
            (of_tree("commondir"), b"../..\n".to_vec()),
            (of_tree("gitdir"), gitdir),
            (of_tree("config.worktree"), Vec::new()),
        ])
    }

    /// Looks at a private repository that a tree is taken up with. What is not as it must be is put right, or the
    /// repository is made anew from what the user's has.
    pub(super) fn take_up_private(&self, name: &TreeName, marker: &mut Marker) -> Result<(), TreeError> {
        let folder = self.private_folder_of(name);
        let admin = folder.join("worktrees").join(TREE);
        if !is_folder(&folder) || !is_folder(&admin) || !is_folder(&folder.join("objects/info")) {
            let at = marker.at.clone();
            self.make_private(name, marker, &at)?;
            return self.hand_over_index(name, marker);
        }
        let main = match &marker.branch {
            Some(branch) => refs::read(&self.repository, branch)?,
            None => None,
        };
        if main != marker.private.as_ref().and_then(|known| known.tip.clone()) {
            // niia moved the branch, and died before the private repository knew.
            let at = marker.at.clone();
            self.make_private(name, marker, &at)?;
            return self.hand_over_index(name, marker);
        }
        for (path, bytes) in self.protected(name, marker)? {
            let file = folder.join(path);
            let plain = file.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if !plain || fs::read(&file).map_err(GitError::file(&file))? != bytes {
                admin::clear(&file)?;
                write_whole(&file, &bytes)?;
            }
        }
        if !admin::points_to(&marker.path, &admin) {
            admin::write_pointer(&marker.path, &admin)?;
        }
        marker.admin = Some(admin);
        Ok(())
    }

    /// A tree that was a linked one goes on as a private one: its files stay as they are.
    pub(super) fn go_private(&self, name: &TreeName, marker: &mut Marker) -> Result<(), TreeError> {
        if let Some(admin) = marker.admin.clone().filter(|admin| admin.exists()) {
            admin::refuse_live_lock(&marker.path, &admin)?;
            if let Some(what) = admin::unfinished(&admin) {
                return Err(TreeError::Unfinished { path: marker.path.clone(), what });
            }
            self.keep_head(name, marker)?;
        }
        let _lock = self.lock_repository()?;
        let at = marker.at.clone();
        self.make_private(name, marker, &at)?;
        if let Some(linked) = admin::of_tree(&self.repository.common_dir, &marker.path)? {
            admin::forget(&linked)?;
        }
        self.hand_over_index(name, marker)
    }

    /// Removes the private repository of a tree that is taken away.
    pub(super) fn forget_private(&self, name: &TreeName) -> Result<(), TreeError> {
        let folder = self.private_folder_of(name);
        for folder in
            [beside(&folder, "new"), beside(&folder, "old"), self.folder.join("incoming").join(name.file())]
        {
            admin::forget(&folder)?;
        }
        admin::clear(&folder)?;
        Ok(admin::remove_if_there(&self.given_of(name))?)
    }

    /// What of the user's refs a session is shown: branches, tags, remotes; of niia's those of its own run.
    fn given_refs(&self) -> Result<Given, GitError> {
        let call = self.repository.call("for-each-ref").args(["--format=%(objectname) %(symref) %(refname)"]);
        let bytes = call.args(["refs/heads", "refs/tags", "refs/remotes"]).long().bytes()?;
        let own = format!("refs/heads/niia/{}/", self.run);
        let mut given = Vec::new();
        for line in bytes.split(|b| *b == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut parts = line.splitn(3, ' ');
            let (Some(id), Some(""), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if name.starts_with("refs/heads/niia/") && !name.starts_with(&own) {
                continue;
            }
            if let Ok(id) = ObjectId::new(id) {
                given.push((name.to_owned(), id));
            }
        }
        Ok(given)
    }

    /// What the session's repository has beside what it was given, as far as the user's has the objects.
    fn carried(&self, name: &TreeName, marker: &Marker) -> Result<Given, TreeError> {
        let folder = self.private_folder_of(name);
        if marker.private.is_none() || !is_folder(&folder) {
            return Ok(Vec::new());
        }
        // What cannot be read was said when it was brought home.
        let Ok(seen) = foreign::read(&folder, TREE) else { return Ok(Vec::new()) };
        let before = foreign::parse_packed(&fs::read(self.given_of(name)).unwrap_or_default());
        let mut own = seen.refs;
        own.retain(|name, id| {
            let plain = ["refs/heads/", "refs/tags/"].iter().any(|start| name.starts_with(start));
            (plain || name == "refs/stash")
                && !name.starts_with("refs/heads/niia/")
                && foreign::is_plain_name(name)
                && before.get(name) != Some(id)
        });
        let ids: Vec<ObjectId> = own.values().cloned().collect();
        let missing = self.missing(&ids)?;
        own.retain(|_, id| !missing.contains(id));
        Ok(own.into_iter().collect())
    }
}

/// Repositories of submodules and files of LFS lie inside the private repository: they go along to the next one.
fn keep_with(old: &Path, new: &Path) -> Result<(), GitError> {
    let modules = format!("worktrees/{TREE}/modules");
    for part in ["lfs", &modules] {
        let (from, to) = (old.join(part), new.join(part));
        let parents = [old, new].map(|folder| folder.join(part).parent().is_some_and(is_folder));
        if parents == [true, true] && is_folder(&from) && to.symlink_metadata().is_err() {
            fs::rename(&from, &to).map_err(GitError::file(&from))?;
        }
    }
    Ok(())
}

/// The folder and those whose objects it borrows in its turn; git reads their lists the same way.
fn sources_of(objects: &Path) -> Vec<PathBuf> {
    let mut sources = vec![objects.to_owned()];
    let mut at = 0;
    while let Some(folder) = sources.get(at).cloned() {
        at += 1;
        let file = folder.join("info/alternates");
        let small = file.metadata().is_ok_and(|meta| meta.len() <= ALTERNATES_BYTES_MAX);
        let listed = small.then(|| fs::read(&file).ok()).flatten().unwrap_or_default();
        for line in listed.split(|b| *b == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            let path = folder.join(Path::new(std::ffi::OsStr::from_bytes(line)));
            let path = path.canonicalize().unwrap_or(path);
            if sources.len() < SOURCES_MAX && !sources.contains(&path) {
                sources.push(path);
            }
        }
    }
    sources
}

fn lines(given: &Given) -> Vec<u8> {
    given.iter().flat_map(|(name, id)| format!("{id} {name}\n").into_bytes()).collect()
}

fn beside(folder: &Path, what: &str) -> PathBuf {
    // A tree's name holds no blank.
    let mut path = folder.as_os_str().to_owned();
    path.push(format!(" {what}"));
    path.into()
}

/// The list by which a store of objects borrows from these objects.
fn alternates_of(objects: &Path) -> Vec<u8> {
    let mut list = Vec::new();
    for source in sources_of(objects) {
        let path = source.as_os_str().as_bytes();
        let special = path.starts_with(b"#") || path.iter().any(|b| matches!(b, b'"' | b'\n'));
        list.extend(if special { quoted(&source) } else { path.to_vec() });
        list.push(b'\n');
    }
    list
}

/// A path in quotes, where a line end or a quote may be meant as such.
fn quoted(path: &Path) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            b'\n' => text.extend(b"\\n"),
            byte => text.push(*byte),
        }
    }
    text.push(b'"');
    text
}

fn copy_plain(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::read(from) {
        Ok(bytes) => fs::write(to, bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

//! Objects of a private repository on their way into the user's.
//!
//! A git that reads what a session wrote is given no more than bytes to check. The objects are copied first, plain files
//! of known names alone, so that nothing can be changed any more and no list, map or index of the session's is believed.
//! Of the copy git packs what the new commits need; that pack is taken in by a store beside the user's, with each object
//! looked at (`--strict`) and all that they name found; only then does it become the user's. All of it happens within
//! bounds of size, time and memory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FileType;

use super::alternates_of;
use super::foreign::{self, Strange};
use crate::git::admin;
use crate::git::error::GitError;
use crate::git::process::Limits;
use crate::git::program::Call;
use crate::git::repository::ObjectId;
use crate::git::steps::step;
use crate::git::trees::{RunTrees, TreeError, TreeName, private_folder};

/// A session that commits more than this has committed something that belongs in no repository.
pub const IMPORT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Loose objects and packs of one session.
const FILES_MAX: usize = 500_000;
/// A session packs its few objects once or twice.
const PACKS_MAX: usize = 100;
/// What git may hold in memory while it looks at objects made to be large.
const MEMORY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// For each step of an import.
const TIME_MAX: Duration = Duration::from_secs(600);
/// As with git's own `fetch`: fewer objects than this lie better by themselves.
const LOOSE_OBJECTS_MAX: u32 = 100;

impl RunTrees {
    /// Makes these objects, and all they need, part of the user's repository.
    pub(super) fn import_objects(
        &self,
        name: &TreeName,
        folder: &Path,
        wanted: &[ObjectId],
    ) -> Result<(), TreeError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let way = self.folder.join("incoming").join(name.file());
        admin::forget(&way)?;
        let brought = self.bring_objects(&way, folder, wanted);
        let cleared = admin::forget(&way);
        match brought {
            Ok(()) => Ok(cleared?),
            Err(Trouble::Foreign(strange)) => {
                Err(TreeError::Foreign { path: folder.to_owned(), what: strange.0 })
            }
            // Whatever git has against them, they are not taken.
            Err(Trouble::Git(error)) => Err(TreeError::Import { path: folder.to_owned(), source: error }),
        }
    }

    fn bring_objects(&self, way: &Path, folder: &Path, wanted: &[ObjectId]) -> Result<(), Trouble> {
        let main = self.repository.common_dir.join("objects");
        let (copy, clean) = (way.join("copy"), way.join("clean"));
        for store in [&copy, &clean] {
            private_folder(&store.join("info"))?;
            private_folder(&store.join("pack"))?;
            let file = store.join("info/alternates");
            fs::write(&file, alternates_of(&main)).map_err(GitError::file(&file))?;
        }
        copy_objects(folder, &copy)?;
        self.index_packs(&copy)?;
        let pack = self.pack(way, &copy, wanted)?;
        step("git.import.packed");
        self.take_in(&pack, &clean, &["--strict"])?;
        self.all_there(&clean, wanted)?;
        step("git.import.checked");
        self.hand_over(&pack, &main)?;
        step("git.import.done");
        Ok(())
    }

    fn call_in(&self, store: &Path, verb: &str) -> Call {
        let limits = Limits { memory_bytes_max: MEMORY_BYTES_MAX, file_bytes_max: IMPORT_BYTES_MAX };
        self.engine
            .call(verb)
            .settings(&SETTINGS)
            .env("GIT_OBJECT_DIRECTORY", store)
            .limited(limits, TIME_MAX)
    }

    /// The copy's packs get indexes that git made from their content.
    fn index_packs(&self, store: &Path) -> Result<(), GitError> {
        let folder = store.join("pack");
        for entry in fs::read_dir(&folder).map_err(GitError::file(&folder))? {
            let pack = entry.map_err(GitError::file(&folder))?.path();
            if pack.extension().is_some_and(|end| end == "pack") {
                self.call_in(store, "index-pack").arg(&pack).done()?;
            }
        }
        Ok(())
    }

    /// What these need and the user's repository has not, as one pack.
    fn pack(&self, way: &Path, store: &Path, wanted: &[ObjectId]) -> Result<PathBuf, GitError> {
        let mut revisions: String = wanted.iter().map(|id| format!("{id}\n")).collect();
        revisions.push_str(&format!("--not\n{}\n", self.base));
        if let Ok(result) = self.result() {
            revisions.push_str(&format!("{result}\n"));
        }
        let call = self.call_in(store, "pack-objects").args(["--revs", "--local", "--no-reuse-object", "-q"]);
        let call = if self.repository.traits.partial { call.arg("--missing=allow-any") } else { call };
        let text = call.arg(way.join("pack")).input(revisions).text()?;
        let strange = || GitError::Strange { verb: "pack-objects".to_owned(), text: text.clone() };
        let id = text.lines().last().and_then(|id| ObjectId::new(id).ok()).ok_or_else(strange)?;
        Ok(way.join(format!("pack-{id}.pack")))
    }

    fn take_in(&self, pack: &Path, store: &Path, how: &[&str]) -> Result<(), GitError> {
        let bytes = format!("--max-input-size={IMPORT_BYTES_MAX}");
        let call = self.call_in(store, "index-pack").args(["--stdin", &bytes]).args(how);
        call.input_file(open(pack)?).done()
    }

    /// Every object the new commits name is in the store or in the user's repository.
    fn all_there(&self, store: &Path, wanted: &[ObjectId]) -> Result<(), GitError> {
        let mut revisions: String = wanted.iter().map(|id| format!("{id}\n")).collect();
        revisions.push_str(&format!("--not\n{}\n", self.base));
        let call = self.call_in(store, "rev-list").args(["--objects", "--quiet", "--stdin"]);
        let call = if self.repository.traits.partial { call.arg("--exclude-promisor-objects") } else { call };
        call.input(revisions).done()
    }

    fn hand_over(&self, pack: &Path, main: &Path) -> Result<(), GitError> {
        if objects_in(pack)? >= LOOSE_OBJECTS_MAX {
            return self.take_in(pack, main, &[]);
        }
        let bytes = format!("--max-input-size={IMPORT_BYTES_MAX}");
        self.call_in(main, "unpack-objects").args(["-q", &bytes]).input_file(open(pack)?).done()
    }
}

/// Nothing but the objects themselves is believed, and one that is made to be large is not taken into memory whole.
const SETTINGS: [&str; 6] = [
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "core.bigFileThreshold=32m",
    "pack.useBitmaps=false",
    "pack.threads=1",
    "pack.writeReverseIndex=false",
];

enum Trouble {
    Foreign(Strange),
    Git(GitError),
}

impl From<Strange> for Trouble {
    fn from(strange: Strange) -> Trouble {
        Trouble::Foreign(strange)
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Trouble {
        Trouble::Git(error)
    }
}

fn open(file: &Path) -> Result<OwnedFd, GitError> {
    Ok(File::open(file).map_err(GitError::file(file))?.into())
}

/// The number of objects stands in a pack's head (gitformat-pack(5)).
fn objects_in(pack: &Path) -> Result<u32, GitError> {
    let mut head = [0; 12];
    let read = File::open(pack).and_then(|mut file| file.read_exact(&mut head));
    read.map_err(GitError::file(pack))?;
    Ok(u32::from_be_bytes([head[8], head[9], head[10], head[11]]))
}

/// Copies loose objects and packs, and nothing that tells where they are or what they are.
fn copy_objects(folder: &Path, to: &Path) -> Result<(), Trouble> {
    let root = foreign::open_root(folder)?;
    let mut copying = Copying { root, to, bytes_left: IMPORT_BYTES_MAX, files_left: FILES_MAX };
    for (name, kind) in foreign::entries(&copying.root, Path::new("objects"))? {
        let Some(name) = name.to_str() else { continue };
        if kind == FileType::Symlink {
            return Err(Strange(format!("`objects/{name}` is a link")).into());
        }
        if kind == FileType::Directory && name.len() == 2 && is_hexadecimal(name) {
            copying.folder(name, |file| matches!(file.len(), 38 | 62) && is_hexadecimal(file))?;
        }
    }
    let packs = copying.folder("pack", |file| {
        let id = file.strip_prefix("pack-").and_then(|rest| rest.strip_suffix(".pack"));
        id.is_some_and(is_hexadecimal)
    })?;
    if packs > PACKS_MAX {
        return Err(Strange(format!("it has {packs} packs, more than {PACKS_MAX}")).into());
    }
    Ok(())
}

struct Copying<'t> {
    root: OwnedFd,
    to: &'t Path,
    bytes_left: u64,
    files_left: usize,
}

impl Copying<'_> {
    /// Copies the files of one folder whose names fit, and counts them.
    fn folder(&mut self, name: &str, fits: impl Fn(&str) -> bool) -> Result<usize, Trouble> {
        let from = Path::new("objects").join(name);
        let mut count = 0;
        for (file, _) in foreign::entries(&self.root, &from)? {
            let Some(file) = file.to_str().filter(|file| fits(file)) else { continue };
            let Some(source) = foreign::open_plain(&self.root, &from.join(file))? else { continue };
            self.files_left = self
                .files_left
                .checked_sub(1)
                .ok_or_else(|| Strange(format!("it has more than {FILES_MAX} objects")))?;
            self.file(source, &self.to.join(name), file)?;
            count += 1;
        }
        Ok(count)
    }

    fn file(&mut self, source: File, folder: &Path, name: &str) -> Result<(), Trouble> {
        private_folder(folder)?;
        let to = folder.join(name);
        let copied = File::create(&to)
            .and_then(|mut file| io::copy(&mut source.take(self.bytes_left + 1), &mut file))
            .map_err(GitError::file(&to))?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(copied)
            .ok_or_else(|| Strange(format!("its objects are more than {IMPORT_BYTES_MAX} bytes")))?;
        Ok(())
    }
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

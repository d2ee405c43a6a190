//! Files that a tree needs and git does not keep: copied from the user's checkout, never committed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::GitError;
use super::marker::{Kind, Overlay};
use super::trees::{RunTrees, TreeError, TreeName};

/// More files than this are a folder that `setup` should make.
pub const INCLUDE_FILES_MAX: usize = 20_000;
/// The same, by size.
pub const INCLUDE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Why a file cannot be included.
#[derive(Debug, thiserror::Error)]
pub enum IncludeError {
    #[error("`include`: nothing in `{}` fits `{pattern}`", checkout.display())]
    Nothing { pattern: String, checkout: PathBuf },
    #[error("`include`: `{pattern}` leads out of the checkout")]
    Outside { pattern: String },
    #[error("`include`: `{}` is a link that leads out of the checkout", path.display())]
    LinkOutside { path: PathBuf },
    #[error("`include`: `{}` is neither a file nor a link to one", path.display())]
    NoFile { path: PathBuf },
    #[error("`include`: {files} files, more than {INCLUDE_FILES_MAX}")]
    TooMany { files: usize },
    #[error("`include`: more than {INCLUDE_BYTES_MAX} bytes, at `{}`", path.display())]
    TooLarge { path: PathBuf },
    #[error("`include`: could not copy `{}`", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<GitError> for IncludeError {
    fn from(error: GitError) -> IncludeError {
        IncludeError::Tree(error.into())
    }
}

impl RunTrees {
    /// Copies the ignored files that fit; one that is in the tree already stays as it is.
    pub fn include(&self, name: &TreeName, patterns: &[String]) -> Result<Vec<Overlay>, IncludeError> {
        let marker = self.marker(name)?;
        let mut wanted = Vec::new();
        for pattern in patterns {
            wanted.extend(self.fitting(pattern)?);
        }
        wanted.sort();
        wanted.dedup();
        if wanted.len() > INCLUDE_FILES_MAX {
            return Err(IncludeError::TooMany { files: wanted.len() });
        }
        let mut left = INCLUDE_BYTES_MAX;
        let mut overlays = Vec::new();
        for path in wanted {
            let path = PathBuf::from(path);
            let blake3 = copy(&self.repository.root, &marker.path, &path, &mut left)?;
            overlays.push(Overlay { path, kind: Kind::Included, blake3 });
        }
        Ok(overlays)
    }

    /// What git ignores and the pattern fits. git itself reads the pattern, as it reads one of `.gitignore`'s.
    fn fitting(&self, pattern: &str) -> Result<Vec<OsString>, IncludeError> {
        let parts = Path::new(pattern).components();
        let inside = parts
            .clone()
            .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
        if pattern.is_empty() || pattern.contains('\0') || !inside {
            return Err(IncludeError::Outside { pattern: pattern.to_owned() });
        }
        let plain: PathBuf = parts.filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
        let mut pathspec = OsString::from(":(top,glob)");
        pathspec.push(plain);
        let list = |how: &[&str]| {
            let call = self.repository.in_checkout("ls-files").args(how).args(["-z", "--"]).arg(&pathspec);
            call.long().bytes()
        };
        let ignored = list(&["-o", "-i", "--exclude-standard"])?;
        if ignored.is_empty() && list(&["-c"])?.is_empty() {
            let checkout = self.repository.root.clone();
            return Err(IncludeError::Nothing { pattern: pattern.to_owned(), checkout });
        }
        let paths = ignored.split(|b| *b == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| OsString::from_vec(path.to_owned())).collect())
    }
}

/// One file, and the hash of what was copied; nothing where the tree has one of that name already.
fn copy(checkout: &Path, tree: &Path, path: &Path, left: &mut u64) -> Result<Option<String>, IncludeError> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(IncludeError::NoFile { path: path.to_owned() });
    }
    let failed = |source| IncludeError::Copy { path: path.to_owned(), source };
    let from = checkout.join(path).canonicalize().map_err(failed)?;
    if !from.starts_with(checkout) {
        return Err(IncludeError::LinkOutside { path: path.to_owned() });
    }
    // A FIFO must not be waited for.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let source = OpenOptions::new().read(true).custom_flags(flags).open(&from).map_err(failed)?;
    let meta = source.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(IncludeError::NoFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    source.take(*left + 1).read_to_end(&mut bytes).map_err(failed)?;
    let Some(rest) = left.checked_sub(bytes.len() as u64) else {
        return Err(IncludeError::TooLarge { path: path.to_owned() });
    };
    *left = rest;
    let folder = folder_for(tree, path).map_err(failed)?;
    let name = path.file_name().unwrap_or_default();
    put(&folder, name, &bytes, meta.permissions().mode()).map_err(failed)
}

/// The folder the file goes to. A link that somebody put in the way is not followed out of the tree.
fn folder_for(tree: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut folder = tree.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let real = folder.canonicalize()?;
    if !real.starts_with(tree.canonicalize()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link leads out of the tree"));
    }
    Ok(real)
}

fn put(folder: &Path, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<Option<String>> {
    let to = folder.join(name);
    if to.symlink_metadata().is_ok() {
        let same = to.symlink_metadata()?.is_file() && fs::read(&to)? == bytes;
        return Ok(same.then(|| hash(bytes)));
    }
    let mut beside = OsString::from(".niia-");
    beside.push(format!("{:016x}", fastrand::u64(..)));
    let beside = folder.join(beside);
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&beside)?;
        io::copy(&mut &bytes[..], &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
        fs::rename(&beside, &to)
    };
    if let Err(error) = write() {
        // Half a file of ours is nobody's work.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(Some(hash(bytes)))
}

pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

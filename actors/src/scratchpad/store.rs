//! The folder of a scratchpad: files are written whole or not at all, and nothing but plain files is read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use niia_spec::name::{PhaseName, WorkerId};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{beneath, name};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The most bytes of one run's files.
pub const RUN_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most entries of one run: a list of them still fits into memory and a person's head.
pub const ENTRIES_MAX: usize = 20_000;
/// A count of what is there holds for so long: counting looks at every file, and a thousand workers that end together
/// must not each look at the files of all others. Agents write into the folder by themselves, so a count that is older
/// says nothing.
const COUNT_KEPT: Duration = Duration::from_secs(1);
/// What a file is called while it is written.
const UNFINISHED: &str = ".niia-unfinished-";

#[derive(Debug, thiserror::Error)]
pub enum ScratchpadError {
    #[error("`{path}` cannot be a path in the scratchpad: {reason}")]
    Name { path: String, reason: &'static str },
    #[error("the scratchpad has no `{path}`")]
    Absent { path: String },
    #[error("`{path}` is {what}: the scratchpad holds plain files and folders")]
    Special { path: String, what: &'static str },
    #[error("`{path}` leads over a link, or out of the scratchpad")]
    Outside { path: String },
    #[error("`{path}` has {bytes} bytes; a file of the scratchpad has at most {FILE_BYTES_MAX}")]
    TooLarge { path: String, bytes: u64 },
    #[error(
        "`{path}` does not fit: the run's scratchpad has {used} of {RUN_BYTES_MAX} bytes and {entries} of {ENTRIES_MAX} entries"
    )]
    Full { path: String, used: u64, entries: usize },
    #[error("`{path}` of the scratchpad cannot be used")]
    Io { path: String, source: io::Error },
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the scratchpad.
    pub path: String,
    pub kind: EntryKind,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    File,
    Folder,
    /// A link, pipe, socket or device: listed, never opened.
    Other,
}

/// A list, and whether it goes on beyond its bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub entries: Vec<Entry>,
    pub cut: bool,
}

/// The scratchpad of one run.
#[derive(Debug)]
pub struct ScratchpadFolder {
    path: PathBuf,
    root: OwnedFd,
    counted: Mutex<Option<Counted>>,
}

/// What is there, as far as it was counted and written since.
#[derive(Debug)]
struct Counted {
    at: Instant,
    used: u64,
    entries: usize,
}

/// Whether a file waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Waited,
    Soon,
}

/// Where a worker's answer lies.
pub fn answer_path(worker: &WorkerId) -> String {
    format!("{}/{}.md", worker.phase, worker.worker)
}

/// Where a phase's outputs may be written.
pub fn outputs_path(phase: &PhaseName) -> String {
    format!("{phase}/outputs.json")
}

impl ScratchpadError {
    /// Whether it is just not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, ScratchpadError::Absent { .. })
    }
}

impl ScratchpadFolder {
    /// Opens the run's folder, making it where it is not, and clears away what was being written when a node ended.
    pub fn open(path: &Path) -> Result<ScratchpadFolder, ScratchpadError> {
        let failed = |source| ScratchpadError::Io { path: path.display().to_string(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let pad = ScratchpadFolder { path: path.to_owned(), root, counted: Mutex::new(None) };
        pad.clear_unfinished()?;
        Ok(pad)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file whole: a reader sees the old one or the new one, and after a power loss one of them is there.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), ScratchpadError> {
        self.write(path, bytes, Disk::Waited)
    }

    /// As `put`, but does not wait for the disk: for a copy of what is durable elsewhere.
    pub fn put_copy(&self, path: &str, bytes: &[u8]) -> Result<(), ScratchpadError> {
        self.write(path, bytes, Disk::Soon)
    }

    fn write(&self, path: &str, bytes: &[u8], disk: Disk) -> Result<(), ScratchpadError> {
        name::check(path).map_err(|reason| ScratchpadError::Name { path: path.to_owned(), reason })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ScratchpadError::TooLarge { path: path.to_owned(), bytes: bytes.len() as u64 });
        }
        self.room_for(path, bytes.len() as u64)?;
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.make_folders(folder).map_err(|errno| refused(path, errno))?;
        write_whole(&folder, file, bytes, disk).map_err(|error| refused_io(path, error))
    }

    /// Reads a file.
    pub fn cat(&self, path: &str) -> Result<Vec<u8>, ScratchpadError> {
        let too_large = |bytes| ScratchpadError::TooLarge { path: path.to_owned(), bytes };
        let file = File::from(self.open_at(path, OFlags::RDONLY)?);
        let about = file.metadata().map_err(|error| refused_io(path, error))?;
        let special = |what| ScratchpadError::Special { path: path.to_owned(), what };
        if about.is_dir() {
            return Err(special("a folder"));
        }
        if !about.is_file() {
            return Err(special("no plain file"));
        }
        // A second name may be that of a file anywhere on the disk.
        if about.nlink() > 1 {
            return Err(special("a file with a second name elsewhere"));
        }
        if about.len() > FILE_BYTES_MAX {
            return Err(too_large(about.len()));
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| refused_io(path, error))? as u64;
        // It may grow while it is read.
        if read > FILE_BYTES_MAX { Err(too_large(read)) } else { Ok(bytes) }
    }

    /// Everything below a folder (`""` is the scratchpad itself), in order of its names.
    pub fn ls(&self, path: &str) -> Result<Listing, ScratchpadError> {
        let mut listing = Listing::default();
        let mut found = 0;
        let walked = self.walk(path, &mut |entry| {
            if !unfinished(&entry) {
                found += 1;
                if found <= ENTRIES_MAX {
                    listing.entries.push(entry);
                }
            }
            found <= ENTRIES_MAX
        });
        walked?;
        listing.cut = found > ENTRIES_MAX;
        listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, ScratchpadError> {
        name::check_to_read(path)
            .map_err(|reason| ScratchpadError::Name { path: path.to_owned(), reason })?;
        beneath::open(self.root.as_fd(), Path::new(path), flags, Mode::empty())
            .map_err(|errno| refused(path, errno))
    }

    /// Refused is only by a count made for this very file.
    fn room_for(&self, path: &str, bytes: u64) -> Result<(), ScratchpadError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counted.as_mut().filter(|count| count.at.elapsed() < COUNT_KEPT) {
            // A file that is written over counts twice until the next count.
            let (used, entries) = (count.used + bytes, count.entries + 1);
            if used <= RUN_BYTES_MAX && entries <= ENTRIES_MAX {
                (count.used, count.entries) = (used, entries);
                return Ok(());
            }
        }
        *counted = None;
        let (mut used, mut entries) = (0_u64, 0);
        self.walk("", &mut |entry| {
            if entry.path != path {
                used += entry.bytes;
                entries += 1;
            }
            entries < ENTRIES_MAX
        })?;
        if used + bytes > RUN_BYTES_MAX || entries >= ENTRIES_MAX {
            return Err(ScratchpadError::Full { path: path.to_owned(), used, entries });
        }
        *counted = Some(Counted { at: Instant::now(), used: used + bytes, entries: entries + 1 });
        Ok(())
    }

    fn make_folders(&self, path: &str) -> Result<OwnedFd, Errno> {
        let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match rustix::fs::mkdirat(&folder, part, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            folder = beneath::open(folder.as_fd(), Path::new(part), folder_flags, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Shows every entry below a folder to `see`, until it says that it has seen enough.
    fn walk(&self, path: &str, see: &mut dyn FnMut(Entry) -> bool) -> Result<(), ScratchpadError> {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let opened = match folder.as_str() {
                "" => rustix::io::fcntl_dupfd_cloexec(&self.root, 0).map_err(|errno| refused("", errno)),
                _ => self.open_at(&folder, OFlags::RDONLY | OFlags::DIRECTORY),
            };
            let opened = match opened {
                Ok(opened) => opened,
                // Agents rename and remove while we look; only the folder that was asked for must be there.
                Err(_) if folder != path => continue,
                Err(error) => return Err(error),
            };
            for entry in read_folder(&opened, &folder).map_err(|errno| refused(&folder, errno))? {
                let path = (entry.kind == EntryKind::Folder).then(|| entry.path.clone());
                if !see(entry) {
                    return Ok(());
                }
                folders.extend(path);
            }
        }
        Ok(())
    }

    fn clear_unfinished(&self) -> Result<(), ScratchpadError> {
        let mut left = Vec::new();
        self.walk("", &mut |entry| {
            if unfinished(&entry) {
                left.push(entry.path);
            }
            true
        })?;
        for path in left {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let folder = self.make_folders(folder).map_err(|errno| refused(&path, errno))?;
            rustix::fs::unlinkat(&folder, file, AtFlags::empty()).map_err(|errno| refused(&path, errno))?;
        }
        Ok(())
    }
}

fn unfinished(entry: &Entry) -> bool {
    let name = entry.path.rsplit_once('/').map_or(entry.path.as_str(), |(_, name)| name);
    entry.kind == EntryKind::File && name.starts_with(UNFINISHED)
}

fn read_folder(folder: &OwnedFd, path: &str) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    // Its own place in the folder: reading does not move the descriptor others hold.
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        if matches!(file.to_bytes(), b"." | b"..") {
            continue;
        }
        let about = match rustix::fs::statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        let kind = match rustix::fs::FileType::from_raw_mode(about.st_mode) {
            rustix::fs::FileType::RegularFile => EntryKind::File,
            rustix::fs::FileType::Directory => EntryKind::Folder,
            _ => EntryKind::Other,
        };
        let file = file.to_string_lossy();
        let path = if path.is_empty() { file.into_owned() } else { format!("{path}/{file}") };
        let bytes = if kind == EntryKind::File { about.st_size.max(0) as u64 } else { 0 };
        entries.push(Entry { path, kind, bytes });
        if entries.len() > ENTRIES_MAX {
            break;
        }
    }
    Ok(entries)
}

fn write_whole(folder: &OwnedFd, file: &str, bytes: &[u8], disk: Disk) -> io::Result<()> {
    match rustix::fs::statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) if !rustix::fs::FileType::from_raw_mode(about.st_mode).is_file() => {
            return Err(Errno::LOOP.into());
        }
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let unfinished = format!("{UNFINISHED}{:016x}", fastrand::u64(..));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = rustix::fs::openat(folder, &unfinished, flags, Mode::RUSR | Mode::WUSR)?;
    let mut new = File::from(new);
    let written = new
        .write_all(bytes)
        .and_then(|()| if disk == Disk::Waited { new.sync_all() } else { Ok(()) })
        .and_then(|()| Ok(rustix::fs::renameat(folder, &unfinished, folder, file)?))
        .and_then(|()| if disk == Disk::Waited { Ok(rustix::fs::fsync(folder)?) } else { Ok(()) });
    if written.is_err() {
        // A full disk must not keep half a file.
        let _ = rustix::fs::unlinkat(folder, &unfinished, AtFlags::empty());
    }
    written
}

fn refused(path: &str, errno: Errno) -> ScratchpadError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT => ScratchpadError::Absent { path },
        Errno::LOOP | Errno::XDEV | Errno::AGAIN => ScratchpadError::Outside { path },
        Errno::NOTDIR => ScratchpadError::Special { path, what: "no folder, or lies below what is none" },
        Errno::ISDIR => ScratchpadError::Special { path, what: "a folder" },
        // What opening a socket, or a pipe nobody reads, answers.
        Errno::NXIO | Errno::OPNOTSUPP => ScratchpadError::Special { path, what: "no plain file" },
        errno => ScratchpadError::Io { path, source: errno.into() },
    }
}

fn refused_io(path: &str, error: io::Error) -> ScratchpadError {
    match Errno::from_io_error(&error) {
        Some(errno) => refused(path, errno),
        None => ScratchpadError::Io { path: path.to_owned(), source: error },
    }
}

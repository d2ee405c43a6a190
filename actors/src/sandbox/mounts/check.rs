//! Reading the mounts back from the kernel.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, FileType};

use super::arrange::{Around, around};
use super::private::DEVICES;
use super::{Entry, Kind};
use crate::sandbox::Refusal;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;

const MOUNTS: &str = "/proc/self/mountinfo";
const CURE: &str =
    "please report this with the output of `niia doctor`: a mount is not what it was made to be";

/// How often, and with what pause between, a name that is being removed is looked at: a tenth of a second in all.
const GOING_LOOKS_MAX: u32 = 50;
const GOING_PAUSE: Duration = Duration::from_millis(2);

/// Compares what is mounted with what was meant, and says it.
pub(super) fn check(
    entries: &[Entry],
    private: &[PathBuf],
    device: u64,
    layers: &mut Layers,
) -> Result<(), Refusal> {
    let text = std::fs::read(MOUNTS).map_err(|error| Refusal::new("write", at(MOUNTS, error), CURE))?;
    let mounts: Vec<(PathBuf, bool)> = text.split(|byte| *byte == b'\n').filter_map(mount).collect();
    let stray = |(path, writable): &&(PathBuf, bool)| *writable && !may_write(path, entries, private);
    if let Some((path, _)) = mounts.iter().find(stray) {
        let why = format!("`{}` is writable and must not be", path.display());
        return Err(Refusal::new("write", why, CURE));
    }
    if !mounts.iter().any(|(path, writable)| path == Path::new("/") && !writable) {
        return Err(Refusal::new("write", "the root is not read-only", CURE));
    }
    for entry in entries {
        look(entry, &mounts, device)?;
    }
    tell(entries, private, mounts.len(), layers);
    Ok(())
}

/// Where a mount lies, and whether it can be written to.
fn mount(line: &[u8]) -> Option<(PathBuf, bool)> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let path = PathBuf::from(unescaped(fields.next()?));
    let writable = fields.next()?.split(|byte| *byte == b',').any(|option| option == b"rw");
    Some((path, writable))
}

/// The kernel writes blanks and the like as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if *first == b'\\' => {
                plain.push(
                    digits.iter().fold(0u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(plain)
}

fn may_write(path: &Path, entries: &[Entry], private: &[PathBuf]) -> bool {
    if let Some(entry) = entries.iter().rev().find(|entry| entry.path == path) {
        return matches!(entry.kind, Kind::Write | Kind::Pin);
    }
    let is_device = |name: &OsString| {
        DEVICES.iter().any(|device| name == device) || name == "pts" || name == "console" || name == "shm"
    };
    private.iter().any(|place| place == path)
        || (path.parent() == Some(Path::new("/dev"))
            && path.file_name().is_some_and(|name| is_device(&name.to_owned())))
        || around(path, entries, private) == Around::Writable
}

/// Whether a path leads to what should be covered. While somebody removes a file the kernel takes its cover away first
/// and its name a moment later: what is going is waited for.
fn is_open(path: &Path, device: u64) -> bool {
    let shows = || rustix::fs::stat(path).is_ok_and(|stat| stat.st_dev != device);
    (0..GOING_LOOKS_MAX).all(|look| {
        if look > 0 {
            std::thread::sleep(GOING_PAUSE);
        }
        shows()
    })
}

fn look(entry: &Entry, mounts: &[(PathBuf, bool)], device: u64) -> Result<(), Refusal> {
    let refuse =
        |why: &str| Err(Refusal::new(entry.property(), format!("`{}` {why}", entry.path.display()), CURE));
    // Of several mounts on one path the last is the one that is seen.
    let seen = mounts.iter().rev().find(|(path, _)| *path == entry.path);
    match (entry.kind, seen) {
        (Kind::Hidden | Kind::Mask, _) if is_open(&entry.path, device) => refuse("is not covered"),
        (Kind::Hidden | Kind::Mask, _) => Ok(()),
        (Kind::Own, Some((_, false))) if !is_link(&entry.path, device) => refuse("is not the session's own"),
        (Kind::Write, Some((_, true))) => may_be_written(entry),
        (Kind::Pin, Some((_, true))) | (Kind::Own | Kind::ReadOnly | Kind::Socket, Some((_, false))) => {
            Ok(())
        }
        (Kind::Write | Kind::Pin, Some((_, false))) => {
            let why = format!("`{}` lies on a file system that is read-only", entry.path.display());
            Err(Refusal::new(
                entry.property(),
                why,
                "mount it to be written, or keep the folder on another one",
            ))
        }
        (Kind::Own | Kind::ReadOnly | Kind::Socket, Some((_, true))) => refuse("is writable and must not be"),
        (_, None) => refuse("is not mounted"),
    }
}

/// Whether a path is a link of the session's own.
fn is_link(path: &Path, device: u64) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|stat| stat.st_dev == device && FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn may_be_written(entry: &Entry) -> Result<(), Refusal> {
    rustix::fs::accessat(CWD, &entry.path, Access::WRITE_OK, AtFlags::EACCESS).map_err(|errno| {
        let path = String::from_utf8_lossy(entry.path.as_os_str().as_bytes()).into_owned();
        let why = at(format!("`{path}` cannot be written by the session's user"), errno);
        Refusal::new("write", why, "give the folder to the user the session runs as")
    })
}

fn tell(entries: &[Entry], private: &[PathBuf], mounts: usize, layers: &mut Layers) {
    let named = |kind: Kind| {
        let paths: Vec<String> = entries
            .iter()
            .filter(|entry| entry.kind == kind)
            .map(|entry| entry.path.display().to_string())
            .collect();
        if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
    };
    let count = |kind: Kind| entries.iter().filter(|entry| entry.kind == kind).count();
    let own: Vec<String> = private.iter().map(|place| place.display().to_string()).collect();
    layers.insert(
        "files".to_owned(),
        format!(
            "{mounts} mounts read back, all read-only but for {}; guarded in them: {}; copies of the session's own: {}; {} folders pinned; private: {}",
            named(Kind::Write),
            named(Kind::ReadOnly),
            named(Kind::Own),
            count(Kind::Pin),
            own.join(", ")
        ),
    );
    layers.insert("hidden".to_owned(), format!("{} covered: {}", count(Kind::Hidden), named(Kind::Hidden)));
    layers.insert("sockets".to_owned(), format!("{} masked", count(Kind::Mask)));
}

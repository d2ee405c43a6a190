//! Files of which a session has copies: what it changes is its own, and what lies on disk stays.
//!
//! Whoever changes such a file writes a new one beside it and gives that the old one's name, which nobody can where a
//! mount lies. So the mount that guards the file is of a link, which nobody can replace either, and the link leads to the
//! copy in a private folder: programs that follow links when they lock a file, as git does, change the copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::private::Private;
use super::{Entry, Kind, look};
use crate::sandbox::Refusal;
use crate::sandbox::refusal::at;

/// A configuration is some kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where the copies lie, inside.
const PLACE: &str = "/run/niia";

/// What stands in these files, of which each becomes an entry. Where there is no private folder for the copies the files
/// can be read and no more.
pub(super) fn read(
    paths: &[PathBuf],
    private: &[PathBuf],
    entries: &mut Vec<Entry>,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, Refusal> {
    let mut all = BTreeMap::new();
    let has_place = private.iter().any(|place| place.ends_with("run"));
    for path in paths {
        let refuse = |error: io::Error| {
            let why = at(format!("`{}`", path.display()), error);
            Refusal::new("write", why, "make the file, or take it out of what the session has copies of")
        };
        let (real, metadata) = look(path).map_err(refuse)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            let why = format!("is no file of at most {FILE_BYTES_MAX} bytes");
            return Err(refuse(io::Error::other(why)));
        }
        if has_place {
            let mut bytes = Vec::new();
            File::open(&real)
                .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
                .map_err(refuse)?;
            all.insert(real.clone(), bytes);
        }
        let kind = if has_place { Kind::Own } else { Kind::ReadOnly };
        entries.push(Entry { path: real, kind, is_folder: false });
    }
    Ok(all)
}

/// Lays a copy where the session can change it, and gives the link that leads to it.
pub(super) fn link(private: &Private, number: usize, bytes: &[u8]) -> io::Result<OwnedFd> {
    let place = Path::new(PLACE);
    if number == 0 {
        fs::create_dir(place)?;
    }
    let path = place.join(number.to_string());
    File::create_new(&path)?.write_all(bytes)?;
    private.link(number, &path)
}

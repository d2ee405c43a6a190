//! A veil over folders in which others make sockets while the session runs.
//!
//! A mask covers a socket that is there; one that is made later is in nobody's list. Seen through an overlay a socket is
//! a file of the overlay's own, at which nobody listens, whenever it was made. Where a folder cannot be veiled that is
//! said, and its sockets are masked like all others.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::mount::MountAttrFlags;

use super::private::{Private, attach, file_system};
use crate::sandbox::wire::Layers;

/// Where services of the machine put sockets besides `/run`.
const PLACES: [&str; 2] = ["/var", "/srv"];
const MOUNTS: &str = "/proc/self/mountinfo";
/// The overlay reads a list of folders out of one text.
const SEPARATORS: [char; 3] = [':', ',', '\\'];

/// Veils what can be veiled, and answers which folders are.
pub(super) fn veil(home: Option<&Path>, private: &Private) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
    let mounts: Vec<&Path> =
        mounts.lines().filter_map(|line| Some(Path::new(line.split(' ').nth(4)?))).collect();
    let home = home.filter(|home| PLACES.iter().all(|place| !home.starts_with(place)));
    let places = PLACES.iter().map(Path::new).chain(home);
    // What is mounted below would not be seen any more.
    let is_whole = |place: &&Path| !mounts.iter().any(|mount| mount.starts_with(place) && mount != place);
    places
        .filter(|place| *place != Path::new("/") && place.is_dir())
        .filter(is_whole)
        .filter(|place| cover(place, private).is_ok())
        .map(Path::to_path_buf)
        .collect()
}

fn cover(place: &Path, private: &Private) -> io::Result<()> {
    let text = place.to_str().filter(|text| !text.contains(SEPARATORS)).ok_or(io::ErrorKind::InvalidInput)?;
    let empty = private.empty()?;
    let folders = format!("{text}:/proc/self/fd/{}", empty.as_raw_fd());
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    let overlay = file_system("overlay", &[("lowerdir", folders)], "", "", attributes)?;
    attach(overlay.as_fd(), place)
}

/// Says which sockets can be reached after all.
pub(super) fn tell(veiled: &[PathBuf], layers: &mut Layers) {
    let folders: Vec<String> = veiled.iter().map(|place| place.display().to_string()).collect();
    let told = layers.entry("sockets".to_owned()).or_default();
    if folders.is_empty() {
        told.push_str("; one made later by others outside of private and hidden folders can be reached");
    } else {
        told.push_str("; of those made later none in ");
        told.push_str(&folders.join(", "));
    }
}

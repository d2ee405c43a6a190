//! Houses in which sessions can be sandboxed: by a plain user, and by root for one.

use std::fs::{self, Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use super::place::{is_seen_by_all, public_folder};
use super::{House, must};

/// Whose number nobody on a machine has.
const GUEST: u32 = 61_234;

/// Who makes the sandboxes of a house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walls {
    /// A plain user, whatever the test runs as.
    Plain,
    /// Root, for a plain user.
    RunAs,
}

impl Walls {
    /// All that can be had here: root can be both.
    #[must_use]
    pub fn all() -> Vec<Walls> {
        if is_root() { vec![Walls::Plain, Walls::RunAs] } else { vec![Walls::Plain] }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl House {
    /// A house that a sandbox can be made in.
    ///
    /// # Panics
    /// Where there is no place for it.
    #[must_use]
    pub fn walled(walls: Walls) -> House {
        let Some(folder) = public_folder("n-") else {
            panic!("no place for a house outside of what a sandbox has for itself: /srv, /opt or /var/lib")
        };
        let mut house = House::furnished(folder);
        house.walls = Some(walls);
        if walls == Walls::RunAs {
            let settled = format!("[sandbox]\nrun_as = \"{GUEST}:{GUEST}\"\n");
            let _ = house.file("state/config/niia.toml", &settled);
        }
        house
    }

    /// Gives everything in it to who lives here; what the test itself puts there is root's at first.
    pub(super) fn hand_over(&self) {
        if let Some(user) = self.user() {
            own(self.path(), user);
        }
    }

    /// Who everything in it runs as, where that is not who runs the test.
    pub(super) fn user(&self) -> Option<u32> {
        (self.walls == Some(Walls::Plain) && is_root()).then_some(GUEST)
    }

    /// A program where whoever lives here can run it.
    pub(super) fn reachable(&self, program: PathBuf) -> PathBuf {
        if self.walls.is_none() || is_seen_by_all(&program) {
            return program;
        }
        let copy = self.at("bin").join(program.file_name().unwrap_or_default());
        if !copy.exists() {
            must("copy a program", fs::copy(&program, &copy));
            must("let everybody run it", set_permissions(&copy, Permissions::from_mode(0o755)));
        }
        copy
    }
}

fn own(path: &Path, user: u32) {
    // What goes away meanwhile needs no owner.
    let _gone = lchown(path, Some(user), Some(user));
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            own(&entry.path(), user);
        }
    }
}

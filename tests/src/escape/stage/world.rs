//! What a scene looks like, so that any change in it is seen.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::escape::Scene;

/// Everything that must stay as it is, by path: what it is, whose, and when it was changed last.
pub type World = BTreeMap<PathBuf, String>;

/// Folders every program of the machine may write to.
const SHARED: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// What of its own repository a session may not change, or make where it is not there.
const PROTECTED: [&str; 9] = [
    "config",
    "config.worktree",
    "hooks",
    "info/attributes",
    "info/grafts",
    "objects/info/alternates",
    "worktrees/tree/commondir",
    "worktrees/tree/gitdir",
    "worktrees/tree/config.worktree",
];

pub fn look(scene: &Scene) -> World {
    let mut world = World::new();
    let own = scene.tree();
    let private = scene.private();
    for part in ["home", "state", "work", "run"] {
        walk(&scene.base.join(part), &mut |path| {
            if path.starts_with(&private) || path.starts_with(&own) {
                return false;
            }
            see(&mut world, path);
            true
        });
    }
    for name in PROTECTED {
        let path = private.join(name);
        // A folder that git itself makes is none of the session's doing.
        walk(&path, &mut |path| {
            see(&mut world, path);
            true
        });
    }
    see_without_times(&mut world, &private);
    see_without_times(&mut world, &own);
    see(&mut world, &own.join(".git"));
    shared(scene, &mut world);
    lenders(&own, &mut world);
    world
}

/// The first thing in which two looks differ.
pub fn difference(before: &World, after: &World) -> Option<String> {
    for (path, was) in before {
        match after.get(path) {
            None => return Some(format!("{} is gone", path.display())),
            Some(is) if is != was => return Some(format!("{} was {was}, is {is}", path.display())),
            Some(_) => {}
        }
    }
    let new = after.keys().find(|path| !before.contains_key(*path));
    new.map(|path| format!("{} is new", path.display()))
}

fn see(world: &mut World, path: &Path) {
    let Ok(data) = fs::symlink_metadata(path) else { return };
    let text = format!(
        "file {} mode {:o} of {}:{} with {} bytes, changed {}.{} {}.{}",
        data.ino(),
        data.mode(),
        data.uid(),
        data.gid(),
        data.size(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec()
    );
    world.insert(path.to_owned(), text);
}

fn see_without_times(world: &mut World, path: &Path) {
    let Ok(data) = fs::symlink_metadata(path) else { return };
    world.insert(path.to_owned(), format!("file {} mode {:o} of {}", data.ino(), data.mode(), data.uid()));
}

/// What bears the scene's name where everybody writes.
fn shared(scene: &Scene, world: &mut World) {
    let mark = scene.mark();
    for folder in SHARED {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().contains(&mark) {
                world.insert(entry.path(), "there".to_owned());
            }
        }
    }
}

/// Programs in the worktree that lend their owner's powers to whoever runs them.
fn lenders(tree: &Path, world: &mut World) {
    walk(tree, &mut |path| {
        if fs::symlink_metadata(path).is_ok_and(|data| data.is_file() && data.mode() & 0o6000 != 0) {
            world.insert(path.to_owned(), "lends its owner's powers".to_owned());
        }
        true
    });
}

fn walk(path: &Path, see: &mut impl FnMut(&Path) -> bool) {
    if !see(path) {
        return;
    }
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), see);
        }
    }
}

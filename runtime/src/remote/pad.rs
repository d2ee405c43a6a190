//! A scratchpad that is kept in step with that of another machine, file by file, by what is in them.
//!
//! Nothing is ever lost: a file that both sides changed is kept as both have it, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use niia_actors::run::RunContext;
use niia_actors::scratchpad::{EntryKind, ScratchpadFolder};

/// Bytes looked through at each step; a scratchpad that holds more is brought along at the end alone.
const STEP_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A version of a file: the hash of its contents.
pub type Version = String;

/// What is done with a file that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It is here already.
    Nothing,
    Put,
    /// Both sides changed it: it is kept beside the one that is here.
    Beside,
}

/// Decides by the versions alone: the one that is here, the one both sides are known to have had, the one the newcomer
/// was made of, and the newcomer.
#[must_use]
pub fn take(here: Option<&Version>, both: Option<&Version>, parent: Option<&Version>, new: &Version) -> Take {
    match here {
        Some(here) if here == new => Take::Nothing,
        // It is said once more, after a talk broke: what was made of it here meanwhile is newer.
        _ if both == Some(new) => Take::Nothing,
        None => Take::Put,
        Some(here) if parent == Some(here) || both == Some(here) => Take::Put,
        Some(_) => Take::Beside,
    }
}

/// The name of the second child: `notes.conflict-review-2.md`.
#[must_use]
pub fn beside(path: &str, who: &str) -> String {
    let (folder, file) = path.rsplit_once('/').map_or(("", path), |(folder, file)| (folder, file));
    let named = match file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, end)) => format!("{stem}.conflict-{who}.{end}"),
        None => format!("{file}.conflict-{who}"),
    };
    if folder.is_empty() { named } else { format!("{folder}/{named}") }
}

/// A file on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub path: String,
    pub parent: Option<Version>,
    pub bytes: Vec<u8>,
}

impl Changed {
    /// What is answered to whoever sent it.
    pub fn have(&self) -> Have {
        Have { path: self.path.clone(), version: version_of(&self.bytes) }
    }
}

/// Word of a version that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {
    pub path: String,
    pub version: Version,
}

/// Whose scratchpad it is.
#[derive(Debug)]
enum Folder {
    OfRun(Arc<RunContext>),
    #[cfg(test)]
    Own(ScratchpadFolder),
}

impl std::ops::Deref for Folder {
    type Target = ScratchpadFolder;

    fn deref(&self) -> &ScratchpadFolder {
        match self {
            Folder::OfRun(context) => &context.scratchpad,
            #[cfg(test)]
            Folder::Own(folder) => folder,
        }
    }
}

/// One scratchpad, and which versions both sides are known to have.
#[derive(Debug)]
pub struct Pad {
    folder: Folder,
    both: BTreeMap<String, Version>,
    /// Sent, and not yet known to have arrived.
    sent: BTreeMap<String, Version>,
}

impl Pad {
    pub fn new(context: Arc<RunContext>) -> Pad {
        Pad { folder: Folder::OfRun(context), both: BTreeMap::new(), sent: BTreeMap::new() }
    }

    /// A new talk: nobody knows what became of the words of the last one.
    pub fn begins_anew(&mut self) {
        self.sent.clear();
    }

    /// The other side has this version, as it says.
    pub fn has(&mut self, path: String, version: Version) {
        if self.sent.get(&path) == Some(&version) {
            self.sent.remove(&path);
            self.both.insert(path, version);
        }
    }

    /// The files that the other side has not in this version. A small step looks only as far as its bound.
    pub fn changed(&mut self, all: bool) -> Vec<Changed> {
        let listed = match self.folder.ls("") {
            Ok(listed) => listed.entries,
            Err(error) => {
                tracing::warn!(%error, "a scratchpad cannot be listed");
                return Vec::new();
            }
        };
        let total: u64 = listed.iter().map(|entry| entry.bytes).sum();
        if !all && total > STEP_BYTES_MAX {
            return Vec::new();
        }
        let mut changed = Vec::new();
        for entry in listed.into_iter().filter(|entry| entry.kind == EntryKind::File) {
            // What vanishes while we look is not there, and what is no plain file is never opened.
            let Ok(bytes) = self.folder.cat(&entry.path) else { continue };
            let version = version_of(&bytes);
            // Words keep their order: what is on its way arrives before what is made of it.
            let parent = self.sent.get(&entry.path).or(self.both.get(&entry.path)).cloned();
            if parent.as_ref() != Some(&version) {
                self.sent.insert(entry.path.clone(), version);
                changed.push(Changed { path: entry.path, parent, bytes });
            }
        }
        changed
    }

    /// Takes a file of the other side; how it was taken, or why not.
    pub fn take(&mut self, came: &Changed, who: &str) -> Result<Take, String> {
        let here = self.folder.cat(&came.path).ok().map(|bytes| version_of(&bytes));
        let new = version_of(&came.bytes);
        let done = take(here.as_ref(), self.both.get(&came.path), came.parent.as_ref(), &new);
        let path = match done {
            Take::Nothing => None,
            Take::Put => Some(came.path.clone()),
            Take::Beside => Some(beside(&came.path, who)),
        };
        if let Some(path) = path {
            self.folder.put_copy(&path, &came.bytes).map_err(|error| niia_actors::ask::chain(&error))?;
        }
        if done != Take::Beside {
            self.both.insert(came.path.clone(), new);
        }
        Ok(done)
    }
}

fn version_of(bytes: &[u8]) -> Version {
    niia_net::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad() -> (tempfile::TempDir, Pad) {
        let folder = tempfile::tempdir().unwrap();
        let own = ScratchpadFolder::open(&folder.path().join("pad")).unwrap();
        (folder, Pad { folder: Folder::Own(own), both: BTreeMap::new(), sent: BTreeMap::new() })
    }

    fn carry(from: &mut Pad, to: &mut Pad, who: &str) -> Vec<Take> {
        let changed = from.changed(true);
        let taken = changed.iter().map(|changed| to.take(changed, who).unwrap()).collect();
        changed.iter().map(Changed::have).for_each(|Have { path, version }| from.has(path, version));
        taken
    }

    #[test]
    fn what_a_broken_talk_swallowed_is_said_again_and_what_arrived_makes_no_conflict() {
        let ((_a, mut home), (_b, mut away)) = (pad(), pad());
        home.folder.put("notes.md", b"one").unwrap();
        // It never arrives, and nobody says that it did.
        assert_eq!(home.changed(true).len(), 1);
        assert_eq!(home.changed(true), [], "on its way");
        home.begins_anew();
        assert_eq!(carry(&mut home, &mut away, "w"), [Take::Put]);
        // It arrives, and the word that it did is lost: the other side goes on from it meanwhile.
        home.folder.put("notes.md", b"two").unwrap();
        home.changed(true).iter().for_each(|changed| assert_eq!(away.take(changed, "w"), Ok(Take::Put)));
        away.folder.put("notes.md", b"three").unwrap();
        home.begins_anew();
        assert_eq!(carry(&mut home, &mut away, "w"), [Take::Nothing]);
        assert_eq!(carry(&mut away, &mut home, "w"), [Take::Put]);
        assert_eq!(home.folder.cat("notes.md").unwrap(), b"three");
    }

    #[test]
    fn what_one_side_changes_the_other_side_gets_and_nothing_travels_twice() {
        let ((_a, mut home), (_b, mut away)) = (pad(), pad());
        home.folder.put("plan/notes.md", b"one").unwrap();
        assert_eq!(carry(&mut home, &mut away, "w"), [Take::Put]);
        assert_eq!(carry(&mut away, &mut home, "w"), []);
        away.folder.put("plan/notes.md", b"two").unwrap();
        assert_eq!(carry(&mut away, &mut home, "w"), [Take::Put]);
        assert_eq!(home.folder.cat("plan/notes.md").unwrap(), b"two");
        assert_eq!(carry(&mut home, &mut away, "w"), []);
    }

    #[test]
    fn a_file_both_sides_changed_is_kept_as_both_have_it() {
        let ((_a, mut home), (_b, mut away)) = (pad(), pad());
        home.folder.put("notes.md", b"one").unwrap();
        carry(&mut home, &mut away, "w");
        home.folder.put("notes.md", b"home").unwrap();
        away.folder.put("notes.md", b"away").unwrap();
        assert_eq!(carry(&mut away, &mut home, "review-2"), [Take::Beside]);
        assert_eq!(home.folder.cat("notes.md").unwrap(), b"home");
        assert_eq!(home.folder.cat("notes.conflict-review-2.md").unwrap(), b"away");
    }

    #[test]
    fn whatever_happens_in_whatever_order_no_contents_are_lost() {
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..60 {
            let ((_a, mut home), (_b, mut away)) = (pad(), pad());
            let mut last = [None, None];
            for n in 0..12 {
                match random.usize(0..4) {
                    0 | 1 => {
                        let (side, pad) = if random.bool() { (0, &home) } else { (1, &away) };
                        let contents = format!("version {n:02}").into_bytes();
                        pad.folder.put("x.md", &contents).unwrap();
                        last[side] = Some(contents);
                    }
                    2 => drop(carry(&mut home, &mut away, "home")),
                    _ => drop(carry(&mut away, &mut home, "away")),
                }
                for contents in last.iter().flatten() {
                    let lies = |pad: &Pad| {
                        let all = pad.folder.ls("").unwrap().entries;
                        all.iter().any(|entry| pad.folder.cat(&entry.path).unwrap() == *contents)
                    };
                    let overtaken = last.iter().flatten().any(|other| other > contents);
                    assert!(lies(&home) || lies(&away) || overtaken);
                }
            }
        }
    }

    #[test]
    fn a_second_child_is_named_after_who_made_it() {
        for (path, name) in [
            ("notes.md", "notes.conflict-w.md"),
            ("a/b.tar.gz", "a/b.tar.conflict-w.gz"),
            ("a/Makefile", "a/Makefile.conflict-w"),
            (".env", ".env.conflict-w"),
        ] {
            assert_eq!(beside(path, "w"), name);
        }
    }

    #[test]
    fn a_path_that_leads_outside_is_refused() {
        let (folder, mut home) = pad();
        for path in ["../out", "/etc/x", "a/../../out", ""] {
            let came = Changed { path: path.to_owned(), parent: None, bytes: b"x".to_vec() };
            assert!(home.take(&came, "w").is_err(), "{path}");
        }
        assert!(!folder.path().join("out").exists());
    }
}

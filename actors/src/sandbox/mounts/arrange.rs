//! Which mounts a policy comes to, from paths alone.

use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// A folder that must stay what it is called, since something guarded lies in it.
    Pin,
    Write,
    /// A file of which the session has a copy of its own.
    Own,
    ReadOnly,
    Socket,
    /// Somebody else's socket.
    Mask,
    Hidden,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub path: PathBuf,
    pub kind: Kind,
    pub is_folder: bool,
}

impl Entry {
    /// Whether its mount comes from the machine's own tree.
    pub fn is_taken(&self) -> bool {
        matches!(self.kind, Kind::Write | Kind::ReadOnly | Kind::Socket)
    }

    /// The property it is there for.
    pub fn property(&self) -> &'static str {
        match self.kind {
            Kind::Pin | Kind::Write | Kind::Own | Kind::ReadOnly => "write",
            Kind::Socket | Kind::Mask => "socket",
            Kind::Hidden => "read",
        }
    }
}

/// What lies around a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Around {
    /// The machine's tree, read-only.
    Machine,
    Writable,
    ReadOnly,
    /// A folder in which nothing of the machine's is seen.
    Covered,
}

/// Orders entries from the top downwards, one a path, without those that change nothing, and with the pins that the
/// guarded ones need.
pub(in super::super) fn arrange(mut entries: Vec<Entry>, private: &[PathBuf]) -> Vec<Entry> {
    // Of one path the strictest comes first and is the one that stays.
    entries.sort_by(|left, right| left.path.cmp(&right.path).then(right.kind.cmp(&left.kind)));
    entries.dedup_by(|later, first| later.path == first.path);
    let pins: Vec<Entry> = entries.iter().flat_map(|entry| pins(entry, &entries, private)).collect();
    let matters = |entry: &Entry| match (entry.kind, around(&entry.path, &entries, private)) {
        (Kind::ReadOnly, Around::Machine | Around::ReadOnly) => false,
        (Kind::Socket, around) => around == Around::Covered,
        (Kind::Hidden | Kind::Mask, Around::Covered) => false,
        _ => true,
    };
    let mut arranged: Vec<Entry> = entries.iter().filter(|entry| matters(entry)).cloned().collect();
    arranged.extend(pins);
    arranged.sort_by(|left, right| left.path.cmp(&right.path).then(right.kind.cmp(&left.kind)));
    arranged.dedup_by(|later, first| later.path == first.path);
    arranged
}

/// What a path lies in, by the nearest entry or private folder above it.
pub(in super::super) fn around(path: &Path, entries: &[Entry], private: &[PathBuf]) -> Around {
    for above in path.ancestors().skip(1) {
        if let Some(entry) = entries.iter().find(|entry| entry.path == above) {
            match entry.kind {
                Kind::Write => return Around::Writable,
                Kind::ReadOnly => return Around::ReadOnly,
                Kind::Hidden => return Around::Covered,
                Kind::Pin | Kind::Own | Kind::Socket | Kind::Mask => {}
            }
        }
        if private.iter().any(|place| place == above) {
            return Around::Covered;
        }
    }
    Around::Machine
}

/// The folders between something guarded and the writable folder it lies in: with any of them renamed, a new one of
/// its name would hold whatever the session likes.
fn pins(entry: &Entry, entries: &[Entry], private: &[PathBuf]) -> Vec<Entry> {
    let is_guarded = matches!(entry.kind, Kind::Own | Kind::ReadOnly | Kind::Hidden);
    if !is_guarded || around(&entry.path, entries, private) != Around::Writable {
        return Vec::new();
    }
    let is_granted =
        |path: &Path| entries.iter().any(|entry| entry.path == path && entry.kind == Kind::Write);
    let between = entry.path.ancestors().skip(1).take_while(|path| !is_granted(path));
    between.map(|path| Entry { path: path.to_path_buf(), kind: Kind::Pin, is_folder: true }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, arrange};
    use std::path::PathBuf;

    fn entry(line: &str) -> Entry {
        let (kind, path) = line.split_once(' ').unwrap();
        let kind = match kind {
            "write" => Kind::Write,
            "read" => Kind::ReadOnly,
            "hide" => Kind::Hidden,
            "own" => Kind::Own,
            "mask" => Kind::Mask,
            "socket" => Kind::Socket,
            _ => panic!("{kind}"),
        };
        Entry { path: PathBuf::from(path), kind, is_folder: true }
    }

    fn check(policy: &str, mounts: &str) {
        let entries = policy.lines().map(str::trim).filter(|line| !line.is_empty()).map(entry).collect();
        let arranged = arrange(entries, &[PathBuf::from("/tmp")]);
        let shown: Vec<String> =
            arranged.iter().map(|entry| format!("{:?} {}", entry.kind, entry.path.display())).collect();
        let wanted: Vec<&str> = mounts.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(shown, wanted);
    }

    #[test]
    fn folders_above_something_guarded_in_a_writable_tree_are_pinned() {
        check(
            "write /w
             read /w/a/b/config",
            "Write /w
             Pin /w/a
             Pin /w/a/b
             ReadOnly /w/a/b/config",
        );
    }

    #[test]
    fn what_is_writable_in_a_hidden_folder_is_put_back() {
        check(
            "hide /state
             write /state/tree
             read /state/tree/.git",
            "Hidden /state
             Write /state/tree
             ReadOnly /state/tree/.git",
        );
    }

    #[test]
    fn at_one_path_the_strictest_wins() {
        check("write /w\nread /w/x\nhide /w/x\nwrite /w/x", "Write /w\nHidden /w/x");
    }

    #[test]
    fn what_the_session_has_a_copy_of_is_guarded_like_what_it_may_only_read() {
        check(
            "write /w
             own /w/a/config
             own /w/b
             read /w/b",
            "Write /w
             Pin /w/a
             Own /w/a/config
             ReadOnly /w/b",
        );
    }

    #[test]
    fn what_is_read_only_anyway_needs_no_mount() {
        check("read /usr\nwrite /w\nread /tmp/x", "ReadOnly /tmp/x\nWrite /w");
    }

    #[test]
    fn sockets_are_bound_where_they_are_covered_and_masked_where_they_are_not() {
        check(
            "hide /state
             socket /state/control
             mask /state/other
             socket /seen
             mask /var/lib/service
             write /w",
            "Hidden /state
             Socket /state/control
             Mask /var/lib/service
             Write /w",
        );
    }
}

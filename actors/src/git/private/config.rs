//! The configuration of a private repository: the engine's, less what a session must not know or change.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Stands at the end, where it overrules what was taken over. Nothing is packed in the background, and no branch gets a
/// configuration of its own by itself: what is written inside lasts as long as the session.
const FIXED: &str = "[core]\n\tbare = true\n\tlogAllRefUpdates = true\n\
     [gc]\n\tauto = 0\n\twriteCommitGraph = false\n\
     [maintenance]\n\tauto = false\n\
     [repack]\n\tupdateServerInfo = false\n\
     [branch]\n\tautoSetupMerge = false\n\
     [advice]\n\tdetachedHead = false\n";

/// What is written for a session whose private repository lies in `folder`.
pub(super) fn of_session(engine: &[u8], folder: &Path) -> Vec<u8> {
    let mut config = Vec::new();
    let mut section: &[u8] = b"";
    for line in engine.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"[") {
            section = line;
            continue;
        }
        // Addresses that stand for others are where people put their tokens.
        if section.starts_with(b"[url ")
            || line.starts_with(b"\tbare")
            || (section == b"[lfs]\n" && line.starts_with(b"\tstorage"))
        {
            continue;
        }
        config.extend_from_slice(section);
        config.extend(without_credentials(line));
    }
    config.extend_from_slice(FIXED.as_bytes());
    config.extend_from_slice(b"[lfs]\n\tstorage = ");
    config.extend(super::quoted(Path::new(std::ffi::OsStr::from_bytes(
        folder.join("lfs").as_os_str().as_bytes(),
    ))));
    config.push(b'\n');
    config
}

/// An address without the name and password in it.
fn without_credentials(line: &[u8]) -> Vec<u8> {
    let Some(scheme) = memchr::memmem::find(line, b"://") else { return line.to_vec() };
    let (before, after) = line.split_at(scheme + 3);
    let host_ends = after.iter().position(|b| matches!(b, b'/' | b'"' | b'\n')).unwrap_or(after.len());
    match after[..host_ends].iter().rposition(|b| *b == b'@') {
        // The name of an ssh account is no secret, and without it nothing is reached.
        Some(at) if before.ends_with(b"ssh://") && !after[..at].contains(&b':') => line.to_vec(),
        Some(at) => [before, &after[at + 1..]].concat(),
        None => line.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_outside() {
        let engine = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\
             [user]\n\tname = \"Ada\"\n\
             [url \"https://x:tok@host/\"]\n\tinsteadof = \"https://host/\"\n\
             [remote \"origin\"]\n\turl = \"https://ada:tok@host/a.git\"\n\
             [remote \"other\"]\n\turl = \"ssh://git@host/a.git\"\n\
             [lfs]\n\tstorage = \"/r/.git/lfs\"\n";
        let text = String::from_utf8(of_session(engine.as_bytes(), Path::new("/p"))).unwrap();
        assert!(!text.contains("tok") && !text.contains("/r/.git"), "{text}");
        for kept in
            ["name = \"Ada\"", "url = \"https://host/a.git\"", "ssh://git@host/a.git", "storage = \"/p/lfs\""]
        {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}

//! The scratchpad: files are whole, lie inside, and nothing in the folder can make niia read or wait elsewhere.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use niia_actors::scratchpad::{
    EntryKind, FILE_BYTES_MAX, ScratchpadArguments, ScratchpadError, ScratchpadFolder, ScratchpadHandle,
};

fn pad(folder: &tempfile::TempDir) -> ScratchpadFolder {
    ScratchpadFolder::open(&folder.path().join("scratchpad")).unwrap()
}

fn names(pad: &ScratchpadFolder, path: &str) -> Vec<String> {
    pad.ls(path).unwrap().entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn what_is_put_is_read_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    pad.put("review/claude.md", b"all is well").unwrap();
    pad.put("review/deep/er/Notiz 1.txt", b"").unwrap();
    pad.put("review/claude.md", b"all is better").unwrap();
    assert_eq!(pad.cat("review/claude.md").unwrap(), b"all is better");
    let all = ["review", "review/claude.md", "review/deep", "review/deep/er", "review/deep/er/Notiz 1.txt"];
    assert_eq!(names(&pad, ""), all);
    assert_eq!(names(&pad, "review/deep"), all[3..]);
    let entry = &pad.ls("review").unwrap().entries[0];
    assert_eq!((entry.kind, entry.bytes), (EntryKind::File, 13));
    assert!(
        matches!(pad.cat("review/gemini.md"), Err(ScratchpadError::Absent { path }) if path == "review/gemini.md")
    );
    assert!(matches!(pad.cat("review"), Err(ScratchpadError::Special { .. })));
    assert!(matches!(
        pad.put("review/deep", b"x"),
        Err(ScratchpadError::Special { .. } | ScratchpadError::Outside { .. })
    ));
    assert!(matches!(pad.put("review/claude.md/x", b"x"), Err(ScratchpadError::Special { .. })));
    assert!(matches!(pad.ls("absent"), Err(ScratchpadError::Absent { .. })));
}

#[test]
fn names_that_lead_out_are_refused_with_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    std::fs::write(folder.path().join("secret"), "s").unwrap();
    for name in ["../secret", "/etc/passwd", "a/../../secret", "", "a\0b", "-rf", ".git/hooks/x"] {
        let error = pad.put(name, b"x").unwrap_err();
        assert!(matches!(&error, ScratchpadError::Name { path, .. } if path == name), "{error}");
    }
    for name in ["../secret", "/etc/passwd", "a/../../secret", "", "a\0b"] {
        assert!(matches!(pad.cat(name), Err(ScratchpadError::Name { .. })), "{name:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn random_names_never_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    let parts =
        ["..", ".", "/", "a", "b", "\\", "-", " ", "\0", "é", "\u{202e}", "~", "$HOME", ".git", "nul", "x\n"];
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..3_000 {
        let name: String = (0..random.usize(1..8)).map(|_| *random.choice(&parts).unwrap()).collect();
        if pad.put(&name, b"x").is_ok() {
            assert_eq!(pad.cat(&name).unwrap(), b"x", "{name:?}");
        }
    }
    let beside: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["scratchpad"]);
}

#[test]
fn links_pipes_sockets_and_second_names_are_neither_followed_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    let at = |name: &str| pad.path().join(name);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    symlink(&secret, at("link")).unwrap();
    symlink(folder.path(), at("up")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::fs::hard_link(&secret, at("second")).unwrap();
    for name in ["link", "up/secret"] {
        assert!(
            matches!(pad.cat(name), Err(ScratchpadError::Outside { .. } | ScratchpadError::Special { .. })),
            "{name}"
        );
    }
    for name in ["pipe", "socket", "second"] {
        let error = pad.cat(name).unwrap_err();
        assert!(matches!(&error, ScratchpadError::Special { path, .. } if path == name), "{name}: {error}");
    }
    for name in ["link", "up/new", "pipe", "socket"] {
        assert!(pad.put(name, b"x").is_err(), "{name}");
    }
    let others =
        pad.ls("").unwrap().entries.into_iter().filter(|entry| entry.kind == EntryKind::Other).count();
    assert_eq!(others, 4);
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
}

#[test]
fn a_file_above_its_bound_is_refused_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    let file = std::fs::File::create(pad.path().join("grown")).unwrap();
    file.set_len(FILE_BYTES_MAX + 1).unwrap();
    assert!(
        matches!(pad.cat("grown"), Err(ScratchpadError::TooLarge { bytes, .. }) if bytes == FILE_BYTES_MAX + 1)
    );
    file.set_len(FILE_BYTES_MAX).unwrap();
    assert_eq!(pad.cat("grown").unwrap().len() as u64, FILE_BYTES_MAX);
    let large = vec![0; FILE_BYTES_MAX as usize + 1];
    assert!(matches!(pad.put("large", &large), Err(ScratchpadError::TooLarge { .. })));
}

#[test]
fn a_run_above_its_bound_takes_no_more_but_may_replace() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    // Agents fill it by themselves; the files are holes and take no room on the disk.
    for n in 0..64 {
        let file = std::fs::File::create(pad.path().join(format!("{n}"))).unwrap();
        file.set_len(FILE_BYTES_MAX).unwrap();
    }
    assert!(matches!(pad.put("more", b"x"), Err(ScratchpadError::Full { used, .. }) if used == 1 << 30));
    pad.put("7", b"smaller").unwrap();
    pad.put("more", b"x").unwrap();
}

#[test]
fn what_was_being_written_when_a_node_ended_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let first = pad(&folder);
    first.put("phase/answer.md", b"x").unwrap();
    std::fs::write(first.path().join("phase/.niia-unfinished-0123"), "half").unwrap();
    assert_eq!(names(&first, ""), ["phase", "phase/answer.md"]);
    let again = pad(&folder);
    assert!(!again.path().join("phase/.niia-unfinished-0123").exists());
}

/// Two seconds of a folder and a file turning into links to elsewhere and back, under reads, writes and lists.
#[test]
fn a_link_put_in_place_between_two_looks_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "secret").unwrap();
    pad.put("real/file", b"open").unwrap();
    let (place, spare) = (pad.path().join("place"), pad.path().join("spare"));
    symlink(&outside, &spare).unwrap();
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("file"), "open").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flip(&place, &spare, &over));
        let until = Instant::now() + Duration::from_secs(2);
        let mut reads = 0;
        while Instant::now() < until {
            for name in ["place/file", "place"] {
                if let Ok(bytes) = pad.cat(name) {
                    assert_eq!(bytes, b"open");
                    reads += 1;
                }
            }
            drop(pad.put("place/file", b"open"));
            drop(pad.put("place/new", b"mine"));
            drop(pad.ls("place"));
        }
        over.store(true, Ordering::Relaxed);
        assert!(reads > 0, "the race never let a read through");
    });
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

fn flip(place: &Path, spare: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // One step: there is never a moment without one of the two.
        let swap = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(rustix::fs::CWD, place, rustix::fs::CWD, spare, swap).unwrap();
    }
}

#[test]
fn many_writers_of_one_file_never_leave_a_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let pad = pad(&folder);
    let over = AtomicBool::new(false);
    pad.put("key", &[0; 5_000]).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let bytes = pad.cat("key").unwrap();
                assert!(bytes.len() == 5_000 && bytes.iter().all(|byte| *byte == bytes[0]));
            }
        });
        let writers: Vec<_> = (0..8_u8)
            .map(|n| {
                let pad = &pad;
                scope.spawn(move || (0..50).for_each(|_| pad.put("key", &[n; 5_000]).unwrap()))
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(names(&pad, ""), ["key"]);
}

#[tokio::test]
async fn the_actor_answers_put_cat_and_ls() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ScratchpadArguments { folder: folder.path().join("scratchpad") };
    let pad = ScratchpadHandle::start(arguments, None).await.unwrap();
    pad.put("a/b".to_owned(), b"x".to_vec()).await.unwrap().unwrap();
    assert_eq!(pad.cat("a/b".to_owned()).await.unwrap().unwrap(), b"x");
    assert_eq!(pad.ls(String::new()).await.unwrap().unwrap().entries.len(), 2);
    assert!(pad.put("../b".to_owned(), Vec::new()).await.unwrap().is_err());
    pad.stop();
}

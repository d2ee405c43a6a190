//! The state folder: found, private, refused where it cannot be relied upon, and held by one node alone.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use niia_actors::state::{self, Lock, LockError, SocketError, StateError, StateFolder};

fn located(variables: &[(&str, &str)]) -> Result<PathBuf, StateError> {
    let env = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    state::locate(&env, "machine-1")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_folder_is_found_by_the_first_variable_that_says_where() {
    let all = [("NIIA_HOME", "/a"), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")];
    assert_eq!(located(&all).unwrap(), Path::new("/a"));
    assert_eq!(located(&all[1..]).unwrap(), Path::new("/b/niia/machine-1"));
    assert_eq!(located(&all[2..]).unwrap(), Path::new("/c/.local/state/niia/machine-1"));
    assert_eq!(
        located(&[("NIIA_HOME", ""), ("HOME", "/c")]).unwrap(),
        Path::new("/c/.local/state/niia/machine-1")
    );
    assert_eq!(
        located(&[("XDG_STATE_HOME", "b"), ("HOME", "/c")]).unwrap(),
        Path::new("/c/.local/state/niia/machine-1")
    );
    assert!(matches!(located(&[("NIIA_HOME", "a")]), Err(StateError::Relative { .. })));
    assert!(matches!(located(&[]), Err(StateError::Nowhere)));
}

#[test]
fn everything_in_it_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/state");
    let state = StateFolder::open(&path).unwrap();
    for made in [path.clone(), state.run_folder(), state.trees(), state.archive(), path.join("runs")] {
        assert_eq!(mode(&made), 0o700, "{}", made.display());
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(state.trees(), std::fs::Permissions::from_mode(0o777)).unwrap();
    StateFolder::open(&path).unwrap();
    assert_eq!((mode(&path), mode(&state.trees())), (0o700, 0o700));
    assert_eq!(std::fs::read_dir(state.run_folder()).unwrap().count(), 0);
}

#[test]
fn a_folder_with_other_things_in_it_keeps_its_mode_and_is_refused_where_others_may_write() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "mine").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(StateFolder::open(folder.path()), Err(StateError::Open { .. })));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    StateFolder::open(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o755);
}

#[test]
fn a_folder_that_cannot_be_one_is_refused_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(StateFolder::open(&file), Err(StateError::NotAFolder { .. })));
    assert!(matches!(StateFolder::open(&file.join("below")), Err(StateError::Folder { .. })));
    assert!(matches!(StateFolder::open(Path::new("relative")), Err(StateError::Relative { .. })));
    // A place that is taken by a link to elsewhere.
    let half = folder.path().join("half");
    std::fs::create_dir(&half).unwrap();
    symlink(folder.path(), half.join("trees")).unwrap();
    let error = StateFolder::open(&half).unwrap_err();
    assert!(matches!(error, StateError::Folder { .. }));
    assert!(error.to_string().contains("NIIA_HOME"));
    let left: Vec<_> = std::fs::read_dir(&half).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["trees"]);
}

#[test]
fn of_twenty_that_take_the_lock_at_once_one_has_it_and_the_others_know_who() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(&folder.path().join("state")).unwrap();
    for _ in 0..20 {
        let start = std::sync::Barrier::new(20);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let take = || {
                start.wait();
                Lock::take(&state)
            };
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for outcome in &outcomes {
            if let Err(error) = outcome {
                let pid = std::process::id();
                assert!(matches!(error, LockError::Taken { pid: Some(found) } if *found == pid), "{error}");
            }
        }
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(&folder.path().join("state")).unwrap();
    let lock = Lock::take(&state).unwrap();
    drop(UnixListener::bind(state.socket("node")).unwrap());
    let listener = state::bind(&lock, "node").unwrap();
    assert_eq!(mode(&state.socket("node")), 0o600);
    let client = state::connect(&state.socket("node")).unwrap();
    listener.accept().unwrap();
    drop(client);
    assert!(matches!(state::bind(&lock, "node"), Err(SocketError::Alive { .. })));
    std::fs::write(state.socket("file"), "").unwrap();
    assert!(matches!(state::bind(&lock, "file"), Err(SocketError::NoSocket { .. })));
}

#[test]
fn a_listener_whose_queue_is_full_counts_as_alive() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(&folder.path().join("state")).unwrap();
    let lock = Lock::take(&state).unwrap();
    let stuck = UnixListener::bind(state.socket("node")).unwrap();
    rustix::net::listen(&stuck, 0).unwrap();
    let first = state::connect(&state.socket("node")).unwrap();
    assert!(matches!(state::bind(&lock, "node"), Err(SocketError::Alive { .. })));
    drop((first, stuck));
}

#[test]
#[cfg(target_os = "linux")]
fn a_socket_below_a_long_path_is_bound_and_reached() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("a-rather-long-name-of-a-folder".repeat(5));
    let state = StateFolder::open(&long).unwrap();
    let lock = Lock::take(&state).unwrap();
    let listener = state::bind(&lock, "node").unwrap();
    assert!(state.socket("node").as_os_str().len() > 108);
    let _client = state::connect(&state.socket("node")).unwrap();
    listener.accept().unwrap();
    drop(listener);
    drop(state::bind(&lock, "node").unwrap());
}

//! Ports for sessions.

use std::collections::BTreeSet;
use std::net::TcpListener;

use niia_actors::launch::ports::PORTS_MAX;
use niia_actors::launch::{release_ports, reserve_ports};
use niia_spec::name::SessionId;

fn session(n: usize) -> SessionId {
    format!("demo-1/build/{n}/1").parse().unwrap()
}

#[test]
fn no_two_sessions_have_the_same_port_however_many_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..50)
            .map(|n| {
                let folder = folder.path();
                scope.spawn(move || reserve_ports(folder, &session(n), 3).unwrap())
            })
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<u16> = all.iter().flatten().copied().collect();
    assert_eq!(distinct.len(), 150);
    assert!(all.iter().all(|block| block[1] == block[0] + 1 && block[2] == block[0] + 2));
}

#[test]
fn a_session_that_asks_again_gets_the_ports_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let first = reserve_ports(folder.path(), &session(1), 4).unwrap();
    assert_eq!(reserve_ports(folder.path(), &session(1), 4).unwrap(), first);
    // What a crash left half given back.
    std::fs::remove_file(folder.path().join(first[3].to_string())).unwrap();
    assert_eq!(reserve_ports(folder.path(), &session(1), 4).unwrap(), first);
    release_ports(folder.path(), &session(1)).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_port_on_which_somebody_listens_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let usual = reserve_ports(folder.path(), &session(1), 2).unwrap();
    release_ports(folder.path(), &session(1)).unwrap();
    let _somebody = TcpListener::bind(("127.0.0.1", usual[1])).unwrap();
    let other = reserve_ports(folder.path(), &session(1), 2).unwrap();
    assert!(!other.contains(&usual[0]) && !other.contains(&usual[1]), "{other:?}");
}

#[test]
fn too_many_ports_are_refused_and_none_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = reserve_ports(folder.path(), &session(1), PORTS_MAX + 1).unwrap_err();
    assert_eq!(error.to_string(), "`ports` is 101: at most 100 go");
    assert_eq!(reserve_ports(folder.path(), &session(1), 0).unwrap(), [0_u16; 0]);
}

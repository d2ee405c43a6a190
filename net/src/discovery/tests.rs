//! Real multicast on loopback.

use super::*;
use crate::identity::Identity;

fn loopback() -> Interfaces {
    Interfaces { only: vec!["lo".to_owned()], loopback: true }
}

const WITHIN: Duration = Duration::from_secs(20);

fn announcement(id: NodeId, pairs: bool) -> Announcement {
    Announcement { id, host: "Seoul-Server".to_owned(), user: "ana".to_owned(), port: 7001, pairs }
}

async fn until(discovery: &Discovery, holds: impl Fn(&[Sighting]) -> bool) -> Vec<Sighting> {
    let mut changes = discovery.changes();
    let waited = async {
        loop {
            changes.mark_unchanged();
            let all = discovery.all();
            if holds(&all) {
                return all;
            }
            changes.changed().await.expect("the listener lives");
        }
    };
    tokio::time::timeout(WITHIN, waited).await.expect("it is seen in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_by_name_and_see_each_other_leave() {
    let (ana, bo) = (Identity::passing().unwrap().id(), Identity::passing().unwrap().id());
    let here = Discovery::start(ana, &loopback(), |_| false).unwrap();
    let there = Discovery::start(bo, &loopback(), |_| false).unwrap();
    here.announce(&announcement(ana, false)).unwrap();
    there.announce(&announcement(bo, true)).unwrap();
    let is = |id: NodeId| move |all: &[Sighting]| all.iter().any(|s| s.id == id && s.addresses.len() == 1);
    let seen = until(&here, is(bo)).await;
    assert!(seen.iter().all(|s| s.id != ana), "nobody finds himself");
    let seen = here.named("SEOUL-server.local");
    let bos = seen.iter().find(|s| s.id == bo).unwrap();
    assert_eq!((bos.user.as_str(), bos.pairs), ("ana", true));
    assert_eq!(here.addresses(&bo), ["127.0.0.1:7001".parse().unwrap()]);
    until(&there, is(ana)).await;
    drop(there);
    until(&here, |all| all.iter().all(|s| s.id != bo)).await;
}

#[test]
fn a_host_name_becomes_a_label_that_dns_takes() {
    for (host, label) in [("seoul.example.com", "seoul"), ("a_b c", "a-b-c"), ("", "niia")] {
        assert_eq!(host_label(host), label);
    }
    assert_eq!(host_label(&"x".repeat(100)).len(), 63);
}

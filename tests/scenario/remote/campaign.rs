//! A run with a worker on another machine, over a network that is as bad as networks get.
//!
//! Each of 24 scenarios is one kind of network and one thing that happens meanwhile. One run of this test does a few of
//! them with one seed; `NIIA_NET_SCENARIOS=24 NIIA_NET_SEEDS=50 cargo test -p niia-tests --test all
//! remote::campaign` does all. `NIIA_NET_SEED` makes the same ones again.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use niia_tests::{Direction, House, Link, Proxy, wait_until};
use serde_json::json;

use super::machine;

/// A scenario that is not over by then is stuck: several lost tries and a restart fit well into it.
const LIMIT: Duration = Duration::from_secs(180);
/// Scenarios of one ordinary run of the tests.
const FEW: u64 = 3;

const LINKS: [Link; 4] = [
    Link { loss: 30, double: 0, reorder: 0, damage: 0, delay: Duration::ZERO, jitter: Duration::ZERO },
    Link { loss: 2, double: 20, reorder: 20, damage: 0, delay: MS_5, jitter: MS_5 },
    Link { loss: 5, double: 5, reorder: 10, damage: 10, delay: MS_5, jitter: MS_5 },
    Link { loss: 0, double: 0, reorder: 0, damage: 0, delay: MS_120, jitter: MS_120 },
];
const MS_5: Duration = Duration::from_millis(5);
const MS_120: Duration = Duration::from_millis(120);

/// What happens while the worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    /// No word passes, longer than a lease.
    Partition,
    /// One direction is dead, longer than a lease.
    OneWay,
    FarIsKilled,
    HomeIsKilled,
    FarIsRestarted,
    /// Strangers throw garbage at both ports.
    Garbage,
}

const ALL: [Happens; 6] = [
    Happens::Partition,
    Happens::OneWay,
    Happens::FarIsKilled,
    Happens::HomeIsKilled,
    Happens::FarIsRestarted,
    Happens::Garbage,
];

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn fingerprint(house: &House) -> String {
    let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
    said["fingerprint"].as_str().unwrap().to_owned()
}

fn address(house: &House) -> SocketAddr {
    let text = std::fs::read_to_string(house.at("state/config/niia.toml")).unwrap();
    text.split('"').nth(1).unwrap().parse().unwrap()
}

/// Each knows the other's key; home reaches the far one through the proxy alone.
fn joined(home: &House, far: &House, proxy: &Proxy) {
    let add = |house: &House, name: &str, at: String, of: String| {
        let _ = house.niia(["peer", "add", &at, "--name", name, "--fingerprint", &of]).run().exits(0);
    };
    add(home, "far", proxy.address().to_string(), fingerprint(far));
    add(far, "home", "127.0.0.1:9".to_owned(), fingerprint(home));
}

fn garbage(at: SocketAddr, random: &mut fastrand::Rng) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..500 {
        let junk: Vec<u8> = (0..random.usize(1..1_400)).map(|_| random.u8(..)).collect();
        // What the kernel will not take is not thrown.
        let _ = socket.send_to(&junk, at);
    }
}

fn holes(proxy: &Proxy, directions: &[Direction]) {
    directions.iter().for_each(|direction| proxy.hole(*direction, true));
    // Longer than the eight seconds after which an end counts as gone: this is what is tested, not waited for.
    std::thread::sleep(Duration::from_secs(10));
    directions.iter().for_each(|direction| proxy.hole(*direction, false));
}

fn restarted(house: &House) {
    let _ = house.niia(["daemon", "start"]).run().exits(0);
}

fn happen(what: Happens, home: &House, far: &House, proxy: &Proxy, random: &mut fastrand::Rng) {
    match what {
        Happens::Partition => holes(proxy, &[Direction::There, Direction::Back]),
        Happens::OneWay => {
            let way = if random.bool() { Direction::There } else { Direction::Back };
            holes(proxy, &[way]);
        }
        Happens::FarIsKilled => {
            far.kill(far.node());
            restarted(far);
        }
        Happens::HomeIsKilled => {
            home.kill(home.node());
            restarted(home);
        }
        Happens::FarIsRestarted => {
            let _ = far.niia(["daemon", "stop"]).run().exits(0);
            restarted(far);
        }
        Happens::Garbage => {
            garbage(address(far), random);
            garbage(address(home), random);
        }
    }
}

fn scenario(number: usize, seed: u64) {
    let (link, what) = (LINKS[number % LINKS.len()], ALL[number / LINKS.len() % ALL.len()]);
    println!("scenario {number}, seed {seed}: {what:?} over {link:?}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (home, far) = (machine("home"), machine("far"));
    let proxy = Proxy::before(address(&far), Link::default(), seed).unwrap();
    joined(&home, &far, &proxy);
    let (calls, go) = (far.at("home/calls"), far.at("home/go"));
    let play = format!(
        "note {} x\nrun niia mailbox send person letter-1\nwait-for {}\nwrite made.txt made\nsay made",
        calls.display(),
        go.display()
    );
    far.install("claude", &play);
    let document = json!({
        "name": "bad-weather",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "far", "prompt": "x" }] }
    });
    let project = home.repository("project");
    proxy.set(link);
    let run = home.detach(project.path(), &home.document("bad-weather", &document));
    wait_until("the worker works there", LIMIT, || calls.exists().then_some(()));
    happen(what, &home, &far, &proxy, &mut random);
    std::fs::write(go, "").unwrap();
    let status = home.wait_over(&run, LIMIT);
    assert_eq!(status["state"], "done", "{status:#}");
    let made = std::fs::read_to_string(calls).unwrap();
    assert_eq!(made.lines().count(), 1, "the step was done once");
    assert_eq!(project.show(&format!("niia/{run}/result"), "made.txt").trim(), "made");
    let letters = home.niia(["mailbox", "list", "--run", &run, "--json"]).run().exits(0).out;
    assert!(letters.matches("letter-1").count() <= 1, "{letters}");
}

#[test]
fn every_run_ends_as_it_should_however_bad_the_network_is() {
    let seed = number("NIIA_NET_SEED", fastrand::u64(..));
    println!("NIIA_NET_SEED={seed}");
    let (count, seeds) = (number("NIIA_NET_SCENARIOS", FEW), number("NIIA_NET_SEEDS", 1));
    let all = LINKS.len() * ALL.len();
    for round in 0..seeds {
        // A few begin somewhere else each time.
        let first = if count >= all as u64 { 0 } else { (seed.wrapping_add(round) % all as u64) as usize };
        for n in 0..usize::try_from(count).unwrap().min(all) {
            scenario((first + n * 7) % all, seed.wrapping_add(round));
        }
    }
}

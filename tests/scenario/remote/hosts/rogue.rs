//! Strangers on the network who announce what is not true: they reach nothing and break nothing.

use std::process::{Command, Stdio};

use niia_tests::wait_until;

use super::super::super::SOON;
use super::{IP, Machine, Network, pair};
use niia_tests::House;

/// A stranger's program: announces somebody else's name and node, floods with names, and says what is no DNS.
const ROGUE: &str = r#"
import random, socket, struct, sys
def name(text):
    return b''.join(bytes([len(p)]) + p.encode() for p in text.split('.') if p) + b'\0'
def record(n, kind, body, flush=True):
    return name(n) + struct.pack('>HHIH', kind, 0x8001 if flush else 1, 120, len(body)) + body
def announce(instance, host, node, port, ip):
    full = instance + '._niia._udp.local'
    txt = b''.join(bytes([len(t)]) + t for t in [b'id=' + node.encode(), b'v=1', b'user=rogue', b'pair=1'])
    records = [record('_niia._udp.local', 12, name(full), False), record(full, 33, struct.pack('>HHH', 0, 0, port) + name(host)),
               record(full, 16, txt), record(host, 1, socket.inet_aton(ip))]
    return struct.pack('>HHHHHH', 0, 0x8400, 0, len(records), 0, 0) + b''.join(records)
own, victim, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', 5353))
def say(b): s.sendto(b, ('224.0.0.251', 5353))
r = random.Random(7)
for i in range(3):
    say(announce(victim[:16], 'SEOUL-SERVER.local', victim, 6442, own))
    say(announce('f' * 16, 'SEOUL-SERVER.local', 'f' * 64, 6442, own))
for i in range(count):
    node = '%064x' % r.getrandbits(256)
    say(announce(node[:16], 'flood-%d.local' % i, node, 1 + i % 60000, own))
    if i % 10 == 0:
        junk = bytearray(announce(node[:16], 'x.local', node, 1, own))
        for _ in range(6): junk[r.randrange(len(junk))] = r.randrange(256)
        say(bytes(junk[:r.randrange(len(junk))]))
        say(bytes(r.randrange(256) for _ in range(r.randrange(1400))))
print('said')
"#;

#[test]
fn a_rogue_that_announces_somebody_elses_name_floods_and_says_nonsense_does_no_harm() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let laptop = Machine::new(&network, 1, "LAPTOP");
    let seoul = Machine::new(&network, 2, "SEOUL-SERVER");
    for machine in [&laptop, &seoul] {
        machine.start();
    }
    pair(&seoul, &laptop);
    let fingerprint = seoul.json(&["peer", "ls", "--json"])["fingerprint"].as_str().unwrap().to_owned();
    let script = names.file("rogue.py", ROGUE);
    let mut rogue = Command::new(IP);
    rogue.args(["netns", "exec", network.host(3), "python3"]).arg(script).args([
        "10.77.0.3",
        &fingerprint,
        "10000",
    ]);
    let said = rogue.stderr(Stdio::inherit()).output().unwrap();
    assert!(said.status.success());
    // It is the key that counts: the right one is reached, by the name that another one announces too.
    let status = laptop.niia(&["remote", "status", "SEOUL-SERVER.local"]).run().exits(0);
    assert!(status.out.contains("up"), "{}", status.out);
    let peers = laptop.json(&["peer", "ls", "--json"]);
    let listed = peers["peers"].as_array().unwrap();
    assert!(listed.len() <= 257, "{} are remembered", listed.len());
    let ours = listed.iter().find(|peer| peer["fingerprint"] == fingerprint.as_str()).unwrap();
    assert!(ours["rights"].is_string() && ours["name"] == "seoul-server", "{ours:#}");
    // After a restart of both, with nothing in memory but what the rogue says, it is the same.
    for machine in [&laptop, &seoul] {
        machine.stop();
        machine.start();
    }
    let status = laptop.niia(&["remote", "status", "seoul-server"]).run().exits(0);
    assert!(status.out.contains("up"), "{}", status.out);
    for machine in [&laptop, &seoul] {
        machine.stop();
    }
}

#[test]
fn two_hosts_of_one_name_are_told_apart_by_their_users_or_keys_and_never_guessed_at() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let laptop = Machine::new(&network, 1, "LAPTOP");
    let twins = [Machine::new(&network, 2, "TWIN"), Machine::new(&network, 3, "TWIN")];
    laptop.start();
    for twin in &twins {
        twin.start();
        pair(twin, &laptop);
    }
    let unsure = laptop.niia(&["remote", "read", "twin.local"]).run();
    assert_ne!(unsure.code, Some(0));
    let peers = laptop.json(&["peer", "ls", "--json"]);
    let names: Vec<&str> =
        peers["peers"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert!(names.contains(&"twin") && names.contains(&"twin-2"), "{names:?}");
    for (name, twin) in ["twin", "twin-2"].iter().zip(&twins) {
        let own = twin.json(&["peer", "ls", "--json"])["fingerprint"].as_str().unwrap().to_owned();
        let seen = laptop.json(&["remote", "status", name, "--json"]);
        assert_eq!(seen["peers"][0]["fingerprint"], own.as_str());
    }
    // One that vanishes without a word is noticed when it is looked for.
    twins[1].house.kill(twins[1].house.node());
    let _ = laptop.niia(&["remote", "status", "twin-2"]).run().exits(4);
    wait_until("it counts as gone", SOON, || {
        let peers = laptop.json(&["peer", "ls", "--json"]);
        let gone = peers["peers"].as_array()?.iter().any(|p| p["name"] == "twin-2" && p["nearby"] == false);
        gone.then_some(())
    });
    // Its next node tidies up after the killed one.
    twins[1].start();
    for machine in [&laptop, &twins[0], &twins[1]] {
        machine.stop();
    }
}

#[test]
fn a_port_of_niia_that_is_taken_makes_a_node_listen_elsewhere() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 2) else { return };
    let (laptop, seoul) = (Machine::new(&network, 1, "LAPTOP"), Machine::new(&network, 2, "SEOUL"));
    let mut taken = Command::new(IP);
    taken.args(["netns", "exec", network.host(2), "python3", "-c"]).arg(
        "import socket,sys; s=socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', 6442)); print('bound', flush=True); sys.stdin.read()",
    );
    let mut taken = taken.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(taken.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    for machine in [&laptop, &seoul] {
        machine.start();
    }
    pair(&seoul, &laptop);
    let _ = laptop.niia(&["remote", "status", "seoul"]).run().exits(0);
    drop(taken.stdin.take());
    assert!(taken.wait().unwrap().success());
    for machine in [&laptop, &seoul] {
        machine.stop();
    }
}

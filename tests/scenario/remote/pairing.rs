//! How machines come to trust each other, and how that ends.

use super::{machine, pair, paired};

fn fingerprint(house: &niia_tests::House) -> String {
    let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
    said["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn a_code_shown_here_and_typed_there_pairs_both_machines() {
    let (laptop, seoul) = (machine("laptop"), machine("SEOUL-SERVER"));
    let (code, here, there) = pair(&seoul, &laptop, "run,read", |code| code.to_lowercase());
    assert_eq!(code, 0, "{here}");
    assert!(here.contains("paired with seoul-server") && here.contains(&fingerprint(&seoul)), "{here}");
    assert!(there.contains(&fingerprint(&laptop)) && there.contains("\"run,read\""), "{there}");
    let status = laptop.niia(["remote", "status", "list"]).run().exits(0);
    assert!(status.out.contains("seoul-server") && status.out.contains("up"), "{}", status.out);
    // Every name it ever announced is its name, in small letters too.
    for name in ["SEOUL-SERVER.local", "seoul-server", &fingerprint(&seoul)[..12]] {
        let _ = laptop.niia(["remote", "status", name]).run().exits(0);
    }
}

#[test]
fn a_wrong_code_pairs_nobody_and_is_used_up() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let other = |code: &str| if code == "AAA-AAA" { "BBB-BBB".to_owned() } else { "AAA-AAA".to_owned() };
    let (code, here, there) = pair(&seoul, &laptop, "all", other);
    assert_eq!(code, 1, "{here}");
    assert!(
        here.contains("the code was wrong") && there.contains("not the one that is shown"),
        "{here}{there}"
    );
    for house in [&laptop, &seoul] {
        let peers = house.niia(["peer", "ls"]).run().exits(0);
        assert!(peers.out.contains("no machine is paired"), "{}", peers.out);
    }
    let nonsense = laptop.niia(["pair", "12"]).run().exits(2);
    assert!(nonsense.err.contains("K7M-9XQ"), "{}", nonsense.err);
}

#[test]
fn five_codes_may_be_tried_an_hour_and_then_none() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let other = |code: &str| if code == "AAA-AAA" { "BBB-BBB".to_owned() } else { "AAA-AAA".to_owned() };
    for _ in 0..5 {
        assert_eq!(pair(&seoul, &laptop, "all", other).0, 1);
    }
    let closed = seoul.niia(["pair"]).run().exits(1);
    assert!(closed.err.contains("5 codes were tried within an hour"), "{}", closed.err);
}

#[test]
fn a_machine_that_is_not_paired_or_was_removed_gets_a_refusal_with_both_fingerprints() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "all");
    let _ = seoul.niia(["peer", "rm", "laptop"]).run().exits(0);
    let refused = laptop.niia(["remote", "read", "seoul"]).run().exits(1);
    for part in ["are not paired", &fingerprint(&laptop), &fingerprint(&seoul)] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    let log = std::fs::read_to_string(seoul.at("state/run/node.log")).unwrap();
    assert!(log.contains("are not paired") && log.contains(&fingerprint(&laptop)), "{log}");
    let unknown = laptop.niia(["remote", "read", "berlin"]).run().exits(2);
    assert!(unknown.err.contains("is called `berlin`"), "{}", unknown.err);
}

#[test]
fn a_machine_added_by_hand_must_have_the_key_that_was_said() {
    let (laptop, seoul, rogue) = (machine("laptop"), machine("seoul"), machine("rogue"));
    let port = |house: &niia_tests::House| {
        let _ = house.niia(["daemon", "start"]).run().exits(0);
        let log = std::fs::read_to_string(house.at("state/run/node.log")).unwrap();
        let (_, after) = log.split_once("address=127.0.0.1:").unwrap();
        after.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    let rogue_at = format!("127.0.0.1:{}", port(&rogue));
    let added = |address: &str, name: &str, of: &str| {
        laptop.niia(["peer", "add", address, "--name", name, "--fingerprint", of]).run()
    };
    let _ = added(&rogue_at, "seoul", &fingerprint(&seoul)).exits(0);
    let refused = laptop.niia(["remote", "read", "seoul"]).run().exits(1);
    assert!(refused.err.contains("is not the one that was paired"), "{}", refused.err);
    assert!(refused.err.contains(&fingerprint(&seoul)) && refused.err.contains(&fingerprint(&rogue)));
    // Trust has two ends: a machine that does not know this one refuses it.
    let _ = laptop.niia(["peer", "rm", "seoul"]).run().exits(0);
    let seoul_at = format!("127.0.0.1:{}", port(&seoul));
    let _ = added(&seoul_at, "seoul", &fingerprint(&seoul)).exits(0);
    let _ = laptop.niia(["remote", "status", "seoul"]).run().exits(4);
    let laptop_at = format!("127.0.0.1:{}", port(&laptop));
    let back = ["peer", "add", &laptop_at, "--name", "laptop", "--fingerprint", &fingerprint(&laptop)];
    let _ = seoul.niia(back).run().exits(0);
    let _ = laptop.niia(["remote", "status", "seoul"]).run().exits(0);
    let _ = added("x:1", "y", "abc").exits(2);
}

#[test]
fn a_node_that_needs_nobody_has_no_open_port() {
    let house = niia_tests::House::new();
    let _ = house.niia(["daemon", "start"]).run().exits(0);
    let _ = house.niia(["peer", "ls"]).run().exits(0);
    let node = house.node();
    let sockets = std::fs::read_dir(format!("/proc/{node}/fd")).unwrap().flatten();
    let mut inodes = sockets.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let tables: String = ["udp", "udp6", "tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{node}/net/{table}")).ok())
        .collect();
    let open = inodes.find(|link| {
        let name = link.to_string_lossy().into_owned();
        let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| tables.split_ascii_whitespace().any(|word| word == inode))
    });
    assert_eq!(open, None);
}

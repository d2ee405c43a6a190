//! Two machines that cannot dial each other, and a third one that both reach.

use niia_tests::{House, wait_until};
use serde_json::json;

use super::super::SOON;
use super::{machine, paired};

fn fingerprint(house: &House) -> String {
    let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
    said["fingerprint"].as_str().unwrap().to_owned()
}

/// A machine whose other side is told nothing of where it is.
fn via(house: &House, name: &str, of: &House) {
    let _ =
        house.niia(["peer", "add", name, "--via", "hub", "--fingerprint", &fingerprint(of)]).run().exits(0);
}

#[test]
fn a_peer_carries_what_two_machines_say_that_cannot_dial_each_other() {
    let (hub, home, office) = (machine("hub"), machine("home"), machine("office"));
    paired(&home, &hub, "run");
    paired(&office, &hub, "run");
    via(&home, "office", &office);
    let refused = home.niia(["remote", "status", "office"]).run().exits(4);
    assert!(refused.out.contains("is not paired with"), "{}", refused.out);
    via(&office, "home", &home);
    wait_until("the way is open", SOON, || {
        (home.niia(["remote", "status", "office"]).run().code == Some(0)).then_some(())
    });
    office.install("claude", "write made.txt at the office\nsay made");
    let project = home.repository("project");
    let document = json!({
        "name": "carried",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "office", "prompt": "x" }] }
    });
    let said = home.run(project.path(), &home.document("carried", &document)).exits(0);
    let made = project.show(&format!("niia/{}/result", said.run_id()), "made.txt");
    assert_eq!(made.trim(), "at the office");
    let peers = home.niia(["peer", "ls"]).run().exits(0);
    assert!(peers.out.contains("via hub"), "{}", peers.out);
    // The one in between is killed and comes back: so does the way.
    hub.kill(hub.node());
    let _ = home.niia(["remote", "status", "office"]).run().exits(4);
    let _ = hub.niia(["daemon", "start"]).run().exits(0);
    wait_until("the way is open again", SOON, || {
        (home.niia(["remote", "status", "office"]).run().code == Some(0)).then_some(())
    });
    // Who may not run anything there is not carried either.
    let _ = hub.niia(["peer", "allow", "home", "read"]).run().exits(0);
    office.kill(office.node());
    let _ = office.niia(["daemon", "start"]).run().exits(0);
    wait_until("it is refused in words", SOON, || {
        let said = home.niia(["remote", "status", "office"]).run();
        said.out.contains("needs the right `run`").then_some(())
    });
}

#[test]
fn a_way_over_a_peer_needs_a_key_that_somebody_has_compared() {
    let (hub, home) = (machine("hub"), machine("home"));
    paired(&home, &hub, "run");
    let unknown = home.niia(["peer", "add", "office", "--via", "hub"]).run().exits(2);
    assert!(unknown.err.contains("--fingerprint"), "{}", unknown.err);
    let nobody = home.niia(["peer", "add", "office", "--via", "berlin"]).run().exits(2);
    assert!(nobody.err.contains("is called `berlin`"), "{}", nobody.err);
}

//! One file for each thing the product promises.

mod agents;
mod appointments;
mod attach;
mod clis;
mod course;
mod documents;
mod escape;
mod family;
mod heard;
mod inside;
mod kill;
mod mcp;
mod order;
mod orphans;
mod papers;
mod pipeline;
mod planted;
mod prompts;
mod refusals;
mod rehearse;
mod remote;
mod resume;
mod sandbox_documents;
mod sandbox_inside;
mod sandbox_refusals;
mod sandbox_streams;
mod sandbox_verbs;
mod sandbox_world;
mod seeds;
mod stand_in;
mod steps;
mod storm;
mod stranger;
mod talks;
mod tidy;
mod trees;
mod unchanged;
mod webhooks;
mod words;

use std::path::Path;
use std::time::Duration;

use niia_tests::House;
use serde_json::Value;

/// Long enough for anything a test waits for, on a busy machine with two cores; nothing is expected to take it.
const SOON: Duration = Duration::from_secs(60);

/// One of the documents by which connector.json was introduced, as its author wrote it.
fn seed(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/tests/documents/good");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The machines those documents name; this computer is all of them.
const MACHINES: [&str; 16] = [
    "MY-LAPTOP.local",
    "BUILD-SERVER.local",
    "ALICE-MBP.local",
    "BOB-MBP.local",
    "CHARLIE-MBP.local",
    "TEAM-SERVER.local",
    "SEOUL-SERVER.local",
    "SF-SERVER.local",
    "hospital-A",
    "hospital-B",
    "research-lab",
    "GPU-SERVER-A.local",
    "GPU-SERVER-B.local",
    "laptop",
    "gpu-a",
    "gpu-b",
];

fn answers_to_every_machine(house: &House) {
    house.file("state/config/niia.toml", &format!("[network]\ndiscover = false\nnames = {MACHINES:?}\n"));
}

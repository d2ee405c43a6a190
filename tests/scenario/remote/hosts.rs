//! Hosts of their own: network namespaces joined by a bridge, with real multicast. Made and removed by the test; where
//! that is not permitted the test says so and looks at nothing.

mod gap;
mod rogue;
mod sun;

use std::path::Path;
use std::process::{Command, Stdio};

use niia_tests::{Call, House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;

const IP: &str = "/usr/sbin/ip";

fn ip(args: &str) -> bool {
    let mut command = Command::new(IP);
    command.args(args.split(' ')).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A bridge and the hosts at it.
struct Network {
    names: Vec<String>,
}

impl Network {
    /// Nothing where this user may make none.
    fn of(mark: &str, count: usize) -> Option<Network> {
        let mark = &mark[mark.len().saturating_sub(6)..];
        let mut network = Network { names: vec![format!("niia-{mark}-hub")] };
        let hub = network.names[0].clone();
        let begun = ip(&format!("netns add {hub}"))
            && ip(&format!("-n {hub} link add br0 type bridge mcast_snooping 0"))
            && ip(&format!("-n {hub} link set br0 up"));
        for n in 1..=count {
            let name = format!("niia-{mark}-{n}");
            network.names.push(name.clone());
            let joined = begun
                && ip(&format!("netns add {name}"))
                && ip(&format!("-n {hub} link add v{n} type veth peer name eth0 netns {name}"))
                && ip(&format!("-n {hub} link set v{n} master br0 up"))
                && ip(&format!("-n {name} addr add 10.77.0.{n}/24 dev eth0"))
                && ip(&format!("-n {name} link set lo up"))
                && ip(&format!("-n {name} link set eth0 up"))
                && ip(&format!("-n {name} route add default dev eth0"));
            if !joined {
                eprintln!("skipped: no network namespaces can be made here");
                return None;
            }
        }
        Some(network)
    }

    fn host(&self, n: usize) -> &str {
        &self.names[n]
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

/// A machine on a host of its own.
struct Machine<'a> {
    house: House,
    host: &'a str,
}

impl Machine<'_> {
    fn new<'a>(network: &'a Network, n: usize, name: &str) -> Machine<'a> {
        let house = House::new();
        let capture = house.at("frames");
        let text = format!("[network]\nname = \"{name}\"\ncapture = \"{}\"\n", capture.display());
        let _ = house.file("state/config/niia.toml", &text);
        Machine { house, host: network.host(n) }
    }

    /// Everything its node has said to others, before it was encrypted.
    fn frames(&self) -> Vec<u8> {
        std::fs::read(self.house.at("frames")).unwrap_or_default()
    }

    fn stop(&self) {
        let _ = self.niia(&["daemon", "stop"]).run().exits(0);
    }

    fn json(&self, args: &[&str]) -> Value {
        self.niia(args).run().json()
    }

    fn wait_over(&self, run: &str) -> Value {
        wait_until("it is over", OVER_WITHIN, || {
            let status = self.json(&["status", run, "--json"]);
            (status["state"] != "running").then_some(status)
        })
    }

    /// Files of runs of other machines that are still here, but for commits that may be of use again.
    fn left_of_guests(&self) -> Vec<String> {
        let all = super::worker::files_below(&self.house.at("state/guests"));
        all.into_iter().filter(|file| !file.contains("/repositories/")).collect()
    }

    fn niia(&self, args: &[&str]) -> Call<'_> {
        let niia = niia_tests::niia();
        let words = ["netns", "exec", self.host, niia.to_str().unwrap()];
        self.house.program(Path::new(IP), words.into_iter().chain(args.iter().copied()))
    }

    fn start(&self) {
        let _ = self.niia(&["daemon", "start"]).run().exits(0);
    }
}

/// A run of nine workers on a busy machine with two cores.
const OVER_WITHIN: std::time::Duration = std::time::Duration::from_secs(180);

fn shown(line: &str) -> Option<String> {
    serde_json::from_str::<Value>(line).ok()?["code"].as_str().map(str::to_owned)
}

/// Pairs by code alone: who shows one is found by multicast, also where another one showed one a moment ago.
fn pair(shows: &Machine, types: &Machine) {
    let showing = shows.niia(&["pair", "--json"]).start();
    let code = wait_until("a code is shown", SOON, || shown(showing.out_so_far().lines().next()?));
    let _ = types.niia(&["pair", code.as_str()]).run().exits(0);
    let _ = showing.wait().exits(0);
}

#[test]
fn three_hosts_find_each_other_are_paired_by_code_and_work_where_the_file_says() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let laptop = Machine::new(&network, 1, "laptop");
    let seoul = Machine::new(&network, 2, "SEOUL-SERVER");
    let gpu = Machine::new(&network, 3, "GPU-BOX");
    for machine in [&laptop, &seoul, &gpu] {
        machine.start();
        machine.house.install("claude", "run echo $NIIA_HOME > $NIIA_PHASE.txt\nsay {name} did it");
    }
    pair(&seoul, &laptop);
    pair(&laptop, &gpu);
    let began = std::time::Instant::now();
    let _ = gpu.niia(&["daemon", "stop"]).run().exits(0);
    gpu.start();
    wait_until("it is seen nearby", SOON, || {
        let peers = laptop.niia(&["peer", "ls", "--json"]).run().exits(0).json();
        let seen = peers["peers"].as_array()?.iter().any(|p| p["nearby"] == true && p["name"] == "gpu-box");
        seen.then_some(())
    });
    println!("from the start of a node until it is seen by a peer: {:?}", began.elapsed());
    let document = json!({
        "name": "sun",
        "machines": { "seoul": "seoul-server.local", "gpu": "GPU-BOX.local" },
        "pipeline": { "phases": [
            { "name": "build", "model": "claude", "machine": "seoul", "prompt": "x" },
            { "name": "train", "model": "claude", "machine": "gpu", "prompt": "x" },
            { "name": "review", "model": "claude", "prompt": "x" }
        ] }
    });
    let project = laptop.house.repository("project");
    let file = laptop.house.document("sun", &document);
    let said = laptop.niia(&["run", file.to_str().unwrap()]).inside(project.path()).run().exits(0);
    let run = said.run_id();
    for (phase, machine) in [("build", &seoul), ("train", &gpu), ("review", &laptop)] {
        let made = project.show(&format!("niia/{run}/result"), &format!("{phase}.txt"));
        assert!(made.contains(machine.house.mark()), "{phase}: {made}");
    }
    for machine in [&laptop, &seoul, &gpu] {
        machine.stop();
    }
}

//! Two machines and the proxies between them, for one scenario.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use niia_net::endpoint::{Endpoint, IDLE};
use niia_net::identity::Identity;
use niia_net::peer::{Greeting, greet};
use niia_net::trust::{Rights, Want};
use niia_tests::{Direction, House, Link, Proxy, Repository, wait_until};
use serde_json::{Value, json};

use super::scenarios::Scenario;

/// A scenario that is not over by then is stuck: several lost tries and a restart fit well into it.
const LIMIT: Duration = Duration::from_secs(120);
/// The most a node has in memory: many times what one run needs, without optimisation.
const NODE_MIB_MAX: u64 = 200;
const GRACE_MS: u64 = 500;

/// Which way nothing passes.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    There,
    Back,
    Both,
}

pub struct Stage {
    scenario: &'static Scenario,
    home: House,
    far: House,
    /// In front of the far machine, and in front of home.
    proxies: [Proxy; 2],
    project: Option<Repository>,
    bystander: String,
    random: fastrand::Rng,
}

/// A house whose node listens on loopback alone; it has the same port after a restart.
fn machine(name: &str, lease_ms: u64) -> House {
    let house = House::new();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[network]\nlisten = \"{free}\"\ndiscover = false\nname = \"{name}\"\nlease_ms = {lease_ms}\n"
    );
    let _ = house.file("state/config/niia.toml", &text);
    house
}

fn address(house: &House) -> SocketAddr {
    let text = std::fs::read_to_string(house.at("state/config/niia.toml")).unwrap();
    text.split('"').nth(1).unwrap().parse().unwrap()
}

fn fingerprint(house: &House) -> String {
    let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
    said["fingerprint"].as_str().unwrap().to_owned()
}

fn knows(house: &House, name: &str, at: &str, of: &str) {
    let _ = house.niia(["peer", "add", at, "--name", name, "--fingerprint", of]).run().exits(0);
}

impl Stage {
    pub fn new(scenario: &'static Scenario, seed: u64) -> Stage {
        let (home, far) = (machine("home", scenario.lease_ms), machine("far", scenario.lease_ms));
        let before = |house: &House, salt| {
            Proxy::before(address(house), Link::default(), seed.wrapping_add(salt)).unwrap()
        };
        let proxies = [before(&far, 0), before(&home, 1)];
        knows(&home, "far", &proxies[0].address().to_string(), &fingerprint(&far));
        knows(&far, "home", &proxies[1].address().to_string(), &fingerprint(&home));
        let bystander = far.niia(["serve", "--", "sleep", "1000"]).run().exits(0).run_id();
        let random = fastrand::Rng::with_seed(seed);
        Stage { scenario, home, far, proxies, project: None, bystander, random }
    }

    fn calls(&self) -> PathBuf {
        self.far.at("home/calls")
    }

    /// A run whose worker has begun there and goes on once the scenario is over.
    pub fn begin(&mut self) -> String {
        let play = format!(
            "note {} {{pid}}\nrun echo $PPID > $NIIA_SCRATCHPAD/note.md\nrun niia mailbox send person letter-{{pid}}\nwait-for {}\nwrite made.txt made by {{pid}}\nrun niia mailbox send person last-{{pid}}\nsay made",
            self.calls().display(),
            self.far.at("home/go").display(),
        );
        self.far.install("claude", &play);
        let document = json!({
            "name": "bad-weather",
            "pipeline": { "phases": [{
                "name": "work", "model": "claude", "machine": "far", "prompt": "x",
                "on_lost": self.scenario.on_lost, "grace_ms": GRACE_MS
            }] }
        });
        let project = self.home.repository("project");
        self.proxies.iter().for_each(|proxy| {
            proxy.keep();
            proxy.set(self.scenario.link);
        });
        let run = self.home.detach(project.path(), &self.home.document("bad-weather", &document));
        self.project = Some(project);
        let calls = self.calls();
        wait_until("the worker works there", LIMIT, || calls.exists().then_some(()));
        run
    }

    fn holes(&self, way: Way, open: bool) {
        let [far, home] = &self.proxies;
        // What goes to the far machine goes there through its own proxy, and back through the one of home.
        if matches!(way, Way::There | Way::Both) {
            far.hole(Direction::There, open);
            home.hole(Direction::Back, open);
        }
        if matches!(way, Way::Back | Way::Both) {
            far.hole(Direction::Back, open);
            home.hole(Direction::There, open);
        }
    }

    /// How long is what is tested, so it is waited for.
    pub fn hole(&mut self, way: Way, long: Duration) {
        self.hole_around(way, long, |_| {});
    }

    pub fn hole_around(&mut self, way: Way, long: Duration, happens: impl FnOnce(&mut Stage)) {
        self.holes(way, true);
        happens(self);
        std::thread::sleep(long);
        self.holes(way, false);
    }

    pub fn kill_far(&mut self) {
        self.far.kill(self.far.node());
        let _ = self.far.niia(["daemon", "start"]).run().exits(0);
    }

    pub fn kill_home(&mut self) {
        self.home.kill(self.home.node());
        let _ = self.home.niia(["daemon", "start"]).run().exits(0);
    }

    pub fn far_is_away(&mut self, long: Duration) {
        self.far.kill(self.far.node());
        std::thread::sleep(long);
        let _ = self.far.niia(["daemon", "start"]).run().exits(0);
    }

    pub fn restart_far(&mut self) {
        for verb in ["stop", "start"] {
            let _ = self.far.niia(["daemon", verb]).run().exits(0);
        }
    }

    pub fn restart_home(&mut self) {
        for verb in ["stop", "start"] {
            let _ = self.home.niia(["daemon", verb]).run().exits(0);
        }
    }

    pub fn garbage(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..500 {
            let junk: Vec<u8> = (0..self.random.usize(1..1_400)).map(|_| self.random.u8(..)).collect();
            for house in [&self.home, &self.far] {
                // What the kernel will not take is not thrown.
                let _ = socket.send_to(&junk, address(house));
            }
        }
    }

    /// Everything that went over the wire so far is said once more, by somebody else.
    pub fn replay(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (proxy, house) in self.proxies.iter().zip([&self.far, &self.home]) {
            for datagram in proxy.kept() {
                let _ = socket.send_to(&datagram, address(house));
            }
        }
    }

    /// A trusted machine that speaks a version from the future wants to work with both.
    pub fn wrong_version(&mut self) {
        let identity = Identity::passing().unwrap();
        for house in [&self.home, &self.far] {
            knows(house, "future", "127.0.0.1:9", &identity.id().to_string());
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind(&identity, "127.0.0.1:0".parse().unwrap(), IDLE).unwrap();
            for house in [&self.home, &self.far, &self.far] {
                let shaken = endpoint.connect(&[address(house)], None).await.unwrap();
                let mut greeting = Greeting::new("future", 1, "9.9.9", Want::Work);
                greeting.hello.version += 2;
                let refused = greet(shaken, identity.id(), None, greeting, Rights::ALL).await.unwrap_err();
                assert!(refused.to_string().contains("upgrade the older"), "{refused}");
            }
        });
        let log = std::fs::read_to_string(self.far.at("state/run/node.log")).unwrap();
        assert!(log.contains("too far apart in their versions"), "{log}");
    }

    /// The scenario is over: the network stays as bad as it is, and the worker goes on.
    pub fn calm(&mut self) {
        std::fs::write(self.far.at("home/go"), "").unwrap();
    }

    pub fn finish(&mut self, run: &str) {
        let status = self.home.wait_over(run, LIMIT);
        assert_eq!(status["state"], self.scenario.state, "{status:#}");
        let attempts = status["phases"][0]["workers"][0]["attempts"].as_array().unwrap().clone();
        self.each_attempt_was_made_once(&attempts);
        self.each_step_is_recorded_once(run);
        let letters = self.letters(run);
        if self.scenario.state == "done" {
            self.the_work_is_here(run, &letters);
        }
        self.nothing_is_left();
        for house in [&self.home, &self.far] {
            let mib = peak_mib(house.node());
            assert!(mib <= NODE_MIB_MAX, "a node took {mib} MiB");
        }
        assert!(self.far.sessions(&self.bystander)[0]["pid"].is_u64(), "the other session lives");
        let _ = self.far.niia(["kill", &self.bystander]).run().exits(0);
    }

    fn each_attempt_was_made_once(&self, attempts: &[Value]) {
        let calls = std::fs::read_to_string(self.calls()).unwrap();
        let count = calls.lines().count();
        assert!(count >= 1 && count <= attempts.len(), "{count} programs for {attempts:#?}");
        if self.scenario.on_lost == "wait" {
            assert_eq!((count, attempts.len()), (1, 1), "{attempts:#?}");
        }
        let done = attempts.iter().filter(|attempt| attempt["outcome"] == "done").count();
        assert_eq!(done, usize::from(self.scenario.state == "done"), "{attempts:#?}");
    }

    fn each_step_is_recorded_once(&self, run: &str) {
        let lines = self.home.niia(["explain", run, "--json"]).run().exits(0).json();
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        for line in lines.as_array().unwrap() {
            if let Some(ended) = line["event"].get("ended") {
                *ends.entry(ended["attempt"].to_string()).or_default() += 1;
            }
        }
        assert!(!ends.is_empty() && ends.values().all(|times| *times == 1), "{ends:?}\n{lines:#}");
    }

    fn letters(&self, run: &str) -> String {
        let said = self.home.niia(["mailbox", "list", "--run", run, "--json"]).run().exits(0).out;
        for pid in std::fs::read_to_string(self.calls()).unwrap().lines() {
            for letter in [format!("letter-{pid}\""), format!("last-{pid}\"")] {
                let times = said.matches(&letter).count();
                assert!(times <= 1, "{letter} came {times} times\n{said}");
            }
        }
        said
    }

    /// What the attempt that counts made, and what it wrote.
    fn the_work_is_here(&self, run: &str, letters: &str) {
        let project = self.project.as_ref().unwrap();
        let made = project.show(&format!("niia/{run}/result"), "made.txt");
        let pid = made.trim().strip_prefix("made by ").unwrap_or_else(|| panic!("{made}"));
        for letter in [format!("letter-{pid}\""), format!("last-{pid}\"")] {
            assert_eq!(letters.matches(&letter).count(), 1, "{letter}\n{letters}");
        }
    }

    /// Whatever was given to the far machine is gone there, what was given up too.
    fn nothing_is_left(&self) {
        let guests = self.far.at("state/guests");
        wait_until("nothing of it is left there", LIMIT, || {
            let homes = std::fs::read_dir(&guests).ok()?.flatten();
            let mut runs =
                homes.filter_map(|home| std::fs::read_dir(home.path().join("runs")).ok()).flatten();
            runs.next().is_none().then_some(())
        });
    }
}

fn peak_mib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

//! No orphan: however a session ends, all that descends from it is gone, and nobody else is touched.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use niia_tests::house::Resident;
use niia_tests::{House, wait_until};
use serde_json::json;

/// Long enough for the grace of a session and all that follows, on a busy machine with two cores.
const SOON: Duration = Duration::from_secs(60);

/// How many descendants the worker has that try to outlive it.
const DESCENDANTS: usize = 9;

/// Writes down its number and stays, each in another way of getting out of reach.
const STUBBORN: &str = r#"#!/bin/sh
pids='PIDS'
stay='echo $$ >> "$0"; exec sleep 86400'
deaf='trap "" TERM HUP INT QUIT; echo $$ >> "$0"; while :; do sleep 86400; done'
# in a session of its own
setsid sh -c "$stay" "$pids" &
# forked twice, and holding the terminal open
( ( exec sh -c "$stay" "$pids" ) & )
# deaf to every polite request
sh -c "$deaf" "$pids" &
( setsid sh -c "$deaf" "$pids" & )
# without an environment, out of the session, elsewhere
( cd / && env -i setsid sh -c "$deaf" "$pids" > /dev/null 2>&1 < /dev/null & )
( cd / && env -i setsid setsid sh -c "$stay" "$pids" > /dev/null 2>&1 < /dev/null & )
# a daemon that starts its own daemon once it is alone
( cd / && setsid sh -c "setsid sh -c '$stay' '$pids' & sleep 0.1; wait" > /dev/null 2>&1 < /dev/null & )
# stopped, so that it hears nothing
sh -c 'echo $$ >> "$0"; kill -STOP $$; sleep 86400' "$pids" &
# a shell with jobs of its own
sh -mc "sh -c '$stay' '$pids' & wait" &
while [ "$(wc -l < "$pids" 2> /dev/null || echo 0)" -lt 9 ]; do sleep 0.02; done
echo here
ENDING
"#;

/// A run whose worker has descendants that are hard to get hold of, and a bystander who looks like one of them.
struct Orphanage {
    house: House,
    run: String,
    descendants: Vec<u32>,
    bystander: Child,
    elsewhere: House,
}

impl Orphanage {
    /// `ending` is what the worker itself does at last.
    fn open(ending: &str) -> Orphanage {
        Orphanage::with(ending, 3_600_000)
    }

    fn with(ending: &str, timeout_ms: u64) -> Orphanage {
        let house = House::new();
        let pids = house.at("home/pids");
        let text = STUBBORN.replace("PIDS", &pids.to_string_lossy()).replace("ENDING", ending);
        let tool = house.executable("stubborn", &text);
        let elsewhere = House::new();
        let bystander = bystander(&elsewhere);
        let project = house.repository("project");
        let document = house.document("stubborn", &json!({
            "name": "stubborn",
            "models": { "tool": { "use": "command", "args": [tool] } },
            "pipeline": { "phases": [
                { "name": "work", "model": "tool", "prompt": "Work.", "session": { "timeout_ms": timeout_ms } }
            ] }
        }));
        let run = house.detach(project.path(), &document);
        let descendants = wait_until("its descendants are there", SOON, || {
            let text = fs::read_to_string(&pids).ok()?;
            let pids: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
            (pids.len() == DESCENDANTS).then_some(pids)
        });
        Orphanage { house, run, descendants, bystander, elsewhere }
    }

    fn niia(&self, words: &[&str]) {
        let _ = self.house.niia(words).run().exits(0);
    }

    /// The minder of the one session: the parent of the program.
    fn minder(&self) -> u32 {
        parent(self.program())
    }

    fn keeper(&self) -> u32 {
        parent(self.minder())
    }

    fn program(&self) -> u32 {
        let session = &self.house.sessions(&self.run)[0];
        session["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap()
    }

    /// The state in which the run ended.
    fn state(&self) -> String {
        let status = self.house.wait_over(&self.run, SOON);
        status["state"].as_str().unwrap().to_owned()
    }

    /// Nobody of the session is left, and the bystander lives. What is left of sockets, locks and of niia itself the
    /// house finds when it is left.
    fn ends_empty(mut self) {
        wait_until("all descendants are gone", SOON, || {
            (!self.descendants.iter().any(|id| is_alive(*id))).then_some(())
        });
        self.niia(&["daemon", "stop"]);
        wait_until("nobody is left", SOON, || self.house.residents().is_empty().then_some(()));
        assert!(self.bystander.try_wait().unwrap().is_none(), "the bystander lives");
        let here = self.elsewhere.residents();
        here.iter().for_each(Resident::kill);
        self.bystander.wait().unwrap();
    }
}

/// Somebody else's program of the same name, in a house next door.
fn bystander(elsewhere: &House) -> Child {
    let program = elsewhere.executable("stubborn", "#!/bin/sh\ntrap '' HUP\nwhile :; do sleep 1; done\n");
    Command::new(program).current_dir("/").env_clear().stdin(Stdio::null()).spawn().unwrap()
}

fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

fn parent(id: u32) -> u32 {
    stat(id).unwrap()[1].parse().unwrap()
}

#[test]
fn after_its_own_end_nothing_of_a_session_is_left() {
    let orphanage = Orphanage::open("exit 0");
    assert_eq!(orphanage.state(), "done");
    orphanage.ends_empty();
}

#[test]
fn a_cancelled_run_takes_everything_along() {
    let orphanage = Orphanage::open("wait");
    orphanage.niia(&["cancel", &orphanage.run]);
    assert_eq!(orphanage.state(), "cancelled");
    orphanage.ends_empty();
}

#[test]
fn a_worker_that_is_deaf_itself_is_ended_after_its_grace() {
    let orphanage = Orphanage::open("trap '' TERM HUP INT; while :; do sleep 1; done");
    orphanage.niia(&["cancel", &orphanage.run]);
    assert_eq!(orphanage.state(), "cancelled");
    orphanage.ends_empty();
}

#[test]
fn a_session_past_its_time_takes_everything_along() {
    let orphanage = Orphanage::with("wait", 3_000);
    assert_eq!(orphanage.state(), "failed");
    orphanage.ends_empty();
}

#[test]
fn a_killed_session_takes_everything_along() {
    let orphanage = Orphanage::open("wait");
    let (run, attempt) = (&orphanage.run, "work/1/1");
    let session = format!("{run}/{attempt}");
    orphanage.niia(&["kill", &session]);
    assert_ne!(orphanage.state(), "running");
    orphanage.ends_empty();
}

#[test]
fn a_node_that_stops_with_its_sessions_takes_everything_along() {
    let orphanage = Orphanage::open("wait");
    orphanage.niia(&["daemon", "stop", "--end-sessions"]);
    orphanage.ends_empty();
}

#[test]
fn a_run_ended_after_the_node_was_killed_takes_everything_along() {
    let orphanage = Orphanage::open("wait");
    orphanage.house.kill(orphanage.house.node());
    orphanage.niia(&["cancel", &orphanage.run]);
    assert_eq!(orphanage.state(), "cancelled");
    orphanage.ends_empty();
}

#[test]
fn a_run_ended_after_the_keeper_was_killed_takes_everything_along() {
    let orphanage = Orphanage::open("wait");
    orphanage.house.kill(orphanage.keeper());
    orphanage.niia(&["cancel", &orphanage.run]);
    assert_eq!(orphanage.state(), "cancelled");
    orphanage.ends_empty();
}

#[test]
fn a_killed_minder_is_said_and_its_keeper_ends_what_it_left() {
    let orphanage = Orphanage::open("wait");
    orphanage.house.kill(orphanage.minder());
    assert_eq!(orphanage.state(), "failed");
    let said = orphanage.house.status(&orphanage.run).to_string();
    assert!(said.contains("minder"), "{said}");
    orphanage.ends_empty();
}

#[test]
fn a_minder_killed_while_no_node_runs_is_found_out_by_the_next_node() {
    let orphanage = Orphanage::open("wait");
    let minder = orphanage.minder();
    orphanage.house.kill(orphanage.house.node());
    orphanage.house.kill(minder);
    assert_eq!(orphanage.state(), "failed");
    let said = orphanage.house.status(&orphanage.run).to_string();
    assert!(said.contains("minder"), "{said}");
    orphanage.ends_empty();
}

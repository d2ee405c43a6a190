//! Kills of others than a working node: the keeper, a minder, the follower, a node that is starting.

use std::time::Duration;

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::SOON;
use super::run::Printers;

/// Nobody's of a process that has gone meanwhile.
fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The programs of a run's sessions that have one now.
fn programs(house: &House, run: &str) -> Vec<u32> {
    let sessions = house.sessions(run);
    let live = sessions.iter().filter(|session| !session["state"].to_string().contains("exited"));
    live.filter_map(|session| u32::try_from(session["pid"].as_u64()?).ok()).filter(|pid| *pid > 0).collect()
}

/// Kills the keeper as soon as there is one.
fn kill_keeper(printers: &Printers) -> u32 {
    let keeper = wait_until("there is a keeper", SOON, || {
        let residents = printers.house.residents();
        let keepers: Vec<u32> =
            residents.iter().filter(|r| r.line.contains(" keeper ")).map(|r| r.id).collect();
        // Minders are forks of the keeper and carry its arguments; the keeper is nobody's child of these, nor of the
        // node, which starts a process that starts the keeper.
        let node = printers.node()?;
        let is_of_another = |parent: u32| parent != node && !keepers.contains(&parent);
        keepers.iter().copied().find(|id| parent(*id).is_some_and(is_of_another))
    });
    printers.house.kill(keeper);
    keeper
}

#[test]
fn a_killed_keeper_costs_nothing() {
    let printers = Printers::new(2, false);
    let run = printers.detach().unwrap();
    kill_keeper(&printers);
    printers.check(&run);
}

#[test]
fn a_keeper_and_a_node_killed_together_cost_nothing() {
    let printers = Printers::new(2, false);
    let run = printers.detach().unwrap();
    kill_keeper(&printers);
    if let Some(node) = printers.node() {
        printers.house.kill(node);
    }
    printers.check(&run);
}

#[test]
fn a_killed_follower_changes_nothing_about_its_run() {
    let printers = Printers::new(2, false);
    let words = ["run".as_ref(), printers.document.as_os_str()];
    let going = printers.house.niia(words).inside(printers.project.path()).start();
    let run = wait_until("its name is told", SOON, || {
        let line = going.out_so_far().lines().next()?.strip_prefix("run ")?.to_owned();
        Some(line)
    });
    going.signal(rustix::process::Signal::KILL);
    assert_eq!(going.wait().code, None);
    printers.check(&run);
}

#[test]
fn a_node_killed_again_and_again_while_it_starts_loses_nothing() {
    let printers = Printers::new(2, false);
    let run = printers.detach().unwrap();
    for point in
        ["node.locked", "node.loaded", "node.taken_up", "journal.before_commit", "journal.after_commit"]
    {
        if let Some(node) = printers.node() {
            printers.house.kill(node);
        }
        let _ = printers.house.niia(["daemon", "start"]).env("NIIA_FAIL_POINT", point).run();
    }
    printers.check(&run);
}

#[test]
fn of_twenty_nodes_started_at_once_after_a_crash_one_takes_the_run_up() {
    let printers = Printers::new(2, false);
    let run = printers.detach().unwrap();
    printers.house.kill(printers.house.node());
    let calls: Vec<_> = (0..20).map(|_| printers.house.niia(["daemon", "start"]).start()).collect();
    for call in calls {
        let _ = call.wait().exits(0);
    }
    printers.check(&run);
}

/// Three workers that wait for a cue, of which one is enough.
fn waiters(house: &House, on_lost: &Value) -> String {
    let project = house.repository("project");
    let play = format!(
        "note {} {{env:NIIA_SESSION}}\nsay here\nwait-for {}\nsay done",
        house.at("home/starts").display(),
        house.at("home/go").display()
    );
    let tool = house.install("waiter", &play);
    let mut phase =
        json!({ "name": "wait", "model": "tool", "workers": 3, "require": "any", "prompt": "Wait." });
    if !on_lost.is_null() {
        phase["on_lost"] = on_lost.clone();
    }
    let document = house.document(
        "waiters",
        &json!({
            "name": "waiters",
            "models": { "tool": { "use": "command", "args": [tool] } },
            "pipeline": { "phases": [phase] }
        }),
    );
    house.detach(project.path(), &document)
}

fn three_programs(house: &House, run: &str) -> Vec<u32> {
    wait_until("all programs run", SOON, || Some(programs(house, run)).filter(|programs| programs.len() == 3))
}

fn lost(house: &House, run: &str) -> usize {
    let status = house.status(run).to_string();
    status.matches("minder of its terminal").count().min(1)
}

#[test]
fn a_killed_minder_costs_its_own_session_alone_and_that_is_said() {
    let house = House::new();
    let run = waiters(&house, &Value::Null);
    let programs = three_programs(&house, &run);
    house.kill(parent(programs[0]).unwrap());
    wait_until("the loss is said", SOON, || (lost(&house, &run) == 1).then_some(()));
    let left = three_minus_one(&house, &run);
    assert!(programs[1..].iter().all(|program| left.contains(program)), "{programs:?} {left:?}");
    std::fs::write(house.at("home/go"), "").unwrap();
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
}

/// The two programs that live on.
fn three_minus_one(house: &House, run: &str) -> Vec<u32> {
    wait_until("two live on", SOON, || Some(programs(house, run)).filter(|programs| programs.len() == 2))
}

#[test]
fn a_minder_killed_while_the_node_is_away_costs_its_own_session_alone() {
    let house = House::new();
    let run = waiters(&house, &Value::Null);
    let programs = three_programs(&house, &run);
    let minder = parent(programs[0]).unwrap();
    house.kill(house.node());
    house.kill(minder);
    wait_until("the loss is said", SOON, || (lost(&house, &run) == 1).then_some(()));
    std::fs::write(house.at("home/go"), "").unwrap();
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let starts = std::fs::read_to_string(house.at("home/starts")).unwrap();
    assert_eq!(starts.lines().count(), 3, "{starts}");
}

#[test]
fn a_session_that_is_not_recorded_keeps_its_answer_when_the_node_is_killed() {
    for point in ["", "session.before_acknowledge", "session.after_acknowledge", "session.before_commit"] {
        let house = House::new();
        let project = house.repository("project");
        let tool = house.install("speaker", "say the answer is 42");
        let document = house.document(
            "speaker",
            &json!({
                "name": "speaker",
                "models": { "tool": { "use": "command", "args": [tool] } },
                "pipeline": { "phases": [
                    { "name": "say", "model": "tool", "prompt": "Say.", "session": { "record": false } }
                ] }
            }),
        );
        if !point.is_empty() {
            let _ = house.niia(["daemon", "start"]).env("NIIA_FAIL_POINT", point).run().exits(0);
        }
        let run = house.detach(project.path(), &document);
        let over = wait_until("it is over", Duration::from_secs(60), || {
            let said = house.niia(["status", &run, "--json"]).run();
            let status: Value = serde_json::from_str(&said.out).ok()?;
            (status["state"] != "running").then_some(status)
        });
        assert_eq!(over["state"], "done", "{point}: {over:#}");
        assert_eq!(house.report(&run).trim(), "the answer is 42", "{point}");
    }
}

//! Whoever is killed: no session lost, no byte lost, no recorded step twice.
//!
//! A few kills in the ordinary tests; the whole campaign is
//! `NIIA_KILLS=200 NIIA_KILL_MB=200 cargo test --release -p niia-tests --test all kills`.

use std::collections::BTreeMap;
use std::time::Duration;

use niia_tests::{House, numbered, wait_until};
use serde_json::json;

use super::SOON;

/// A run of a campaign with 200 MB a worker, on two cores.
const RUN_WITHIN: Duration = Duration::from_secs(600);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Three phases of three, three and two workers, each of which notes its start and prints numbered lines.
fn document(house: &House, megabytes: u64) -> std::path::PathBuf {
    let play =
        format!("note {} {{env:NIIA_SESSION}}\nprint-mb {megabytes}", house.at("home/starts").display());
    let tool = house.install("printer", &play);
    let phase = |name: &str, workers: u32| json!({ "name": name, "model": "tool", "workers": workers, "prompt": "Print." });
    house.document(
        "printers",
        &json!({
            "name": "printers",
            "models": { "tool": { "use": "command", "args": [tool] } },
            "pipeline": { "phases": [phase("one", 3), phase("two", 3), phase("three", 2)] }
        }),
    )
}

/// The terminal turns each newline into a return and a newline.
fn expected(megabytes: u64) -> Vec<u8> {
    let lines = (0..numbered::lines_of_megabytes(megabytes))
        .map(|number| numbered::line(number).replace('\n', "\r\n"));
    lines.collect::<String>().into_bytes()
}

/// The run is done, every worker was started once and every recording is what was printed.
fn check(house: &House, run: &str, megabytes: u64) {
    let status = house.wait_over(run, RUN_WITHIN);
    assert_eq!(status["state"], "done", "{status:#}");
    let starts = std::fs::read_to_string(house.at("home/starts")).unwrap();
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    starts.lines().for_each(|line| *count.entry(line).or_default() += 1);
    assert!(count.len() == 8 && count.values().all(|times| *times == 1), "each is started once: {count:#?}");
    let wanted = expected(megabytes);
    let sessions = house.sessions(run);
    assert_eq!(sessions.len(), 8);
    for session in &sessions {
        let recorded = house.recording(session);
        assert!(recorded == wanted, "{}: {} of {} bytes", session["session"], recorded.len(), wanted.len());
    }
}

fn printed(house: &House, run: &str) -> u64 {
    house.sessions(run).iter().filter_map(|session| session["printed_bytes"].as_u64()).sum()
}

#[test]
fn a_node_killed_at_any_moment_loses_no_session_and_no_byte_and_repeats_no_step() {
    let megabytes = number("NIIA_KILL_MB", 3);
    let all = megabytes * 1_000_000 * 8;
    let kills = number("NIIA_KILLS", 6).div_ceil(2);
    for kill in 0..kills {
        let house = House::new();
        let project = house.repository("project");
        let run = house.detach(project.path(), &document(&house, megabytes));
        // Spread over the run by what has been printed, which needs no clock.
        let at = all * kill / kills;
        wait_until("it is time to kill", RUN_WITHIN, || {
            (printed(&house, &run) >= at || house.status(&run)["state"] != "running").then_some(())
        });
        house.kill(house.node());
        check(&house, &run, megabytes);
    }
}

#[test]
fn a_node_killed_at_a_named_point_goes_on_where_it_was() {
    let megabytes = number("NIIA_KILL_MB", 1);
    let kills = number("NIIA_KILLS", 6).div_ceil(2);
    let names = niia_actors::failpoint::NAMES;
    for kill in 0..kills {
        let name = names[usize::try_from(kill).unwrap() % names.len()];
        let nth = 1 + kill / names.len() as u64;
        let house = House::new();
        let project = house.repository("project");
        let start = house.niia(["daemon", "start"]).env("NIIA_FAIL_POINT", format!("{name}:{nth}"));
        let _ = start.run().exits(0);
        let armed = house.node();
        let file = document(&house, megabytes);
        let call =
            house.niia(["run".as_ref(), file.as_os_str(), "--detach".as_ref()]).inside(project.path()).run();
        // A node that died before it accepted the run has promised nothing.
        let run = if call.code == Some(0) { call.run_id() } else { house.detach(project.path(), &file) };
        check(&house, &run, megabytes);
        assert_ne!(house.node(), armed, "the point `{name}` was reached for the {nth}. time");
    }
}

#[test]
fn a_killed_keeper_costs_nothing() {
    let house = House::new();
    let project = house.repository("project");
    let run = house.detach(project.path(), &document(&house, 2));
    wait_until("something is printed", SOON, || (printed(&house, &run) > 0).then_some(()));
    // Minders are forks of the keeper and carry its name; the keeper is their parent.
    let keeper = keeper(&house);
    house.kill(keeper);
    check(&house, &run, 2);
}

fn keeper(house: &House) -> u32 {
    let keepers: Vec<u32> =
        house.residents().iter().filter(|r| r.line.contains("keeper")).map(|r| r.id).collect();
    let oldest = keepers.iter().find(|id| !keepers.contains(&parent(**id)));
    *oldest.unwrap_or_else(|| panic!("no keeper among {:?}", house.residents()))
}

fn parent(id: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

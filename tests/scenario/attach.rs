//! `attach`: a person at the terminal of a worker.

use niia_tests::{House, wait_until};

use super::SOON;

/// Ctrl-\ and d leaves, as the help says.
const DETACH: &[u8] = b"\x1cd";

fn session(house: &House, play: &str) -> String {
    let tool = house.install("talker", play);
    house.niia(["serve".as_ref(), "--".as_ref(), tool.as_os_str()]).run().exits(0).run_id()
}

#[test]
fn a_person_sees_the_screen_types_and_leaves_and_the_program_goes_on() {
    let house = House::new();
    let run = session(&house, "chat\nsay heard {prompt}");
    let mut terminal = house.niia(["attach", &run]).in_terminal();
    terminal.wait_for("Welcome to talker", SOON);
    terminal.write(b"good morning\r", SOON);
    terminal.wait_for("heard good morning", SOON);
    terminal.write(DETACH, SOON);
    assert!(terminal.end(SOON).0.success());
    let sessions = house.sessions(&run);
    assert!(sessions[0]["pid"].is_u64(), "the program goes on: {sessions:#?}");

    let mut again = house.niia(["attach", &run]).in_terminal();
    again.wait_for("heard good morning", SOON);
    again.write(b"/exit\r", SOON);
    again.end(SOON);
    wait_until("the session is over", SOON, || (house.status(&run)["state"] != "running").then_some(()));
}

#[test]
fn two_people_watch_and_both_see_what_one_types() {
    let house = House::new();
    let run = session(&house, "chat\nsay heard {prompt}");
    let mut one = house.niia(["attach", &run]).in_terminal();
    let mut two = house.niia(["attach", &run]).in_terminal();
    one.wait_for("Welcome to talker", SOON);
    two.wait_for("Welcome to talker", SOON);
    one.write(b"to both\r", SOON);
    one.wait_for("heard to both", SOON);
    two.wait_for("heard to both", SOON);
    one.write(DETACH, SOON);
    two.write(DETACH, SOON);
    assert!(one.end(SOON).0.success() && two.end(SOON).0.success());
    house.end(&run);
}

#[test]
fn a_watcher_that_reads_nothing_slows_nobody() {
    let house = House::new();
    let run =
        session(&house, &format!("wait-for {}\nprint-mb 20\nsay all printed", house.at("home/go").display()));
    let watcher = house.niia(["attach", &run]).in_terminal();
    std::fs::write(house.at("home/go"), "").unwrap();
    // Nobody reads the watcher's terminal: its buffer fills, and the session must come to its end all the same.
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let _ = watcher.end(SOON);
}

#[test]
fn a_terminals_questions_are_answered_with_nobody_attached() {
    let house = House::new();
    let run = session(&house, "query");
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    let said = house.niia(["replay", &format!("{run}/session/1/1"), "--text"]).run();
    assert!(said.out.contains("reply \\x1b[?"), "{}{}", said.out, said.err);
}

//! What `niia X` does here, `niia remote X MACHINE` does there.

use niia_tests::{House, wait_until};

use super::super::SOON;
use super::{machine, paired};

const DETACH: &[u8] = b"\x1cd";

fn session(house: &House, play: &str) -> String {
    let tool = house.install("talker", play);
    house.niia(["serve".as_ref(), "--".as_ref(), tool.as_os_str()]).run().exits(0).run_id()
}

#[test]
fn the_only_session_of_another_machine_is_read_written_to_and_asked() {
    let (laptop, seoul) = (machine("laptop"), machine("SEOUL-SERVER"));
    paired(&laptop, &seoul, "read,write");
    let none = laptop.niia(["remote", "read", "SEOUL-SERVER"]).run().exits(2);
    assert!(none.err.contains("no session lives"), "{}", none.err);
    let run = session(&seoul, "chat\nsay heard {prompt}");
    wait_until("it greets", SOON, || {
        let said = laptop.niia(["remote", "read", "SEOUL-SERVER"]).run().exits(0);
        said.out.contains("Welcome to talker").then_some(())
    });
    let _ = laptop.niia(["remote", "write", "SEOUL-SERVER", "also handle edge case X"]).run().exits(0);
    wait_until("it was heard", SOON, || {
        let said = laptop.niia(["remote", "read", "seoul-server.local"]).run().exits(0);
        said.out.contains("heard also handle edge case X").then_some(())
    });
    let asked = laptop.niia(["remote", "ask", "seoul-server", "what is left?"]).run().exits(0);
    assert!(asked.out.contains("heard what is left?"), "{}", asked.out);
    let listed = laptop.niia(["remote", "sessions", "seoul-server"]).run().exits(0);
    assert!(listed.out.contains(&run), "{}", listed.out);
    seoul.end(&run);
}

#[test]
fn a_person_sees_the_screen_of_another_machine_types_and_leaves() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "read,write");
    let run = session(&seoul, "chat\nsay heard {prompt}");
    let mut terminal = laptop.niia(["remote", "attach", "seoul"]).in_terminal();
    terminal.wait_for("Welcome to talker", SOON);
    terminal.write(b"good morning\r", SOON);
    terminal.wait_for("heard good morning", SOON);
    terminal.write(DETACH, SOON);
    assert!(terminal.end(SOON).0.success());
    assert!(seoul.sessions(&run)[0]["pid"].is_u64(), "the program goes on");
    seoul.end(&run);
}

#[test]
fn a_machine_does_there_what_it_may_and_nothing_else() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "read");
    let run = session(&seoul, "chat\nsay heard {prompt}");
    let _ = laptop.niia(["remote", "read", "seoul"]).run().exits(0);
    let refused = laptop.niia(["remote", "write", "seoul", "rm -rf"]).run().exits(1);
    assert!(refused.err.contains("needs the right `write`"), "{}", refused.err);
    let log = std::fs::read_to_string(seoul.at("state/run/node.log")).unwrap();
    assert!(log.contains("needs the right `write`"), "{log}");
    let mut terminal = laptop.niia(["remote", "attach", "seoul"]).in_terminal();
    terminal.wait_for("Welcome to talker", SOON);
    terminal.write(b"typed\r", SOON);
    terminal.wait_for("needs the right", SOON);
    terminal.write(DETACH, SOON);
    terminal.end(SOON);
    let screen = seoul.niia(["read", &run]).run().exits(0);
    assert!(!screen.out.contains("typed"), "{}", screen.out);
    // What it may is asked at each word, not once.
    let _ = seoul.niia(["peer", "allow", "laptop", "write,read"]).run().exits(0);
    let _ = laptop.niia(["remote", "write", "seoul", "hello"]).run().exits(0);
    let _ = seoul.niia(["peer", "allow", "laptop", "none"]).run().exits(0);
    let _ = laptop.niia(["remote", "read", "seoul"]).run().exits(1);
    seoul.end(&run);
}

#[test]
fn a_machine_that_was_restarted_is_reached_again() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "all");
    let _ = laptop.niia(["remote", "status"]).run().exits(0);
    seoul.kill(seoul.node());
    let _ = laptop.niia(["remote", "status"]).run().exits(4);
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    let _ = laptop.niia(["remote", "status"]).run().exits(0);
}

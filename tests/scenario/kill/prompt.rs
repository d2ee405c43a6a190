//! The node is killed while it types a prompt: the text is typed once, Enter is pressed once, or a person is asked.

use niia_tests::{House, Repository};
use serde_json::{Value, json};

use super::SOON;

/// What the composer is told; long enough that it shows a note in its place.
fn long() -> String {
    "All of it, and then some more. ".repeat(20).trim_end().to_owned()
}

struct Composers {
    house: House,
    project: Repository,
    document: std::path::PathBuf,
}

impl Composers {
    fn new(prompt: &str) -> Composers {
        let house = House::new();
        let project = house.repository("project");
        let composer = house.install("composer", "chat\ndigest\nexit 0\n");
        let document = json!({
            "name": "composers",
            "models": { "composer": { "use": "command", "args": [composer, "{typed}"] } },
            "pipeline": { "phases": [{ "name": "write", "model": "composer", "prompt": prompt }] }
        });
        let document = house.document("composers", &document);
        Composers { house, project, document }
    }

    /// Runs it on a node that dies at the point; how the run comes to rest on the next one.
    fn killed_at(&self, point: &str) -> (String, Value) {
        let _ = self.house.niia(["daemon", "start"]).env("NIIA_FAIL_POINT", point).run().exits(0);
        let armed = self.house.node();
        let run = self.house.detach(self.project.path(), &self.document);
        let status = self.rests(&run);
        assert_ne!(self.house.node(), armed, "{point} was not reached");
        (run, status)
    }

    fn rests(&self, run: &str) -> Value {
        niia_tests::wait_until("it comes to rest", SOON, || {
            let said = self.house.niia(["status", run, "--json"]).run();
            let status: Value = serde_json::from_str(&said.out).ok()?;
            (status["state"] != "running").then_some(status)
        })
    }

    fn digests(&self, run: &str) -> usize {
        let sessions = self.house.sessions(run);
        let printed = self.house.recording(sessions.last().unwrap());
        String::from_utf8_lossy(&printed).lines().filter(|line| line.contains("sha256 ")).count()
    }
}

#[test]
fn a_prompt_that_stands_in_its_place_is_submitted_once_wherever_the_node_was_killed() {
    for point in ["session.mid_prompt", "session.piece_typed", "session.before_enter", "session.after_enter"]
    {
        let composers = Composers::new("Print all of it.");
        let (run, status) = composers.killed_at(point);
        assert_eq!(status["state"], "done", "{point}: {status:#}");
        assert_eq!(composers.digests(&run), 1, "{point}");
    }
}

#[test]
fn a_long_prompt_is_submitted_once_by_the_note_that_stands_in_its_place() {
    for point in ["session.mid_prompt", "session.before_enter", "session.after_enter"] {
        let composers = Composers::new(&long());
        let (run, status) = composers.killed_at(point);
        assert_eq!(status["state"], "done", "{point}: {status:#}");
        assert_eq!(composers.digests(&run), 1, "{point}");
    }
}

#[test]
fn a_prompt_of_which_nobody_can_say_how_much_is_typed_is_left_to_a_person() {
    let composers = Composers::new(&long());
    let (run, status) = composers.killed_at("session.piece_typed");
    assert_eq!(status["state"], "needs_attention", "{status:#}");
    assert!(status["reason"].to_string().contains("a part of its prompt may be typed"), "{status:#}");
    assert_eq!(composers.digests(&run), 0, "nothing was submitted");
    let _ = composers.house.niia(["resume", &run]).run().exits(0);
    assert_eq!(composers.digests(&run), 1);
}

//! Runs whose home is another machine: they go on there while the one that began them sleeps.

use niia_tests::{House, wait_until};
use serde_json::{Value, json};

use super::super::SOON;
use super::{machine, paired};

const FOLLOW_THE_SUN: &str = include_str!("../../../spec/tests/documents/good/follow-the-sun.json");

/// A tool that says where it worked, and leaves a file that says the same.
fn tool(house: &House, more: &str) {
    let place = house.mark();
    house.install(
        "claude",
        &format!(
            "{more}\nwrite {{env:NIIA_PHASE}}-{{env:NIIA_WORKER}}.txt {place}\nrun echo {place} > $NIIA_SCRATCHPAD/$NIIA_PHASE-note.md\nsay {{env:NIIA_PHASE}} was done"
        ),
    );
}

fn three() -> (House, House, House) {
    let (laptop, seoul, sf) = (machine("laptop"), machine("SEOUL-SERVER"), machine("SF-SERVER"));
    paired(&laptop, &seoul, "all");
    paired(&seoul, &sf, "run");
    (laptop, seoul, sf)
}

#[test]
fn a_run_whose_home_is_elsewhere_goes_on_while_the_machine_that_began_it_is_frozen() {
    let (laptop, seoul, sf) = three();
    let go = seoul.at("home/go");
    tool(&seoul, &format!("wait-for {}", go.display()));
    tool(&sf, "");
    let project = laptop.repository("project");
    let file = laptop.file("follow-the-sun.connector.json", FOLLOW_THE_SUN);
    let before = project.fingerprint();
    let begun = laptop.niia(["run", file.to_str().unwrap(), "--home", "SEOUL-SERVER", "--detach"]);
    let run = begun.inside(project.path()).run().exits(0).run_id();
    wait_until("it works there", SOON, || {
        let status = seoul.niia(["status", &run, "--json"]).run().json();
        (status["phases"][0]["workers"][4]["state"] == "working").then_some(())
    });
    laptop.freeze(true);
    std::fs::write(go, "").unwrap();
    let there = seoul.wait_over(&run, SOON);
    assert_eq!(there["state"], "done", "{there:#}");
    laptop.freeze(false);
    let here = wait_until("its result is here", SOON, || {
        let status = laptop.status(&run);
        (status["state"] == "done" && !status["report"].is_null()).then_some(status)
    });
    assert!(laptop.report(&run).contains("pr was done"), "{here:#}");
    for (file, house) in [
        ("research-1", &seoul),
        ("research-5", &seoul),
        ("implement-1", &seoul),
        ("verify-2", &sf),
        ("pr-1", &seoul),
    ] {
        let made = project.show(&format!("niia/{run}/result"), &format!("{file}.txt"));
        assert_eq!(made.trim(), house.mark(), "{file}");
    }
    let diff = laptop.niia(["diff", &run, "--stat"]).inside(project.path()).run().exits(0);
    assert!(diff.out.contains("verify-2.txt"), "{}", diff.out);
    assert_eq!(project.fingerprint(), before, "the checkout was not touched");
    let merged = laptop.niia(["merge", &run]).inside(project.path()).run().exits(0);
    assert!(merged.out.contains("merged into"), "{}", merged.out);
    // The scratchpad is read at home, by the same words.
    let notes = laptop.niia(["scratchpad", "--run", &run, "ls"]).run().exits(0);
    assert!(notes.out.contains("verify-note.md"), "{}", notes.out);
    assert!(laptop.niia(["runs"]).run().exits(0).out.contains(&run));
}

#[test]
fn a_run_that_is_followed_from_afar_ends_here_as_any_other() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "run");
    tool(&seoul, "");
    let document = json!({
        "name": "afar",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "x", "output": "answer.md" }] }
    });
    let project = laptop.repository("project");
    let file = laptop.document("afar", &document);
    let call = laptop.niia(["remote", "run", "seoul", file.to_str().unwrap(), "-o", "report.md"]);
    let said = call.inside(project.path()).run().exits(0);
    assert!(said.out.contains("work was done"), "{}", said.out);
    for file in ["answer.md", "report.md"] {
        let text = std::fs::read_to_string(project.at(file)).unwrap();
        assert!(text.contains("work was done"), "{file}: {text}");
    }
    let run = said.run_id();
    assert_eq!(seoul.status(&run)["state"], "done");
    // What it may there is what a person may with a run of their own, and no more.
    let _ = laptop.niia(["remote", "sessions", "seoul"]).run().exits(1);
    let _ = laptop.niia(["status", &run]).run().exits(0);
}

#[test]
fn a_run_elsewhere_is_cancelled_from_here_and_its_home_may_be_killed_meanwhile() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "run");
    let go = seoul.at("home/go");
    tool(&seoul, &format!("wait-for {}", go.display()));
    let document = json!({
        "name": "two",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "x" }] }
    });
    let project = laptop.repository("project");
    let file = laptop.document("two", &document);
    let begin = || {
        let call = laptop.niia(["run", file.to_str().unwrap(), "--home", "seoul", "--detach"]);
        call.inside(project.path()).run().exits(0).run_id()
    };
    let (first, second) = (begin(), begin());
    let _ = laptop.niia(["cancel", &first]).run().exits(0);
    wait_until("it is cancelled", SOON, || (laptop.status(&first)["state"] == "cancelled").then_some(()));
    seoul.kill(seoul.node());
    let down = laptop.niia(["status", &second]).run();
    assert!(down.out.contains("not known"), "{}{}", down.out, down.err);
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    std::fs::write(go, "").unwrap();
    let status = laptop.wait_over(&second, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
}

#[test]
fn what_cannot_have_its_home_there_is_refused_in_words_and_leaves_nothing_behind() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "read");
    tool(&seoul, "");
    let project = laptop.repository("project");
    let mut document: Value = json!({
        "name": "no",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "x" }] }
    });
    let run = |document: &Value, home: &str| {
        let file = laptop.document("no", document);
        laptop.niia(["run", file.to_str().unwrap(), "--home", home]).inside(project.path()).run()
    };
    let before = project.git(["for-each-ref"]);
    let refused = run(&document, "seoul").exits(3);
    assert!(refused.err.contains("needs the right `run`"), "{}", refused.err);
    let nobody = run(&document, "berlin").exits(2);
    assert!(nobody.err.contains("is called `berlin`"), "{}", nobody.err);
    let _ = seoul.niia(["peer", "allow", "laptop", "run"]).run().exits(0);
    document["session"] = json!({ "worktree": false });
    let refused = run(&document, "seoul").exits(3);
    assert!(refused.err.contains("the checkout itself"), "{}", refused.err);
    assert_eq!(project.git(["for-each-ref"]), before);
    assert!(std::fs::read_dir(laptop.at("state/abroad")).unwrap().next().is_none());
    assert_eq!(seoul.niia(["runs", "--json"]).run().exits(0).json(), json!([]));
}

#[test]
fn where_nobody_works_here_another_home_is_proposed() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "run");
    tool(&seoul, "");
    let document = json!({
        "name": "there",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "seoul", "prompt": "x" }] }
    });
    let project = laptop.repository("project");
    let file = laptop.document("there", &document);
    let said = laptop.niia(["run", file.to_str().unwrap()]).inside(project.path()).run().exits(0);
    assert!(said.err.contains("`--home seoul` gives it a home there"), "{}", said.err);
    let mut terminal =
        laptop.niia(["run", file.to_str().unwrap(), "--detach"]).inside(project.path()).in_terminal();
    terminal.wait_for("Let its home be seoul", SOON);
    terminal.write(b"y\r", SOON);
    assert!(terminal.end(SOON).0.success());
    let runs = seoul.niia(["runs", "--json"]).run().exits(0).json();
    let run = runs[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(laptop.wait_over(&run, SOON)["state"], "done");
}

//! A run that needs a person waits for one, and goes on when it is told to.

use std::path::{Path, PathBuf};

use niia_tests::{House, Repository, wait_until};
use serde_json::{Value, json};

use super::SOON;

/// What an agent does that writes the README, mends it when it is asked to, and writes down that it was called.
const WRITER: &str = "#!/bin/sh
echo called >>\"$HOME/calls\"
case \"$*\" in
*'conflict markers'*) sed -i -e '/^<<<<<<< /d' -e '/^=======$/d' -e '/^>>>>>>> /d' README.md; echo mended ;;
*) echo \"by $NIIA_WORKER\" >README.md; echo wrote ;;
esac
";

fn writers(workers: u32, merge: &str) -> Value {
    json!({
        "name": "writers",
        "pipeline": { "phases": [
            { "name": "write", "model": "claude", "workers": workers, "merge": merge, "prompt": "Write the README." },
            { "name": "read", "model": "claude", "workers": 1, "session": { "worktree": false }, "prompt": "Go on." }
        ] }
    })
}

/// Runs a document to where it rests, which is told by its exit code.
fn run(house: &House, project: &Repository, document: &Value, code: i32) -> String {
    house.run(project.path(), &house.document("document", document)).exits(code).run_id()
}

fn state(house: &House, id: &str) -> Value {
    house.niia(["status", id, "--json"]).run().json()
}

fn tree(house: &House, id: &str, name: &str) -> PathBuf {
    Path::new(state(house, id)["folder"].as_str().unwrap()).join("git/trees").join(name)
}

fn resume(house: &House, id: &str, code: i32) {
    let _ = house.niia(["resume", id]).run().exits(code);
}

fn calls(house: &House) -> usize {
    std::fs::read_to_string(house.at("home/calls")).unwrap().lines().count()
}

#[test]
fn a_conflict_that_a_person_mends_in_the_tree_it_is_laid_out_in_is_gone_on_with() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(2, "stop"), 5);
    let mending = tree(&house, &id, "@mending");
    let report = house.report(&id);
    assert!(report.contains(&*mending.to_string_lossy()) && report.contains("niia resume"), "{report}");
    std::fs::write(mending.join("README.md"), "by both\n").unwrap();
    resume(&house, &id, 0);
    assert_eq!(state(&house, &id)["state"], "done");
    assert_eq!(project.show(&format!("niia/{id}/result"), "README.md"), "by both\n");
    assert_eq!(calls(&house), 3, "nobody works twice, and the next phase has begun");
}

#[test]
fn a_conflict_that_nobody_has_touched_is_not_taken_for_mended() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(2, "stop"), 5);
    resume(&house, &id, 5);
    assert_eq!(state(&house, &id)["state"], "needs_attention");
    assert_eq!(project.show(&format!("niia/{id}/result"), "README.md"), "by 1\n");
    let _ = house.niia(["cancel", &id]).run().exits(0);
    wait_until("it is cancelled", SOON, || (state(&house, &id)["state"] == "cancelled").then_some(()));
    resume(&house, &id, 1);
}

#[test]
fn a_conflict_that_a_person_resolves_in_the_workers_own_tree_is_gone_on_with() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(2, "stop"), 5);
    let own = tree(&house, &id, "write-2");
    let git = |args: &[&str]| house.program(Path::new("git"), args).inside(&own).run();
    let identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"];
    let result = format!("niia/{id}/result");
    assert_ne!(git(&[&identity[..], &["merge", "--quiet", &result]].concat()).code, Some(0));
    std::fs::write(own.join("README.md"), "by both\n").unwrap();
    let _ = git(&["add", "README.md"]).exits(0);
    let _ = git(&[&identity[..], &["commit", "--quiet", "--no-edit"]].concat()).exits(0);
    resume(&house, &id, 0);
    assert_eq!(project.show(&result, "README.md"), "by both\n");
}

#[test]
fn each_branch_that_conflicts_has_its_turn_of_the_mender() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(3, "agent"), 0);
    let readme = project.show(&format!("niia/{id}/result"), "README.md");
    let mut lines: Vec<&str> = readme.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["by 1", "by 2", "by 3"]);
    assert_eq!(calls(&house), 6, "three writers, a mender for each of two conflicts, a reader");
}

#[test]
fn what_may_not_be_committed_is_taken_once_it_is_gone_and_nobody_works_twice() {
    let house = House::new();
    let project = house.repository("project");
    let secret = "echo called >>\"$HOME/calls\"; printf '%s\\n' '-----BEGIN RSA PRIVATE KEY-----' >.env; echo x >made.txt";
    house.executable("claude", &format!("#!/bin/sh\n{secret}\necho answered\n"));
    let document = json!({
        "name": "secret",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "workers": 2, "prompt": "Work." }] }
    });
    let id = run(&house, &project, &document, 5);
    assert!(state(&house, &id).to_string().contains(".env"));
    for own in ["work-1", "work-2"] {
        std::fs::remove_file(tree(&house, &id, own).join(".env")).unwrap();
    }
    resume(&house, &id, 0);
    let made = project.git(["ls-tree", "-r", "--name-only", &format!("niia/{id}/result")]);
    assert_eq!(made, "README.md\nmade.txt\n");
    assert_eq!(calls(&house), 2, "the answers were there already");
    assert!(house.report(&id).contains("answered"));
}

#[test]
fn a_run_that_waits_outlives_its_node() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(2, "stop"), 5);
    house.kill(house.node());
    assert_eq!(state(&house, &id)["state"], "needs_attention");
    assert!(house.report(&id).contains("niia resume"));
    std::fs::write(tree(&house, &id, "@mending").join("README.md"), "by both\n").unwrap();
    resume(&house, &id, 0);
    assert_eq!(state(&house, &id)["state"], "done");
    assert_eq!(calls(&house), 3);
}

#[test]
fn a_run_that_has_had_all_its_agents_may_have_as_many_again() {
    let house = House::new();
    let project = house.repository("project");
    house.executable(
        "claude",
        "#!/bin/sh\necho called >>\"$HOME/calls\"\ntest $(wc -l <\"$HOME/calls\") -gt 1\n",
    );
    let document = json!({
        "name": "few",
        "limits": { "max_total_agents": 1 },
        "pipeline": { "phases": [
            { "name": "work", "model": "claude", "prompt": "Work.", "retry": { "max": 1, "backoff_ms": 1 } }
        ] }
    });
    let id = run(&house, &project, &document, 5);
    assert!(state(&house, &id).to_string().contains("max_total_agents"));
    assert_eq!(calls(&house), 1);
    resume(&house, &id, 0);
    assert_eq!(calls(&house), 2);
}

#[test]
fn a_run_that_is_over_is_not_resumed() {
    let house = House::new();
    let project = house.repository("project");
    house.executable("claude", WRITER);
    let id = run(&house, &project, &writers(1, "stop"), 0);
    let said = house.niia(["resume", &id]).run().exits(1);
    assert!(format!("{}{}", said.out, said.err).contains("is over (done)"), "{}{}", said.out, said.err);
}

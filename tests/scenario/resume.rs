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
fn a_run_that_waits_says_all_it_waits_for_keeps_its_variables_and_ends_when_it_is_cancelled() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let project = house.repository("project");
    house.executable(
        "claude",
        "#!/bin/sh\nprintf '%s\\n' '-----BEGIN RSA PRIVATE KEY-----' >\".env$NIIA_WORKER\"\n",
    );
    let document = json!({
        "connector": "2.1",
        "name": "secret",
        "pipeline": { "phases": [
            { "name": "work", "model": "claude", "workers": 2, "prompt": "Work." },
            { "name": "next", "model": "claude", "prompt": "Go on." }
        ] }
    });
    let id = run(&house, &project, &document, 5);
    let variables = Path::new(state(&house, &id)["folder"].as_str().unwrap()).join("variables.json");
    assert_eq!(std::fs::metadata(&variables).unwrap().permissions().mode() & 0o777, 0o600);
    for said in [house.niia(["status", &id]).run().exits(5), house.niia(["explain", &id]).run().exits(0)] {
        for wanted in ["work/1: ", "work/2: ", ".env1", ".env2", "is held", "niia resume"] {
            assert!(said.out.contains(wanted), "{wanted}: {}", said.out);
        }
    }
    assert!(house.niia(["runs"]).run().exits(0).out.contains("needs attention"));
    let said = house.niia(["cancel", &id]).run().exits(0);
    assert!(said.out.contains(&format!("run {id} is cancelled")), "{}", said.out);
    let over = wait_until("it is cancelled", SOON, || {
        Some(state(&house, &id)).filter(|state| state["state"] == "cancelled")
    });
    assert!(!variables.exists(), "what was kept for going on is let go of");
    assert!(tree(&house, &id, "work-1").join(".env1").exists(), "the work is kept");
    assert_eq!(over["phases"][1]["workers"][0]["state"], "not_started");
}

#[test]
fn the_end_of_a_run_that_nobody_follows_is_told_by_the_node() {
    let house = House::new();
    let project = house.repository("project");
    let told = house.at("home/told");
    let notify = house.executable("tell", &format!("#!/bin/sh\necho \"$1\" >>{}\n", told.display()));
    house.file("state/config/niia.toml", &format!("notify = [\"{}\"]\n", notify.display()));
    house.executable("claude", WRITER);
    let document = house.document("writers", &writers(2, "stop"));
    let id = house.detach(project.path(), &document);
    let said = |wanted: &str| {
        wait_until(wanted, SOON, || {
            let told = std::fs::read_to_string(&told).ok()?;
            told.contains(wanted).then(|| told.lines().count())
        })
    };
    assert_eq!(said(&format!("niia: {id} waits for you")), 1);
    let _ = house.niia(["cancel", &id]).run().exits(0);
    assert_eq!(said(&format!("niia: {id} is over: cancelled")), 2);
}

#[test]
fn an_output_past_its_bound_is_not_taken_and_that_is_said() {
    let house = House::new();
    let project = house.repository("project");
    house.executable(
        "claude",
        "#!/bin/sh\ncd \"$NIIA_SCRATCHPAD\" && mkdir -p work && cd work\nlong=$(head -c 70000 /dev/zero | tr '\\0' x)\nprintf '{\"big\": \"%s\", \"fits\": 1}' \"$long\" >outputs.json\necho done\n",
    );
    let document = json!({
        "connector": "2.1",
        "name": "long",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "prompt": "Work." }] }
    });
    let id = run(&house, &project, &document, 0);
    let status = state(&house, &id);
    assert!(status["warnings"].to_string().contains("the output `big` was not taken"), "{status:#}");
    assert_eq!(status["phases"][0]["workers"][0]["outputs"], json!({ "fits": 1 }));
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

//! A worker on another machine: an actor like any other.

use std::path::Path;

use niia_tests::House;
use serde_json::{Value, json};

use super::{machine, paired};

/// The files below a folder that hold this text.
pub fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let bytes = std::fs::read(entry.path()).unwrap_or_default();
                    if text.is_empty() || bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                        found.push(entry.path().display().to_string());
                    }
                }
                _ => {}
            }
        }
    }
    found
}

pub fn files_below(folder: &Path) -> Vec<String> {
    holding(folder, "")
}

fn run(house: &House, document: &Value) -> (Value, String) {
    let project = house.repository("project");
    let said = house.run(project.path(), &house.document("remote", document));
    let id = said.run_id();
    (house.status(&id), said.out + &said.err)
}

#[test]
fn work_follows_the_sun_and_its_branch_comes_home() {
    let (laptop, seoul) = (machine("laptop"), machine("SEOUL-SERVER"));
    paired(&laptop, &seoul, "run");
    seoul.install("claude", "run echo $NIIA_HOME > feature.txt\nrun echo handover > $NIIA_SCRATCHPAD/note.md\nsay {name} built it");
    laptop.install("claude", "see\nquote\nwrite review.txt looks good\nsay reviewed");
    let document = json!({
        "name": "follow-the-sun",
        "machines": { "seoul": "seoul-server.local" },
        "pipeline": { "phases": [
            { "name": "build", "model": "claude", "machine": "seoul", "prompt": "Build it." },
            { "name": "review", "model": "claude", "prompt": "Review it." }
        ] }
    });
    let (status, said) = run(&laptop, &document);
    assert_eq!(status["state"], "done", "{said}\n{status:#}");
    let id = status["run"].as_str().unwrap();
    let project = laptop.at("project");
    let show = |file: &str| {
        let args = ["-C", project.to_str().unwrap(), "show", &format!("niia/{id}/result:{file}")];
        laptop.program(Path::new("/usr/bin/git"), args).run().exits(0).out
    };
    assert!(show("feature.txt").contains(seoul.mark()), "{}", show("feature.txt"));
    assert_eq!(show("review.txt").trim(), "looks good");
    let told = laptop.niia(["replay", &format!("{id}/review/1/1"), "--text"]).run().exits(0).out;
    assert!(told.contains("feature.txt") && told.contains("handover"), "{told}");
    // Nothing of it stays there but commits that may be of use again.
    let guests = seoul.at("state/guests");
    let left: Vec<String> =
        files_below(&guests).into_iter().filter(|f| !f.contains("/repositories/")).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(seoul.niia(["sessions", "--json"]).run().exits(0).json(), json!([]));
}

#[test]
fn workers_of_one_phase_work_on_the_machines_the_file_names_and_are_merged() {
    let (laptop, one, two) = (machine("laptop"), machine("gpu-a"), machine("gpu-b"));
    paired(&laptop, &one, "run");
    paired(&laptop, &two, "run");
    for house in [&laptop, &one, &two] {
        house.install("claude", "run niia claim first\nrun git rev-parse HEAD > at-$NIIA_WORKER.txt\nrun echo $NIIA_HOME > house-$NIIA_WORKER.txt\nrun niia output set worker-$NIIA_WORKER yes\nrun niia mailbox send person hello-from-$NIIA_WORKER\nsay done");
    }
    let document = json!({
        "name": "team",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "workers": [
            { "id": "a", "prompt": "x", "machine": "gpu-a" },
            { "id": "b", "prompt": "x", "machine": ["gpu-z", "gpu-b.local"] },
            { "id": "c", "prompt": "x" }
        ] }] }
    });
    let (status, said) = run(&laptop, &document);
    assert_eq!(status["state"], "done", "{said}\n{status:#}");
    let id = status["run"].as_str().unwrap();
    let git = |args: &[&str]| {
        laptop.program(Path::new("/usr/bin/git"), args).inside(&laptop.at("project")).run().exits(0).out
    };
    for (worker, house) in [("a", &one), ("b", &two), ("c", &laptop)] {
        let made = git(&["show", &format!("niia/{id}/result:house-{worker}.txt")]);
        assert!(made.contains(house.mark()), "{made}");
    }
    let outputs = laptop.niia(["output", "get", "--json", "--run", id]).run();
    for worker in ["a", "b", "c"] {
        assert!(outputs.out.contains(&format!("worker-{worker}")), "{}{}", outputs.out, outputs.err);
    }
    let journal = laptop.niia(["logs", id, "--journal", "--json"]).run().out;
    let letters = laptop.niia(["mailbox", "list", "--run", id, "--json"]).run().out;
    for worker in ["a", "b", "c"] {
        assert!(letters.contains(&format!("hello-from-{worker}")), "{letters}{journal}");
    }
}

#[test]
fn only_answer_and_outputs_leave_a_machine_whose_egress_is_result() {
    let (laptop, lab) = (machine("laptop"), machine("lab"));
    paired(&laptop, &lab, "run");
    lab.install(
        "claude",
        "write data.txt top-secret-record\nrun echo top-secret-record > $NIIA_SCRATCHPAD/data.md\nsay it is 42\njson {\"verdict\": \"ship\"}",
    );
    let document = json!({
        "name": "air-gapped",
        "pipeline": { "phases": [
            { "name": "analyse", "model": "claude", "machine": "lab", "prompt": "Look.",
              "session": { "egress": "result" } }
        ] }
    });
    let (status, said) = run(&laptop, &document);
    assert_eq!(status["state"], "done", "{said}\n{status:#}");
    let report = laptop.report(status["run"].as_str().unwrap());
    assert!(report.contains("it is 42"), "{report}");
    assert!(status.to_string().contains("ship"), "{status:#}");
    assert_eq!(holding(laptop.path(), "top-secret-record"), Vec::<String>::new());
}

#[test]
fn a_machine_that_is_not_paired_is_refused_by_name_before_anything_starts() {
    let laptop = machine("laptop");
    laptop.install("claude", "say x");
    let document = json!({
        "name": "nowhere",
        "machines": { "gpu": "gpu-box.local" },
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "gpu", "prompt": "x" }] }
    });
    let project = laptop.repository("project");
    let said = laptop.run(project.path(), &laptop.document("nowhere", &document)).exits(3);
    assert!(said.err.contains("gpu (gpu-box.local)") && said.err.contains("not paired"), "{}", said.err);
}

#[test]
fn a_machine_that_does_not_let_us_run_says_so_and_nothing_starts_there() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "read,write,files");
    seoul.install("claude", "write x.txt x\nsay x");
    let document = json!({
        "name": "forbidden",
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "seoul", "prompt": "x" }] }
    });
    let (status, said) = run(&laptop, &document);
    assert_eq!(status["state"], "failed", "{said}");
    assert!(status.to_string().contains("needs the right `run`"), "{status:#}");
    assert!(files_below(&seoul.at("state/guests")).is_empty());
}

#[test]
fn a_run_that_is_begun_in_a_session_elsewhere_is_refused_in_words() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul-server"));
    paired(&laptop, &seoul, "run");
    let sub = seoul.document(
        "sub",
        &json!({ "name": "sub", "pipeline": { "phases": [{ "name": "work", "model": "codex", "prompt": "x" }] } }),
    );
    let told = seoul.at("home/told");
    let script = format!(
        "#!/bin/sh\nniia run '{}' </dev/null >'{told}' 2>&1; echo \"code $?\" >>'{told}'; echo done\n",
        sub.display(),
        told = told.display()
    );
    seoul.executable("claude", &script);
    for machine in [&laptop, &seoul] {
        machine.executable("codex", "#!/bin/sh\necho the child answers\n");
    }
    let document = json!({
        "name": "outer",
        "machines": { "seoul": "seoul-server.local" },
        "pipeline": { "phases": [{ "name": "work", "model": "claude", "machine": "seoul", "prompt": "x" }] }
    });
    let (status, said) = run(&laptop, &document);
    let told = std::fs::read_to_string(&told).unwrap();
    assert_eq!(status["state"], "done", "{said}\n{told}\n{status:#}");
    for word in ["works on another machine than its run is at home on", "`connector` names its file"] {
        assert!(told.contains(word), "{told}");
    }
    assert!(!told.contains("code 0"), "{told}");
    let runs = laptop.niia(["runs", "--json"]).run().exits(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "nothing was begun: {runs:#}");
}

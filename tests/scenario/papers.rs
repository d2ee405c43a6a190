//! What can be said without a node: documents, the schema, help, and the papers that promise them.

use std::path::{Path, PathBuf};

use niia_tests::House;
use serde_json::json;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn examples() -> Vec<PathBuf> {
    let folder = root().join("examples/connectors");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    files
}

/// The commands of the README's first section, without `cargo run … --`.
pub fn commands_of_readme() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    text.lines().filter(|line| line.starts_with("cargo ")).map(str::to_owned).collect()
}

#[test]
fn the_readmes_second_command_is_the_one_that_runs_these_tests() {
    assert_eq!(commands_of_readme()[1], "cargo test --workspace --tests");
}

#[test]
fn every_example_is_right_and_can_be_planned_without_starting_anything() {
    let house = House::new();
    let project = house.repository("project");
    let files = examples();
    assert!(files.len() > 10);
    for file in &files {
        let _ = house.niia(["check".as_ref(), file.as_os_str()]).run().exits(0);
        let plan = house.niia(["plan".as_ref(), file.as_os_str(), "--json".as_ref()]).inside(project.path());
        let plan = plan.run().exits(0).json();
        assert!(plan.to_string().contains("phases"), "{plan:#}");
    }
    assert!(house.residents().is_empty(), "check and plan start nothing");
}

#[test]
fn every_example_stands_in_the_examples_own_readme() {
    let text = std::fs::read_to_string(root().join("examples/README.md")).unwrap();
    for file in examples() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(text.contains(&name), "{name} is not mentioned");
    }
}

#[test]
fn a_wrong_document_is_refused_with_all_its_findings_at_once_and_nothing_is_started() {
    let house = House::new();
    let file = house.document(
        "wrong",
        &json!({
            "name": "wrong",
            "pipelin": {},
            "pipeline": { "phases": [{ "name": "work", "model": "cluade", "promt": "Work." }] }
        }),
    );
    for verb in ["check", "run"] {
        let said = house.niia([verb.as_ref(), file.as_os_str()]).run().exits(3);
        let words = format!("{}{}", said.out, said.err);
        for finding in ["`pipelin`", "`pipeline`", "`promt`", "`prompt`", ":9:"] {
            assert!(words.contains(finding), "{verb}: {finding}\n{words}");
        }
    }
    assert!(house.residents().is_empty());
}

#[test]
fn a_model_nobody_knows_is_answered_with_the_nearest_name_and_nothing_is_started() {
    let house = House::new();
    let phases = json!([{ "name": "work", "model": "cluade", "prompt": "Work." }]);
    let file = house.document("unknown", &json!({ "name": "unknown", "pipeline": { "phases": phases } }));
    for verb in ["plan", "run"] {
        let said = house.niia([verb.as_ref(), file.as_os_str()]).run().exits(3);
        let words = format!("{}{}", said.out, said.err);
        assert!(words.contains("`cluade`") && words.contains("`claude`"), "{verb}\n{words}");
    }
    assert!(house.residents().is_empty());
}

#[test]
fn help_names_the_dozen_and_every_verb_has_an_example() {
    let house = House::new();
    let help = house.niia(["--help"]).run().exits(0).out;
    for verb in [
        "init", "run", "plan", "check", "status", "logs", "attach", "diff", "merge", "cancel", "doctor",
        "daemon",
    ] {
        assert!(help.contains(&format!("  {verb} ")), "{verb}\n{help}");
        let own = house.niia([verb, "--help"]).run().exits(0).out;
        assert!(own.contains("Example"), "{verb}\n{own}");
    }
}

#[test]
fn shells_get_completions_and_programs_get_the_schema() {
    let house = House::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = house.niia(["completions", shell]).run().exits(0).out;
        assert!(script.contains("niia"), "{shell}");
    }
    let schema = house.niia(["schema"]).run().exits(0).json();
    assert!(schema["$defs"]["Document"]["properties"]["pipeline"].is_object(), "{schema:#}");
}

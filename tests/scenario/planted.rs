//! What a worker leaves in its tree for somebody else's git to run is run by no git of niia's.

use std::path::Path;

use niia_tests::House;
use niia_tests::escape::{planted::PLANTS, program};
use serde_json::json;

/// What a person, or an editor, does in a folder without thinking.
const USUAL: &str = "git status; git add -A; git diff HEAD; git diff --cached; git stash; git stash pop; \
     git commit -qm all; git checkout -qb a; echo a >README.md; git commit -qam a; git checkout -q -; echo b >README.md; git commit -qam b; \
     git merge a; true";

#[test]
fn every_plant_is_real() {
    let house = House::new();
    for what in PLANTS {
        let project = house.repository(what);
        let mark = house.at("home").join(what);
        let args = [Path::new("plant"), Path::new(what), project.path(), &mark];
        let _ = house.program(&program(), args).inside(project.path()).run().exits(0);
        let _ = house.program(Path::new("/bin/sh"), ["-c", USUAL]).inside(project.path()).run();
        assert!(mark.exists(), "{what} does nothing to a plain git");
    }
}

#[test]
fn no_plant_is_run_by_niia() {
    for what in PLANTS {
        let house = House::new();
        let project = house.repository("project");
        let mark = house.at("home").join(what);
        let plant = format!("{} plant {what} \"$PWD\" {}", program().display(), mark.display());
        house.install("claude", &format!("run {plant}; echo x >made.txt"));
        let phase = json!({ "name": "work", "model": "claude", "prompt": "Work.", "workers": 2 });
        let document = json!({ "name": "planted", "pipeline": { "phases": [phase] } });
        let said = house.run(project.path(), &house.document("planted", &document));
        let run = said.run_id();
        for verb in ["diff", "status", "explain"] {
            let _ = house.niia([verb, &run]).inside(project.path()).run();
        }
        assert!(!mark.exists(), "{what} was run: {}{}", said.out, said.err);
    }
}

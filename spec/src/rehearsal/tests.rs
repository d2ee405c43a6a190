//! What is played, and by whom.

use crate::course::Unavailable;

use super::*;
use crate::plan::draw::{KnownProfile, Surroundings};

fn plan(text: &str) -> Plan {
    let (document, findings) = crate::read(text.as_bytes(), "x.json");
    let known = ["claude", "codex", "gemini"].map(|name| KnownProfile {
        name: name.to_owned(),
        lists: Vec::new(),
        installed: None,
        program: Some(name.to_owned()),
        local: false,
    });
    let around = Surroundings { profiles: known.to_vec(), ..Surroundings::default() };
    let document = document.unwrap_or_else(|| panic!("{findings:?}"));
    crate::draw(&document, &around).unwrap_or_else(|findings| panic!("{findings:?}")).plan
}

const TRIAGE: &str = r#"{ "name": "x", "task": "t", "pipeline": { "phases": [
    { "name": "triage", "model": "claude", "prompt": "p", "failover": ["codex"] },
    { "name": "auth", "condition": "triage.classification == 'auth'", "model": "codex", "prompt": "p" },
    { "name": "rest", "condition": "triage.classification != 'auth'", "model": "codex", "prompt": "p" } ] } }"#;

fn part(plan: &Plan, phase: usize, model: usize) -> Part {
    let workers = plan.phases[phase].work.workers();
    serde_json::from_str(&workers[0].models[model].args[0]).unwrap()
}

#[test]
fn what_conditions_read_is_published_and_can_be_set_so_that_each_branch_is_played() {
    let played = rehearse(plan(TRIAGE), &[], &[], "/n").unwrap().plan;
    assert_eq!(part(&played, 0, 0).outputs["classification"], "auth");
    let set = ["triage.classification=ui".parse().unwrap()];
    let played = rehearse(plan(TRIAGE), &[], &set, "/n").unwrap().plan;
    assert_eq!(part(&played, 0, 0).outputs["classification"], "ui");
}

#[test]
fn a_fault_is_the_first_models_alone_and_names_somebody_who_is_there() {
    let fault = |text: &str| text.parse::<Fault>();
    let faults = [fault("triage/1=rate_limited").unwrap()];
    let played = rehearse(plan(TRIAGE), &faults, &[], "/n").unwrap().plan;
    assert_eq!(part(&played, 0, 0).failing, Some(Failing::RateLimited));
    assert_eq!(part(&played, 0, 1).failing, None);
    assert!(played.phases.iter().all(|phase| {
        phase.work.workers().iter().all(|worker| worker.models.iter().all(|one| one.profile == PROFILE))
    }));
    let wrong =
        |text: &str| rehearse(plan(TRIAGE), &[fault(text).unwrap()], &[], "/n").unwrap_err().to_string();
    assert_eq!(wrong("nope/1=crash"), "the document has no phase `nope`; there are: triage, auth, rest");
    assert_eq!(wrong("auth/7=crash"), "phase `auth` has no worker `7`; there are: 1");
    assert!(fault("triage/1=tired").unwrap_err().to_string().contains("rate_limited, quota"));
}

#[test]
fn the_stand_ins_profile_is_a_profile_and_knows_what_its_exits_mean() {
    let text = profile("/opt/ni\"ia");
    let profiles = crate::profile::Profiles::built_in().unwrap();
    let profiles = profiles.with([("rehearsal.toml", text.as_str())]).unwrap();
    let found = profiles.get(PROFILE).unwrap();
    assert_eq!(found.program.as_deref(), Some("/opt/ni\"ia"));
    assert!(found.errors.iter().any(|rule| rule.exit == Some(101) && rule.class == Unavailable::RateLimited));
}

#[test]
fn an_example_of_a_schema_is_what_it_describes() {
    let schema = serde_json::json!({ "type": "object", "properties": {
        "verdict": { "enum": ["ship", "wait"] }, "risk": { "type": "integer", "minimum": 1 },
        "files": { "type": "array", "items": { "type": "string" }, "minItems": 1 } } });
    let wanted = serde_json::json!({ "verdict": "ship", "risk": 1, "files": ["rehearsed"] });
    assert_eq!(example(&schema), wanted);
}

//! The event a run is for: read from a file, as CI hands it over.

use std::path::Path;

use niia_spec::event::{self, Happened};
use niia_spec::plan::Plan;
use serde_json::{Value, json};

use crate::command::appointments::payload;
use crate::command::{Caller, say_json};
use crate::failure::Failure;

/// What GitHub Actions calls the event.
const GITHUB_EVENT_NAME: &str = "GITHUB_EVENT_NAME";

/// Puts the event into the plan. False where the document waits for another one: then there is nothing to run.
pub fn put(caller: &Caller, plan: &mut Plan, file: &Path, named: Option<&str>) -> Result<bool, Failure> {
    let payload = payload(file)?;
    let told = std::env::var(GITHUB_EVENT_NAME).ok();
    let Some(name) = name(plan, named, told.as_deref(), &payload)? else {
        return nothing(caller, plan, "this is no event that a document can wait for");
    };
    let happened = Happened { name, payload };
    if !plan.triggers.is_empty() {
        let awaited = event::is_awaited(&plan.triggers, &happened);
        if !awaited.map_err(|why| Failure::usage(format!("the filter cannot be worked out: {why}")))? {
            return nothing(
                caller,
                plan,
                &format!("the document does not wait for this `{}`", happened.name),
            );
        }
    }
    plan.event = Some(Box::new(happened));
    Ok(true)
}

fn nothing(caller: &Caller, plan: &Plan, why: &str) -> Result<bool, Failure> {
    if caller.json {
        say_json(&json!({ "run": null, "reason": why }))?;
    } else {
        eprintln!("note: `{}` was not run: {why}", plan.name);
    }
    Ok(false)
}

/// By what is said, by what CI says, by the payload's looks, or the only event the document waits for.
fn name(
    plan: &Plan,
    named: Option<&str>,
    told: Option<&str>,
    payload: &Value,
) -> Result<Option<String>, Failure> {
    if let Some(name) = named {
        event::is_event(name).map_err(Failure::usage)?;
        return Ok(Some(name.to_owned()));
    }
    let by_looks = event::by_looks(payload);
    // What CI calls its event holds for CI's own file; a file of another shape is what it looks like.
    if let Some(told) = told.filter(|_| payload.get("repository").is_some()) {
        return Ok(event::of_github(told, payload)
            .or(by_looks.filter(|_| told == "workflow_dispatch"))
            .map(str::to_owned));
    }
    if let Some(name) = by_looks {
        return Ok(Some(name.to_owned()));
    }
    match &plan.triggers[..] {
        [only] => Ok(Some(only.event.clone())),
        _ => Err(Failure::usage("the payload does not say which event it is")
            .help("name it with `--event-name`, such as github.pr.opened or webhook.deploy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(told: Option<&str>, payload: &Value) -> Option<String> {
        let mut plan: Plan = niia_spec::draw(
            &niia_spec::read(
                b"{\"trigger\": \"webhook.deploy\", \"pipeline\": {\"phases\": [{\"model\": \"claude\", \"prompt\": \"x\"}]}}",
                "a",
            )
            .0
            .unwrap(),
            &niia_spec::plan::draw::Surroundings {
                profiles: vec![niia_spec::plan::draw::KnownProfile {
                    name: "claude".to_owned(),
                    lists: Vec::new(),
                    installed: None,
                    program: None,
                    local: false,
                }],
                ..Default::default()
            },
        )
        .map(|drawn| drawn.plan)
        .unwrap_or_else(|findings| panic!("{findings:?}"));
        plan.triggers.truncate(1);
        name(&plan, None, told, payload).unwrap()
    }

    #[test]
    fn the_event_is_what_ci_says_or_what_its_payload_looks_like() {
        let opened = json!({ "action": "opened", "pull_request": {}, "repository": {} });
        assert_eq!(named(Some("pull_request"), &opened).as_deref(), Some("github.pr.opened"));
        assert_eq!(named(None, &opened).as_deref(), Some("github.pr.opened"));
        let labeled = json!({ "action": "labeled", "pull_request": {}, "repository": {} });
        assert_eq!(named(Some("pull_request"), &labeled), None, "nobody waits for that");
        assert_eq!(
            named(None, &json!({ "x": 1 })).as_deref(),
            Some("webhook.deploy"),
            "the only one awaited"
        );
    }
}

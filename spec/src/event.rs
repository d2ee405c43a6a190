//! Events that begin runs: their names, what GitHub calls them, and whether a document waits for one.
//!
//! A payload is data from outside. Filters and conditions look at it; nothing of it is ever spoken in a prompt's own voice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::plan::TriggerPlan;

/// The largest payload: what agents can be expected to read of it, and far above what GitHub sends for a change.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What began a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    pub name: String,
    pub payload: Value,
}

/// Whether a text is the name of an event.
pub fn is_event(name: &str) -> Result<(), String> {
    crate::read::text::event(name).map_err(|fault| match fault.help {
        Some(help) => format!("{}: {help}", fault.message),
        None => fault.message,
    })
}

/// What one of GitHub's events is here, by its own name and its payload's `action`; most of them are nothing.
pub fn of_github(event: &str, payload: &Value) -> Option<&'static str> {
    let action = payload.get("action").and_then(Value::as_str).unwrap_or_default();
    match (event, action) {
        ("push", _) => Some("github.push"),
        ("pull_request" | "pull_request_target", "opened" | "reopened") => Some("github.pr.opened"),
        ("pull_request" | "pull_request_target", "synchronize" | "edited" | "ready_for_review") => {
            Some("github.pr.updated")
        }
        ("pull_request" | "pull_request_target", "closed") => Some("github.pr.closed"),
        _ => None,
    }
}

/// What a payload is by its looks, where nobody says which event it belongs to.
pub fn by_looks(payload: &Value) -> Option<&'static str> {
    let has = |field: &str| payload.get(field).is_some();
    match () {
        () if has("pull_request") => of_github("pull_request", payload),
        () if has("ref") && (has("commits") || has("before")) => of_github("push", payload),
        () => None,
    }
}

/// The repository a payload of GitHub's speaks of, as `owner/name`.
pub fn repository_of(payload: &Value) -> Option<&str> {
    payload.get("repository")?.get("full_name")?.as_str()
}

/// Whether one of the triggers waits for this. A filter that cannot be worked out over the payload is an error, which is
/// told and begins nothing.
pub fn is_awaited(triggers: &[TriggerPlan], happened: &Happened) -> Result<bool, String> {
    let mut trouble = None;
    for trigger in triggers.iter().filter(|trigger| trigger.event == happened.name) {
        match passes(trigger, happened) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(reason) => trouble = Some(reason),
        }
    }
    trouble.map_or(Ok(false), Err)
}

fn passes(trigger: &TriggerPlan, happened: &Happened) -> Result<bool, String> {
    let Some(filter) = &trigger.filter else { return Ok(true) };
    let condition = Condition::parse(filter).map_err(|error| error.to_string())?;
    let variables = BTreeMap::from([("event".to_owned(), happened.payload.clone())]);
    condition.holds(&variables).map_err(|error| format!("`{filter}`: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trigger(event: &str, filter: Option<&str>) -> TriggerPlan {
        TriggerPlan { event: event.to_owned(), filter: filter.map(str::to_owned) }
    }

    fn happened(name: &str, payload: Value) -> Happened {
        Happened { name: name.to_owned(), payload }
    }

    #[test]
    fn what_github_calls_its_events_is_known() {
        let action = |action: &str| json!({ "action": action });
        assert_eq!(of_github("pull_request", &action("opened")), Some("github.pr.opened"));
        assert_eq!(of_github("pull_request", &action("synchronize")), Some("github.pr.updated"));
        assert_eq!(of_github("pull_request", &action("closed")), Some("github.pr.closed"));
        assert_eq!(of_github("pull_request", &action("labeled")), None);
        assert_eq!(of_github("push", &json!({})), Some("github.push"));
        assert_eq!(of_github("issues", &action("opened")), None);
        let pull_request =
            json!({ "action": "opened", "pull_request": {}, "repository": { "full_name": "a/b" } });
        assert_eq!(by_looks(&pull_request), Some("github.pr.opened"));
        assert_eq!(by_looks(&json!({ "ref": "refs/heads/main", "before": "0" })), Some("github.push"));
        assert_eq!(by_looks(&json!({ "hello": 1 })), None);
        assert_eq!(repository_of(&pull_request), Some("a/b"));
    }

    #[test]
    fn a_document_waits_for_what_its_triggers_name_and_their_filters_let_through() {
        let triggers =
            [trigger("github.push", Some("event.ref == 'refs/heads/main'")), trigger("webhook.deploy", None)];
        let push = |branch: &str| happened("github.push", json!({ "ref": format!("refs/heads/{branch}") }));
        assert_eq!(is_awaited(&triggers, &push("main")), Ok(true));
        assert_eq!(is_awaited(&triggers, &push("other")), Ok(false));
        assert_eq!(is_awaited(&triggers, &happened("webhook.deploy", Value::Null)), Ok(true));
        assert_eq!(is_awaited(&triggers, &happened("git.push", Value::Null)), Ok(false));
        assert!(
            is_awaited(&triggers, &happened("github.push", Value::Null)).unwrap_err().contains("event.ref")
        );
    }

    #[test]
    fn the_name_of_an_event_is_told_from_a_slip() {
        assert_eq!(is_event("webhook.deploy"), Ok(()));
        assert!(is_event("github.pr.open").unwrap_err().contains("github.pr.opened"));
    }
}

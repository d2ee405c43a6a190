//! `niia explain`: why a run or session is as it is; of a run from its journal alone.

mod drawn;

use niia_spec::detect::{Process, Seen, detect};
use niia_spec::notice::JournalLine;
use serde_json::json;

use super::agents::read_input;
use super::runs::view_of;
use super::sessions;
use super::surroundings::profiles;
use super::{Caller, say, say_json};
use crate::cli::runs::Explain;
use crate::control::client::Client;
use crate::control::words::{Reply, Request, RunName};
use crate::failure::{Exit, Failure};
use crate::report::journal::account;
use crate::report::neutral;
use crate::report::run::attention_lines;
use crate::report::session::session_text;

/// The largest screen or recording whose rules are tried.
const SCREEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub async fn explain(caller: &Caller, words: Explain) -> Result<Exit, Failure> {
    if let (Some(file), Some(profile)) = (&words.screen, &words.profile) {
        let bytes = read_input(Some(file), SCREEN_BYTES_MAX)?;
        return screen(caller, &bytes, profile);
    }
    let mut client = caller.client().await?;
    match words.name {
        Some(name) if name.contains('/') => session(caller, &mut client, &name).await,
        name => run(caller, &mut client, name).await,
    }
}

async fn session(caller: &Caller, client: &mut Client, name: &str) -> Result<Exit, Failure> {
    let view = sessions::view_of(client, name).await?;
    caller.show(&view, |look| session_text(&view, look))?;
    Ok(Exit::Done)
}

async fn run(caller: &Caller, client: &mut Client, name: RunName) -> Result<Exit, Failure> {
    let run = view_of(client, name).await?;
    let lines = journal(client, Some(run.run.to_string()), 0).await?;
    let held: String = attention_lines(&run).into_iter().map(|line| line + "\n").collect();
    let begun = run.occasion.as_ref().map(|occasion| format!("begun by {}\n", neutral(occasion)));
    caller.show(&lines, |_| begun.unwrap_or_default() + &account(&lines, &run) + &held)?;
    Ok(Exit::Done)
}

/// The journal of a run from a line on.
pub async fn journal(client: &mut Client, run: RunName, from_seq: u64) -> Result<Vec<JournalLine>, Failure> {
    match client.ask(Request::Journal { run, from_seq }).await? {
        Reply::Journal(lines) => Ok(lines),
        _ => Err(Failure::out_of_turn("journal")),
    }
}

/// Tries a profile's rules on a text, so that whoever writes a profile sees which rule fires.
fn screen(caller: &Caller, bytes: &[u8], profile: &str) -> Result<Exit, Failure> {
    let profiles = profiles(caller)?;
    let Some(profile) = profiles.get(profile) else {
        let known: Vec<&str> = profiles.ls().iter().map(|profile| profile.id.as_str()).collect();
        let message = format!("no profile is called `{profile}`");
        return Err(Failure::usage(message).help(format!("there are {}", known.join(", "))));
    };
    let drawn::Drawn { text, title, statuses } = drawn::drawn(bytes);
    let fired: Vec<_> = profile
        .screens
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.screen.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
        .map(|(n, rule)| json!({ "rule": n + 1, "is": rule.is, "needs_quiet_ms": rule.quiet_ms, "needs_title": rule.title.is_some() }))
        .collect();
    let errors: Vec<_> = profile
        .errors
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
        .map(|(n, rule)| json!({ "rule": n + 1, "class": rule.class }))
        .collect();
    let process = Process::Running { has_printed: true };
    let seen = Seen {
        screen: text.trim_end(),
        title: &title,
        statuses: &statuses,
        hooks: &[],
        records: &[],
        process: &process,
        quiet_ms: u64::MAX,
        // What the program said of itself stands.
        now_ms: u64::MAX,
    };
    let state = detect(profile, &seen, None);
    let found = json!({ "state": state.state, "rule": state.evidence.rule, "excerpt": state.evidence.excerpt,
        "dialog": state.dialog, "profile": profile.id, "source": profile.source, "screen": fired, "error": errors });
    if caller.json {
        say_json(&found)?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![format!("profile {} ({})", profile.id, profile.source)];
    lines.push(format!("state: {} by {}", state.state.word(), state.evidence.rule));
    if !state.evidence.excerpt.is_empty() {
        lines.push(format!("saw: {}", neutral(&state.evidence.excerpt)));
    }
    for rule in &fired {
        lines.push(format!("screen rule {}: {}", rule["rule"], rule["is"].as_str().unwrap_or_default()));
    }
    for rule in &errors {
        lines.push(format!("error rule {}: {}", rule["rule"], rule["class"].as_str().unwrap_or_default()));
    }
    if fired.is_empty() && errors.is_empty() {
        lines.push("no screen rule and no error rule fires".to_owned());
    }
    say(&(lines.join("\n") + "\n"))?;
    Ok(Exit::Done)
}

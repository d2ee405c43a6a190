//! `niia profile try`: one turn with a tool, and in plain words what is wrong when something is.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use niia_spec::course::{Outcome, Unavailable};
use niia_spec::profile::{Profile, class_of};
use serde_json::{Value, json};

use super::super::surroundings::{on_path, profiles};
use super::super::{Caller, say, say_json};
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};

/// What is asked: a tool that can say this works.
const QUESTION: &str = "This is a test of the connection. Answer with the one word: ready";
/// Of an answer or an error so much is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// What was found out, step by step.
#[derive(Debug, Default)]
struct Findings {
    lines: Vec<(&'static str, String)>,
    trouble: Option<(String, String)>,
}

impl Findings {
    fn good(&mut self, what: &'static str, how: impl Into<String>) {
        self.lines.push((what, how.into()));
    }

    fn wrong(&mut self, what: &str, cure: &str) {
        self.trouble = Some((what.to_owned(), cure.to_owned()));
    }

    fn tell(self, caller: &Caller, model: &str) -> Result<Exit, Failure> {
        let exit = if self.trouble.is_none() { Exit::Done } else { Exit::Failed };
        if caller.json {
            let found: serde_json::Map<String, Value> =
                self.lines.into_iter().map(|(what, how)| (what.to_owned(), Value::from(how))).collect();
            let trouble = self.trouble.map(|(what, cure)| json!({ "what": what, "cure": cure }));
            say_json(&json!({ "model": model, "found": found, "trouble": trouble }))?;
            return Ok(exit);
        }
        let mut text = String::new();
        for (what, how) in self.lines {
            text.push_str(&format!("{what:<9} {}\n", crate::report::neutral(&how)));
        }
        match self.trouble {
            None => text.push_str(&format!("{model} works here\n")),
            Some((what, cure)) => {
                text.push_str(&format!("{model}: {}\n{cure}\n", crate::report::neutral(&what)))
            }
        }
        say(&text)?;
        Ok(exit)
    }
}

pub(super) async fn attempt(caller: &Caller, model: &str, timeout_s: u64) -> Result<Exit, Failure> {
    let known = profiles(caller)?;
    let found = known
        .resolve(model)
        .map_err(|error| Failure::usage(error.to_string()).help("`niia profile ls` lists the profiles"))?;
    let profile = found.profile;
    let mut findings = Findings::default();
    findings.good("profile", format!("{} ({})", profile.id, profile.source));
    let Some(program) = profile.program.as_deref().filter(|program| !program.contains('{')) else {
        findings.wrong(
            "this profile names no program of its own, so there is nothing to be tried",
            "name the program in the model's `args`",
        );
        return findings.tell(caller, model);
    };
    let Some(path) = on_path(program) else {
        findings.wrong(
            &format!("`{program}` is not installed: no folder of PATH has it"),
            "install it, or put its folder on PATH",
        );
        return findings.tell(caller, model);
    };
    findings.good("program", path.display().to_string());
    if let Some(version) = version(profile, &path) {
        findings.good("version", version);
    }
    one_turn(caller, model, profile, timeout_s, &mut findings).await?;
    findings.tell(caller, model)
}

fn version(profile: &Profile, program: &PathBuf) -> Option<String> {
    if profile.version.is_empty() {
        return None;
    }
    let mut command = Command::new(program);
    let out = command.args(&profile.version).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let version = match &profile.version_pattern {
        Some(pattern) => pattern.find(&text)?.to_owned(),
        None => text.lines().next()?.to_owned(),
    };
    Some(version.trim().chars().take(SHOWN_CHARS_MAX).collect())
}

/// A run of one turn, without a tree: it says as much as any run would.
async fn one_turn(
    caller: &Caller,
    model: &str,
    profile: &Profile,
    timeout_s: u64,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let session =
        json!({ "worktree": false, "permission": "read-only", "timeout_ms": timeout_s.saturating_mul(1000) });
    let document = json!({ "connector": "2.1", "name": "try", "models": { "primary": model },
        "pipeline": { "phases": [{ "name": "try", "prompt": QUESTION, "session": session }] } });
    let sound = super::super::document::from_text(
        caller,
        "try.connector.json".to_owned(),
        document.to_string().into_bytes(),
        None,
    )?;
    let run = crate::command::run::accepted(caller, sound).await?;
    let (outcome, answer) = followed(caller, &run, timeout_s).await?;
    match outcome {
        Some(Outcome::Done) => {
            findings
                .good("answer", answer.chars().take(SHOWN_CHARS_MAX).collect::<String>().trim().to_owned());
        }
        Some(Outcome::Unavailable { class, reason }) => {
            findings.wrong(&plain(class, &reason), cure(class, &profile.id))
        }
        Some(Outcome::TimedOut) => findings.wrong(
            &format!("it gave no answer within {timeout_s} s"),
            "`niia replay` shows what was to be seen; it may wait for a login or hang on its network",
        ),
        Some(other) => {
            let reason = reason_of(&other);
            let class = class_of(profile, None, &reason);
            findings.wrong(
                &reason,
                class.map_or("`niia replay` shows what was to be seen", |(class, _)| cure(class, "")),
            );
        }
        None => findings.wrong("nobody can say how it ended", "`niia explain` says what is known"),
    }
    Ok(())
}

async fn followed(caller: &Caller, run: &str, timeout_s: u64) -> Result<(Option<Outcome>, String), Failure> {
    let mut client: Client = caller.client().await?;
    client.tell(Request::Follow { run: Some(run.to_owned()) }).await?;
    // Its own limit ends the run; a little later this does.
    let within = Duration::from_secs(timeout_s.saturating_add(30));
    let end = async {
        while let Some(reply) = client.next().await? {
            if let Reply::Run(view) = reply
                && view.state.is_over()
            {
                let mut workers = view.phases.iter().flat_map(|phase| &phase.workers);
                let last = workers.next().and_then(|worker| worker.attempts.last()).cloned();
                let outcome = last.as_ref().and_then(|attempt| attempt.outcome.clone());
                return Ok((outcome, last.and_then(|attempt| attempt.excerpt).unwrap_or_default()));
            }
        }
        Ok((None, String::new()))
    };
    match tokio::time::timeout(within, end).await {
        Ok(ended) => ended,
        Err(_) => Ok((Some(Outcome::TimedOut), String::new())),
    }
}

fn reason_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { reason }
        | Outcome::Misshapen { reason }
        | Outcome::Lost { reason }
        | Outcome::NeedsAttention { reason } => reason.clone(),
        other => format!("{other:?}"),
    }
}

fn plain(class: Unavailable, reason: &str) -> String {
    let what = match class {
        Unavailable::NotInstalled => "it is not installed",
        Unavailable::NotLoggedIn => "it is not logged in, or its key is not valid",
        Unavailable::RateLimited => "its provider lets nobody in just now: too many requests",
        Unavailable::Quota => "the account's quota is used up",
        Unavailable::Overloaded => "its provider is overloaded",
        Unavailable::BadModel => "its provider has no such model",
        Unavailable::Network => "its provider cannot be reached",
        Unavailable::Crashed => "it crashed",
        Unavailable::Hangs => "it says nothing",
    };
    format!("{what}: {}", reason.chars().take(SHOWN_CHARS_MAX).collect::<String>())
}

fn cure(class: Unavailable, id: &str) -> &'static str {
    match (class, id) {
        (Unavailable::NotLoggedIn, "claude") => {
            "start `claude` once by hand and type /login, or set ANTHROPIC_API_KEY"
        }
        (Unavailable::NotLoggedIn, "codex") => "run `codex login`, or set the key its configuration names",
        (Unavailable::NotLoggedIn, "gemini") => {
            "start `gemini` once by hand and sign in, or set GEMINI_API_KEY"
        }
        (Unavailable::NotLoggedIn, _) => "log in with the tool's own command, or set its key",
        (Unavailable::Quota, _) => "wait until it is given again, or name another model as `failover`",
        (Unavailable::RateLimited | Unavailable::Overloaded, _) => {
            "wait a little, or name another model as `failover`"
        }
        (Unavailable::BadModel, _) => "look at the model's name; the tool itself lists those it knows",
        (Unavailable::Network, _) => "look at the network, the proxy and the base URL the tool is set to",
        _ => "`niia replay` shows what was to be seen",
    }
}

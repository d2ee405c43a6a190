//! Completions that ask the node for what only it knows: runs and sessions.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::config::Folders;
use crate::control::client::Client;
use crate::control::words::{Reply, Request, ScheduleRequest};

/// A person waits for the shell: what takes longer is not completed.
const COMPLETE_WITHIN: Duration = Duration::from_millis(500);

/// How many runs are offered, the newest first.
const RUNS_OFFERED: u32 = 100;

pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offer(typed, run_names))
}

pub fn sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offer(typed, session_names))
}

pub fn runs_and_sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut offered = offer(typed, run_names);
        offered.extend(offer(typed, session_names));
        offered
    })
}

pub fn kept() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offer(typed, kept_names))
}

type Names = Vec<(String, String)>;

fn offer(typed: &OsStr, ask: impl AsyncFnOnce(&mut Client) -> Option<Names>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names = answered(ask).unwrap_or_default();
    let fits = names.into_iter().filter(|(name, _)| name.starts_with(typed.as_ref()));
    fits.map(|(name, about)| CompletionCandidate::new(name).help(Some(about.into()))).collect()
}

/// Asks a node that runs already: completing a word starts nothing.
fn answered(ask: impl AsyncFnOnce(&mut Client) -> Option<Names>) -> Option<Names> {
    let folders = Folders::of_this_user().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let mut client = Client::connect(&folders).await.ok()?;
        ask(&mut client).await
    };
    let names =
        runtime.block_on(async { tokio::time::timeout(COMPLETE_WITHIN, asking).await.ok().flatten() });
    runtime.shutdown_background();
    names
}

async fn run_names(client: &mut Client) -> Option<Names> {
    match client.ask(Request::Runs { limit: RUNS_OFFERED }).await.ok()? {
        Reply::Runs(runs) => {
            let word =
                |run: &niia_spec::notice::RunView| crate::report::run::state_word(run.state).to_owned();
            Some(runs.iter().map(|run| (run.run.to_string(), word(run))).collect())
        }
        _ => None,
    }
}

async fn session_names(client: &mut Client) -> Option<Names> {
    match client.ask(Request::Sessions { run: None, ended_too: true }).await.ok()? {
        Reply::Sessions(views) => {
            Some(views.into_iter().map(|view| (view.session.to_string(), view.state)).collect())
        }
        _ => None,
    }
}

async fn kept_names(client: &mut Client) -> Option<Names> {
    match client.ask(Request::Schedule(ScheduleRequest::List)).await.ok()? {
        Reply::Kept(kept) => {
            let when = |view: &niia_spec::notice::KeptView| view.schedule.clone().unwrap_or_default();
            Some(kept.iter().map(|view| (view.name.to_string(), when(view))).collect())
        }
        _ => None,
    }
}

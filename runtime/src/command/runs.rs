//! Looking at runs and saying what is to become of them.

use niia_spec::notice::{PhaseState, RunView, WorkerState};

use super::follow::{Followed, exit_of, follow};
use super::{Caller, done, say, say_json};
use crate::cli::runs::{Answer, Approve, Cancel, Deny, Resume, Runs, Status};
use crate::control::client::Client;
use crate::control::words::{Reply, Request, RunName};
use crate::failure::{Exit, Failure};
use crate::report::run::{run_text, runs_text};
use crate::report::tree::{in_tree, tree_text};

/// Asks for one run's view.
pub async fn view_of(client: &mut Client, run: RunName) -> Result<Box<RunView>, Failure> {
    match client.ask(Request::Status { run }).await? {
        Reply::Run(view) => Ok(view),
        _ => Err(Failure::out_of_turn("status")),
    }
}

/// The exit code tells programs how the run stands: 0 also while it goes on.
pub async fn status(caller: &Caller, words: Status) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let view = view_of(&mut client, words.name.run).await?;
    if words.follow && !view.state.rests() {
        return match follow(caller, view.run.as_str(), client, false).await? {
            Followed::Over { exit, .. } => Ok(exit),
            Followed::Detached => Ok(Exit::Done),
        };
    }
    caller.show(&view, |look| run_text(&view, look))?;
    let asks = view.phases.iter().any(|phase| phase.state == PhaseState::Asking);
    Ok(if asks { Exit::Attention } else { exit_of(view.state) })
}

pub async fn runs(caller: &Caller, words: &Runs) -> Result<Exit, Failure> {
    let Reply::Runs(runs) = caller.ask(Request::Runs { limit: words.limit }).await? else {
        return Err(Failure::out_of_turn("runs"));
    };
    if runs.is_empty() && !caller.json {
        say("no runs yet; `niia run FILE` begins one\n")?;
        return Ok(Exit::Done);
    }
    if words.tree {
        let tree = in_tree(runs);
        caller.show(&tree, |look| tree_text(&tree, look))?;
        return Ok(Exit::Done);
    }
    caller.show(&runs, |look| runs_text(&runs, look))?;
    Ok(Exit::Done)
}

pub async fn cancel(caller: &Caller, words: Cancel) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let view = view_of(&mut client, words.name.run).await?;
    let run = view.run.to_string();
    let reply = client.ask(Request::Cancel { run: Some(run.clone()), reason: words.reason }).await?;
    done(&reply, "cancel")?;
    let workers = view.phases.iter().flat_map(|phase| &phase.workers);
    let ending = workers.filter(|worker| is_live(worker.state)).count();
    if caller.json {
        say_json(&serde_json::json!({ "done": true, "run": run, "ending": ending }))?;
        return Ok(Exit::Done);
    }
    say(&match ending {
        0 => format!("run {run} is cancelled; its work is kept\n"),
        1 => format!("run {run} is cancelled: 1 worker is being ended; its work is kept\n"),
        n => format!("run {run} is cancelled: {n} workers are being ended; their work is kept\n"),
    })?;
    Ok(Exit::Done)
}

fn is_live(state: WorkerState) -> bool {
    matches!(
        state,
        WorkerState::Starting | WorkerState::Working | WorkerState::WaitingInput | WorkerState::Ending
    )
}

pub async fn approve(caller: &Caller, words: Approve) -> Result<Exit, Failure> {
    if let Some(session) = words.name.run.as_deref().filter(|name| name.contains('/')) {
        return dialog(caller, session, true).await;
    }
    decide(caller, Request::Approve { run: words.name.run, phase: words.phase }, "approve").await
}

pub async fn deny(caller: &Caller, words: Deny) -> Result<Exit, Failure> {
    if let Some(session) = words.name.run.as_deref().filter(|name| name.contains('/')) {
        return dialog(caller, session, false).await;
    }
    let request = Request::Deny { run: words.name.run, phase: words.phase, reason: words.reason };
    decide(caller, request, "deny").await
}

/// Answers the dialog a session shows.
async fn dialog(caller: &Caller, session: &str, allow: bool) -> Result<Exit, Failure> {
    let Reply::Word { text } = caller.ask(Request::Dialog { session: session.to_owned(), allow }).await?
    else {
        return Err(Failure::out_of_turn("dialog"));
    };
    let data = serde_json::json!({ "session": session, "dialog": text, "allowed": allow });
    let done = if allow { "allowed" } else { "denied" };
    caller.show(&data, |_| format!("{done}: the dialog {text} of {session}\n"))?;
    Ok(Exit::Done)
}

/// Answers what a session asks.
pub async fn answer(caller: &Caller, words: Answer) -> Result<Exit, Failure> {
    let text = super::agents::text_or_stdin(words.text)?;
    let request = Request::Answer { session: words.session.clone(), text };
    let Reply::Word { text: asked } = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("answer"));
    };
    let data = serde_json::json!({ "session": words.session, "question": asked });
    caller.show(&data, |_| format!("answered: {}\n", crate::report::neutral(&asked)))?;
    Ok(Exit::Done)
}

/// A decision about a run; the node may answer with the run as it stands after it.
async fn decide(caller: &Caller, request: Request, verb: &str) -> Result<Exit, Failure> {
    match caller.ask(request).await? {
        Reply::Run(view) => caller.show(&view, |look| run_text(&view, look))?,
        reply => {
            done(&reply, verb)?;
            if caller.json {
                say_json(&serde_json::json!({ "done": true }))?;
            }
        }
    }
    Ok(Exit::Done)
}

pub async fn resume(caller: &Caller, words: Resume) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let run = view_of(&mut client, words.name.run).await?.run.to_string();
    client.ask(Request::Resume { run: Some(run.clone()) }).await?;
    super::run::announce(caller, &run)?;
    if words.detach {
        return Ok(Exit::Done);
    }
    match follow(caller, &run, client, true).await? {
        Followed::Over { view, exit } => {
            super::run::tell_result(caller, &view)?;
            Ok(exit)
        }
        Followed::Detached => Ok(Exit::Done),
    }
}

//! Looking at runs and saying what is to become of them.

use niia_spec::notice::{PhaseState, RunView};

use super::follow::{Followed, exit_of, follow};
use super::{Caller, done, say, say_json};
use crate::cli::runs::{Approve, Cancel, Deny, Resume, Runs, Status};
use crate::control::client::Client;
use crate::control::words::{Reply, Request, RunName};
use crate::failure::{Exit, Failure};
use crate::report::run::{run_text, runs_text};

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
    caller.show(&runs, |look| runs_text(&runs, look))?;
    Ok(Exit::Done)
}

pub async fn cancel(caller: &Caller, words: Cancel) -> Result<Exit, Failure> {
    decide(caller, Request::Cancel { run: words.name.run, reason: words.reason }, "cancel").await
}

pub async fn approve(caller: &Caller, words: Approve) -> Result<Exit, Failure> {
    decide(caller, Request::Approve { run: words.name.run, phase: words.phase }, "approve").await
}

pub async fn deny(caller: &Caller, words: Deny) -> Result<Exit, Failure> {
    let request = Request::Deny { run: words.name.run, phase: words.phase, reason: words.reason };
    decide(caller, request, "deny").await
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

//! `niia top`: the runs and sessions of this node, as they change.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Caller, daemon, say, say_json};
use crate::cli::node::Top;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::Look;
use crate::report::live::Painter;
use crate::report::run::runs_text;
use crate::report::session::sessions_text;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many runs are looked at.
const RUNS_MAX: u32 = 20;

pub async fn top(caller: &Caller, words: &Top) -> Result<Exit, Failure> {
    let mut client = Client::connect(&caller.folders).await?;
    if caller.json || words.once || !caller.look().live {
        return once(caller, &mut client).await;
    }
    let interrupt = signal(SignalKind::interrupt());
    let mut interrupt = interrupt.map_err(|error| Failure::trouble("could not listen for signals", error))?;
    let mut painter = Painter::default();
    loop {
        let look = Look::of_stdout();
        let text = text(&mut client, look).await?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        say(&painter.frame(&lines, look))?;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = interrupt.recv() => return Ok(Exit::Done),
        }
    }
}

async fn once(caller: &Caller, client: &mut Client) -> Result<Exit, Failure> {
    if caller.json {
        let node = daemon::view(client).await?;
        let (runs, sessions) = (runs(client).await?, sessions(client).await?);
        say_json(&serde_json::json!({ "node": node, "runs": runs, "sessions": sessions }))?;
    } else {
        say(&text(client, caller.look()).await?)?;
    }
    Ok(Exit::Done)
}

async fn text(client: &mut Client, look: Look) -> Result<String, Failure> {
    let node = daemon::view(client).await?;
    let (runs, sessions) = (runs(client).await?, sessions(client).await?);
    let head = format!(
        "node {}, pid {}: {} runs, {} of {} sessions\n\n",
        node.version, node.pid, node.runs_live, node.sessions_live, node.sessions_max
    );
    Ok(head + &sessions_text(&sessions, look) + "\n" + &runs_text(&runs, look))
}

async fn runs(client: &mut Client) -> Result<Vec<niia_spec::notice::RunView>, Failure> {
    match client.ask(Request::Runs { limit: RUNS_MAX }).await? {
        Reply::Runs(runs) => Ok(runs),
        _ => Err(Failure::out_of_turn("runs")),
    }
}

async fn sessions(client: &mut Client) -> Result<Vec<niia_spec::notice::SessionView>, Failure> {
    match client.ask(Request::Sessions { run: None, ended_too: false }).await? {
        Reply::Sessions(sessions) => Ok(sessions),
        _ => Err(Failure::out_of_turn("sessions")),
    }
}

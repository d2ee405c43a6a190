//! The node: being it, starting and stopping it, and having it started at login.

mod install;

use std::process::ExitCode;
use std::time::Duration;

use super::{Caller, say, say_json};
use crate::cli::node::{Daemon, DaemonVerb, StateFolder};
use crate::config::{Config, Folders};
use crate::control::client::{Client, ClientError};
use crate::control::ready::Ready;
use crate::control::words::{NodeView, Reply, Request};
use crate::failure::{Exit, Failure};
use crate::node::{self, NodeOptions};
use crate::notify::Notifier;
use crate::report::table::{Table, cell, toned_cell};
use crate::report::{Look, Tone, bytes, duration, neutral};
use crate::trace;

pub use install::is_installed;

/// How long a node that was told to stop is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Between two looks whether it has gone.
const STOP_PAUSE: Duration = Duration::from_millis(20);

/// The process that owns terminals; it begins before any thread exists.
pub fn keeper() -> ExitCode {
    let mut words = std::env::args_os().skip(2);
    match (words.next(), words.next()) {
        (Some(option), Some(folder)) if option == "--run-folder" => {
            niia_actors::keeper::main(folder.as_ref())
        }
        _ => {
            eprintln!("niia: `niia keeper` is started by the node alone");
            Exit::Usage.into()
        }
    }
}

/// Is the node until it is told to stop.
pub fn run(words: &StateFolder) -> Result<Exit, Failure> {
    let ready = Ready::from_environment();
    let awaited = ready.is_awaited();
    match begin(words, awaited) {
        Ok((folders, config)) => be_the_node(folders, config, ready),
        Err(failure) => {
            ready.failed(&failure.to_string());
            Err(failure)
        }
    }
}

fn begin(words: &StateFolder, awaited: bool) -> Result<(Folders, Config), Failure> {
    let folders = Folders::of_this_user()?.with_state(words.state.as_deref())?;
    if awaited {
        // It outlives the terminal of whoever needed it first. A process that leads a session already is as good.
        let _ = rustix::process::setsid();
        folders.open_state()?;
        trace::to_file(&folders.node_log())
            .map_err(|error| Failure::trouble("could not open the node's log", error))?;
    } else {
        trace::to_stderr();
    }
    let config = Config::read(&folders)?;
    Ok((folders, config))
}

fn be_the_node(folders: Folders, config: Config, ready: Ready) -> Result<Exit, Failure> {
    let notifier = Notifier::new(&config);
    let options = NodeOptions {
        notifier,
        webhook: config.webhook,
        folders: folders.clone(),
        state_folder: folders.state,
        sessions_max: config.sessions_max.unwrap_or(node::SESSIONS_MAX_DEFAULT),
        memory_floor_mib: config.memory_floor_mib.unwrap_or(node::MEMORY_FLOOR_MIB_DEFAULT),
        run_as: config.sandbox.run_as.map(|user| user.0),
        network: config.network,
    };
    node::run(options, ready).map_err(|error| Failure::trouble("the node cannot run", error))?;
    Ok(Exit::Done)
}

pub async fn daemon(caller: &Caller, words: Daemon) -> Result<Exit, Failure> {
    match words.verb {
        DaemonVerb::Run(state) => run(&state),
        DaemonVerb::Start(state) => start(caller, &folders(caller, &state)?).await,
        DaemonVerb::Stop { end_sessions, state } => {
            stop(caller, &folders(caller, &state)?, end_sessions).await
        }
        DaemonVerb::Status(state) => status(caller, &folders(caller, &state)?).await,
        DaemonVerb::Install { print } => install::install(caller, print),
    }
}

fn folders(caller: &Caller, words: &StateFolder) -> Result<Folders, Failure> {
    Ok(caller.folders.clone().with_state(words.state.as_deref())?)
}

async fn start(caller: &Caller, folders: &Folders) -> Result<Exit, Failure> {
    let view = view(&mut Client::reach(folders).await?).await?;
    caller.show(&view, |_| format!("the node runs, pid {}\n", view.pid))?;
    Ok(Exit::Done)
}

/// Whether it runs: 0, or 4 where it does not.
async fn status(caller: &Caller, folders: &Folders) -> Result<Exit, Failure> {
    let view = view(&mut Client::connect(folders).await?).await?;
    caller.show(&view, |look| node_text(&view, look))?;
    Ok(Exit::Done)
}

pub async fn view(client: &mut Client) -> Result<Box<NodeView>, Failure> {
    match client.ask(Request::Node).await? {
        Reply::Node(view) => Ok(view),
        _ => Err(Failure::out_of_turn("node")),
    }
}

/// How a node is, for people.
pub fn node_text(view: &NodeView, look: Look) -> String {
    let mut table = Table::headless();
    let mut fact = |name: &str, value: String| table.row(vec![toned_cell(name, Tone::Faint), cell(value)]);
    fact("version", view.version.clone());
    fact("pid", view.pid.to_string());
    fact("state", view.state_folder.display().to_string());
    fact("up", duration(view.up_ms));
    fact("runs", view.runs_live.to_string());
    fact("sessions", format!("{} of at most {}", view.sessions_live, view.sessions_max));
    fact("memory", format!("no session is started below {} free", bytes(view.memory_floor_mib << 20)));
    for one in &view.breakers {
        let (class, left) = (one.open.class.word(), duration(one.left_ms));
        fact(
            "not asked",
            format!("{} for another {left}: {class}, {}", one.provider, neutral(&one.open.reason)),
        );
    }
    if let Some(webhook) = &view.webhook {
        table.row(vec![toned_cell("webhooks", Tone::Faint), cell(webhook)]);
    }
    if let Some(trouble) = &view.degraded {
        table.row(vec![toned_cell("trouble", Tone::Bad), cell(trouble)]);
    }
    table.text(look)
}

async fn stop(caller: &Caller, folders: &Folders, end_sessions: bool) -> Result<Exit, Failure> {
    let text = match (end(folders, end_sessions).await?, end_sessions) {
        (false, _) => "no node runs",
        (true, true) => "the node has stopped, and its sessions",
        (true, false) => "the node has stopped; its sessions go on",
    };
    stopped(caller, text)
}

/// Stops the node and waits until it is gone. False where none runs.
pub async fn end(folders: &Folders, end_sessions: bool) -> Result<bool, Failure> {
    let mut client = match Client::connect(folders).await {
        Err(ClientError::NotRunning { .. }) => return Ok(false),
        connected => connected?,
    };
    // A node that stops may be gone before its answer is read.
    match client.ask(Request::Stop { end_sessions }).await {
        Ok(_) | Err(ClientError::WentAway) => {}
        Err(error) if error.may_pass() => {}
        Err(error) => return Err(error.into()),
    }
    let gone = async {
        while !matches!(Client::connect(folders).await, Err(ClientError::NotRunning { .. })) {
            tokio::time::sleep(STOP_PAUSE).await;
        }
    };
    match tokio::time::timeout(STOP_WITHIN, gone).await {
        Ok(()) => Ok(true),
        Err(_) => Err(Failure::new(Exit::Failed, format!("the node still runs after {STOP_WITHIN:?}"))
            .help(format!("its log is `{}`", folders.node_log().display()))),
    }
}

fn stopped(caller: &Caller, text: &str) -> Result<Exit, Failure> {
    if caller.json {
        say_json(&serde_json::json!({ "stopped": true }))?
    } else {
        say(&format!("{text}\n"))?
    }
    Ok(Exit::Done)
}

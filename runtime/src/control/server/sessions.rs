//! Requests about sessions.

use std::time::Duration;

use niia_actors::ask::AskError;
use niia_actors::recording::{Read, Recording};
use niia_actors::session::look::ended_view;
use niia_spec::course::EndReason;
use niia_spec::name::SessionId;
use niia_spec::notice::{Receipt, SessionView};

use super::find::{live_session, means, not_found, run_id, trouble};
use super::runs;
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, RunName};
use crate::node::Node;

/// The longest a caller may wait for a quiet terminal.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is told of a recording at a time: an answer, not an archive.
const PRINTED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes read at a time.
const PIECE_BYTES: u64 = 64 * 1024;

/// A text for a program that is busy is waited for so long; then it is said to be queued, which it is.
const RECEIPT_WAIT: Duration = Duration::from_secs(30);

fn ended(session: &SessionId) -> impl FnOnce(AskError) -> Refusal {
    move |_| Refusal {
        code: RefusalCode::State,
        message: format!("the session {session} has just ended"),
        help: Some("`niia replay` shows what it printed".to_owned()),
    }
}

pub(super) async fn list(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    ended_too: bool,
) -> Result<Vec<SessionView>, Refusal> {
    let only = match (run, caller) {
        (None, Caller::Person) => None,
        _ => Some(run_id(node, caller, run).await?),
    };
    let mut views = Vec::new();
    let mut live = node.live.all();
    live.retain(|(session, _)| only.as_ref().is_none_or(|run| session.run == *run));
    live.sort_by(|a, b| a.0.cmp(&b.0));
    for (_, handle) in &live {
        // One that ends this moment is listed among the ended ones.
        if let Ok(view) = handle.look().await {
            views.push(node.asks.shown(view));
        }
    }
    if ended_too {
        let run = match only {
            Some(run) => run,
            None => run_id(node, caller, &None).await?,
        };
        let view = runs::view(node, &run).await?;
        for session in runs::sessions_of(&view) {
            if !live.iter().any(|(live, _)| *live == session)
                && let Some(view) = ended_view(&node.run_folder(&run), &session)
            {
                views.push(view);
            }
        }
    }
    Ok(views)
}

/// A session that lives, or one that is over, of the newest run or the one that is named.
pub(super) async fn look(node: &Node, caller: &Caller, name: &str) -> Result<SessionView, Refusal> {
    match live_session(node, caller, name) {
        Ok((session, handle)) => match handle.look().await {
            Ok(view) => Ok(node.asks.shown(view)),
            // It ended this moment: what it left says how.
            Err(_) => ended_look(node, caller, &session.to_string()).await,
        },
        Err(refusal) if refusal.code == RefusalCode::NotFound => ended_look(node, caller, name).await,
        Err(refusal) => Err(refusal),
    }
}

async fn ended_look(node: &Node, caller: &Caller, name: &str) -> Result<SessionView, Refusal> {
    let first = name.split('/').next().map(str::to_owned).filter(|part| !part.is_empty());
    let run = match run_id(node, caller, &first).await {
        Ok(run) => run,
        Err(_) => run_id(node, caller, &None).await?,
    };
    let view = runs::view(node, &run).await?;
    let mut fits = runs::sessions_of(&view).into_iter().filter(|session| means(name, session));
    // Of several attempts the newest is meant.
    let newest =
        fits.next_back().ok_or_else(|| not_found(format!("there is no session `{name}` in `{run}`")))?;
    ended_view(&node.run_folder(&run), &newest)
        .ok_or_else(|| not_found(format!("the session {newest} left no recording")))
}

pub(super) async fn read(node: &Node, caller: &Caller, name: &str) -> Result<Reply, Refusal> {
    let (session, handle) = live_session(node, caller, name)?;
    let screen = handle.screen().await.map_err(ended(&session))?;
    Ok(Reply::Screen { text: screen.text, title: screen.title, cursor: screen.cursor })
}

/// What a session printed between two offsets, as much of it as a message bears.
pub(super) async fn printed(
    node: &Node,
    caller: &Caller,
    name: &str,
    (from, to): (u64, u64),
) -> Result<Reply, Refusal> {
    let view = look(node, caller, name).await?;
    let to = to.min(from.saturating_add(PRINTED_BYTES_MAX));
    let read = tokio::task::spawn_blocking(move || recorded(view.folder.as_ref(), from, to));
    let bytes = read.await.map_err(|error| trouble(error.to_string()))?;
    Ok(Reply::Output { from, bytes: bytes.map_err(|error| trouble(error.to_string()))? })
}

/// Bytes of a recording; what is past its bound is left out.
pub(super) fn recorded(folder: &std::path::Path, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    let mut recording = Recording::open(folder).map_err(std::io::Error::other)?;
    recorded_in(&mut recording, from, to)
}

/// The same of one that is open.
pub(super) fn recorded_in(recording: &mut Recording, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut offset) = (Vec::new(), from);
    while offset < to {
        let have = bytes.len();
        bytes.resize(have + usize::try_from((to - offset).min(PIECE_BYTES)).unwrap_or(0), 0);
        match recording.read_at(offset, &mut bytes[have..])? {
            Read::Bytes(0) => {
                bytes.truncate(have);
                break;
            }
            Read::Bytes(count) => {
                bytes.truncate(have + count);
                offset += count as u64;
            }
            Read::Gap { to: next, .. } => {
                bytes.truncate(have);
                offset = next;
            }
        }
    }
    Ok(bytes)
}

pub(super) async fn write(
    node: &Node,
    caller: &Caller,
    name: &str,
    text: String,
    enter: bool,
    urgent: bool,
) -> Result<Reply, Refusal> {
    let (session, handle) = live_session(node, caller, name)?;
    match tokio::time::timeout(RECEIPT_WAIT, handle.write(text, enter, urgent)).await {
        Ok(receipt) => Ok(Reply::Receipt(receipt.map_err(ended(&session))?)),
        // It is typed as soon as the program waits for it; nobody has to stand by for that.
        Err(_) => Ok(Reply::Receipt(Receipt::Queued)),
    }
}

pub(super) async fn wait_idle(
    node: &Node,
    caller: &Caller,
    name: &str,
    quiet_ms: u64,
    within_ms: u64,
) -> Result<Reply, Refusal> {
    let (session, handle) = live_session(node, caller, name)?;
    let within = Duration::from_millis(within_ms).min(WAIT_MAX);
    match tokio::time::timeout(within, handle.wait_idle(quiet_ms)).await {
        Ok(view) => Ok(Reply::Session(Box::new(view.map_err(ended(&session))?))),
        Err(_) => Err(Refusal {
            code: RefusalCode::State,
            message: format!("{session} was not quiet for {quiet_ms} ms within {} ms", within.as_millis()),
            help: None,
        }),
    }
}

pub(super) async fn turn(
    node: &Node,
    caller: &Caller,
    name: &str,
    prompt: String,
    within_ms: u64,
) -> Result<Reply, Refusal> {
    let (session, handle) = live_session(node, caller, name)?;
    let within = Duration::from_millis(within_ms).min(WAIT_MAX);
    match tokio::time::timeout(within, handle.turn(prompt)).await {
        Ok(turned) => Ok(Reply::Turned(turned.map_err(ended(&session))?)),
        Err(_) => Err(Refusal {
            code: RefusalCode::State,
            message: format!("the turn of {session} was not over within {} ms", within.as_millis()),
            help: Some(format!("`niia explain {session}` says what it does")),
        }),
    }
}

pub(super) fn interrupt(node: &Node, caller: &Caller, name: &str) -> Result<Reply, Refusal> {
    let (_, handle) = live_session(node, caller, name)?;
    handle.interrupt();
    Ok(Reply::Done)
}

pub(super) async fn dialog(node: &Node, caller: &Caller, name: &str, allow: bool) -> Result<Reply, Refusal> {
    let (session, handle) = live_session(node, caller, name)?;
    if let Some(reply) = super::asks::decide(node, &session, allow) {
        return Ok(reply);
    }
    match handle.answer_dialog(allow).await.map_err(ended(&session))? {
        Ok(dialog) => Ok(Reply::Word { text: dialog }),
        Err(message) => Err(Refusal { code: RefusalCode::State, message, help: None }),
    }
}

pub(super) fn resize(node: &Node, caller: &Caller, name: &str, size: (u16, u16)) -> Result<Reply, Refusal> {
    let (_, handle) = live_session(node, caller, name)?;
    handle.resize(size.0, size.1);
    Ok(Reply::Done)
}

pub(super) fn kill(node: &Node, caller: &Caller, name: &str) -> Result<Reply, Refusal> {
    if name.is_empty() {
        return Err(trouble("say which session is to be ended".to_owned()));
    }
    let (_, handle) = live_session(node, caller, name)?;
    handle.end(EndReason::Cancelled);
    Ok(Reply::Done)
}

//! Whether anybody still waits for what was given here: asked of homes that have long been silent.
//!
//! A home that was killed, or whose last word was lost, may have forgotten an attempt, or have what came of it already.
//! Whoever is asked says which may go; whoever cannot be asked is waited for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_net::frame;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_spec::name::SessionId;
use niia_spec::notice::{RunState, RunView, WorkerState};

use super::words::Purpose;
use crate::node::Node;

/// Leases without a word after which home is asked.
const SILENT_LEASES: u32 = 4;
/// Attempts that one question is about: a frame has room for them.
const ASKED_MAX: usize = 1_000;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Asks, as long as the node lives.
pub async fn doubt(node: Weak<Node>, lease: Duration) {
    let mut look = tokio::time::interval(lease * SILENT_LEASES / 2);
    loop {
        look.tick().await;
        let Some(node) = node.upgrade() else { return };
        for (home, mut sessions) in node.guests.unheard(lease * SILENT_LEASES) {
            sessions.truncate(ASKED_MAX);
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(&node, &home, &sessions)).await;
            match asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_WITHIN:?}"))) {
                Ok(unwanted) => {
                    for session in &sessions {
                        match unwanted.contains(session) {
                            true => node.guests.unwanted(session).await,
                            false => node.guests.heard(session),
                        }
                    }
                }
                Err(reason) => tracing::debug!(%home, reason, "home is not reached"),
            }
        }
    }
}

async fn ask(node: &Node, home: &NodeId, sessions: &[SessionId]) -> Result<Vec<SessionId>, String> {
    let network = node.network.as_ref().ok_or("there is no network")?;
    let link = network.reach(home).await.map_err(|error| chain(&error))?;
    let purpose = Purpose::Held { sessions: sessions.to_vec() };
    let mut stream = link.open(&purpose).await.map_err(|error| chain(&error))?;
    frame::read(&mut stream).await.map_err(|error| chain(&error))
}

/// Says which of these attempts may go.
pub(super) async fn answer(
    node: &Arc<Node>,
    asks: &NodeId,
    sessions: &[SessionId],
    mut stream: Stream,
) -> Result<(), String> {
    let mut unwanted = Vec::new();
    for session in sessions.iter().take(ASKED_MAX) {
        if !is_wanted(node, asks, session).await {
            tracing::info!(%session, machine = %asks, "nobody waits here for what it keeps");
            unwanted.push(session.clone());
        }
    }
    frame::write(&mut stream, &unwanted).await.map_err(|error| chain(&error))
}

async fn is_wanted(node: &Node, asks: &NodeId, session: &SessionId) -> bool {
    let given = node.remotes.as_ref().is_some_and(|remotes| remotes.is_with(session, asks));
    let quarantined = node.quarantined.iter().any(|(run, _)| *run == session.run.to_string());
    if given || quarantined {
        return true;
    }
    match node.root.run(&session.run).await {
        None => false,
        // What cannot be looked at just now is not given up.
        Some(run) => run.look().await.map_or(true, |view| waits_for(&view, session)),
    }
}

/// Whether a run waits for an attempt: it is the newest of its worker, and not over.
fn waits_for(view: &RunView, session: &SessionId) -> bool {
    let worker = &session.attempt.worker;
    let phase = view.phases.iter().find(|phase| phase.phase == worker.phase);
    let Some(known) = phase.and_then(|phase| phase.workers.iter().find(|w| w.worker == worker.worker)) else {
        return view.state == RunState::Running;
    };
    let newest = known.session.as_ref().map_or(0, |newest| newest.attempt.attempt);
    let lives = matches!(
        known.state,
        WorkerState::Waiting | WorkerState::Starting | WorkerState::Working | WorkerState::Ending
    );
    // A run that waits for a person may want it after all.
    newest <= session.attempt.attempt && (lives || view.state == RunState::NeedsAttention)
}

//! Telling a machine that comes back that nobody waits any more for what it was given.

use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_net::identity::NodeId;
use niia_net::reconnect;
use niia_net::transfer::TransferError;
use niia_spec::course::EndReason;
use niia_spec::name::SessionId;

use crate::network::{Network, boottime};
use crate::remote::talk::Talk;
use crate::remote::words::{Purpose, Word};

/// How long one talk about it may take: its program is ended meanwhile.
const TALK_WITHIN: Duration = Duration::from_secs(5 * 60);

pub(super) async fn dismiss(network: Arc<Network>, id: NodeId, session: SessionId, within: Duration) {
    let began = boottime();
    let mut failures = 0;
    while boottime().saturating_sub(began) < within {
        let talk = tokio::time::timeout(TALK_WITHIN, dismissed(&network, &id, &session)).await;
        match talk.unwrap_or_else(|_| Err("it takes too long".to_owned())) {
            Ok(()) => return tracing::info!(%session, machine = %id, "it is ended there as well"),
            Err(reason) => tracing::debug!(%session, machine = %id, reason, "cannot be ended there yet"),
        }
        failures += 1;
        tokio::time::sleep(reconnect::pause(failures, fastrand::u64(..))).await;
    }
}

async fn dismissed(network: &Network, id: &NodeId, session: &SessionId) -> Result<(), String> {
    let link = network.reach(id).await.map_err(|error| chain(&error))?;
    let purpose = Purpose::Work { session: session.clone(), repository: None };
    let mut talk = Talk::over(link.open(&purpose).await.map_err(|error| chain(&error))?);
    let failed = |error: TransferError| chain(&error);
    loop {
        match talk.next().await.map_err(failed)?.0 {
            Word::Known => break,
            // Another talk about it is not over yet.
            Word::Beat => {}
            // It was never begun there, or is forgotten already.
            _ => return Ok(()),
        }
    }
    talk.say(&Word::End { reason: EndReason::NotNeeded }).await.map_err(failed)?;
    // What came of it is kept for nobody.
    while !matches!(talk.next().await.map_err(failed)?.0, Word::Over) {}
    talk.say(&Word::Collected).await.map_err(failed)?;
    // It leaves when it has heard.
    while talk.next().await.is_ok() {}
    Ok(())
}

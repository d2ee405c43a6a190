//! Finding the machine that shows a code.
//!
//! That one shows a code is announced, but an announcement may be old: of two that come within a second, those who
//! listen may go on believing the older one. So whoever is found is asked. A greeting costs no try of the code.

use std::time::Duration;

use niia_net::discovery::{Discovery, Sighting};
use niia_net::endpoint::Shaken;
use niia_net::identity::NodeId;
use niia_net::peer::{Greeting, Pairing, Welcomed, greet};
use niia_net::trust::{Rights, Want};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{Network, Open};
use super::PairingError;

/// How long announcements are waited for before a machine counts as not found.
const FOUND_WITHIN: Duration = Duration::from_secs(5);
/// So long before that, those are asked as well who announce no code.
const ALL_ASKED_BEFORE: Duration = Duration::from_secs(3);
/// How long one machine may take to say whether it shows a code.
const ASKED_WITHIN: Duration = Duration::from_secs(3);
/// Machines asked at once: more show no code in one room.
const ASKED_MAX: usize = 32;

impl Network {
    /// The machine of this name.
    pub(super) async fn shows_at(&self, open: &Open, machine: &str) -> Result<Pairing, PairingError> {
        let deadline = Instant::now() + FOUND_WITHIN;
        let mut news = News::of(open);
        loop {
            let addresses = self.whereabouts(open, machine).await;
            if !addresses.is_empty() {
                let shaken = open.endpoint.connect(&addresses, None).await?;
                return asked(shaken, (self.id(), None), self.greeting(Want::Pair)).await;
            }
            if !news.come_before(deadline).await {
                return Err(PairingError::NotFound { machine: machine.to_owned() });
            }
        }
    }

    /// The only one nearby that shows a code.
    pub(super) async fn only_one(&self, open: &Open) -> Result<Pairing, PairingError> {
        let Some(discovery) = &open.discovery else { return Err(PairingError::NobodyShows) };
        let deadline = Instant::now() + FOUND_WITHIN;
        let mut news = News::of(open);
        loop {
            let all_asked = Instant::now() + ALL_ASKED_BEFORE >= deadline;
            let mut nearby = discovery.all();
            nearby.retain(|sighting| sighting.pairs || all_asked);
            let mut showing = self.who_shows(open, nearby).await;
            match showing.len() {
                0 => {}
                1 => return Ok(showing.remove(0).1),
                _ => {
                    let machines =
                        showing.into_iter().map(|(seen, _)| format!("{}@{}", seen.user, seen.host));
                    return Err(PairingError::SeveralShow { machines: machines.collect() });
                }
            }
            let until = if all_asked { deadline } else { deadline - ALL_ASKED_BEFORE };
            if !news.come_before(until).await && all_asked {
                return Err(PairingError::NobodyShows);
            }
        }
    }

    async fn who_shows(&self, open: &Open, nearby: Vec<Sighting>) -> Vec<(Sighting, Pairing)> {
        let mut asking = JoinSet::new();
        for seen in nearby.into_iter().take(ASKED_MAX) {
            let (endpoint, own, greeting) = (open.endpoint.clone(), self.id(), self.greeting(Want::Pair));
            asking.spawn(async move {
                let answer = async {
                    let shaken = endpoint.connect(&seen.addresses, Some(seen.id)).await?;
                    asked(shaken, (own, Some(seen.id)), greeting).await
                };
                match tokio::time::timeout(ASKED_WITHIN, answer).await {
                    Ok(Ok(pairing)) => Some((seen, pairing)),
                    Ok(Err(error)) => {
                        let error = niia_actors::ask::chain(&error);
                        tracing::debug!(peer = %seen.id, error, "it shows no code");
                        None
                    }
                    Err(_) => None,
                }
            });
        }
        asking.join_all().await.into_iter().flatten().collect()
    }
}

/// Greets as one who wants to pair.
async fn asked(
    shaken: Shaken,
    (own, wanted): (NodeId, Option<NodeId>),
    greeting: Greeting,
) -> Result<Pairing, PairingError> {
    match greet(shaken, own, wanted, greeting, Rights::NONE).await? {
        Welcomed::Pair(pairing) => Ok(*pairing),
        Welcomed::Work(_) => Err(PairingError::NobodyShows),
    }
}

/// What is newly heard of the network.
struct News(Option<tokio::sync::watch::Receiver<u64>>);

impl News {
    fn of(open: &Open) -> News {
        News(open.discovery.as_ref().map(Discovery::changes))
    }

    /// Waits for the next; `false` when none came in time, or none can come.
    async fn come_before(&mut self, deadline: Instant) -> bool {
        let Some(changes) = &mut self.0 else { return false };
        matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(())))
    }
}

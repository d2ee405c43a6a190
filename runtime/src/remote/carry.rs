//! An attempt on another machine, seen from home: given away once, asked after until it is over, brought home.
//!
//! The stream may break at any moment and the machine may be gone for long; the attempt is known there by its name, so
//! that asking again repeats nothing.

mod home;

use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::session::elsewhere::Away;
use niia_net::identity::NodeId;
use niia_net::lease::{Lease, Standing};
use niia_net::reconnect;
use niia_net::transfer::TransferError;
use niia_spec::course::{EndReason, Ending, Outcome};
use niia_spec::name::SessionId;
use niia_spec::plan::OnLost;

use super::talk::Talk;
use super::words::{Purpose, Word};
use crate::network::{Network, boottime};
use home::Home;

/// Without a word for so long nobody knows whether it still works: four beats.
const HELD_FOR: Duration = Duration::from_secs(8);
/// How often each side says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(2);

/// Why one talk ended without the attempt being over.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The machine will not do it.
    Refused(String),
    /// The way there broke, or was not there.
    Broken(String),
    /// What came of it could not be kept at home.
    Home(String),
}

impl From<TransferError> for Trouble {
    fn from(error: TransferError) -> Trouble {
        Trouble::Broken(chain(&error))
    }
}

/// Has an attempt made on a peer, whatever becomes of the way there.
pub(super) async fn carry(away: Away, network: Arc<Network>, id: NodeId) -> Ending {
    let name = network.trust().get(&id).map_or_else(|| id.short(), |peer| peer.name);
    let mut carrier = match Carrier::new(away, network, id, name) {
        Ok(carrier) => carrier,
        Err(reason) => return Ending::plain(Outcome::Failed { reason }, "before it was given away"),
    };
    let mut failures = 0;
    loop {
        let began = boottime();
        let trouble = match carrier.talk().await {
            Ok(ending) => return ending,
            Err(trouble) => trouble,
        };
        let reason = match trouble {
            Trouble::Refused(reason) => {
                let reason = format!("{} refuses: {reason}", carrier.name);
                return Ending::plain(Outcome::Failed { reason }, "the other machine");
            }
            Trouble::Home(reason) => {
                return Ending::plain(Outcome::NeedsAttention { reason }, "what came home");
            }
            Trouble::Broken(reason) => reason,
        };
        tracing::info!(session = %carrier.away.assignment.session, machine = carrier.name, reason, "not reached");
        carrier.away.does(&format!("{} does not answer: {reason}", carrier.name));
        if let Some(ending) = carrier.given_up(&reason) {
            let session = carrier.away.assignment.session.clone();
            tokio::spawn(dismiss(Arc::clone(&carrier.network), id, session, carrier.forgotten_after));
            return ending;
        }
        failures = if boottime().saturating_sub(began) > HELD_FOR { 0 } else { failures + 1 };
        carrier.wait(reconnect::pause(failures, fastrand::u64(..))).await;
    }
}

struct Carrier {
    away: Away,
    network: Arc<Network>,
    id: NodeId,
    name: String,
    home: Home,
    lease: Lease,
    on_lost: OnLost,
    /// The machine ends it by itself after so long without a word.
    forgotten_after: Duration,
    started: bool,
}

/// Tells a machine that comes back that nobody waits any more for what it was given.
async fn dismiss(network: Arc<Network>, id: NodeId, session: SessionId, within: Duration) {
    let began = boottime();
    let mut failures = 0;
    while boottime().saturating_sub(began) < within {
        match dismissed(&network, &id, &session).await {
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
    if !matches!(talk.next().await.map_err(failed)?.0, Word::Known) {
        return Ok(()); // It was never begun there, or is forgotten already.
    }
    talk.say(&Word::End { reason: EndReason::NotNeeded }).await.map_err(failed)?;
    // What came of it is kept for nobody.
    while !matches!(talk.next().await.map_err(failed)?.0, Word::Over) {}
    talk.say(&Word::Collected).await.map_err(failed)
}

impl Carrier {
    fn new(away: Away, network: Arc<Network>, id: NodeId, name: String) -> Result<Carrier, String> {
        let worker = &away.assignment.attempt().worker;
        let phase = away.assignment.context.plan.phases.iter().find(|phase| phase.name == worker.phase);
        let phase = phase.ok_or_else(|| format!("the plan has no phase `{}`", worker.phase))?;
        let (on_lost, grace) = (phase.on_lost, Duration::from_millis(phase.grace_ms));
        let home = Home::new(Arc::clone(&away.assignment), phase.orphan_after_ms);
        let lease = Lease::new(boottime(), HELD_FOR, grace);
        let forgotten_after = Duration::from_millis(phase.orphan_after_ms);
        Ok(Carrier { away, network, id, name, home, lease, on_lost, forgotten_after, started: false })
    }

    /// One talk, from wherever the attempt stands to its end.
    async fn talk(&mut self) -> Result<Ending, Trouble> {
        let link = self.network.reach(&self.id).await.map_err(|error| Trouble::Broken(chain(&error)))?;
        let (session, repository) = (self.away.assignment.session.clone(), self.home.repository());
        let stream = link.open(&Purpose::Work { session, repository }).await;
        let mut talk = Talk::over(stream.map_err(|error| Trouble::Broken(chain(&error)))?);
        match talk.next().await? {
            (Word::New { known }, _) => {
                self.away.does(&format!("is taken to {}", self.name));
                self.home.give(&mut talk, known).await?;
            }
            (Word::Known, _) => {}
            (Word::Refused { reason }, _) => return Err(Trouble::Refused(reason)),
            (word, _) => return Err(Trouble::Broken(format!("it says {word:?} out of turn"))),
        }
        self.lease.heard(boottime());
        self.away.does(&format!("is on {}", self.name));
        self.follow(&mut talk).await
    }

    async fn follow(&mut self, talk: &mut Talk) -> Result<Ending, Trouble> {
        let mut beat = tokio::time::interval(BEAT);
        let mut told = false;
        loop {
            let ordered = *self.away.ended.borrow_and_update();
            if let Some(reason) = ordered.filter(|_| !told) {
                talk.say(&Word::End { reason }).await?;
                told = true;
            }
            tokio::select! {
                heard = tokio::time::timeout(HELD_FOR, talk.next()) => {
                    let (word, carried) = heard.map_err(|_| Trouble::Broken("it has gone silent".to_owned()))??;
                    self.lease.heard(boottime());
                    if let Some(ending) = self.hear(word, carried).await? {
                        // Whether this word arrives or not: an attempt that is asked after again is told once more.
                        let _ = talk.say(&Word::Collected).await;
                        return Ok(ending);
                    }
                }
                _ = beat.tick() => {
                    talk.say(&Word::Beat).await?;
                    self.home.step(talk).await?;
                }
                changed = self.away.ended.changed() => if changed.is_err() {
                    return Err(Trouble::Broken("its phase is gone".to_owned()));
                },
            }
        }
    }

    async fn hear(&mut self, word: Word, carried: Vec<u8>) -> Result<Option<Ending>, Trouble> {
        match word {
            Word::Started if !self.started => {
                self.started = true;
                self.away.started();
                self.away.does(&format!("works on {}; `niia remote attach {0}` shows it", self.name));
            }
            Word::File { path, parent } => self.home.file(path, parent, carried).await?,
            Word::Pack => self.home.pack(carried).await?,
            Word::Answer => self.home.answer(carried).await?,
            Word::Over => return self.home.over(carried).await.map(Some),
            Word::Refused { reason } => return Err(Trouble::Refused(reason)),
            _ => {}
        }
        Ok(None)
    }

    /// Whether nobody waits for it any longer.
    fn given_up(&self, reason: &str) -> Option<Ending> {
        if let Some(ordered) = *self.away.ended.borrow() {
            let outcome = match ordered {
                EndReason::TimedOut => Outcome::TimedOut,
                EndReason::Cancelled | EndReason::NotNeeded => Outcome::Cancelled,
            };
            let evidence = format!("ended by order while {} was not reached", self.name);
            return Some(Ending::plain(outcome, &evidence));
        }
        let lost = self.lease.standing(boottime()) == Standing::Lost;
        if !lost || self.on_lost == OnLost::Wait {
            return None;
        }
        let reason = format!("{} is lost: {reason}", self.name);
        Some(Ending::plain(Outcome::Lost { reason }, "no word within the lease and its grace time"))
    }

    async fn wait(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = self.away.ended.changed() => drop(changed),
        }
    }
}

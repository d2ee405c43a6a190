//! An attempt on another machine, seen from home: given away once, asked after until it is over, brought home.
//!
//! What is to be done about each event decides [`niia_net::handover`]; here it is done. The stream may break at any
//! moment and the machine may be gone for long; the attempt is known there by its name, so that asking again repeats
//! nothing.

mod dismiss;
mod home;
mod way;

use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::git::ObjectId;
use niia_actors::session::elsewhere::{Afterwards, Away, Carried};
use niia_net::handover::{self, Done, FarWord, Finish, Happened};
use niia_net::identity::NodeId;
use niia_net::reconnect;
use niia_net::transfer::TransferError;
use niia_spec::course::{EndReason, Ending, Outcome};
use niia_spec::plan::OnLost;

use super::words::Word;
use crate::network::{Network, boottime};
use home::Home;
use way::{Came, Say, Way};

/// So often within a lease each side says that it is there.
pub(super) const BEATS_IN_A_LEASE: u32 = 4;

/// The same where what is told about has no lease.
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
pub(super) async fn carry(away: Away, network: Arc<Network>, id: NodeId) -> Carried {
    match Carrier::new(away, network, id) {
        Ok(carrier) => carrier.carry().await,
        Err(reason) => {
            let ending = Ending::plain(Outcome::Failed { reason }, "before it was given away");
            Carried { ending, afterwards: None }
        }
    }
}

struct Carrier {
    away: Away,
    network: Arc<Network>,
    id: NodeId,
    name: String,
    home: Home,
    course: handover::Home,
    way: Way,
    /// The commits that are there already, as it says.
    known: Vec<ObjectId>,
    /// Why it was not reached, or will not do it.
    reason: String,
    ending: Option<Ending>,
    /// The machine ends it by itself after so long without a word.
    forgotten_after: Duration,
}

impl Carrier {
    fn new(away: Away, network: Arc<Network>, id: NodeId) -> Result<Carrier, String> {
        let name = network.trust().get(&id).map_or_else(|| id.short(), |peer| peer.name);
        let worker = &away.assignment.attempt().worker;
        let phase = away.assignment.context.plan.phases.iter().find(|phase| phase.name == worker.phase);
        let phase = phase.ok_or_else(|| format!("the plan has no phase `{}`", worker.phase))?;
        let (gives_up, grace) = (phase.on_lost != OnLost::Wait, Duration::from_millis(phase.grace_ms));
        let home = Home::new(Arc::clone(&away.assignment), phase.orphan_after_ms);
        let course = handover::Home::new(boottime(), network.lease(), grace, gives_up);
        let forgotten_after = Duration::from_millis(phase.orphan_after_ms);
        let way = Way::open(&network, id, away.assignment.session.clone(), home.repository(), Duration::ZERO);
        let (known, reason, ending) = (Vec::new(), String::new(), None);
        Ok(Carrier { away, network, id, name, home, course, way, known, reason, ending, forgotten_after })
    }

    async fn carry(mut self) -> Carried {
        let mut beat = tokio::time::interval(self.network.lease() / BEATS_IN_A_LEASE);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut phase_is_there = true;
        loop {
            let happened = tokio::select! {
                came = self.way.next(&self.home) => match self.came(came).await {
                    Ok(happened) => happened,
                    Err(reason) => return plain(Outcome::NeedsAttention { reason }, "what came home", None),
                },
                _ = beat.tick() => Happened::Tick,
                changed = self.away.ended.changed(), if phase_is_there => {
                    phase_is_there = changed.is_ok();
                    let ordered = *self.away.ended.borrow_and_update();
                    let Some(reason) = ordered else { continue };
                    Happened::Ordered(reason)
                }
            };
            for done in self.course.on(happened, boottime()) {
                if let Done::Finish(how) = done {
                    return self.finish(how);
                }
                self.does(done);
            }
        }
    }

    /// Takes what came over the way. What cannot be kept here ends it.
    async fn came(&mut self, came: Came) -> Result<Happened, String> {
        let reason = match came {
            Came::Open(talk) => {
                self.home.begins_anew();
                self.way = Way::with(talk);
                return Ok(Happened::Opened);
            }
            Came::Word(word, carried) => match self.hear(word, carried).await {
                Ok(word) => return Ok(Happened::Heard(word)),
                Err(trouble) => trouble,
            },
            Came::Trouble(trouble) => trouble,
        };
        match reason {
            Trouble::Home(reason) => Err(reason),
            Trouble::Refused(reason) => {
                self.reason = reason;
                Ok(Happened::Heard(FarWord::Refused))
            }
            Trouble::Broken(reason) => {
                tracing::info!(session = %self.away.assignment.session, machine = self.name, reason, "not reached");
                (self.reason, self.way) = (reason, Way::Closed);
                Ok(Happened::Broke)
            }
        }
    }

    async fn hear(&mut self, word: Word, carried: Vec<u8>) -> Result<FarWord, Trouble> {
        if word.carries() && !self.course.follows() {
            return Err(Trouble::Broken(format!("it says {word:?} out of turn")));
        }
        match word {
            Word::New { known } => {
                self.known = known;
                return Ok(FarWord::New);
            }
            Word::Known => return Ok(FarWord::Known),
            Word::Accepted => return Ok(FarWord::Accepted),
            Word::Started => return Ok(FarWord::Started),
            Word::Refused { reason } => return Err(Trouble::Refused(reason)),
            Word::Over => {
                self.ending = Some(self.home.over(carried).await?);
                return Ok(FarWord::Over);
            }
            Word::File { path, parent } => {
                let have = self.home.file(path, parent, carried).await?;
                self.way.say(have.map(Say::Have));
            }
            Word::Have { path, version } => self.home.has(path, version),
            Word::Pack => self.home.pack(carried).await?,
            Word::Answer => self.home.answer(carried).await?,
            _ => {}
        }
        Ok(FarWord::Other)
    }

    fn does(&mut self, done: Done) {
        match done {
            Done::Open { failures } => {
                self.away.does(&format!("{} does not answer: {}", self.name, self.reason));
                let session = self.away.assignment.session.clone();
                let pause = reconnect::pause(failures, fastrand::u64(..));
                self.way = Way::open(&self.network, self.id, session, self.home.repository(), pause);
            }
            Done::HangUp => {
                "it has gone silent".clone_into(&mut self.reason);
                self.way = Way::Closed;
            }
            Done::Give => {
                self.away.does(&format!("is taken to {}", self.name));
                self.way.say([Say::Everything(std::mem::take(&mut self.known))]);
            }
            Done::Beat => {
                self.away.is_there(&format!("is on {}", self.name));
                self.way.beat();
            }
            Done::End(reason) => self.way.say([Say::End(reason)]),
            Done::TellStarted => {
                self.away.started();
                self.away.does(&format!("works on {}; `niia remote attach {0}` shows it", self.name));
            }
            Done::Finish(_) => {}
        }
    }

    fn finish(mut self, how: Finish) -> Carried {
        let name = self.name.clone();
        match (how, self.ending.take()) {
            (Finish::Result, Some(ending)) => {
                Carried { ending, afterwards: Some(Box::pin(self.way.collected())) }
            }
            (Finish::Result, None) => {
                let reason = format!("{name} says that it is over, and not how");
                plain(Outcome::Lost { reason }, "what came home", Some(self.dismiss()))
            }
            (Finish::Refused, _) => {
                let reason = format!("{name} refuses: {}", self.reason);
                plain(Outcome::Failed { reason }, "the other machine", None)
            }
            (Finish::Ordered(reason), _) => {
                let outcome = match reason {
                    EndReason::TimedOut => Outcome::TimedOut,
                    EndReason::Cancelled | EndReason::NotNeeded => Outcome::Cancelled,
                };
                let evidence = format!("ended by order while {name} was not reached");
                plain(outcome, &evidence, Some(self.dismiss()))
            }
            (Finish::Lost, _) => {
                let reason = format!("{name} is lost: {}", self.reason);
                let evidence = "no word within the lease and its grace time";
                plain(Outcome::Lost { reason }, evidence, Some(self.dismiss()))
            }
        }
    }

    fn dismiss(self) -> Afterwards {
        let session = self.away.assignment.session.clone();
        Box::pin(dismiss::dismiss(self.network, self.id, session, self.forgotten_after))
    }
}

fn plain(outcome: Outcome, evidence: &str, afterwards: Option<Afterwards>) -> Carried {
    Carried { ending: Ending::plain(outcome, evidence), afterwards }
}

//! A session's life: a place, a terminal, the prompt, all that is printed, the end, and what came of it.
//!
//! It can begin anywhere: a node that was restarted finds a terminal that lives, one that has ended, or none, and goes
//! on from there.

use std::sync::Arc;
use std::time::Duration;

use niia_spec::course::{EndReason, Ending, Outcome};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::doors::Door;
use super::facts::SessionFacts;
use super::finish::{self, Over};
use super::follow::Follow;
use super::glass::Glass;
use super::prepare::{self, Drawn};
use super::{Order, SessionArguments, clock, look, way};
use crate::ask::chain;
use crate::keeper::{self, OpenError, Opened, Terminal};
use crate::launch::Prepared;
use crate::machine::local::LocalMachine;
use crate::machine::starts::Start;
use crate::machine::{Assignment, News, breakers};
use crate::phase::PhaseHandle;
use crate::recording::Recording;
use crate::run::TreePlace;

/// A minder that does not answer is asked again so often before its session counts as lost.
const OPEN_TRIES_MAX: u32 = 5;
const OPEN_PAUSE: Duration = Duration::from_millis(200);
/// A session's folder is looked at so often before nobody knows what became of it.
const BEGINS_MAX: u32 = 5;
const BEGIN_PAUSE: Duration = Duration::from_millis(50);
const UNSETTLED: &str = "its terminal was neither opened nor refused";

pub(super) struct Life {
    pub assignment: Arc<Assignment>,
    pub machine: LocalMachine,
    pub parent: PhaseHandle,
    pub facts: Arc<SessionFacts>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Why it was ended, if by order.
    pub ordered: Option<EndReason>,
    /// Where a sandboxed session finds the node; shut when its life is over.
    pub door: Option<Door>,
    /// Why it was ended by niia itself: nobody can say what became of its prompt.
    pub unsure: Option<String>,
    /// Its tool's start, until the tool is seen to be there.
    pub starting: Option<Start>,
}

/// A terminal that was reached.
pub(super) struct Reached {
    pub terminal: Terminal,
    pub drawn: Drawn,
    pub prepared: Prepared,
    pub glass: Glass,
    /// It lived already: what was typed into it was typed by an earlier node.
    pub taken_up: bool,
}

enum Begin {
    Terminal(Box<Reached>),
    /// It was over already.
    Over(Over, Option<(Drawn, Prepared)>),
    Never(Ending),
    /// Somebody else is at work in its folder, or was a moment ago.
    Again,
}

/// Lives one session from wherever it stands to its end, and tells its phase.
pub(super) async fn live(arguments: SessionArguments) {
    let SessionArguments { assignment, machine, parent, facts, orders, known } = arguments;
    // Nobody can give orders before the session is known by name; a starter that is gone does not matter.
    drop(known.await);
    let assignment = Arc::new(assignment);
    let mut life = Life {
        assignment,
        machine,
        parent,
        facts,
        orders,
        ordered: None,
        door: None,
        unsure: None,
        starting: None,
    };
    let place = life.place().await;
    let ending = match place {
        Some(place) => life.with_place(place).await,
        None => Ending::plain(Outcome::Cancelled, "ended before it began"),
    };
    life.facts.ended();
    life.machine.live.leave(&life.assignment.session);
    // A phase that is gone hears of the end from the journal's open effects.
    let _ = life.parent.told(life.assignment.attempt().clone(), News::Ended(ending));
}

impl Life {
    /// Waits for a place on this machine and in its tree of runs, unless an order ends the attempt first.
    async fn place(&mut self) -> Option<(OwnedSemaphorePermit, TreePlace)> {
        let (machine, run) = (self.machine.clone(), self.assignment.session.run.clone());
        let lives = self.is_minded();
        let place = async move {
            let own = machine.place().await?;
            let family = &machine.live.family;
            Some((own, if lives { family.has_place(&run) } else { family.place(&run).await }))
        };
        tokio::pin!(place);
        loop {
            tokio::select! {
                biased;
                place = &mut place => return place,
                order = self.orders.recv() => match order {
                    Some(Order::End(_)) | None => return None,
                    // Whoever asked may have gone; that is no trouble of the session's.
                    Some(Order::Look(reply)) => drop(reply.send(look::waiting_view(&self.facts))),
                    // There is no terminal yet; whoever asks for it hears that by the lost reply.
                    Some(_) => {}
                }
            }
        }
    }

    async fn with_place(&mut self, _place: (OwnedSemaphorePermit, TreePlace)) -> Ending {
        if let Some(chosen) = way::chosen(&self.facts.folder) {
            way::apply(&mut self.assignment, &chosen);
        }
        let mut begins = 0;
        let (over, rest, terminal) = loop {
            begins += 1;
            match self.begin().await {
                Begin::Never(ending) => return ending,
                Begin::Again if begins < BEGINS_MAX => tokio::time::sleep(BEGIN_PAUSE).await,
                Begin::Again => {
                    return Ending::plain(Outcome::Lost { reason: UNSETTLED.to_owned() }, "its folder");
                }
                Begin::Over(over, rest) => break (over, rest, None),
                Begin::Terminal(reached) => {
                    let terminal = reached.terminal.clone();
                    let (over, drawn, prepared) = Follow::new(self, *reached).until_over().await;
                    // A minder lets a node go that does not listen for long; that ends no session.
                    if matches!(over, Over::Lost(_)) && begins < BEGINS_MAX && self.is_minded() {
                        continue;
                    }
                    break (over, Some((drawn, prepared)), Some(terminal));
                }
            }
        };
        self.end_with(terminal, over, rest).await
    }

    fn is_minded(&self) -> bool {
        keeper::is_minded(&self.facts.folder)
    }

    /// The exit is written down, so the minder leaves while the answer is read. What is not to be recorded it takes
    /// along, and so it stays until then.
    async fn end_with(
        &mut self,
        terminal: Option<Terminal>,
        over: Over,
        rest: Option<(Drawn, Prepared)>,
    ) -> Ending {
        if let Some(terminal) = terminal.as_ref().filter(|_| self.assignment.worker.session.record) {
            return tokio::join!(acknowledge(terminal), self.end(over, rest)).1;
        }
        let ending = self.end(over, rest).await;
        match &terminal {
            Some(terminal) => acknowledge(terminal).await,
            None => keeper::release(&self.facts.folder).await,
        }
        ending
    }

    async fn begin(&mut self) -> Begin {
        let folder = self.facts.folder.clone();
        match self.open(&folder).await {
            Ok(Opened::Never) => self.start().await,
            Ok(Opened::Live(terminal)) => self.take_up(terminal).await,
            Ok(Opened::Ended(exit)) => Begin::Over(Over::Exited(exit), self.redrawn().await),
            Ok(Opened::Lost(lost)) => Begin::Over(Over::Lost(lost), self.redrawn().await),
            Err(error) => {
                let reason = chain(&error);
                Begin::Never(Ending::plain(Outcome::Lost { reason }, "the session's folder"))
            }
        }
    }

    /// What an earlier node has drawn up and made ready, so that it is put away as well.
    async fn redrawn(&self) -> Option<(Drawn, Prepared)> {
        let (assignment, machine) = (Arc::clone(&self.assignment), self.machine.clone());
        let drawn = blocking(move || prepare::draw(&assignment, &machine)).await;
        drawn.ok().map(|drawn| (drawn, Prepared::default()))
    }

    async fn open(&self, folder: &std::path::Path) -> Result<Opened, OpenError> {
        let mut tries = 1;
        loop {
            match Terminal::open(folder).await {
                Err(OpenError::Silent { .. }) if tries < OPEN_TRIES_MAX => {
                    tokio::time::sleep(OPEN_PAUSE * tries).await;
                    tries += 1;
                }
                opened => return opened,
            }
        }
    }

    /// Starts the program in a new terminal.
    async fn start(&mut self) -> Begin {
        self.facts.does("is prepared");
        if let Some(ending) = self.spared() {
            return Begin::Never(ending);
        }
        if let Err(ending) = self.choose_way().await {
            return Begin::Never(*ending);
        }
        let (assignment, machine) = (Arc::clone(&self.assignment), self.machine.clone());
        let turn = self.turn().await;
        let prepared = self.with_chores(move |chores| {
            let drawn = prepare::draw(&assignment, &machine)?;
            let (program, prepared) = prepare::ready(&assignment, &drawn, &chores)?;
            Ok((drawn, program, prepared))
        });
        let prepared = prepared.await.unwrap_or_else(|error| Err(broke(&error)));
        let (drawn, program, prepared) = match (prepared, self.ordered) {
            (Ok(ready), None) => ready,
            (Ok((drawn, _, prepared)), Some(reason)) => {
                self.put_away(drawn, prepared).await;
                return Begin::Never(ended_by(reason));
            }
            (Err(_), Some(reason)) => return Begin::Never(ended_by(reason)),
            (Err(ending), None) => return Begin::Never(*ending),
        };
        drop(turn);
        self.open_door();
        if let Some(profile) =
            finish::profile_of(&self.assignment).filter(|profile| !profile.errors.is_empty())
        {
            self.starting = self.machine.starts.turn(&profile.id).await;
        }
        crate::failpoint::hit("session.before_start");
        let folder = self.facts.folder.clone();
        self.facts.is_at(program.cwd.clone());
        match self.machine.keeper.start(&folder, &program).await {
            Ok(terminal) => {
                crate::failpoint::hit("session.after_start");
                self.runs(&terminal);
                let glass = Glass::new(&folder, (program.cols, program.rows), clock::now_ms());
                Begin::Terminal(Box::new(Reached { terminal, drawn, prepared, glass, taken_up: false }))
            }
            // An earlier node's order was carried out while this one was on its way, or the answer to this one did
            // not come: the folder knows.
            Err(keeper::StartError::Taken { .. } | keeper::StartError::Lost) => Begin::Again,
            Err(error) => {
                self.put_away(drawn, prepared).await;
                Begin::Never(*prepare::not_started(&error))
            }
        }
    }

    /// The end of an attempt whose provider has just refused everybody, so that it is not asked. Where there is nobody
    /// else, one that may be back any time is asked all the same.
    fn spared(&self) -> Option<Ending> {
        let key = self.provider()?;
        let (open, left_ms) = self.machine.breakers.stands(&key)?;
        if self.assignment.worker.models.len() < 2 && !open.class.passes() {
            return None;
        }
        let left_s = left_ms.div_ceil(1000);
        let reason = format!("not asked for another {left_s} s: {}", open.reason);
        let outcome = Outcome::Unavailable { class: open.class, reason };
        let mut ending = Ending::plain(outcome, "the breaker of its provider");
        ending.again_in_ms = Some(left_ms);
        ending.usage = Some(niia_spec::usage::Usage { cost_usd_millionths: Some(0), ..Default::default() });
        Some(ending)
    }

    fn provider(&self) -> Option<String> {
        let profile = finish::profile_of(&self.assignment)?;
        breakers::key(profile, self.assignment.model_plan()?, &self.assignment.context.origin.env)
    }

    /// Finds out whether its program holds a conversation, where no earlier node has.
    async fn choose_way(&mut self) -> Result<(), Box<Ending>> {
        if way::chosen(&self.facts.folder).is_some() {
            return Ok(());
        }
        let (assignment, tools) = (Arc::clone(&self.assignment), self.machine.tools.clone());
        let folder = self.facts.folder.clone();
        let chosen = blocking(move || {
            let unwritten = |error| prepare::failed(format!("{}: {error}", folder.display()));
            way::choose(&assignment, &tools).map_err(unwritten)
        });
        if let Some(chosen) = chosen.await? {
            way::apply(&mut self.assignment, &chosen);
        }
        Ok(())
    }

    /// Takes up a terminal that an earlier node opened.
    async fn take_up(&mut self, terminal: Terminal) -> Begin {
        self.runs(&terminal);
        self.open_door();
        let folder = self.facts.folder.clone();
        let (assignment, machine) = (Arc::clone(&self.assignment), self.machine.clone());
        let taken = blocking(move || {
            let size = (assignment.worker.session.cols, assignment.worker.session.rows);
            let glass = Glass::taken_up(&folder, size, clock::now_ms());
            let glass = glass.map_err(|error| prepare::failed(chain(&error)))?;
            let drawn = prepare::draw(&assignment, &machine)?;
            Ok((glass, drawn))
        });
        match taken.await {
            Ok((glass, drawn)) => {
                self.facts.is_at(drawn.launch.cwd.clone());
                let prepared = Prepared::default();
                Begin::Terminal(Box::new(Reached { terminal, drawn, prepared, glass, taken_up: true }))
            }
            Err(ending) => Begin::Never(*ending),
        }
    }

    /// A sandboxed session reaches the node by a socket of its own.
    fn open_door(&mut self) {
        let Some(doors) =
            self.machine.doors.as_ref().filter(|_| self.assignment.worker.session.sandbox.is_some())
        else {
            return;
        };
        let socket = prepare::control_socket(&self.facts.folder);
        match doors.open(&self.assignment.session, &socket) {
            Ok(door) => self.door = Some(door),
            // The session works on; what fails is `niia` inside it, and that says so itself.
            Err(error) => {
                tracing::warn!(session = %self.assignment.session, %error, "the session cannot reach the node");
            }
        }
    }

    /// Nobody is left who could knock.
    fn shut_door(&mut self) {
        self.door = None;
        if self.assignment.worker.session.sandbox.is_some() {
            // Where it was never opened there is nothing to remove.
            let _ = std::fs::remove_file(prepare::control_socket(&self.facts.folder));
        }
    }

    fn runs(&self, terminal: &Terminal) {
        let minder = Recording::open(&self.facts.folder).map(|recording| recording.start().minder);
        self.facts.runs_as(minder.unwrap_or_default(), terminal.pid());
        self.facts.does("runs");
        // A phase that is gone will be told the end, which says as much.
        let _ = self.parent.told(self.assignment.attempt().clone(), News::Started);
    }

    /// What remains to be done once the program is gone.
    async fn end(&mut self, over: Over, rest: Option<(Drawn, Prepared)>) -> Ending {
        self.facts.does("is brought to its end");
        self.starting = None;
        if let Over::Lost(_) = over {
            self.sweep().await;
        }
        self.shut_door();
        let (assignment, machine) = (Arc::clone(&self.assignment), self.machine.clone());
        let (ordered, unsure) = (self.ordered, self.unsure.take());
        let _turn = self.turn().await;
        let ending = self.with_chores(move |chores| {
            // A session that ended while no node was there is put away by what is known of it.
            let rest = match rest {
                Some(rest) => Ok(rest),
                None => prepare::draw(&assignment, &machine).map(|drawn| (drawn, Prepared::default())),
            };
            match &rest {
                Ok(rest) => prepare::put_away(&assignment, &machine, rest, &chores),
                Err(ending) => tracing::warn!(session = %assignment.session, ?ending, "nothing is put away"),
            }
            crate::failpoint::hit("session.before_commit");
            let ending = finish::finish(&assignment, &over, &finish::Ordered { by: ordered, unsure });
            crate::failpoint::hit("session.after_commit");
            ending
        });
        let ending = ending.await.unwrap_or_else(|error| *broke(&error));
        if let Some(key) = self.provider() {
            self.machine.breakers.note(&key, &ending.outcome, ending.again_in_ms);
        }
        ending
    }

    /// Waits for a turn at the disk, where nothing but small files is at stake: a thousand threads are no faster at that
    /// than a few. Work with git and commands of the user's own, which may take long, holds nobody up.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let session = &self.assignment.worker.session;
        let commands = [&session.setup, &session.teardown, &session.plugins];
        let long =
            finish::tree_of(&self.assignment).is_some() || commands.iter().any(|list| !list.is_empty());
        if long { None } else { self.machine.turn().await }
    }

    /// Ends what a killed minder may have left behind.
    async fn sweep(&self) {
        let folder = self.facts.folder.clone();
        let swept = tokio::task::spawn_blocking(move || keeper::sweep(&folder)).await;
        match swept {
            Ok(Ok(swept)) => {
                tracing::warn!(session = %self.assignment.session, ?swept, "its minder was killed")
            }
            Ok(Err(error)) => {
                tracing::error!(session = %self.assignment.session, %error, "leftovers cannot be found")
            }
            Err(error) => tracing::error!(session = %self.assignment.session, %error, "the sweep broke"),
        }
    }

    async fn put_away(&mut self, drawn: Drawn, prepared: Prepared) {
        self.shut_door();
        let (assignment, machine) = (Arc::clone(&self.assignment), self.machine.clone());
        let done = self.with_chores(move |chores| {
            prepare::put_away(&assignment, &machine, &(drawn, prepared), &chores);
        });
        if let Err(error) = done.await {
            tracing::error!(session = %self.assignment.session, %error, "putting away broke");
        }
    }
}

async fn acknowledge(terminal: &Terminal) {
    crate::failpoint::hit("session.before_acknowledge");
    terminal.acknowledge().await;
    crate::failpoint::hit("session.after_acknowledge");
}

/// Work with files and git, away from the threads that everybody shares.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Box<Ending>> + Send + 'static,
) -> Result<T, Box<Ending>> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(broke(&error)),
    }
}

fn broke(error: &tokio::task::JoinError) -> Box<Ending> {
    prepare::failed(format!("niia itself broke: {error}"))
}

/// An attempt that was ended while it was being prepared.
fn ended_by(reason: EndReason) -> Ending {
    let outcome = match reason {
        EndReason::TimedOut => Outcome::TimedOut,
        EndReason::Cancelled | EndReason::NotNeeded => Outcome::Cancelled,
    };
    Ending::plain(outcome, "ended while it was prepared")
}

//! Following a run: shows each change until it is over, and asks what an interruption means.

mod feed;
mod interrupt;
mod show;

use std::io::IsTerminal;
use std::time::Duration;

use niia_spec::course::RunOutcome;
use niia_spec::notice::{PhaseState, RunState, RunView};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use self::feed::{Feed, News};
use self::interrupt::{Interrupts, Wish};
use self::show::Show;
use super::Caller;
use crate::control::client::Client;
use crate::control::words::Request;
use crate::failure::{Exit, Failure};
use crate::notify::Notifier;

/// A live table is painted at most this often: faster is only flicker.
const REPAINT_EVERY: Duration = Duration::from_millis(100);

/// A live table is painted at least this often, for its times.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// How the following ended.
#[derive(Debug)]
pub enum Followed {
    /// The run is over; this is its last view.
    Over { view: Box<RunView>, exit: Exit },
    /// It goes on without anybody who looks.
    Detached,
}

/// One run that is being followed.
struct Follower<'a> {
    caller: &'a Caller,
    run: String,
    show: Show,
    notifier: Notifier,
    interrupts: Interrupts,
    view: Option<RunView>,
    /// How many phases wait for a person, as far as that was told.
    asking_told: usize,
    unpainted: bool,
    painted_at: Instant,
    ticks: Interval,
}

/// Follows a run until it is over or the person leaves it to itself.
pub async fn follow(caller: &Caller, run: &str, client: Client, ask: bool) -> Result<Followed, Failure> {
    let mut ticks = tokio::time::interval(REPAINT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let person = ask && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let mut follower = Follower {
        caller,
        run: run.to_owned(),
        show: Show::new(caller),
        notifier: Notifier::new(&caller.config()?),
        interrupts: Interrupts::listen(person)?,
        view: None,
        asking_told: 0,
        unpainted: false,
        painted_at: Instant::now(),
        ticks,
    };
    let feed = Feed::open(caller.folders.clone(), run.to_owned(), client);
    follower.until_over(feed).await
}

impl Follower<'_> {
    async fn until_over(&mut self, mut feed: Feed) -> Result<Followed, Failure> {
        loop {
            tokio::select! {
                news = feed.next() => match news {
                    News::View(view) => self.see(*view).await?,
                    News::Lost => self.show.word("the node went away; looking for it")?,
                    News::Back => self.show.word("the node is back")?,
                    News::Failed(error) => return Err(Failure::of_client(error).help(self.goes_on())),
                    News::End(outcome) => return self.over(outcome).await,
                },
                _ = self.ticks.tick(), if self.show.is_live() => self.repaint()?,
                wish = self.interrupts.next() => if let Some(followed) = self.wished(wish).await? {
                    return Ok(followed);
                },
            }
        }
    }

    fn goes_on(&self) -> String {
        format!("whatever became of the node, the run is kept: `niia status {}`", self.run)
    }

    async fn see(&mut self, view: RunView) -> Result<(), Failure> {
        let asking: Vec<&str> = view
            .phases
            .iter()
            .filter(|phase| phase.state == PhaseState::Asking)
            .map(|phase| phase.phase.as_str())
            .collect();
        if asking.len() > self.asking_told {
            let phases = asking.join(", ");
            self.notifier.tell(&format!("niia: {} waits for you: may {phases} begin?", self.run)).await;
        }
        self.asking_told = asking.len();
        self.show.view(&view)?;
        self.view = Some(view);
        self.unpainted = true;
        Ok(())
    }

    fn repaint(&mut self) -> Result<(), Failure> {
        let due = self.unpainted || self.painted_at.elapsed() >= TICK_EVERY;
        match &self.view {
            Some(view) if due => {
                self.show.paint(view, self.interrupts.question())?;
                self.unpainted = false;
                self.painted_at = Instant::now();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn wished(&mut self, wish: Wish) -> Result<Option<Followed>, Failure> {
        self.unpainted = true;
        match wish {
            Wish::Question => {
                self.show.question(self.interrupts.question())?;
                Ok(None)
            }
            Wish::GoOn => Ok(None),
            Wish::Detach => {
                self.show.word(&format!("detached; `niia status {}` shows how it goes", self.run))?;
                Ok(Some(Followed::Detached))
            }
            Wish::Cancel => {
                self.show.word("cancelling")?;
                let reason = "interrupted by a person".to_owned();
                let mut client = Client::reach(&self.caller.folders).await?;
                match client.ask(Request::Cancel { run: Some(self.run.clone()), reason }).await {
                    Ok(_) => Ok(None),
                    Err(error) => {
                        self.show.word(&format!("could not cancel: {error}"))?;
                        Ok(None)
                    }
                }
            }
        }
    }

    async fn over(&mut self, outcome: Option<RunOutcome>) -> Result<Followed, Failure> {
        let Some(mut view) = self.view.take() else {
            return Err(Failure::out_of_turn("follow"));
        };
        if let Some(outcome) = outcome {
            let (state, reason) = RunState::of(&outcome);
            view.state = state;
            view.reason = view.reason.or(reason);
        }
        self.show.end(&view)?;
        let word = crate::report::run::state_word(view.state);
        let what = if view.state.is_over() { "is over" } else { "waits for you" };
        self.notifier.tell(&format!("niia: {} {what}: {word}", self.run)).await;
        Ok(Followed::Over { exit: exit_of(view.state), view: Box::new(view) })
    }
}

/// The exit code that says how a run stands.
pub fn exit_of(state: RunState) -> Exit {
    match state {
        RunState::Done | RunState::Running => Exit::Done,
        RunState::NeedsAttention => Exit::Attention,
        RunState::Failed | RunState::Cancelled | RunState::Quarantined => Exit::Failed,
    }
}

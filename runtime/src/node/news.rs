//! Telling a person of a run that nobody looks at: the node runs the user's `notify` program where no command line does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use niia_actors::run::RunNews;
use niia_spec::name::RunId;
use tokio::sync::mpsc;

use crate::appointments::AppointmentsHandle;
use crate::notify::Notifier;
use crate::report::run::state_word;

/// A command line that was told the end of a run this moment tells its person.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// So many endings are remembered for that long; past it somebody may be told twice.
const TOLD_MAX: usize = 1_024;

/// Who follows which run just now.
#[derive(Clone, Debug, Default)]
pub struct Followers(Arc<Mutex<HashMap<RunId, Following>>>);

#[derive(Debug, Default)]
struct Following {
    now: u32,
    left: Option<Instant>,
}

/// One command line that follows a run.
#[derive(Debug)]
pub struct Follower {
    all: Followers,
    run: RunId,
    /// It was told how the run came to rest.
    pub told: bool,
}

impl Followers {
    pub fn enter(&self, run: &RunId) -> Follower {
        self.with(|runs| runs.entry(run.clone()).or_default().now += 1);
        Follower { all: self.clone(), run: run.clone(), told: false }
    }

    /// Whether somebody sees what becomes of the run.
    fn look_at(&self, run: &RunId) -> bool {
        let told = |at: Instant| at.elapsed() < TOLD_WITHIN;
        self.with(|runs| runs.get(run).is_some_and(|one| one.now > 0 || one.left.is_some_and(told)))
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<RunId, Following>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let (run, told) = (&self.run, self.told);
        self.all.with(|runs| {
            if let Some(one) = runs.get_mut(run) {
                one.now = one.now.saturating_sub(1);
                one.left = told.then(Instant::now);
            }
            let keep = |one: &Following| one.now > 0 || one.left.is_some_and(|at| at.elapsed() < TOLD_WITHIN);
            runs.retain(|_, one| keep(one));
            if runs.len() > TOLD_MAX {
                runs.retain(|_, one| one.now > 0);
            }
        });
    }
}

/// Tells what nobody sees, one thing after the other.
pub async fn tell(
    mut news: mpsc::UnboundedReceiver<RunNews>,
    followers: Followers,
    notifier: Notifier,
    appointments: AppointmentsHandle,
) {
    let (on, mut passed_on) = mpsc::unbounded_channel();
    // A person's program may take its time; what waits for the end of a run does not wait for that.
    tokio::spawn(async move {
        while let Some(news) = news.recv().await {
            if let RunNews::Over { run, .. } = &news {
                appointments.over(run.clone());
            }
            // A node that is going down tells nobody.
            drop(on.send(news));
        }
    });
    while let Some(news) = passed_on.recv().await {
        let (run, text) = match &news {
            RunNews::Asks { run, phase } => (run, format!("niia: {run} waits for you: may {phase} begin?")),
            RunNews::Shows { session, what } => (
                &session.run,
                format!("niia: {session} waits for you: {what}; `niia approve` or `niia deny` it"),
            ),
            RunNews::Waits { run } => (run, format!("niia: {run} waits for you: needs attention")),
            RunNews::Over { inside: true, .. } => continue,
            RunNews::Over { run, state, .. } => (run, format!("niia: {run} is over: {}", state_word(*state))),
        };
        if !followers.look_at(run) {
            notifier.tell(&text).await;
        }
    }
}

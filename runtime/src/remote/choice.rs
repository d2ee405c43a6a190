//! Which of several machines an attempt is made on: the first choice one of whose machines is there, and among those the
//! least loaded. Where an attempt was given stands on disk before it is given, so that nobody has it a second time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use niia_actors::machine::{Assignment, Machine, Starting};
use niia_actors::phase::PhaseHandle;
use niia_net::identity::NodeId;
use tokio::task::JoinSet;

use super::machine::Remotes;
use crate::control::server::node_of_peer;

/// How long a machine may take to say how loaded it is before another one is taken.
const ASK_WITHIN: Duration = Duration::from_secs(4);

/// A machine that could be taken; nothing for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: Option<NodeId>,
    /// So many sessions of this node it may have at a time.
    pub bound: Option<u32>,
}

/// How loaded a place is, where it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    sessions: u32,
    /// The bound of the document is reached.
    full: bool,
}

/// The index of the place that is taken: of the first choice that has one that answers, the least loaded, and of those
/// alike the first. One that is full is taken only where every other one is.
fn choose(choices: &[Vec<Option<Load>>]) -> Option<(usize, usize)> {
    let best = |full: bool| {
        choices.iter().enumerate().find_map(|(choice, places)| {
            let there = places.iter().enumerate().filter_map(|(n, load)| Some((n, (*load)?)));
            let fits = there.filter(|(_, load)| full || !load.full);
            fits.min_by_key(|(n, load)| (load.sessions, *n)).map(|(n, _)| (choice, n))
        })
    };
    best(false).or_else(|| best(true))
}

/// Several machines, one of which is taken when the attempt begins.
#[derive(Debug)]
pub struct Choice {
    pub choices: Vec<Vec<Place>>,
    pub remotes: Remotes,
}

impl Choice {
    /// Asks all side by side how many sessions they have.
    async fn asked(&self) -> Vec<Vec<Option<u32>>> {
        let mut asking = JoinSet::new();
        for (choice, places) in self.choices.iter().enumerate() {
            for (n, place) in places.iter().enumerate() {
                let (remotes, place) = (self.remotes.clone(), *place);
                asking.spawn(async move { (choice, n, sessions(&remotes, place).await) });
            }
        }
        let mut all: Vec<Vec<Option<u32>>> =
            self.choices.iter().map(|places| vec![None; places.len()]).collect();
        while let Some(asked) = asking.join_next().await {
            match asked {
                Ok((choice, n, sessions)) => all[choice][n] = sessions,
                Err(error) => tracing::warn!(%error, "a machine could not be asked for its load"),
            }
        }
        all
    }

    /// With what was given since: it may not live yet.
    fn loads(&self, asked: &[Vec<Option<u32>>]) -> Vec<Vec<Option<Load>>> {
        let load = |place: &Place, sessions: u32| {
            let given = match place.id {
                Some(id) => self.remotes.count_with(&id),
                None => u32::try_from(self.remotes.live.count()).unwrap_or(u32::MAX),
            };
            Load { sessions: sessions.max(given), full: place.bound.is_some_and(|bound| given >= bound) }
        };
        let each = |(places, asked): (&Vec<Place>, &Vec<Option<u32>>)| {
            places.iter().zip(asked).map(|(place, sessions)| Some(load(place, (*sessions)?))).collect()
        };
        self.choices.iter().zip(asked).map(each).collect()
    }
}

async fn sessions(remotes: &Remotes, place: Place) -> Option<u32> {
    let Some(id) = place.id else { return Some(0) };
    let asked = tokio::time::timeout(ASK_WITHIN, node_of_peer(&remotes.network, &id)).await;
    Some(asked.ok()?.ok()?.sessions_live)
}

impl Machine for Choice {
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_> {
        Box::pin(async move {
            let asked = self.asked().await;
            let _turn = self.remotes.choosing.lock().await;
            let (choice, n) = choose(&self.loads(&asked)).unwrap_or_default();
            let place = self.choices.get(choice).and_then(|places| places.get(n));
            match place.and_then(|place| place.id) {
                Some(id) => {
                    Placed::There(id).write(&assignment).await;
                    self.remotes.carry(id, assignment, parent).await
                }
                None => {
                    Placed::Here.write(&assignment).await;
                    self.remotes.here.start(assignment, parent).await
                }
            }
        })
    }
}

/// Where an attempt was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    Here,
    There(NodeId),
}

fn file(session_folder: &Path) -> PathBuf {
    session_folder.join("machine")
}

impl Placed {
    pub fn read(session_folder: &Path) -> Option<Placed> {
        let text = std::fs::read_to_string(file(session_folder)).ok()?;
        if text == "here" { Some(Placed::Here) } else { text.parse().ok().map(Placed::There) }
    }

    /// Writes it down before anybody is given the attempt.
    pub async fn write(self, assignment: &Assignment) {
        let folder = assignment.context.session_folder(assignment.attempt());
        let text = match self {
            Placed::Here => "here".to_owned(),
            Placed::There(id) => id.to_string(),
        };
        let written = tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            super::guest::write_whole(&file(&folder), text.as_bytes())
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!(session = %assignment.session, %error, "where an attempt is made is not on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(sessions: u32, full: bool) -> Option<Load> {
        Some(Load { sessions, full })
    }

    #[test]
    fn the_first_choice_that_answers_is_taken_and_of_several_the_least_loaded() {
        for (choices, taken) in [
            (vec![vec![is(9, false)], vec![is(0, false)]], Some((0, 0))),
            (vec![vec![None], vec![is(5, false)]], Some((1, 0))),
            (vec![vec![is(3, false), None, is(1, false), is(1, false)]], Some((0, 2))),
            (vec![vec![is(0, true), is(7, false)]], Some((0, 1))),
            (vec![vec![is(4, true)], vec![is(9, false)]], Some((1, 0))),
            (vec![vec![is(4, true), is(2, true)]], Some((0, 1))),
            (vec![vec![None], vec![None]], None),
            (vec![], None),
        ] {
            assert_eq!(choose(&choices), taken, "{choices:?}");
        }
    }
}

//! The way to the machine that works: being opened, open, or not there. What is said waits its turn, so that hearing
//! never waits for saying.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::git::ObjectId;
use niia_net::identity::NodeId;
use niia_spec::course::EndReason;
use niia_spec::name::SessionId;

use super::Trouble;
use super::home::Home;
use crate::network::Network;
use crate::remote::pad::Have;
use crate::remote::talk::{Ear, Mouth, Talk};
use crate::remote::words::{Purpose, Word};

/// How long the last word is waited for to be heard.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);

type Speaking = Pin<Box<dyn Future<Output = Result<Mouth, Trouble>> + Send>>;

/// Something to be said.
#[derive(Debug)]
pub enum Say {
    /// What the attempt needs, less these commits, which are there.
    Everything(Vec<ObjectId>),
    /// That home is there, and what has changed in its scratchpad.
    Beat,
    End(EndReason),
    Have(Have),
}

/// What comes over the way.
#[derive(Debug)]
pub enum Came {
    Open(Talk),
    Word(Word, Vec<u8>),
    Trouble(Trouble),
}

pub enum Way {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<Talk, Trouble>> + Send>>),
    Open(Open),
}

pub struct Open {
    ear: Ear,
    /// With whoever is speaking just now, else here.
    mouth: Option<Mouth>,
    speaking: Option<Speaking>,
    waiting: VecDeque<Say>,
}

impl Way {
    /// Begins to open a way, after a pause.
    pub fn open(
        network: &Arc<Network>,
        id: NodeId,
        session: SessionId,
        repository: Option<String>,
        pause: Duration,
    ) -> Way {
        let network = Arc::clone(network);
        Way::Opening(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let link = network.reach(&id).await.map_err(|error| Trouble::Broken(chain(&error)))?;
            let stream = link.open(&Purpose::Work { session, repository }).await;
            Ok(Talk::over(stream.map_err(|error| Trouble::Broken(chain(&error)))?))
        }))
    }

    pub fn with(talk: Talk) -> Way {
        let (ear, mouth) = talk.parts();
        Way::Open(Open { ear, mouth: Some(mouth), speaking: None, waiting: VecDeque::new() })
    }

    /// What comes next. May be dropped while it waits.
    pub async fn next(&mut self, home: &Home) -> Came {
        match self {
            Way::Closed => std::future::pending().await,
            Way::Opening(opening) => opening.await.map_or_else(Came::Trouble, Came::Open),
            Way::Open(open) => open.next(home).await,
        }
    }

    pub fn say(&mut self, what: impl IntoIterator<Item = Say>) {
        if let Way::Open(open) = self {
            open.waiting.extend(what);
        }
    }

    /// A beat is worth nothing behind other words: those say as much.
    pub fn beat(&mut self) {
        if let Way::Open(open) = self
            && open.speaking.is_none()
            && open.waiting.is_empty()
        {
            open.waiting.push_back(Say::Beat);
        }
    }

    /// Says that what came of it is safe at home. Where that is not heard, the machine asks.
    pub async fn collected(self) {
        let Way::Open(mut open) = self else { return };
        let said = async {
            let mut mouth = match (open.mouth, open.speaking) {
                (Some(mouth), _) => mouth,
                (None, Some(speaking)) => speaking.await.ok()?,
                (None, None) => return None,
            };
            mouth.say(&Word::Collected).await.ok()?;
            // It leaves when it has heard.
            while open.ear.next().await.is_ok() {}
            Some(())
        };
        // Not to be heard is no trouble: it asks by itself.
        let _ = tokio::time::timeout(GOODBYE_WITHIN, said).await;
    }
}

impl Open {
    async fn next(&mut self, home: &Home) -> Came {
        loop {
            self.speak(home);
            tokio::select! {
                heard = self.ear.next() => return match heard {
                    Ok((word, carried)) => Came::Word(word, carried),
                    Err(error) => Came::Trouble(error.into()),
                },
                said = spoken(&mut self.speaking) => {
                    self.speaking = None;
                    match said {
                        Ok(mouth) => self.mouth = Some(mouth),
                        Err(trouble) => return Came::Trouble(trouble),
                    }
                }
            }
        }
    }

    /// Begins to say what comes next, where nothing is being said.
    fn speak(&mut self, home: &Home) {
        if self.waiting.is_empty() {
            return;
        }
        if let Some(mouth) = self.mouth.take()
            && let Some(what) = self.waiting.pop_front()
        {
            self.speaking = Some(Box::pin(said(home.clone(), mouth, what)));
        }
    }
}

async fn spoken(speaking: &mut Option<Speaking>) -> Result<Mouth, Trouble> {
    match speaking {
        Some(speaking) => speaking.await,
        None => std::future::pending().await,
    }
}

async fn said(home: Home, mut mouth: Mouth, what: Say) -> Result<Mouth, Trouble> {
    match what {
        Say::Everything(known) => home.give(&mut mouth, known).await?,
        Say::Beat => {
            mouth.say(&Word::Beat).await?;
            home.step(&mut mouth).await?;
        }
        Say::End(reason) => mouth.say(&Word::End { reason }).await?,
        Say::Have(Have { path, version }) => mouth.say(&Word::Have { path, version }).await?,
    }
    Ok(mouth)
}

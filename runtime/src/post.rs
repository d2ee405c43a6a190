//! Letters for people: told on this machine, and brought to every paired machine the document names.
//!
//! A letter on its way is in the journal until the other machine has it; there it lies in the journal as well, under the
//! same name, so that bringing it twice is no second letter.

use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::journal::{Journal, Put};
use niia_actors::mailbox::Letter;
use niia_net::identity::NodeId;
use niia_net::link::Link;
use niia_net::wire::Hello;
use niia_spec::name::RunId;
use niia_spec::notice::InboxView;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::control::SPOKEN;
use crate::control::parts::{self, Unpacker};
use crate::control::words::{Reply, Request};
use crate::network::Network;
use crate::notify::Notifier;
use crate::remote::Purpose;
use crate::report::neutral;

/// Letters of other machines that are kept here; the oldest goes when there are more.
const INBOX_MAX: usize = 1_000;
/// Letters on their way; what is written beyond them stays on the run's own machine alone.
const OUTBOX_MAX: usize = 10_000;
/// How often a machine that was not reached is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long one machine may take.
const BROUGHT_WITHIN: Duration = Duration::from_secs(10);
/// Characters of a letter that a notification shows.
const SHOWN_CHARS: usize = 120;

const INBOX: &str = "inbox";
const OUTBOX: &str = "outbox";

/// The post office of a node.
#[derive(Clone, Debug)]
pub struct Post {
    journal: Journal,
    network: Option<Arc<Network>>,
    notifier: Notifier,
    more: Arc<Notify>,
    /// One is told at a time; of a flood the first is told, and the inbox has the rest.
    telling: Arc<tokio::sync::Mutex<()>>,
}

/// A letter on its way to another machine.
#[derive(Debug, Serialize, Deserialize)]
struct OnItsWay {
    /// The machine, as the document names it.
    host: String,
    letter: InboxView,
}

/// A letter of another machine's run, and whether it was read.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    letter: InboxView,
    read: bool,
}

impl Post {
    pub fn new(journal: Journal, network: Option<Arc<Network>>, notifier: Notifier) -> Post {
        let post = Post { journal, network, notifier, more: Arc::default(), telling: Arc::default() };
        if post.network.is_some() {
            tokio::spawn(post.clone().bring());
        }
        post
    }

    /// A run has written to people.
    pub async fn written(&self, run: RunId, hosts: Vec<String>, letter: Letter) {
        let told = letter.text.clone();
        let letter = InboxView { run, letter: crate::control::server::letter_view(letter) };
        let named = |host: &String| {
            let network = self.network.as_ref();
            network.is_some_and(|network| network.named(host).is_ok())
        };
        let puts: Vec<Put> = hosts
            .into_iter()
            .filter(named)
            .map(|host| {
                let name = format!("{host}/{}/{}", letter.run, letter.letter.id);
                Put::value(OUTBOX, &name, json(&OnItsWay { host, letter: letter.clone() }))
            })
            .collect();
        if !puts.is_empty() {
            match self.journal.shelve(puts).await {
                Ok(_) => self.more.notify_one(),
                Err(error) => tracing::error!(error = chain(&error), "a letter is not sent on"),
            }
        }
        self.tell_person(&letter.run, &told).await;
    }

    /// A letter comes from another machine; false where it was here already.
    pub async fn brought(&self, letter: InboxView) -> Result<bool, String> {
        let room = self.journal.room(INBOX).map_err(|error| chain(&error))?.values;
        let name = format!("{:020}/{}/{}", letter.letter.at_ms, letter.run, letter.letter.id);
        if room.iter().any(|(known, _)| *known == name) {
            return Ok(false);
        }
        let mut puts: Vec<Put> = Vec::new();
        let too_many = (room.len() + 1).saturating_sub(INBOX_MAX);
        puts.extend(room.iter().take(too_many).map(|(oldest, _)| Put::nothing(INBOX, oldest)));
        let (run, text) = (letter.run.clone(), letter.letter.text.clone());
        puts.push(Put::value(INBOX, &name, json(&Kept { letter, read: false })));
        self.journal.shelve(puts).await.map_err(|error| chain(&error))?;
        let post = self.clone();
        tokio::spawn(async move { post.tell_person(&run, &text).await });
        Ok(true)
    }

    /// What other machines' runs wrote to people here; taking them marks them as read.
    pub async fn letters(&self, all: bool, take: bool) -> Result<Vec<InboxView>, String> {
        let room = self.journal.room(INBOX).map_err(|error| chain(&error))?;
        let mut letters = Vec::new();
        let mut puts = Vec::new();
        for (name, bytes) in room.values {
            let Ok(mut kept) = serde_json::from_slice::<Kept>(&bytes) else { continue };
            if kept.read && !all {
                continue;
            }
            kept.letter.letter.read = kept.read;
            letters.push(kept.letter.clone());
            if take && !kept.read {
                kept.read = true;
                puts.push(Put::value(INBOX, &name, json(&kept)));
            }
        }
        if !puts.is_empty() {
            self.journal.shelve(puts).await.map_err(|error| chain(&error))?;
        }
        Ok(letters)
    }

    async fn tell_person(&self, run: &RunId, text: &str) {
        let Ok(_telling) = self.telling.try_lock() else { return };
        let line = text.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(SHOWN_CHARS).collect();
        self.notifier.tell(&format!("niia: {run} wrote to you: {}", neutral(&shown))).await;
    }

    /// Brings what is on its way, until the node goes down.
    async fn bring(self) {
        loop {
            let waiting = match self.journal.room(OUTBOX) {
                Ok(room) => room.values,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "letters on their way cannot be read");
                    Vec::new()
                }
            };
            let mut left = 0;
            for (at, (name, bytes)) in waiting.into_iter().enumerate() {
                let brought = match serde_json::from_slice::<OnItsWay>(&bytes) {
                    Ok(letter) => self.bring_one(letter).await,
                    Err(error) => Err((error.to_string(), true)),
                };
                match brought {
                    // Of too many the oldest wait no longer, so that the newest come at all.
                    Err((reason, false)) if at < OUTBOX_MAX => {
                        tracing::debug!(letter = name, reason, "a letter waits");
                        left += 1;
                    }
                    brought => {
                        if let Err((reason, _)) = brought {
                            tracing::warn!(letter = name, reason, "a letter is not brought");
                        }
                        if let Err(error) = self.journal.shelve(vec![Put::nothing(OUTBOX, &name)]).await {
                            tracing::warn!(
                                error = chain(&error),
                                "a letter that was brought is brought again"
                            );
                        }
                    }
                }
            }
            if left == 0 {
                self.more.notified().await;
            } else {
                drop(tokio::time::timeout(AGAIN_AFTER, self.more.notified()).await);
            }
        }
    }

    /// The error says why, and whether trying again is of no use.
    async fn bring_one(&self, on_its_way: OnItsWay) -> Result<(), (String, bool)> {
        let OnItsWay { host, letter } = on_its_way;
        let network = self.network.as_ref().ok_or_else(|| ("there is no network".to_owned(), true))?;
        let id = network.named(&host).map_err(|reason| (reason, true))?;
        let asked =
            tokio::time::timeout(BROUGHT_WITHIN, ask(network, &id, Request::Letter(Box::new(letter))));
        match asked.await.map_err(|_| ("it does not answer".to_owned(), false))? {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Refused(refusal)) => Err((refusal.message, true)),
            Ok(_) => Err(("it answers something else".to_owned(), true)),
            Err(reason) => Err((reason, false)),
        }
    }
}

/// One question to another node, as its visitor.
async fn ask(network: &Network, id: &NodeId, request: Request) -> Result<Reply, String> {
    let link = network.reach(id).await.map_err(|error| chain(&error))?;
    let stream = link.open(&Purpose::Control).await.map_err(|error| chain(&error))?;
    let (reader, writer) = stream.into_inner();
    let mut far = Link::new(reader, writer);
    far.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await.map_err(|error| chain(&error))?;
    for part in parts::pack(request).map_err(|error| chain(&error))? {
        far.send(&part).await.map_err(|error| chain(&error))?;
    }
    let mut unpacker = Unpacker::default();
    loop {
        let came = far.receive::<Reply>().await.map_err(|error| chain(&error))?;
        let came = came.ok_or_else(|| "it went away".to_owned())?;
        if let Some(reply) = unpacker.take(came).map_err(|error| chain(&error))? {
            return Ok(reply);
        }
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data with names for keys always has a form as JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

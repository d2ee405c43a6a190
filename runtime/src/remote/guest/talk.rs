//! One talk with home about one attempt.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository};
use niia_actors::session::finish::kept_answer;
use niia_net::identity::NodeId;
use niia_net::link::LinkError;
use niia_net::peer::Stream;
use niia_net::transfer::TransferError;
use niia_spec::course::{Ending, Outcome};
use niia_spec::name::SessionId;
use niia_spec::plan::Egress;

use super::asked::{Place, Taking, place};
use super::record::{Record, repository_folder};
use super::{Guest, Standing};
use crate::node::{Node, admission};
use crate::remote::pad::{Changed, Have, Pad};
use crate::remote::talk::Talk;
use crate::remote::words::{Offer, Word};

#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error(transparent)]
    Talk(#[from] TransferError),
    #[error("{0}")]
    Here(String),
    /// What went wrong after it was taken on: home asks again.
    #[error("{0}")]
    Later(String),
}

/// Serves home in one attempt: takes it on where it is new, tells what becomes of it, and forgets it once home has it.
pub async fn serve(
    node: Arc<Node>,
    home: NodeId,
    stream: Stream,
    session: SessionId,
    repository: Option<String>,
) -> Result<(), GuestError> {
    let mut talk = Talk::over(stream);
    let served = talked(&node, &mut talk, home, session.clone(), repository).await;
    let reason = match served {
        Err(GuestError::Here(reason)) => reason,
        // Words that are none end the talk, and whoever said them reads why.
        Err(GuestError::Talk(error @ TransferError::Link(LinkError::Wire(_)))) => chain(&error),
        served => return served,
    };
    tracing::warn!(peer = %home, %session, reason, "refused");
    Ok(talk.say(&Word::Refused { reason }).await?)
}

async fn talked(
    node: &Arc<Node>,
    talk: &mut Talk,
    home: NodeId,
    session: SessionId,
    repository: Option<String>,
) -> Result<(), GuestError> {
    let guest = match place(node, talk, home, &session).await? {
        Place::Refused(reason) => return Err(GuestError::Here(reason)),
        Place::Known(guest) => {
            talk.say(&Word::Known).await?;
            guest
        }
        Place::New(taking) => {
            let guest = taken_on(node, talk, home, (session, taking), repository).await?;
            talk.say(&Word::Accepted).await?;
            guest
        }
    };
    match follow(node, talk, guest).await {
        Err(GuestError::Here(reason)) => Err(GuestError::Later(reason)),
        followed => followed,
    }
}

async fn taken_on(
    node: &Arc<Node>,
    talk: &mut Talk,
    home: NodeId,
    (session, taking): (SessionId, Taking),
    repository: Option<String>,
) -> Result<Arc<Guest>, GuestError> {
    let guests = node.guests.folder.clone();
    let at = repository.as_ref().map(|name| repository_folder(&guests, &home, name));
    talk.say(&Word::New { known: known_commits(at.clone()).await? }).await?;
    let (offer, pack, files) = everything(node, talk).await?;
    fits(node, &home, &offer).map_err(GuestError::Here)?;
    if !taking.may_begin() {
        return Err(GuestError::Here("a later attempt of this worker is here already".to_owned()));
    }
    let tips = offer.tips.as_ref().map(niia_actors::git::Tips::commits).unwrap_or_default();
    blocking(move || match (at, pack) {
        (Some(at), Some(pack)) => unpack(&at, &pack, &tips),
        _ => Ok(()),
    })
    .await?;
    let keep =
        move || Record::keep(&guests, home, session, repository, offer).map_err(|error| error.to_string());
    node.guests.take_on(keep, files).await.map_err(GuestError::Here)
}

/// What home says of an attempt before it can begin; that this end is there is said meanwhile.
async fn everything(
    node: &Node,
    talk: &mut Talk,
) -> Result<(Offer, Option<Vec<u8>>, Vec<Changed>), GuestError> {
    let (mut offer, mut pack, mut files) = (None, None, Vec::new());
    let mut beat = tokio::time::interval(super::beat(node));
    loop {
        let (word, bytes) = tokio::select! {
            heard = talk.next() => heard?,
            _ = beat.tick() => {
                talk.say(&Word::Beat).await?;
                continue;
            }
        };
        match word {
            Word::Offer => offer = Some(read_offer(&bytes)?),
            Word::Pack => pack = Some(bytes),
            Word::File { path, parent } => files.push(Changed { path, parent, bytes }),
            Word::Ready => break,
            Word::Beat => {}
            word => return Err(GuestError::Here(format!("`{word:?}` is out of turn"))),
        }
    }
    let offer: Offer = offer.ok_or_else(|| GuestError::Here("nothing was offered".to_owned()))?;
    Ok((offer, pack, files))
}

fn read_offer(bytes: &[u8]) -> Result<Offer, GuestError> {
    serde_json::from_slice(bytes)
        .map_err(|error| GuestError::Here(format!("the offer cannot be read: {error}")))
}

/// The commits that are here already of a repository of another machine.
pub async fn known_commits(repository: Option<PathBuf>) -> Result<Vec<ObjectId>, GuestError> {
    let Some(at) = repository else { return Ok(Vec::new()) };
    blocking(move || {
        let repository = Repository::empty(&at).map_err(|error| chain(&error))?;
        repository.known().map_err(|error| chain(&error))
    })
    .await
}

/// Takes commits in that came from another machine.
pub fn unpack(folder: &Path, pack: &[u8], tips: &[ObjectId]) -> Result<(), String> {
    let repository = Repository::empty(folder).map_err(|error| chain(&error))?;
    let file =
        tempfile::NamedTempFile::new_in(folder.parent().unwrap_or(folder)).map_err(|e| e.to_string())?;
    std::fs::write(file.path(), pack).map_err(|error| error.to_string())?;
    repository.take_in(file.path(), tips).map_err(|error| chain(&error))
}

/// What stands against doing it here.
fn fits(node: &Node, home: &NodeId, offer: &Offer) -> Result<(), String> {
    let peer = node.network.as_ref().and_then(|network| network.trust().get(home)).unwrap_or_default();
    let model = offer.worker.models.get(offer.model).or_else(|| offer.worker.models.first());
    let profile = model.map(|model| model.profile.as_str()).unwrap_or_default();
    if peer.models.as_ref().is_some_and(|allowed| !allowed.iter().any(|name| name == profile)) {
        return Err(format!("the model `{profile}` is not among those this machine lets it use"));
    }
    if !offer.worker.session.plugins.is_empty() {
        return Err("its session asks for plugins, which lie at home".to_owned());
    }
    admission::can_do_here(&offer.plan, &offer.worker, node.sandboxes()).map_err(|refusal| refusal.message)
}

async fn follow(node: &Arc<Node>, talk: &mut Talk, guest: Arc<Guest>) -> Result<(), GuestError> {
    // Of several talks the newest counts: home has left the others.
    guest.talks.send_modify(|number| *number += 1);
    let mut newer = guest.talks.subscribe();
    locked(&guest.pad).begins_anew();
    let mut standing = guest.standing.subscribe();
    standing.mark_changed();
    let mut beat = tokio::time::interval(super::beat(node));
    loop {
        tokio::select! {
            heard = talk.next() => {
                let (word, carried) = heard?;
                node.guests.heard(&guest.session);
                match word {
                    Word::End { reason } => guest.end(reason),
                    Word::File { path, parent } => {
                        if let Some(have) = take(&guest.pad, Changed { path, parent, bytes: carried }).await? {
                            talk.say(&Word::Have { path: have.path, version: have.version }).await?;
                        }
                    }
                    Word::Have { path, version } => locked(&guest.pad).has(path, version),
                    Word::Collected => {
                        node.guests.forget(&guest).await;
                        return Ok(());
                    }
                    _ => {}
                }
            }
            changed = standing.changed() => {
                changed.map_err(|_| GuestError::Here("nobody minds it any more".to_owned()))?;
                let now = standing.borrow_and_update().clone();
                match now {
                    Standing::Begun => {}
                    Standing::Started => talk.say(&Word::Started).await?,
                    Standing::Over(ending) => tell_over(talk, &guest, &ending).await?,
                }
            }
            _ = newer.changed() => return Ok(()),
            _ = beat.tick() => {
                talk.say(&Word::Beat).await?;
                step(talk, &guest, false).await?;
            }
        }
    }
}

fn locked(pad: &Mutex<Pad>) -> std::sync::MutexGuard<'_, Pad> {
    pad.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(pad: &Arc<Mutex<Pad>>, came: Changed) -> Result<Option<Have>, GuestError> {
    let pad = Arc::clone(pad);
    blocking(move || match locked(&pad).take(&came, "home") {
        Ok(_) => Ok(Some(came.have())),
        Err(reason) => {
            tracing::warn!(path = came.path, reason, "a file of home's scratchpad is not kept");
            Ok(None)
        }
    })
    .await
}

fn leaves(guest: &Guest) -> Egress {
    guest.record.offer.worker.session.egress
}

/// Sends what changed in the scratchpad here, where that may leave this machine.
async fn step(talk: &mut Talk, guest: &Guest, all: bool) -> Result<(), GuestError> {
    if leaves(guest) != Egress::All || !guest.record.offer.worker.session.scratchpad {
        return Ok(());
    }
    let pad = Arc::clone(&guest.pad);
    let changed = blocking(move || Ok(locked(&pad).changed(all))).await?;
    for Changed { path, parent, bytes } in changed {
        talk.bring(&Word::File { path, parent }, &bytes).await?;
    }
    Ok(())
}

/// All that came of it, the ending last: home believes in the rest once it has that.
async fn tell_over(talk: &mut Talk, guest: &Arc<Guest>, ending: &Ending) -> Result<(), GuestError> {
    step(talk, guest, true).await?;
    let leaves = leaves(guest);
    let (kept, made, ended) = (Arc::clone(guest), Arc::clone(guest), ending.clone());
    // What a program printed that came to no good end is no answer.
    if leaves == Egress::All || leaves == Egress::Result && ending.outcome == Outcome::Done {
        let excerpt = ending.excerpt.clone();
        let answer = blocking(move || {
            let folder = kept.context.session_folder(&kept.session.attempt);
            // One that ended before it began has none.
            Ok(kept_answer(&folder, &excerpt).ok())
        });
        if let Some(answer) = answer.await? {
            talk.bring(&Word::Answer, answer.as_bytes()).await?;
        }
    }
    if leaves == Egress::All
        && let Some(pack) = blocking(move || made.record.work(&made.context, &ended)).await?
    {
        talk.bring(&Word::Pack, &pack).await?;
    }
    let told = ending.clone().leaving(leaves);
    let told = serde_json::to_vec(&told).map_err(|error| GuestError::Here(error.to_string()))?;
    Ok(talk.bring(&Word::Over, &told).await?)
}

/// Work with files and git, away from the threads that everybody shares.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, GuestError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(GuestError::Here),
        Err(error) => Err(GuestError::Here(format!("niia itself broke: {error}"))),
    }
}

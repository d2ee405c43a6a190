//! One talk with home about one attempt.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository};
use niia_actors::session::finish::kept_answer;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_net::transfer::TransferError;
use niia_net::trust::Right;
use niia_spec::course::{Ending, Outcome};
use niia_spec::name::SessionId;
use niia_spec::plan::Egress;

use super::record::{Record, repository_folder};
use super::{Guest, Standing};
use crate::node::{Node, admission};
use crate::remote::carry::BEAT;
use crate::remote::pad::{Changed, Pad};
use crate::remote::talk::Talk;
use crate::remote::words::{Offer, Word};

#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error(transparent)]
    Talk(#[from] TransferError),
    #[error("{0}")]
    Here(String),
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
    let guest = match admitted(&node, home, &session) {
        Err(reason) => {
            tracing::warn!(peer = %home, %session, reason, "refused");
            return Ok(talk.say(&Word::Refused { reason }).await?);
        }
        Ok(Some(guest)) => {
            talk.say(&Word::Known).await?;
            let pad = Pad::new(Arc::clone(&guest.context));
            return follow(&node, talk, guest, pad).await;
        }
        Ok(None) => taken_on(&node, &mut talk, home, session, repository).await,
    };
    match guest {
        Ok((guest, pad)) => {
            talk.say(&Word::Accepted).await?;
            follow(&node, talk, guest, pad).await
        }
        Err(GuestError::Here(reason)) => {
            tracing::warn!(peer = %home, reason, "refused");
            Ok(talk.say(&Word::Refused { reason }).await?)
        }
        Err(error) => Err(error),
    }
}

/// Whether this may be asked of this machine; the attempt, where it is known already.
fn admitted(node: &Node, home: NodeId, session: &SessionId) -> Result<Option<Arc<Guest>>, String> {
    let peer = node.network.as_ref().and_then(|network| network.trust().get(&home));
    let peer = peer.ok_or_else(|| format!("{home} is not paired with this machine any more"))?;
    if !peer.rights.has(Right::Run) {
        return Err(format!("this needs the right `run` there, and {home} has: {}", peer.rights));
    }
    match node.guests.get(session) {
        Some(guest) if guest.home == home => Ok(Some(guest)),
        Some(_) => Err("a session of that name is here for another machine".to_owned()),
        None if node.live.get(session).is_some() => Err("a session of that name is here already".to_owned()),
        None if !node.guests.has_room() => Err("too many attempts are kept here for others".to_owned()),
        None => Ok(None),
    }
}

async fn taken_on(
    node: &Arc<Node>,
    talk: &mut Talk,
    home: NodeId,
    session: SessionId,
    repository: Option<String>,
) -> Result<(Arc<Guest>, Pad), GuestError> {
    let guests = node.guests.folder.clone();
    let at = repository.as_ref().map(|name| repository_folder(&guests, &home, name));
    talk.say(&Word::New { known: known_commits(at.clone()).await? }).await?;
    let (mut offer, mut pack, mut files) = (None, None, Vec::new());
    loop {
        match talk.next().await? {
            (Word::Offer, bytes) => offer = Some(read_offer(&bytes)?),
            (Word::Pack, bytes) => pack = Some(bytes),
            (Word::File { path, parent }, bytes) => files.push(Changed { path, parent, bytes }),
            (Word::Ready, _) => break,
            (Word::Beat, _) => {}
            (word, _) => return Err(GuestError::Here(format!("`{word:?}` is out of turn"))),
        }
    }
    let offer: Offer = offer.ok_or_else(|| GuestError::Here("nothing was offered".to_owned()))?;
    fits(node, &home, &offer).map_err(GuestError::Here)?;
    node.guests.end_older(&session, home);
    let record = blocking(move || {
        if let (Some(at), Some(pack)) = (&at, pack) {
            let tips = offer.tips.as_ref().map(niia_actors::git::Tips::commits).unwrap_or_default();
            unpack(at, &pack, &tips)?;
        }
        Record::keep(&guests, home, session, repository, offer).map_err(|error| error.to_string())
    });
    let guest = node.guests.begin_with(record.await?, files).await.map_err(GuestError::Here)?;
    Ok(guest)
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

async fn follow(node: &Arc<Node>, mut talk: Talk, guest: Arc<Guest>, pad: Pad) -> Result<(), GuestError> {
    let pad = Arc::new(Mutex::new(pad));
    let mut standing = guest.standing.subscribe();
    standing.mark_changed();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            heard = talk.next() => {
                let (word, carried) = heard?;
                guest.heard();
                match word {
                    Word::End { reason } => guest.end(reason),
                    Word::File { path, parent } => take(&pad, Changed { path, parent, bytes: carried }).await?,
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
                    Standing::Over(ending) => tell_over(&mut talk, &guest, &pad, &ending).await?,
                }
            }
            _ = beat.tick() => {
                talk.say(&Word::Beat).await?;
                step(&mut talk, &guest, &pad, false).await?;
            }
        }
    }
}

async fn take(pad: &Arc<Mutex<Pad>>, came: Changed) -> Result<(), GuestError> {
    let pad = Arc::clone(pad);
    blocking(move || {
        let taken = pad.lock().unwrap_or_else(PoisonError::into_inner).take(&came, "home");
        if let Err(reason) = taken {
            tracing::warn!(path = came.path, reason, "a file of home's scratchpad is not kept");
        }
        Ok(())
    })
    .await
}

fn leaves(guest: &Guest) -> Egress {
    guest.record.offer.worker.session.egress
}

/// Sends what changed in the scratchpad here, where that may leave this machine.
async fn step(talk: &mut Talk, guest: &Guest, pad: &Arc<Mutex<Pad>>, all: bool) -> Result<(), GuestError> {
    if leaves(guest) != Egress::All || !guest.record.offer.worker.session.scratchpad {
        return Ok(());
    }
    let pad = Arc::clone(pad);
    let changed =
        blocking(move || Ok(pad.lock().unwrap_or_else(PoisonError::into_inner).changed(all))).await?;
    for Changed { path, parent, bytes } in changed {
        talk.bring(&Word::File { path, parent }, &bytes).await?;
    }
    Ok(())
}

/// All that came of it, the ending last: home believes in the rest once it has that.
async fn tell_over(
    talk: &mut Talk,
    guest: &Arc<Guest>,
    pad: &Arc<Mutex<Pad>>,
    ending: &Ending,
) -> Result<(), GuestError> {
    step(talk, guest, pad, true).await?;
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

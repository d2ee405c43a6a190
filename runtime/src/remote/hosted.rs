//! Runs of other machines that have their home here: taken in like a run of this machine's own people, and told to the
//! machine that began them, whenever it is there to hear.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository, RunTrees};
use niia_actors::run::RunMeta;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_net::trust::Right;
use niia_spec::name::RunId;
use niia_spec::notice::{RunState, RunView};
use niia_spec::plan::{Egress, Plan, TreePlan};
use niia_spec::profile::Profiles;

use super::carry::BEAT;
use super::guest::{GuestError, blocking, known_commits, unpack};
use super::talk::Talk;
use super::words::{HostOffer, Told, Word};
use crate::control::server::{veiled_run, view_of_run};
use crate::node::accept::Begins;
use crate::node::{Node, accept};

/// Takes a run in for the machine that asks. Asking again by the run's name repeats nothing.
pub async fn serve(
    node: Arc<Node>,
    from: NodeId,
    stream: Stream,
    run: RunId,
    repository: Option<String>,
) -> Result<(), GuestError> {
    let mut talk = Talk::over(stream);
    if let Err(reason) = may_run(&node, &from) {
        return refuse(&mut talk, &from, &run, reason).await;
    }
    match starter_of(&node, &run) {
        Some(starter) if starter.as_deref() == Some(&from.to_string()) => {
            return Ok(talk.say(&Word::Known).await?);
        }
        Some(_) => {
            return refuse(&mut talk, &from, &run, "a run of that name is here already".to_owned()).await;
        }
        None => {}
    }
    match taken_in(&node, &mut talk, &from, &run, repository).await {
        Ok(()) => Ok(talk.say(&Word::Accepted).await?),
        Err(GuestError::Here(reason)) => refuse(&mut talk, &from, &run, reason).await,
        Err(error) => Err(error),
    }
}

async fn refuse(talk: &mut Talk, from: &NodeId, run: &RunId, reason: String) -> Result<(), GuestError> {
    tracing::warn!(peer = %from, %run, reason, "refused");
    Ok(talk.say(&Word::Refused { reason }).await?)
}

fn may_run(node: &Node, from: &NodeId) -> Result<(), String> {
    let peer = node.network.as_ref().and_then(|network| network.trust().get(from));
    let peer = peer.ok_or_else(|| format!("{from} is not paired with this machine any more"))?;
    if peer.rights.has(Right::Run) {
        return Ok(());
    }
    Err(format!("this needs the right `run` there, and {from} has: {}", peer.rights))
}

/// Who began a run that is here: nobody where its own people did; nothing where there is no such run.
pub fn starter_of(node: &Node, run: &RunId) -> Option<Option<String>> {
    let record = node.journal.load(run).ok()?;
    let meta: Option<RunMeta> = serde_json::from_slice(&record.meta).ok();
    Some(meta.and_then(|meta| meta.origin.from))
}

async fn taken_in(
    node: &Arc<Node>,
    talk: &mut Talk,
    from: &NodeId,
    run: &RunId,
    repository: Option<String>,
) -> Result<(), GuestError> {
    let at = repository.as_ref().map(|name| node.guests.repository_folder(from, name));
    talk.say(&Word::New { known: known_commits(at.clone()).await? }).await?;
    let (mut offer, mut pack) = (None, None);
    loop {
        match talk.next().await? {
            (Word::Offer, bytes) => offer = Some(bytes),
            (Word::Pack, bytes) => pack = Some(bytes),
            (Word::Ready, _) => break,
            (Word::Beat, _) => {}
            (word, _) => return Err(GuestError::Here(format!("`{word:?}` is out of turn"))),
        }
    }
    let offer = offer.ok_or_else(|| GuestError::Here("nothing was offered".to_owned()))?;
    let HostOffer { plan, mut origin } = serde_json::from_slice(&offer)
        .map_err(|error| GuestError::Here(format!("the offer cannot be read: {error}")))?;
    fits(&plan, &from.short()).map_err(GuestError::Here)?;
    let own = origin.profiles.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let profiles = Profiles::built_in().and_then(|known| known.with(own));
    let profiles = profiles.map_err(|error| GuestError::Here(chain(&error)))?;
    let mut env = std::collections::BTreeMap::new();
    for worker in plan.phases.iter().flat_map(|phase| phase.work.workers()) {
        env.extend(crate::command::environment_of(worker, &profiles));
    }
    env.extend(std::mem::take(&mut origin.env));
    (origin.env, origin.from, origin.repository) = (env, Some(from.to_string()), at.clone());
    (origin.output, origin.document, origin.include_dirty) = (None, None, false);
    origin.plugins.clear();
    take_commits(at, pack, origin.base.clone()).await?;
    let accepted = accept::accept_as(node, run.clone(), plan, origin, Begins::alone()).await;
    accepted.map(drop).map_err(|refusal| GuestError::Here(refusal.message))
}

async fn take_commits(
    at: Option<PathBuf>,
    pack: Option<Vec<u8>>,
    base: Option<String>,
) -> Result<(), GuestError> {
    let (Some(at), Some(base)) = (at, base) else { return Ok(()) };
    blocking(move || {
        let base = ObjectId::new(&base).map_err(|error| error.to_string())?;
        match pack {
            Some(pack) => unpack(&at, &pack, &[base]),
            None => Repository::empty(&at)
                .map_err(|error| chain(&error))?
                .check(&[base])
                .map_err(|error| chain(&error)),
        }
    })
    .await
}

/// What cannot be done for somebody whose files are elsewhere.
fn fits(plan: &Plan, from: &str) -> Result<(), String> {
    for phase in &plan.phases {
        if phase.output.as_ref().is_some_and(|path| niia_spec::name::Slug::new(path).is_err()) {
            return Err(format!("phase `{}` writes a file outside of the run", phase.name));
        }
        for worker in phase.work.workers() {
            let name = format!("`{}/{}`", phase.name, worker.name);
            if !worker.session.plugins.is_empty() {
                return Err(format!("{name} asks for plugins, which lie on {from}"));
            }
            if worker.tree == TreePlan::Checkout {
                return Err(format!("{name} is to work in the checkout itself, which lies on {from}"));
            }
        }
    }
    Ok(())
}

/// Tells the machine that began a run how it stands: once it rests, or now.
pub async fn collect(
    node: Arc<Node>,
    from: NodeId,
    stream: Stream,
    run: RunId,
    now: bool,
) -> Result<(), GuestError> {
    let mut talk = Talk::over(stream);
    match starter_of(&node, &run) {
        Some(starter) if starter.as_deref() == Some(&from.to_string()) => {}
        Some(_) => return refuse(&mut talk, &from, &run, format!("{from} did not begin it")).await,
        None => return Ok(talk.say(&Word::New { known: Vec::new() }).await?),
    }
    talk.say(&Word::Known).await?;
    let (Word::New { known }, _) = talk.next().await? else {
        return Err(GuestError::Here("it did not say what it has".to_owned()));
    };
    let mut view = view_of_run(&node, &run).await.map_err(|refusal| GuestError::Here(refusal.message))?;
    while !now && !view.state.rests() {
        talk.say(&Word::Beat).await?;
        wait_for_change(&node, &run).await;
        view = view_of_run(&node, &run).await.map_err(|refusal| GuestError::Here(refusal.message))?;
    }
    tell(&node, &mut talk, &run, view, known).await?;
    // Whether it has it or not: whoever asks again is told once more.
    let _ = tokio::time::timeout(COLLECTED_WITHIN, talk.next()).await;
    Ok(())
}

/// How long the last word of a talk is waited for.
const COLLECTED_WITHIN: Duration = Duration::from_secs(10);

/// Until the run is over, or it is time for a word of life.
async fn wait_for_change(node: &Node, run: &RunId) {
    let changes = match node.root.run(run).await {
        Some(handle) => handle.watch().await.ok(),
        None => None,
    };
    let Some(mut changes) = changes else { return tokio::time::sleep(BEAT).await };
    let over = changes.wait_for(|version| *version == niia_actors::run::OVER);
    // A run that only waits for a person is seen at the next beat.
    let _ = tokio::time::timeout(BEAT, over).await;
}

async fn tell(
    node: &Arc<Node>,
    talk: &mut Talk,
    run: &RunId,
    view: RunView,
    known: Vec<ObjectId>,
) -> Result<(), GuestError> {
    let record = node.journal.load(run).map_err(|error| GuestError::Here(chain(&error)))?;
    let plan: Plan =
        serde_json::from_slice(&record.plan).map_err(|error| GuestError::Here(error.to_string()))?;
    let stays = stays_here(node, &plan);
    let withheld = stays.as_ref().map(|(worker, _)| {
        format!("its branches stay on that machine: `{worker}` works there, and its `egress` does not let its work go")
    });
    // A report is made of answers, and of reasons where something did not come to a good end.
    let told_of = stays.is_none_or(|(_, egress)| egress == Egress::Result && view.state == RunState::Done);
    let folder = node.run_folder(run);
    let (seen, open) = (view.clone(), withheld.is_none());
    let (branches, pack) = blocking(move || packed(&seen, &folder, &known, open)).await?;
    let told = Told { view: veiled_run(node, view.clone()), branches, withheld };
    let told = serde_json::to_vec(&told).map_err(|error| GuestError::Here(error.to_string()))?;
    if let Some(pack) = pack {
        talk.bring(&Word::Pack, &pack).await?;
    }
    if let Some(report) = view.report.as_ref().filter(|_| told_of).and_then(|path| std::fs::read(path).ok()) {
        talk.bring(&Word::Answer, &report).await?;
    }
    for (path, bytes) in written(told_of, &node.run_folder(run).join("work"), &plan) {
        talk.bring(&Word::Written { path }, &bytes).await?;
    }
    Ok(talk.bring(&Word::Stands, &told).await?)
}

/// A worker that works on this machine and must not let its work go: the one whose least may go.
fn stays_here(node: &Node, plan: &Plan) -> Option<(String, Egress)> {
    let own = node.hosts();
    let all = plan
        .phases
        .iter()
        .flat_map(|phase| phase.work.workers().into_iter().map(move |worker| (&phase.name, worker)));
    let here = all.filter(|(_, worker)| crate::node::admission::works_here(plan, worker, &own));
    let mut found = None;
    for (phase, worker) in here {
        let egress = worker.session.egress;
        if egress == Egress::None || egress == Egress::Result && found.is_none() {
            found = Some((format!("{phase}/{}", worker.name), egress));
        }
    }
    found
}

type Packed = (Vec<(String, ObjectId)>, Option<Vec<u8>>);

fn packed(view: &RunView, folder: &Path, known: &[ObjectId], open: bool) -> Result<Packed, String> {
    let Some(root) = view.repository.as_ref().filter(|_| open) else { return Ok((Vec::new(), None)) };
    let repository = Repository::discover(Path::new(root)).map_err(|error| chain(&error))?;
    let trees = RunTrees::open(&repository, &folder.join("git")).map_err(|error| chain(&error))?;
    let branches = trees.branches().map_err(|error| chain(&error))?;
    let tips: Vec<ObjectId> = branches.iter().map(|(_, commit)| commit.clone()).collect();
    let room = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let pack = repository.pack(room.path(), &tips, known).map_err(|error| chain(&error))?;
    let pack = pack.map(std::fs::read).transpose().map_err(|error| error.to_string())?;
    Ok((branches, pack))
}

/// Files that phases wrote for the user.
fn written(told_of: bool, work: &Path, plan: &Plan) -> Vec<(String, Vec<u8>)> {
    let outputs = plan.phases.iter().filter(|_| told_of).filter_map(|phase| phase.output.clone());
    outputs.filter_map(|path| Some((path.clone(), std::fs::read(work.join(&path)).ok()?))).collect()
}

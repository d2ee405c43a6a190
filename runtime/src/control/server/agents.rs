//! Requests about what workers share: outputs, claims, the scratchpad and the mailbox.

use niia_actors::journal::Fate;
use niia_actors::mailbox::{self, Draft, Letter, Party};
use niia_actors::run::{RunHandle, scratchpad_folder};
use niia_spec::course::Event;
use niia_spec::name::{RunId, WorkerId};
use niia_spec::notice::{InboxView, LetterView, RunView};
use serde_json::Value;

use super::find::{live_run, not_found, run_id, trouble};
use super::{child, talks};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, RunName};
use crate::node::{Node, past};
use niia_actors::ask::chain;

/// The worker that asks; a person is none.
fn worker(caller: &Caller, verb: &str) -> Result<WorkerId, Refusal> {
    match caller {
        Caller::Agent(session) => Ok(session.attempt.worker.clone()),
        Caller::Person => Err(Refusal {
            code: RefusalCode::NotAllowed,
            message: format!("`niia {verb}` is for a worker: it is said from inside its session"),
            help: None,
        }),
    }
}

fn party(caller: &Caller) -> Party {
    match caller {
        Caller::Agent(session) => Party::Worker(session.attempt.worker.clone()),
        Caller::Person => Party::Person,
    }
}

pub(super) async fn output_set(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    key: String,
    value: Value,
) -> Result<Reply, Refusal> {
    let worker = worker(caller, "output set")?;
    let run = live_run(node, caller, run).await?;
    let published = Event::Published { worker: worker.clone(), key: key.clone(), value: value.clone() };
    run.record(published).await.map_err(|error| trouble(chain(&error)))?;
    let outputs = outputs(&run).await?;
    let kept =
        outputs.pointer(&format!("/{}/{}", worker.phase, worker.worker)).and_then(|keys| keys.get(&key));
    if kept == Some(&value) {
        return Ok(Reply::Done);
    }
    Err(Refusal {
        code: RefusalCode::Limit,
        message: format!(
            "`{key}` was not taken: a worker may set 64 keys of at most 256 bytes, each up to 64 KiB"
        ),
        help: Some("put what is longer into a file of the scratchpad".to_owned()),
    })
}

async fn outputs(run: &RunHandle) -> Result<Value, Refusal> {
    run.outputs().await.map_err(|error| trouble(chain(&error)))
}

/// All outputs, a phase's, or one: the first that is set, in worker order.
pub(super) async fn output_get(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    phase: Option<String>,
    key: Option<String>,
) -> Result<Reply, Refusal> {
    let run = run_id(node, caller, run).await?;
    let all = match node.root.run(&run).await {
        Some(live) => outputs(&live).await?,
        None => super::runs::outputs_of(&super::runs::view(node, &run).await?),
    };
    let Some(phase) = phase else {
        return Ok(Reply::Value(all));
    };
    let of_phase = all.get(&phase).ok_or_else(|| not_found(format!("`{run}` has no phase `{phase}`")))?;
    let Some(key) = key else {
        return Ok(Reply::Value(of_phase.clone()));
    };
    let workers = of_phase.as_object().into_iter().flatten();
    let first = workers.filter_map(|(_, keys)| keys.get(&key)).next();
    first.cloned().map(Reply::Value).ok_or_else(|| not_found(format!("`{phase}.{key}` was never set")))
}

pub(super) async fn claim(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    key: String,
) -> Result<Reply, Refusal> {
    let by = worker(caller, "claim")?;
    let run = live_run(node, caller, run).await?;
    let claim = run.claim(key.clone(), by).await.map_err(|error| trouble(chain(&error)))?;
    match claim.holder {
        Some(holder) => Ok(Reply::Claimed { first: claim.first, holder: holder.to_string() }),
        None => Err(Refusal {
            code: RefusalCode::Limit,
            message: format!("`{key}` was not taken: a run holds 10,000 claims, each of at most 1,024 bytes"),
            help: None,
        }),
    }
}

/// The scratchpad of a run, live or over.
async fn scratchpad<T: Send + 'static>(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    act: impl FnOnce(
        niia_actors::scratchpad::ScratchpadFolder,
    ) -> Result<T, niia_actors::scratchpad::ScratchpadError>
    + Send
    + 'static,
) -> Result<T, Refusal> {
    let run = run_id(node, caller, run).await?;
    let folder = scratchpad_folder(&run, &node.run_folder(&run), &child::lineage(node, &run));
    let done = tokio::task::spawn_blocking(move || {
        niia_actors::scratchpad::ScratchpadFolder::open(&folder).and_then(act)
    });
    let done = done.await.map_err(|error| trouble(error.to_string()))?;
    done.map_err(|error| {
        let code = if error.is_not_found() { RefusalCode::NotFound } else { RefusalCode::Wrong };
        Refusal { code, message: chain(&error), help: None }
    })
}

pub(super) async fn scratchpad_list(node: &Node, caller: &Caller, run: &RunName) -> Result<Reply, Refusal> {
    let files = scratchpad(node, caller, run, |pad| pad.ls("")).await?;
    Ok(Reply::Paths(files.entries.into_iter().map(|file| file.path).collect()))
}

pub(super) async fn scratchpad_cat(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    path: String,
) -> Result<Reply, Refusal> {
    let bytes = scratchpad(node, caller, run, move |pad| pad.cat(&path)).await?;
    Ok(Reply::Bytes { bytes })
}

/// A session of which only the result goes on puts nothing where others read.
async fn may_share(node: &Node, caller: &Caller, run: &RunName) -> Result<(), Refusal> {
    let Caller::Agent(session) = caller else { return Ok(()) };
    let worker = &session.attempt.worker;
    let live = live_run(node, caller, run).await?;
    let plan = live.plan().await.map_err(|error| trouble(chain(&error)))?;
    let phase = plan.phases.iter().find(|phase| phase.name == worker.phase);
    let mut workers = phase.map(|phase| phase.work.workers()).unwrap_or_default().into_iter();
    match workers.find(|one| one.name == worker.worker) {
        Some(own) if own.writes_for_itself() => Err(Refusal {
            code: RefusalCode::NotAllowed,
            message: "what this session writes stays with it (`egress`), and others read the scratchpad"
                .to_owned(),
            help: Some("say it in your answer, or publish it with `niia output set KEY VALUE`".to_owned()),
        }),
        _ => Ok(()),
    }
}

pub(super) async fn scratchpad_put(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    path: String,
    bytes: Vec<u8>,
) -> Result<Reply, Refusal> {
    may_share(node, caller, run).await?;
    scratchpad(node, caller, run, move |pad| pad.put(&path, &bytes)).await?;
    Ok(Reply::Done)
}

/// A letter as it is handed in.
pub(super) struct Post {
    pub to: String,
    pub text: String,
    pub id: Option<String>,
    pub cause: Option<String>,
    pub urgent: bool,
}

pub(super) async fn send(node: &Node, caller: &Caller, run: &RunName, post: Post) -> Result<Reply, Refusal> {
    let live = live_run(node, caller, run).await?;
    let plan = live.plan().await.map_err(|error| trouble(chain(&error)))?;
    let name = run_id(node, caller, run).await?;
    let view = super::runs::view(node, &name).await?;
    let Post { to, text, id, cause, urgent } = post;
    let from = party(caller);
    let readers = match to.as_str() {
        talks::ALL => talks::everybody(&plan, &view, &from)?,
        name => {
            let one = reader(&view, &beside(&view, &from, name))?;
            talks::may_write(&plan, &from, &one)?;
            vec![one]
        }
    };
    let id = id.unwrap_or_else(crate::control::letter_id);
    let mailbox = live.mailbox().await.map_err(|error| trouble(chain(&error)))?;
    for to in &readers {
        let id = if readers.len() == 1 { id.clone() } else { format!("{id}.{to}") };
        let draft = Draft {
            id,
            from: from.clone(),
            to: to.clone(),
            text: text.clone(),
            cause: cause.clone(),
            urgent,
        };
        let sent = mailbox.send(draft).await.map_err(|error| trouble(chain(&error)))?;
        sent.map_err(|refusal| Refusal { code: RefusalCode::Limit, message: chain(&refusal), help: None })?;
    }
    if to == talks::ALL && readers.contains(&Party::Person) {
        let letter = LetterView {
            id: id.clone(),
            from: from.to_string(),
            to: Party::Person.to_string(),
            text,
            at_ms: niia_actors::session::wall_ms(),
            read: false,
            fate: Fate::Unread.receipt(),
            cause,
        };
        // Those here have it; whom it does not reach is said to nobody but the log.
        if let Err(error) = node.letters.send(&plan, &InboxView { run: name, letter }) {
            tracing::warn!(%error, "a letter does not go to other machines");
        }
    }
    Ok(Reply::Posted { id })
}

/// A plain name means somebody of the writer's own phase before anybody else.
fn beside(view: &niia_spec::notice::RunView, from: &Party, name: &str) -> String {
    let Party::Worker(from) = from else {
        return name.to_owned();
    };
    let phase = view.phases.iter().find(|phase| phase.phase == from.phase);
    let there = phase.is_some_and(|phase| phase.workers.iter().any(|worker| worker.worker.as_str() == name));
    if there { format!("{}/{name}", from.phase) } else { name.to_owned() }
}

/// Who is meant: `phase/worker`, a worker's name that only one phase has, `person`.
fn reader(view: &niia_spec::notice::RunView, name: &str) -> Result<Party, Refusal> {
    if let Ok(party) = name.parse::<Party>() {
        let known = |worker: &WorkerId| {
            let phase = view.phases.iter().find(|phase| phase.phase == worker.phase);
            phase.is_some_and(|phase| phase.workers.iter().any(|w| w.worker == worker.worker))
        };
        return match &party {
            Party::Worker(worker) if !known(worker) => Err(nobody(view, name)),
            _ => Ok(party),
        };
    }
    let mut fits = view.phases.iter().flat_map(|phase| {
        let workers = phase.workers.iter().filter(|worker| worker.worker.as_str() == name);
        workers.map(|worker| WorkerId { phase: phase.phase.clone(), worker: worker.worker.clone() })
    });
    match (fits.next(), fits.next()) {
        (Some(only), None) => Ok(Party::Worker(only)),
        (Some(_), Some(_)) => Err(Refusal {
            code: RefusalCode::Ambiguous,
            message: format!("several phases have a worker `{name}`: write phase/worker"),
            help: None,
        }),
        (None, _) => Err(nobody(view, name)),
    }
}

fn nobody(view: &niia_spec::notice::RunView, name: &str) -> Refusal {
    not_found(format!("nobody in `{}` is called `{name}`: a worker is written phase/worker", view.run))
}

/// What is done with the letters that are asked for.
pub(super) enum Reading {
    /// They are looked at.
    Look,
    /// They are read.
    Take,
    /// They are handed out under a name, to be confirmed.
    HandOut(String),
}

/// A reader's letters.
pub(super) async fn letters(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    whose: Option<String>,
    reading: Reading,
) -> Result<Reply, Refusal> {
    let name = run_id(node, caller, run).await?;
    let view = super::runs::view(node, &name).await?;
    let whose = whose_letters(&view, caller, whose)?;
    if !matches!(reading, Reading::Look) {
        let live = live_run(node, caller, run).await?;
        let mailbox = live.mailbox().await.map_err(|error| trouble(chain(&error)))?;
        let letters = match reading {
            Reading::HandOut(to) => mailbox.hand_out(whose, named(to)?).await,
            Reading::Look | Reading::Take => mailbox.take(whose).await,
        };
        let letters = letters.map_err(|error| trouble(chain(&error)))?;
        return Ok(Reply::Letters(
            letters.into_iter().map(|letter| shown(Letter { fate: Fate::Read, ..letter })).collect(),
        ));
    }
    let own = all_letters(node, &name)?.into_iter().filter(|letter| letter.to == whose);
    Ok(Reply::Letters(own.map(shown).collect()))
}

/// The reader whose letters a caller may have.
fn whose_letters(view: &RunView, caller: &Caller, whose: Option<String>) -> Result<Party, Refusal> {
    Ok(match (whose, caller) {
        (None, caller) => party(caller),
        (Some(other), Caller::Person) => reader(view, &other)?,
        (Some(other), Caller::Agent(_)) => {
            let asked = reader(view, &other)?;
            if asked != party(caller) {
                return Err(Refusal {
                    code: RefusalCode::NotAllowed,
                    message: format!("the letters of {asked} are not for {}", party(caller)),
                    help: None,
                });
            }
            asked
        }
    })
}

/// A name under which letters are handed out; it is kept with them.
fn named(to: String) -> Result<String, Refusal> {
    let fits = (1..=mailbox::ID_BYTES_MAX).contains(&to.len()) && to.bytes().all(|b| b.is_ascii_graphic());
    let message = format!("a name for letters has 1 to {} printable characters", mailbox::ID_BYTES_MAX);
    if fits { Ok(to) } else { Err(Refusal { code: RefusalCode::Wrong, message, help: None }) }
}

/// The letters that were handed out under this name have come.
pub(super) async fn came(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    whose: Option<String>,
    to: String,
) -> Result<Reply, Refusal> {
    let name = run_id(node, caller, run).await?;
    let view = super::runs::view(node, &name).await?;
    let whose = whose_letters(&view, caller, whose)?;
    let live = live_run(node, caller, run).await?;
    let mailbox = live.mailbox().await.map_err(|error| trouble(chain(&error)))?;
    mailbox.came(whose, named(to)?).await.map_err(|error| trouble(chain(&error)))?;
    Ok(Reply::Done)
}

/// The letters somebody wrote, with what became of each: the receipts a sender can ask for.
pub(super) async fn sent(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    whose: Option<String>,
) -> Result<Reply, Refusal> {
    let name = run_id(node, caller, run).await?;
    let view = super::runs::view(node, &name).await?;
    let writer = match (&whose, caller) {
        (None, Caller::Person) => None,
        _ => Some(whose_letters(&view, caller, whose)?),
    };
    let own = |letter: &Letter| writer.as_ref().is_none_or(|writer| letter.from == *writer);
    Ok(Reply::Letters(all_letters(node, &name)?.into_iter().filter(own).map(shown).collect()))
}

/// Every letter of a run, as the journal has it.
fn all_letters(node: &Node, name: &RunId) -> Result<Vec<Letter>, Refusal> {
    let (all, damage) = mailbox::list(&node.journal, name).map_err(|error| trouble(chain(&error)))?;
    match damage.first() {
        Some(damage) => Err(trouble(format!("the mailbox of `{name}` is damaged: {damage}"))),
        None => Ok(all),
    }
}

pub(super) fn shown(letter: Letter) -> LetterView {
    LetterView {
        id: letter.id,
        from: letter.from.to_string(),
        to: letter.to.to_string(),
        text: letter.text,
        at_ms: past::millis(&letter.at).unwrap_or_default(),
        read: !letter.fate.waits(),
        fate: letter.fate.receipt(),
        cause: letter.cause,
    }
}

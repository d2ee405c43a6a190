//! Requests about the past of a place: what runs were asked and answered, and what is remembered of it.

use niia_actors::ask::chain;
use niia_actors::clock;
use niia_actors::place::Place;
use niia_actors::run::RunMeta;
use niia_actors::scratchpad::ScratchpadError;
use niia_spec::name::RunId;
use niia_spec::notice::PastRun;

use super::find::trouble;
use crate::control::caller::Caller;
use crate::control::words::{PastRequest, Refusal, RefusalCode, Reply};
use crate::node::Node;

/// Bytes of history that one answer carries; of more the newest are told.
const HISTORY_BYTES_TOLD_MAX: usize = 24 * 1024 * 1024;

pub(super) async fn answer(node: &Node, caller: &Caller, request: PastRequest) -> Result<Reply, Refusal> {
    let at = match &request {
        PastRequest::History { place, .. }
        | PastRequest::MemoryList { place }
        | PastRequest::MemoryCat { place, .. } => place.clone(),
    };
    let place = match caller {
        Caller::Person => Place::at(node.state.path(), &at),
        // A program in a session knows its own place alone, whatever it names.
        Caller::Agent(session) => place_of(node, &session.run)?,
    };
    let asked = tokio::task::spawn_blocking(move || read(&place, request));
    asked.await.map_err(|error| trouble(error.to_string()))?
}

fn place_of(node: &Node, run: &RunId) -> Result<Place, Refusal> {
    let record = node.journal.load(run).map_err(|error| trouble(chain(&error)))?;
    let meta: RunMeta = serde_json::from_slice(&record.meta)
        .map_err(|error| trouble(format!("the origin of `{run}`: {error}")))?;
    Ok(Place::of(node.state.path(), &meta.origin))
}

fn read(place: &Place, request: PastRequest) -> Result<Reply, Refusal> {
    match request {
        PastRequest::History { back_ms, .. } => {
            let read = place.since(clock::wall_ms().saturating_sub(back_ms));
            let (runs, mut unread) =
                read.map_err(|error| trouble(format!("the history cannot be read: {error}")))?;
            let (runs, left_out) = newest(runs);
            if left_out > 0 {
                unread.push(format!("{left_out} older runs: they are more than one answer carries"));
            }
            Ok(Reply::History { runs, unread })
        }
        PastRequest::MemoryList { .. } => {
            place.remembered().map(Reply::Memory).map_err(|error| refused(&error))
        }
        PastRequest::MemoryCat { path, .. } => {
            let bytes = place.open_memory().and_then(|memory| memory.cat(&path));
            bytes.map(|bytes| Reply::Bytes { bytes }).map_err(|error| refused(&error))
        }
    }
}

/// As many of the newest as one answer carries, the oldest first, and how many were left out.
fn newest(mut runs: Vec<PastRun>) -> (Vec<PastRun>, usize) {
    let mut bytes = 0;
    let fits = runs.iter().rev().take_while(|run| {
        bytes += serde_json::to_vec(run).map_or(0, |text| text.len());
        bytes <= HISTORY_BYTES_TOLD_MAX
    });
    let left_out = runs.len() - fits.count();
    (runs.split_off(left_out), left_out)
}

fn refused(error: &ScratchpadError) -> Refusal {
    let code = if error.is_not_found() { RefusalCode::NotFound } else { RefusalCode::Wrong };
    Refusal { code, message: chain(error), help: None }
}

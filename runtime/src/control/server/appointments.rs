//! Requests about documents that run by themselves.

use std::path::PathBuf;

use niia_actors::ask::chain;
use niia_spec::event::Happened;
use niia_spec::name::Slug;
use niia_spec::notice::{Came, KeptView};

use super::find::{not_found, trouble};
use super::runs;
use crate::appointments::Patience;
use crate::control::words::{Refusal, RefusalCode, Reply, ScheduleRequest};
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: ScheduleRequest) -> Result<Reply, Refusal> {
    let gone = |error: niia_actors::ask::AskError| trouble(chain(&error));
    match request {
        ScheduleRequest::Add(document) => {
            let kept = node.appointments.keep(*document).await.map_err(gone)??;
            Ok(Reply::Kept(vec![kept]))
        }
        ScheduleRequest::List => {
            let mut kept = node.appointments.list().await.map_err(gone)?;
            for view in &mut kept {
                fill_in(node, view).await;
            }
            Ok(Reply::Kept(kept))
        }
        ScheduleRequest::Remove { name } => {
            node.appointments.remove(slug(&name)?).await.map_err(gone)??;
            Ok(Reply::Done)
        }
        ScheduleRequest::RunNow { name } => {
            let run = node.appointments.run_now(slug(&name)?).await.map_err(gone)??;
            let folder = node.run_folder(&run);
            Ok(Reply::Accepted { run, folder })
        }
    }
}

/// How the run of the newest firing stands; runs that are forgotten have no state any more.
async fn fill_in(node: &Node, view: &mut KeptView) {
    if let Some(Came::Run { run, state }) = view.firings.last_mut().map(|firing| &mut firing.came) {
        *state = runs::view(node, run).await.ok().map(|view| view.state);
    }
}

pub(super) async fn trigger(node: &Node, event: Happened, place: Option<PathBuf>) -> Result<Reply, Refusal> {
    niia_spec::event::is_event(&event.name).map_err(|message| Refusal {
        code: RefusalCode::Wrong,
        message,
        help: None,
    })?;
    let told = node.appointments.happened(event, place, Patience::Begun).await;
    told.map(Reply::Triggered).map_err(|error| trouble(chain(&error)))
}

fn slug(name: &str) -> Result<Slug, Refusal> {
    Slug::new(name).map_err(|_| not_found(format!("no document `{name}` is kept here")))
}

//! From the names people use to runs and sessions.

use niia_actors::run::RunHandle;
use niia_actors::session::SessionHandle;
use niia_spec::name::{RunId, SessionId, Slug};

use super::child::is_below;
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, RunName};
use crate::node::Node;

/// Names told in an error at most; more would not be read.
const NAMES_TOLD_MAX: usize = 8;

/// The run a name means: the caller's own or the newest where nothing is said, else the one with that id, or the only
/// one that begins so.
pub(super) async fn run_id(node: &Node, caller: &Caller, name: &RunName) -> Result<RunId, Refusal> {
    if let Caller::Agent(session) = caller {
        return match name {
            None => Ok(session.run.clone()),
            Some(name) if *name == session.run.as_str() => Ok(session.run.clone()),
            Some(name) => {
                let found = by_name(&known_runs(node)?, name).ok();
                found.filter(|run| is_below(node, run, session)).ok_or_else(|| Refusal {
                    code: RefusalCode::NotAllowed,
                    message: format!(
                        "`{name}` is another run; a program in {session} knows its own and what was begun in it"
                    ),
                    help: None,
                })
            }
        };
    }
    let runs = known_runs(node)?;
    match name {
        Some(name) => by_name(&runs, name),
        None => slug(runs.last().ok_or_else(|| not_found("there is no run yet".to_owned()))?),
    }
}

fn by_name(runs: &[String], name: &String) -> Result<RunId, Refusal> {
    if runs.contains(name) {
        return slug(name);
    }
    let fits: Vec<&String> = runs.iter().filter(|run| run.starts_with(name.as_str())).collect();
    match fits[..] {
        [] => Err(not_found(format!("there is no run `{name}`"))),
        [run] => slug(run),
        _ => Err(ambiguous(name, &fits.iter().map(|run| run.to_string()).collect::<Vec<_>>())),
    }
}

/// Whether a run of this node is called so, or begins so.
pub(super) fn knows(node: &Node, name: &str) -> Result<bool, Refusal> {
    Ok(known_runs(node)?.iter().any(|run| run.starts_with(name)))
}

/// The ids of all runs, oldest first.
fn known_runs(node: &Node) -> Result<Vec<String>, Refusal> {
    let summaries = node.journal.runs().map_err(|error| trouble(niia_actors::ask::chain(&error)))?;
    Ok(summaries.into_iter().map(|summary| summary.run).collect())
}

/// The live actor of a run.
pub(super) async fn live_run(node: &Node, caller: &Caller, name: &RunName) -> Result<RunHandle, Refusal> {
    let run = run_id(node, caller, name).await?;
    node.root.run(&run).await.ok_or_else(|| Refusal {
        code: RefusalCode::State,
        message: format!("the run `{run}` is over"),
        help: None,
    })
}

/// The live session a name means: `run/phase/worker/attempt`, or any end of that which only one of them has.
pub(super) fn live_session(
    node: &Node,
    caller: &Caller,
    name: &str,
) -> Result<(SessionId, SessionHandle), Refusal> {
    let mut all = node.live.all();
    if let Caller::Agent(own) = caller {
        all.retain(|(session, _)| session.run == own.run);
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut fits: Vec<(SessionId, SessionHandle)> =
        all.into_iter().filter(|(session, _)| means(name, session)).collect();
    match fits.len() {
        0 => Err(Refusal {
            code: RefusalCode::NotFound,
            message: if name.is_empty() {
                "no session lives just now".to_owned()
            } else {
                format!("no session that lives is called `{name}`")
            },
            help: Some("`niia sessions` lists them".to_owned()),
        }),
        1 => Ok(fits.remove(0)),
        _ => Err(ambiguous(name, &fits.iter().map(|(session, _)| session.to_string()).collect::<Vec<_>>())),
    }
}

/// Whether a name fits a session: the whole of it, or a part that begins with its run, phase or worker. An attempt is
/// named only behind its worker, so that `review/1` is worker 1 of `review` and nothing else.
pub(super) fn means(name: &str, session: &SessionId) -> bool {
    let attempt = session.attempt.attempt.to_string();
    let (run, phase) = (session.run.as_str(), session.attempt.worker.phase.as_str());
    let worker = session.attempt.worker.worker.as_str();
    match name.split('/').collect::<Vec<_>>()[..] {
        [""] => true,
        [only] => [run, phase, worker].contains(&only),
        [a, b] => [(run, phase), (phase, worker), (run, worker)].contains(&(a, b)),
        [a, b, c] => (a, b, c) == (run, phase, worker) || (a, b, c) == (phase, worker, &attempt),
        [a, b, c, d] => (a, b, c, d) == (run, phase, worker, &attempt),
        _ => false,
    }
}

fn slug(run: &str) -> Result<RunId, Refusal> {
    Slug::new(run).map_err(|error| trouble(format!("the journal has a run called `{run}`: {error}")))
}

pub(super) fn not_found(message: String) -> Refusal {
    Refusal { code: RefusalCode::NotFound, message, help: None }
}

pub(super) fn trouble(message: String) -> Refusal {
    Refusal { code: RefusalCode::Trouble, message, help: None }
}

pub(super) fn ambiguous(name: &str, fits: &[String]) -> Refusal {
    let shown = fits.iter().take(NAMES_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = fits.len().saturating_sub(NAMES_TOLD_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what =
        if name.is_empty() { "there are several".to_owned() } else { format!("`{name}` fits several") };
    Refusal { code: RefusalCode::Ambiguous, message: format!("{what}: {shown}{more}"), help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_any_part_of_its_name_that_tells_it_apart() {
        let session: SessionId = "dual-review-4k2m7/review/1/2".parse().expect("a session");
        for name in
            ["", "dual-review-4k2m7/review/1/2", "review/1", "dual-review-4k2m7", "review", "1", "review/1/2"]
        {
            assert!(means(name, &session), "{name}");
        }
        for name in ["rev", "1/review", "review/3", "review/2", "1/2", "2", "review/1/2/2"] {
            assert!(!means(name, &session), "{name}");
        }
    }
}

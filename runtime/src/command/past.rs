//! What has been in this repository, and what is remembered of it.

use niia_spec::notice::{MemoryView, PastRun};

use super::appointments::place;
use super::{Caller, say_bytes};
use crate::cli::appointments::{History, Memory, MemoryVerb};
use crate::control::words::{PastRequest, Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::run::state_word;
use crate::report::table::{Table, cell, toned_cell};
use crate::report::{Look, Tone, bytes, moment, neutral, neutral_lines};

/// Lines of an answer that a list shows.
const ANSWER_LINES_SHOWN: usize = 6;

pub async fn history(caller: &Caller, words: &History) -> Result<Exit, Failure> {
    let back_ms = u64::try_from(words.since.as_millis()).unwrap_or(u64::MAX);
    let request = Request::Past(PastRequest::History { place: place()?, back_ms });
    let Reply::History { runs, unread } = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("history"));
    };
    for reason in unread {
        eprintln!("warning: left out: {}", neutral(&reason));
    }
    caller.show(&runs, |_| match runs.is_empty() {
        true => "no run of this repository ended in that time\n".to_owned(),
        false => runs.iter().map(run_text).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(Exit::Done)
}

fn run_text(run: &PastRun) -> String {
    let mut text = format!("{} {}, {}\n", run.run, state_word(run.state), moment(run.ended_at_ms));
    let mut line = |words: String| text.push_str(&format!("  {}\n", neutral(&words)));
    if let Some(reason) = &run.reason {
        line(reason.clone());
    }
    if let Some(occasion) = &run.occasion {
        line(format!("begun by {occasion}"));
    }
    if let Some(task) = &run.task {
        line(format!("goal: {}", task.lines().next().unwrap_or_default()));
    }
    for phase in &run.phases {
        for worker in &phase.workers {
            line(format!("{}/{} ({}): {}", phase.phase, worker.worker, worker.model, worker.outcome));
            if let Some(prompt) = &worker.prompt {
                line(format!("  asked: {}", prompt.lines().next().unwrap_or_default()));
            }
            let answer = worker.answer.as_deref().unwrap_or_default();
            for said in neutral_lines(answer).lines().take(ANSWER_LINES_SHOWN) {
                line(format!("  | {said}"));
            }
        }
    }
    text
}

pub async fn memory(caller: &Caller, words: Memory) -> Result<Exit, Failure> {
    let place = place()?;
    match words.verb {
        MemoryVerb::Ls => {
            let Reply::Memory(view) = caller.ask(Request::Past(PastRequest::MemoryList { place })).await?
            else {
                return Err(Failure::out_of_turn("memory ls"));
            };
            caller.show(&view, |look| memory_text(&view, look))?;
        }
        MemoryVerb::Cat { path } => {
            let request = Request::Past(PastRequest::MemoryCat { place, path });
            let Reply::Bytes { bytes } = caller.ask(request).await? else {
                return Err(Failure::out_of_turn("memory cat"));
            };
            say_bytes(&bytes)?;
        }
    }
    Ok(Exit::Done)
}

fn memory_text(view: &MemoryView, look: Look) -> String {
    let folder = neutral(&view.folder.display().to_string());
    if view.files.is_empty() {
        return format!("nothing is remembered yet; it would lie in {folder}\n");
    }
    let mut table = Table::headless();
    for (path, size) in &view.files {
        table.row(vec![cell(neutral(path)), toned_cell(bytes(*size), Tone::Faint)]);
    }
    let full = if view.full { ": full, no session is given it until something is removed" } else { "" };
    format!("{}{} in {folder}{full}\n", table.text(look), bytes(view.bytes))
}

//! The verbs of people about talks: look on, write to agents, end them, read what came.

use serde_json::json;

use super::agents::{Letter, send, text_or_stdin};
use super::{Caller, done, say};
use crate::cli::talks::{Done, Inbox, Mesh};
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral_lines;
use crate::report::session::letters_text;

pub async fn end(caller: &Caller, words: Done) -> Result<Exit, Failure> {
    let request = Request::Conclude { run: words.name.run, phase: words.phase };
    let exit = done(&caller.ask(request).await?, "done")?;
    if caller.json {
        super::say_json(&json!({ "done": true }))?;
    }
    Ok(exit)
}

/// Writes to one agent or to all; without words it shows what was said.
pub async fn mesh(caller: &Caller, words: Mesh) -> Result<Exit, Failure> {
    let run = words.run;
    let (to, text) = match (words.broadcast, words.to, words.text) {
        (Some(text), ..) => ("all".to_owned(), text),
        (None, Some(to), Some(text)) => (to, text),
        _ => return observe(caller, run).await,
    };
    let text = text_or_stdin(text)?;
    send(caller, Letter { run, to, text, ..Letter::default() }).await
}

/// The transcripts of the run's talks, as they stand.
async fn observe(caller: &Caller, run: Option<String>) -> Result<Exit, Failure> {
    let Reply::Paths(paths) = caller.ask(Request::ScratchpadList { run: run.clone() }).await? else {
        return Err(Failure::out_of_turn("mesh"));
    };
    let ending = if caller.json { "/transcript.jsonl" } else { "/transcript.md" };
    let mut shown = false;
    for path in paths.into_iter().filter(|path| path.ends_with(ending)) {
        let Reply::Bytes { bytes } = caller.ask(Request::ScratchpadCat { run: run.clone(), path }).await?
        else {
            return Err(Failure::out_of_turn("mesh"));
        };
        say(&neutral_lines(&String::from_utf8_lossy(&bytes)))?;
        shown = true;
    }
    if !shown && !caller.json {
        say("nothing was said yet\n")?;
    }
    Ok(Exit::Done)
}

pub async fn inbox(caller: &Caller, words: Inbox) -> Result<Exit, Failure> {
    let request = Request::Inbox { all: words.all, take: !words.keep };
    let Reply::Inbox(letters) = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("inbox"));
    };
    caller.show(&letters, |_| {
        if letters.is_empty() {
            return "no letters\n".to_owned();
        }
        let each = letters.iter().map(|entry| {
            format!(
                "{}\n{}",
                crate::report::neutral(entry.run.as_str()),
                letters_text(std::slice::from_ref(&entry.letter))
            )
        });
        each.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

//! What workers do among themselves: claims, outputs, the scratchpad, letters.

use std::io::{self, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::{Caller, done, say, say_bytes, say_json};
use crate::cli::agents::{Claim, Mailbox, MailboxVerb, Output, OutputVerb, Scratchpad, ScratchpadVerb};
use crate::control::client::{Client, ClientError};
use crate::control::letter_id;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral;
use crate::report::session::letters_text;

/// The largest file of a scratchpad.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The longest text that is read from stdin to be typed or sent.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// 0 for whoever comes first, 1 for everybody else.
pub async fn claim(caller: &Caller, words: Claim) -> Result<Exit, Failure> {
    let request = Request::Claim { run: words.run.run, key: words.key };
    let Reply::Claimed { first, holder } = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("claim"));
    };
    let people =
        format!("{}\n", if first { "yours".to_owned() } else { format!("taken by {}", neutral(&holder)) });
    caller.show(&json!({ "first": first, "holder": holder }), |_| people)?;
    Ok(if first { Exit::Done } else { Exit::Failed })
}

pub async fn output(caller: &Caller, words: Output) -> Result<Exit, Failure> {
    let run = words.run.run;
    match words.verb {
        OutputVerb::Set { key, value } => {
            // What is no JSON is a text: `niia output set class auth` needs no quotes within quotes.
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            done(&caller.ask(Request::OutputSet { run, key, value }).await?, "output set")
        }
        OutputVerb::Get { key, phase } => {
            let Reply::Value(value) = caller.ask(Request::OutputGet { run, phase, key }).await? else {
                return Err(Failure::out_of_turn("output get"));
            };
            match &value {
                Value::String(text) if !caller.json => {
                    say(&format!("{}\n", crate::report::neutral_lines(text)))?
                }
                value => say_json(value)?,
            }
            Ok(Exit::Done)
        }
    }
}

pub async fn scratchpad(caller: &Caller, words: Scratchpad) -> Result<Exit, Failure> {
    let run = words.run.run;
    match words.verb {
        ScratchpadVerb::Ls => {
            let Reply::Paths(paths) = caller.ask(Request::ScratchpadList { run }).await? else {
                return Err(Failure::out_of_turn("scratchpad ls"));
            };
            caller.show(&paths, |_| paths.iter().map(|path| neutral(path) + "\n").collect())?;
        }
        ScratchpadVerb::Cat { path } => {
            let Reply::Bytes { bytes } = caller.ask(Request::ScratchpadCat { run, path }).await? else {
                return Err(Failure::out_of_turn("scratchpad cat"));
            };
            print_file(&bytes)?;
        }
        ScratchpadVerb::Put { path, file } => {
            let bytes = read_input(file.as_deref(), FILE_BYTES_MAX)?;
            return done(&caller.ask(Request::ScratchpadPut { run, path, bytes }).await?, "scratchpad put");
        }
    }
    Ok(Exit::Done)
}

/// A file goes into a pipe as it is; on a terminal it is text that can do nothing to it.
fn print_file(bytes: &[u8]) -> Result<(), Failure> {
    if std::io::IsTerminal::is_terminal(&io::stdout()) {
        return say(&crate::report::neutral_lines(&String::from_utf8_lossy(bytes)));
    }
    say_bytes(bytes)
}

pub async fn mailbox(caller: &Caller, words: Mailbox) -> Result<Exit, Failure> {
    let run = words.run.run;
    match words.verb {
        MailboxVerb::Send { to, text, id, reply_to, urgent } => {
            let text = text_or_stdin(text)?;
            send(caller, Letter { run, to, text, id, cause: reply_to, urgent }).await
        }
        MailboxVerb::List { sent: true, reader } => {
            letters(caller, Request::MailboxSent { run, writer: reader }, "mailbox list --sent").await
        }
        MailboxVerb::List { reader, .. } => {
            letters(caller, Request::MailboxList { run, reader }, "mailbox list").await
        }
        MailboxVerb::Read { reader } => read_letters(caller, run, reader).await,
    }
}

/// A letter to be sent.
#[derive(Debug, Default)]
pub struct Letter {
    pub run: Option<String>,
    pub to: String,
    pub text: String,
    pub id: Option<String>,
    pub cause: Option<String>,
    pub urgent: bool,
}

/// Sends a letter. By its id it is sent once, however often the node has to be asked; where that cannot be found out,
/// the id is named.
pub async fn send(caller: &Caller, letter: Letter) -> Result<Exit, Failure> {
    let id = letter.id.unwrap_or_else(letter_id);
    let Letter { run, to, text, cause, urgent, .. } = letter;
    let request = Request::MailboxSend { run, to, text, id: Some(id.clone()), cause, urgent };
    match ask_again(caller, &request).await? {
        Ok(Reply::Posted { .. } | Reply::Done) => {
            if caller.json {
                say_json(&json!({ "id": id }))?;
            }
            Ok(Exit::Done)
        }
        Ok(_) => Err(Failure::out_of_turn("mailbox send")),
        Err(error) if error.may_pass() => {
            let message = format!("whether the letter `{id}` was sent is unknown: the node went away");
            let help = format!("send the same again with `--id {id}`: it is delivered once");
            Err(Failure::new(Exit::Unreachable, message).help(help))
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints the unread letters and says that they came. A node that goes away meanwhile is asked again with the same name,
/// so that none is lost and none comes twice.
async fn read_letters(caller: &Caller, run: Option<String>, reader: Option<String>) -> Result<Exit, Failure> {
    let to = letter_id();
    let request = Request::MailboxRead { run: run.clone(), reader: reader.clone(), to: Some(to.clone()) };
    let Reply::Letters(letters) = ask_again(caller, &request).await?? else {
        return Err(Failure::out_of_turn("mailbox read"));
    };
    caller.show(&letters, |_| letters_text(&letters))?;
    if letters.is_empty() {
        return Ok(Exit::Done);
    }
    done(&ask_again(caller, &Request::MailboxCame { run, reader, to }).await??, "mailbox read")
}

/// Asks what does no harm when it is asked twice; a node of this machine that goes away meanwhile is waited for.
async fn ask_again(caller: &Caller, request: &Request) -> Result<Result<Reply, ClientError>, Failure> {
    // Only the first time a node is started where none runs.
    let asked = caller.client().await?.ask(request.clone()).await;
    Ok(match asked {
        Err(error) if error.may_pass() && caller.machine.is_none() => {
            Client::ask_safely(&caller.folders, request).await
        }
        asked => asked,
    })
}

async fn letters(caller: &Caller, request: Request, verb: &str) -> Result<Exit, Failure> {
    let Reply::Letters(letters) = caller.ask(request).await? else {
        return Err(Failure::out_of_turn(verb));
    };
    caller.show(&letters, |_| letters_text(&letters))?;
    Ok(Exit::Done)
}

/// The text itself, or what stdin holds where it is `-`.
pub fn text_or_stdin(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let bytes = read_input(None, TEXT_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| Failure::usage("stdin holds no UTF-8 text").because(error))
}

/// A file, or stdin, up to its bound.
pub fn read_input(file: Option<&Path>, max: u64) -> Result<Vec<u8>, Failure> {
    let name = file.map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", path.display()));
    let unreadable = |error| Failure::new(Exit::Usage, format!("could not read {name}")).because(error);
    let mut bytes = Vec::new();
    match file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(unreadable)?;
            file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?
        }
        None => io::stdin().lock().take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?,
    };
    if bytes.len() as u64 > max {
        return Err(Failure::usage(format!("{name} has more than {max} bytes")));
    }
    Ok(bytes)
}

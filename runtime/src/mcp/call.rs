//! One call of a tool: the question to the node it stands for, and its answer as a text.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::tools::Words;
use crate::config::Folders;
use crate::control::client::{Client, ClientError};
use crate::control::words::{Reply, Request};
use crate::failure::chain;
use crate::report::Look;
use crate::report::run::run_text;
use crate::report::session::letters_text;

/// A larger file is no text for a model; its path is.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// What is told of a child run's output: its beginning holds the id, its end the report.
const RUN_BYTES_MAX: u64 = 128 * 1024;

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Called {
    pub text: String,
    /// The same for programs.
    pub data: Option<Value>,
}

impl Called {
    fn text(text: impl Into<String>) -> Called {
        Called { text: text.into(), data: None }
    }
}

/// Does what a call says, and gives what it came to or why it came to nothing.
pub(super) async fn call(
    folders: &Folders,
    starts: bool,
    run: Option<String>,
    words: Words,
) -> Result<Called, String> {
    let words = match words {
        Words::Run(child) => return run_child(child.document, child.task).await,
        words => words,
    };
    let request = request(run, words);
    let asked = match ask(folders, starts, &request).await {
        Ok(reply) => confirm(folders, &request, reply).await,
        refused => refused,
    };
    match asked {
        Ok(reply) => answer(reply),
        Err(ClientError::Refused(refusal)) => Err(match refusal.help {
            Some(help) => format!("{}\n{help}", refusal.message),
            None => refusal.message,
        }),
        Err(error) => Err(format!("the node is not reachable: {}", chain(&error))),
    }
}

/// The question a call stands for. A letter gets an id here, so that it is asked twice and delivered once.
fn request(run: Option<String>, words: Words) -> Request {
    match words {
        Words::ScratchpadList(_) => Request::ScratchpadList { run },
        Words::ScratchpadRead(file) => Request::ScratchpadCat { run, path: file.path },
        Words::ScratchpadWrite(file) => {
            Request::ScratchpadPut { run, path: file.path, bytes: file.text.into_bytes() }
        }
        Words::MailboxSend(letter) => Request::MailboxSend {
            run,
            to: letter.to,
            text: letter.text,
            id: Some(letter.id.unwrap_or_else(crate::control::letter_id)),
            cause: letter.reply_to,
            urgent: letter.urgent,
        },
        Words::MailboxList(listed) if listed.sent => Request::MailboxSent { run, writer: None },
        Words::MailboxList(_) => Request::MailboxList { run, reader: None },
        Words::MailboxRead(_) => {
            Request::MailboxRead { run, reader: None, to: Some(crate::control::letter_id()) }
        }
        Words::OutputSet(output) => Request::OutputSet { run, key: output.key, value: output.value },
        Words::OutputGet(which) => Request::OutputGet { run, phase: which.phase, key: which.key },
        Words::Claim(item) => Request::Claim { run, key: item.key },
        Words::AskPerson(asked) => Request::AskPerson { question: asked.question, choices: asked.choices },
        Words::Done(which) => Request::Conclude { run, phase: which.phase },
        // A child run is no question to the node; see `run_child`.
        Words::Status(_) | Words::Run(_) => Request::Status { run },
    }
}

async fn ask(folders: &Folders, starts: bool, request: &Request) -> Result<Reply, ClientError> {
    if starts {
        drop(Client::reach(folders).await?);
    }
    Client::ask_safely(folders, request).await
}

/// Letters that came are said to have come.
async fn confirm(folders: &Folders, request: &Request, reply: Reply) -> Result<Reply, ClientError> {
    if let (Request::MailboxRead { run, reader, to: Some(to) }, Reply::Letters(letters)) = (request, &reply)
        && !letters.is_empty()
    {
        let came = Request::MailboxCame { run: run.clone(), reader: reader.clone(), to: to.clone() };
        Client::ask_safely(folders, &came).await?;
    }
    Ok(reply)
}

fn answer(reply: Reply) -> Result<Called, String> {
    Ok(match reply {
        Reply::Done => Called::text("done"),
        Reply::Paths(paths) if paths.is_empty() => {
            Called { text: "the scratchpad is empty".to_owned(), data: Some(json!({ "paths": paths })) }
        }
        Reply::Paths(paths) => Called { text: paths.join("\n"), data: Some(json!({ "paths": paths })) },
        Reply::Bytes { bytes } => Called::text(file(bytes)?),
        Reply::Letters(letters) => {
            Called { text: letters_text(&letters), data: Some(json!({ "letters": letters })) }
        }
        Reply::Posted { id } => {
            Called { text: format!("sent; its id is {id}"), data: Some(json!({ "id": id })) }
        }
        Reply::Value(value) => Called {
            text: match &value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            },
            data: Some(json!({ "value": value })),
        },
        Reply::Claimed { first, holder } => Called {
            text: if first { "it is yours".to_owned() } else { format!("{holder} has it: take another one") },
            data: Some(json!({ "yours": first, "holder": holder })),
        },
        Reply::Run(view) => {
            Called { text: run_text(&view, Look::plain()), data: Some(json!({ "run": view })) }
        }
        Reply::Answered { text, by } => {
            Called { text: format!("{by} answered: {text}"), data: Some(json!({ "answer": text, "by": by })) }
        }
        _ => return Err("the node's answer makes no sense here; it may be of another version".to_owned()),
    })
}

fn file(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!(
            "it has {} bytes, more than the {FILE_BYTES_MAX} that are told here: read it in $NIIA_SCRATCHPAD",
            bytes.len()
        ));
    }
    String::from_utf8(bytes).map_err(|error| format!("it is no text, but {} bytes", error.as_bytes().len()))
}

/// The same as `niia run` said in this session's terminal.
async fn run_child(document: String, task: Option<String>) -> Result<Called, String> {
    let program = std::env::current_exe().map_err(|error| format!("niia does not find itself: {error}"))?;
    let mut command = Command::new(program);
    command.args(["run", "--no-input"]);
    command.args(task.iter().flat_map(|task| ["--task", task.as_str()]));
    command.arg("--").arg(document);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("niia could not be started: {error}"))?;
    let mut child = Interrupted(child);
    let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
    let (out, err) = tokio::join!(all_of(out), all_of(err));
    let ended = child.0.wait().await.map_err(|error| format!("niia could not be waited for: {error}"))?;
    let text = [out.trim_end(), err.trim_end()].join("\n").trim().to_owned();
    match ended.code() {
        Some(0) => Ok(Called::text(text)),
        Some(code) => Err(format!("{text}\n(exit code {code})")),
        None => Err(format!("{text}\n(it was ended by a signal)")),
    }
}

/// What a call was taken back from is told to end as a person would: its run is cancelled.
struct Interrupted(Child);

impl Drop for Interrupted {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // One that has ended this moment needs no word.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
    }
}

/// The beginning and the end of what a program says, as far as it fits.
async fn all_of(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut bytes = Vec::new();
    // What could be read so far is told all the same.
    drop((&mut pipe).take(RUN_BYTES_MAX).read_to_end(&mut bytes).await);
    drop(tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

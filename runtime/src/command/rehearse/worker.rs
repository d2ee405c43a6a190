//! A stand-in of a rehearsal: it answers at once, as its part says.

use std::fs;
use std::path::Path;

use niia_spec::rehearsal::{Failing, Part};
use serde_json::Value;

use super::super::{Caller, say};
use crate::cli::rehearse::RehearsalWorker;
use crate::control::letter_id;
use crate::control::words::Request;
use crate::failure::{Exit, Failure};

/// What stands in the prompt of a turn for which letters have come.
const LETTERS_CAME: &str = "Letters have come for you";

pub async fn act(caller: &Caller, words: RehearsalWorker) -> Result<Exit, Failure> {
    let part: Part = serde_json::from_str(&words.part)
        .map_err(|error| Failure::usage("this is no part of a rehearsal").because(error))?;
    let prompt = match &words.prompt {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Failure::trouble(format!("its prompt `{}`", path.display()), error))?,
        None => String::new(),
    };
    if let Some(failing) = part.failing {
        return fail(failing);
    }
    if let Some(file) = &part.file {
        write(file, &part)?;
    }
    if let Some(to) = part.letter_to.clone().filter(|_| !prompt.contains(LETTERS_CAME)) {
        let text = format!("{} greets you in a rehearsal.", part.name);
        let request =
            Request::MailboxSend { run: None, to, text, id: Some(letter_id()), cause: None, urgent: false };
        caller.ask(request).await?;
    }
    let model =
        if part.model.is_empty() { String::new() } else { format!(", standing in for {}", part.model) };
    let told =
        if words.prompt.is_some() { format!(" was told {} bytes and", prompt.len()) } else { String::new() };
    say(&format!("{}{model},{told} is done.\n", part.name))?;
    if part.outputs.is_empty() {
        return Ok(Exit::Done);
    }
    let outputs = serde_json::to_string_pretty(&Value::Object(part.outputs))
        .map_err(|error| Failure::trouble("its outputs", error))?;
    say(&format!("```json\n{outputs}\n```\n"))?;
    Ok(Exit::Done)
}

fn write(file: &str, part: &Part) -> Result<(), Failure> {
    let trouble = |error| Failure::trouble(format!("its file `{file}`"), error);
    if let Some(folder) = Path::new(file).parent() {
        fs::create_dir_all(folder).map_err(trouble)?;
    }
    fs::write(file, format!("{} was here.\n", part.name)).map_err(trouble)
}

/// Fails as a tool would.
fn fail(failing: Failing) -> Result<Exit, Failure> {
    if let Some((code, class)) = failing.exit() {
        say(&format!("rehearsal: {class:?}\n"))?;
        std::process::exit(code.into());
    }
    match failing {
        Failing::Crash => {
            // The one signal that leaves no core file behind.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            wait_for_ever()
        }
        Failing::Timeout => wait_for_ever(),
        _ => Err(Failure::new(Exit::Failed, "rehearsal: it will not do this")),
    }
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

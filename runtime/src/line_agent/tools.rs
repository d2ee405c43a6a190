//! The model's three tools.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use niia_actors::bounded::{Bounds, Input, run};
use niia_spec::permission::Decision;
use serde_json::{Value, json};

use super::chat::Call;
use super::keys::Keys;
use super::tell::Teller;
use super::{answered, for_terminal};

/// A model of this size can make nothing of more.
const READ_BYTES_MAX: u64 = 256 * 1024;
/// What a command printed, its end left out where it is longer.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// The longest command; a build may take its time.
const RUN_MAX: Duration = Duration::from_secs(30 * 60);

pub(super) struct Tools {
    cwd: PathBuf,
}

/// The tools as the model is told of them.
pub(super) fn described() -> Value {
    let tool = |name: &str, about: &str, fields: &[(&str, &str)]| {
        let properties: serde_json::Map<String, Value> = fields
            .iter()
            .map(|(field, about)| ((*field).to_owned(), json!({ "type": "string", "description": about })))
            .collect();
        let required: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        json!({ "type": "function", "function": { "name": name, "description": about,
            "parameters": { "type": "object", "properties": properties, "required": required } } })
    };
    json!([
        tool("read_file", "Read a text file.", &[("path", "the file, relative to the folder")]),
        tool(
            "write_file",
            "Write a text file, whole; folders are made.",
            &[("path", "the file, relative to the folder"), ("content", "all of its text")]
        ),
        tool(
            "run",
            "Run a shell command in the folder and return what it prints.",
            &[("command", "the command")]
        ),
    ])
}

impl Tools {
    pub(super) fn here() -> Tools {
        Tools { cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")) }
    }

    /// Does what is called for, if it may, and returns what the model is told of it.
    pub(super) fn call(&self, call: &Call, teller: &mut Teller, keys: &mut Keys) -> io::Result<String> {
        let wish = json!({ "tool_name": call.name, "tool_input": call.input, "cwd": self.cwd });
        teller.word("PreToolUse", wish.clone());
        let text = |name: &str| call.input[name].as_str().map(str::to_owned);
        let done = match (call.name.as_str(), text("path"), text("content"), text("command")) {
            ("read_file", Some(path), _, _) => Ok(self.read(&path)),
            ("write_file", Some(path), Some(content), _) => match self.may(&wish, teller, keys)? {
                Ok(()) => Ok(self.write(&path, &content)),
                Err(why) => Err(why),
            },
            ("run", _, _, Some(command)) => match self.may(&wish, teller, keys)? {
                Ok(()) => Ok(self.run(&command)),
                Err(why) => Err(why),
            },
            (name, ..) => Err(format!("there is no tool `{name}` with these arguments: {}", call.input)),
        };
        let result = done.unwrap_or_else(|why| format!("refused: {why}"));
        teller.word("PostToolUse", json!({ "tool_name": call.name }));
        Ok(result)
    }

    /// Whether it may; a person is asked where the policy leaves it to one.
    fn may(&self, wish: &Value, teller: &mut Teller, keys: &mut Keys) -> io::Result<Result<(), String>> {
        match teller.decide(wish) {
            Decision::Allow { .. } => Ok(Ok(())),
            Decision::Deny { because } => Ok(Err(because)),
            Decision::Ask { because } => {
                let about = wish["tool_input"].to_string();
                let mut out = io::stdout().lock();
                write!(
                    out,
                    "\r\nDo you want to let it {} {}?\r\n({})\r\n  1. Yes\r\n  2. No\r\n",
                    wish["tool_name"].as_str().unwrap_or_default(),
                    for_terminal(&about),
                    for_terminal(&because)
                )?;
                out.flush()?;
                drop(out);
                teller.blocked(&because);
                let allowed = answered(keys)?.unwrap_or(false);
                teller.status("working", None);
                let because = "a person said so".to_owned();
                let decision = if allowed { Decision::Allow { because } } else { Decision::Deny { because } };
                teller.decided(wish, &decision);
                Ok(if allowed { Ok(()) } else { Err("a person refused it".to_owned()) })
            }
        }
    }

    fn read(&self, path: &str) -> String {
        let mut text = Vec::new();
        let read = File::open(self.cwd.join(path)).and_then(|file| {
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is no plain file"));
            }
            file.take(READ_BYTES_MAX + 1).read_to_end(&mut text)
        });
        match read {
            Err(error) => format!("error: {path}: {error}"),
            Ok(count) if count as u64 > READ_BYTES_MAX => {
                text.truncate(usize::try_from(READ_BYTES_MAX).unwrap_or(usize::MAX));
                format!("{}\n[cut after {READ_BYTES_MAX} bytes]", String::from_utf8_lossy(&text))
            }
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        }
    }

    fn write(&self, path: &str, content: &str) -> String {
        let whole = self.cwd.join(path);
        let written =
            whole.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&whole, content));
        match written {
            Ok(()) => format!("wrote {} bytes to {path}", content.len()),
            Err(error) => format!("error: {path}: {error}"),
        }
    }

    fn run(&self, line: &str) -> String {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec 2>&1\n{line}")).current_dir(Path::new(&self.cwd));
        let bounds =
            Bounds { time: RUN_MAX, output_bytes_max: OUTPUT_BYTES_MAX, error_bytes_max: OUTPUT_BYTES_MAX };
        match run(command, Input::Nothing, bounds) {
            Err(error) => format!("error: {error}"),
            Ok(ran) => {
                let cut = if ran.output_cut { "\n[cut]" } else { "" };
                let late = if ran.timed_out { "\n[its time was up]" } else { "" };
                format!("{}{cut}{late}\n[{}]", String::from_utf8_lossy(&ran.output), ran.ending())
            }
        }
    }
}

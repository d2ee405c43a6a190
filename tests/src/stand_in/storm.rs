//! A storm of letters: an agent that writes to all others at random and reads what comes, by the tools of `niia mcp`.
//!
//! What it sent and what it read it writes into files of its own, a line each, so that somebody else can compare them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Between two looks into the mailbox.
const READ_PERIOD: Duration = Duration::from_millis(300);
/// Filler that makes letters of different length.
const FILLER: &str = "And so on and so forth, as one writes when one has nothing to say. ";

/// Whom to write to, how much, and where to note it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    pub folder: PathBuf,
    pub agents: usize,
    pub letters: usize,
}

impl Storm {
    /// `FOLDER AGENTS LETTERS`
    pub(super) fn of(words: &str) -> Option<Storm> {
        let mut words = words.split_whitespace();
        let folder = PathBuf::from(words.next()?);
        Some(Storm { folder, agents: words.next()?.parse().ok()?, letters: words.next()?.parse().ok()? })
    }

    /// Writes and reads at a time: who only wrote would wait for the others, who only write.
    pub(super) fn blow(&self) -> io::Result<()> {
        let me = std::env::var("NIIA_WORKER").map_err(io::Error::other)?;
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| self.read(&me));
            let written = self.write(&me);
            let read = reading.join().map_err(|_| io::Error::other("the reader fell over"))?;
            written.and(read)
        })
    }

    fn write(&self, me: &str) -> io::Result<()> {
        let mut server = Server::start()?;
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut sent = note(&self.folder.join(format!("sent-{me}.new")))?;
        for _ in 0..self.letters {
            let to = loop {
                let to = agent(fastrand::usize(..self.agents));
                if to != me {
                    break to;
                }
            };
            let number = numbers.entry(to.clone()).or_default();
            let id = format!("{me}-{to}-{number}");
            *number += 1;
            let text = format!("{id} {}", FILLER.repeat(fastrand::usize(..6)));
            // Each begins anew: a storm is no answer to anything.
            let words = json!({ "to": to, "text": text, "id": id, "reply_to": "none" });
            let said = server.call("mailbox_send", &words)?;
            let word = match said {
                Ok(_) => "sent".to_owned(),
                Err(reason) => format!("failed: {}", reason.replace('\n', " ")),
            };
            writeln!(sent, "{id} {word}")?;
        }
        std::fs::rename(self.folder.join(format!("sent-{me}.new")), self.folder.join(format!("sent-{me}")))
    }

    fn read(&self, me: &str) -> io::Result<()> {
        let mut server = Server::start()?;
        let mut came = note(&self.folder.join(format!("came-{me}")))?;
        loop {
            // Looked at before reading: what came until then is read once more.
            let over = self.folder.join("over").exists();
            let said = server.call("mailbox_read", &json!({}))?.map_err(io::Error::other)?;
            let letters = said["structuredContent"]["letters"].as_array().cloned().unwrap_or_default();
            let mut lines = String::new();
            for letter in &letters {
                let text = letter["text"].as_str().unwrap_or_default();
                lines.push_str(text.split(' ').next().unwrap_or_default());
                lines.push('\n');
            }
            came.write_all(lines.as_bytes())?;
            if over && letters.is_empty() {
                return Ok(());
            }
            std::thread::sleep(READ_PERIOD);
        }
    }
}

/// What the agents of a storm are called.
#[must_use]
pub fn agent(number: usize) -> String {
    format!("a{number:02}")
}

fn note(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A `niia mcp` of one's own.
struct Server {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    number: u64,
}

impl Server {
    fn start() -> io::Result<Server> {
        let mut command = Command::new("niia");
        command.arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let none = || io::Error::other("a pipe is missing");
        let to = child.stdin.take().ok_or_else(none)?;
        let from = BufReader::new(child.stdout.take().ok_or_else(none)?);
        let mut server = Server { child, to, from, number: 0 };
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "storm", "version": "1" } });
        server.ask("initialize", &hello)?;
        server.tell(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(server)
    }

    /// The result of a tool, or what it says of its failure.
    fn call(&mut self, name: &str, arguments: &Value) -> io::Result<Result<Value, String>> {
        let said = self.ask("tools/call", &json!({ "name": name, "arguments": arguments }))?;
        if said["isError"] == true {
            return Ok(Err(said["content"][0]["text"].as_str().unwrap_or_default().to_owned()));
        }
        Ok(Ok(said))
    }

    fn ask(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        self.number += 1;
        let id = self.number;
        self.tell(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.from.read_line(&mut line)? == 0 {
                return Err(io::Error::other("niia mcp went away"));
            }
            let said: Value = serde_json::from_str(&line)?;
            if said["id"] == id {
                return match said.get("result") {
                    Some(result) => Ok(result.clone()),
                    None => Err(io::Error::other(said["error"].to_string())),
                };
            }
        }
    }

    fn tell(&mut self, words: &Value) -> io::Result<()> {
        writeln!(self.to, "{words}")?;
        self.to.flush()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input; the one that does not is ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

//! The HTTP API of Ollama: one question, the answer line by line.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PORT: u16 = 11434;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A model may be loaded from a disk first; one that says nothing for so long says nothing any more.
const SILENT_MAX: Duration = Duration::from_secs(600);
/// Between two looks at whether somebody interrupts.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// One line of an answer is a word or two, or one call of a tool with a file in it.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const HEAD_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum ChatError {
    #[error("`OLLAMA_HOST` is no address: {0}")]
    Address(String),
    #[error("could not connect to ollama at {address}")]
    Unreachable { address: String, source: io::Error },
    #[error("ollama ended the connection: {0}")]
    Broken(#[from] io::Error),
    #[error("ollama says {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("ollama said nothing for {} s", SILENT_MAX.as_secs())]
    Silent,
    #[error("the model called tools {steps} times without an answer")]
    Circles { steps: u32 },
}

impl ChatError {
    /// The code by which a profile knows it.
    pub(super) fn code(&self) -> &'static str {
        match self {
            ChatError::Refused { status: 404, .. } => "model_not_found",
            ChatError::Refused { status: 401 | 403, .. } => "authentication_failed",
            ChatError::Refused { status: 429, .. } => "rate_limit",
            ChatError::Refused { status: 500.., .. } => "server_error",
            ChatError::Unreachable { .. } | ChatError::Broken(_) | ChatError::Silent => "network",
            ChatError::Address(_) | ChatError::Refused { .. } | ChatError::Circles { .. } => "other",
        }
    }
}

/// Where Ollama listens.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What comes of an answer.
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// Nothing came for a moment.
    Silence,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub input: u64,
    pub output: u64,
}

impl Used {
    pub(super) fn add(&mut self, more: &Used) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
    }
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub name: String,
    pub input: Value,
}

#[derive(Debug, Default)]
pub(super) struct Reply {
    pub text: String,
    pub calls: Vec<Call>,
    pub used: Used,
}

impl Reply {
    /// As the conversation keeps it.
    pub(super) fn message(&self) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| json!({ "function": { "name": call.name, "arguments": call.input } }))
            .collect();
        if calls.is_empty() {
            json!({ "role": "assistant", "content": self.text })
        } else {
            json!({ "role": "assistant", "content": self.text, "tool_calls": calls })
        }
    }

    fn take(&mut self, line: &Value) -> Result<bool, ChatError> {
        if let Some(message) = line["error"].as_str() {
            let status = if message.contains("not found") { 404 } else { 500 };
            return Err(ChatError::Refused { status, message: message.to_owned() });
        }
        self.text.push_str(line["message"]["content"].as_str().unwrap_or_default());
        for call in line["message"]["tool_calls"].as_array().into_iter().flatten() {
            let input = match &call["function"]["arguments"] {
                Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                input => input.clone(),
            };
            let name = call["function"]["name"].as_str().unwrap_or_default().to_owned();
            self.calls.push(Call { name, input });
        }
        if line["done"] == true {
            self.used.input = line["prompt_eval_count"].as_u64().unwrap_or(0);
            self.used.output = line["eval_count"].as_u64().unwrap_or(0);
        }
        Ok(line["done"] == true)
    }
}

impl Endpoint {
    pub(super) fn of_this_environment() -> Result<Endpoint, ChatError> {
        Endpoint::read(&std::env::var("OLLAMA_HOST").unwrap_or_default())
    }

    /// `host`, `host:port`, `http://host:port`; nothing said is this machine.
    fn read(text: &str) -> Result<Endpoint, ChatError> {
        let wrong = || ChatError::Address(text.to_owned());
        let bare = text.trim().trim_start_matches("http://").trim_end_matches('/');
        if bare.is_empty() {
            return Ok(Endpoint { host: "127.0.0.1".to_owned(), port: PORT });
        }
        if bare.contains("://") || bare.contains('/') {
            return Err(wrong());
        }
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| wrong())?),
            _ => (bare, PORT),
        };
        let host = if host.is_empty() || host == "0.0.0.0" { "127.0.0.1" } else { host };
        Ok(Endpoint { host: host.to_owned(), port })
    }

    /// Asks, and hands on what comes; nothing where `goes_on` says no.
    pub(super) fn chat(
        &self,
        body: &Value,
        goes_on: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> Result<Option<Reply>, ChatError> {
        let mut stream = self.connect()?;
        let body = body.to_string();
        write!(
            stream,
            "POST /api/chat HTTP/1.1\r\nHost: {self}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        let mut lines = Lines { reader: BufReader::new(stream), chunked: false, left: 0 };
        let Some(status) = lines.head(goes_on)? else { return Ok(None) };
        let mut reply = Reply::default();
        let mut all = Vec::new();
        loop {
            match lines.next(goes_on)? {
                Next::Stopped => return Ok(None),
                Next::End if status == 200 => return Ok(Some(reply)),
                Next::End => return Err(refused(status, &all)),
                Next::Line(line) if status != 200 => all.extend(line),
                Next::Line(line) => {
                    let Ok(line) = serde_json::from_slice::<Value>(&line) else { continue };
                    let before = reply.text.len();
                    let done = reply.take(&line)?;
                    if !goes_on(Piece::Text(&reply.text[before..])) {
                        return Ok(None);
                    }
                    if done {
                        return Ok(Some(reply));
                    }
                }
            }
        }
    }

    fn connect(&self) -> Result<TcpStream, ChatError> {
        let unreachable = |source| ChatError::Unreachable { address: self.to_string(), source };
        let mut last = io::Error::other("it has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }
}

fn refused(status: u16, body: &[u8]) -> ChatError {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = said["error"].as_str().map(str::to_owned);
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect());
    ChatError::Refused { status, message }
}

enum Next {
    Line(Vec<u8>),
    End,
    Stopped,
}

/// The lines of an answer, be it in chunks or not.
struct Lines {
    reader: BufReader<TcpStream>,
    chunked: bool,
    /// What is left of the chunk.
    left: u64,
}

impl Lines {
    /// The status; the rest of the head says only whether the answer comes in chunks.
    fn head(&mut self, goes_on: &mut dyn FnMut(Piece<'_>) -> bool) -> Result<Option<u16>, ChatError> {
        let Some(first) = self.raw(HEAD_BYTES_MAX, goes_on)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&first).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("its answer is none of HTTP"))?;
        loop {
            let Some(line) = self.raw(HEAD_BYTES_MAX, goes_on)? else { return Ok(None) };
            let line = String::from_utf8_lossy(&line).trim().to_ascii_lowercase();
            if line.is_empty() {
                return Ok(Some(status));
            }
            self.chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
    }

    fn next(&mut self, goes_on: &mut dyn FnMut(Piece<'_>) -> bool) -> Result<Next, ChatError> {
        if !self.chunked {
            let Some(line) = self.raw(LINE_BYTES_MAX, goes_on)? else { return Ok(Next::Stopped) };
            return Ok(if line.is_empty() { Next::End } else { Next::Line(line) });
        }
        // Ollama puts each line into a chunk of its own; one that does not is read on to the end of its line.
        let mut line = Vec::new();
        while !line.ends_with(b"\n") && (line.len() as u64) < LINE_BYTES_MAX {
            if self.left == 0 {
                let Some(size) = self.raw(HEAD_BYTES_MAX, goes_on)? else { return Ok(Next::Stopped) };
                let size = String::from_utf8_lossy(&size).trim().to_owned();
                if size.is_empty() {
                    continue;
                }
                self.left = u64::from_str_radix(&size, 16).unwrap_or(0);
                if self.left == 0 {
                    return Ok(if line.is_empty() { Next::End } else { Next::Line(line) });
                }
            }
            let Some(part) = self.raw(self.left, goes_on)? else { return Ok(Next::Stopped) };
            if part.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.left -= part.len() as u64;
            line.extend(part);
        }
        Ok(Next::Line(line))
    }

    /// Up to a line feed, a bound or the end; nothing where somebody stops it.
    fn raw(
        &mut self,
        max: u64,
        goes_on: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> Result<Option<Vec<u8>>, ChatError> {
        let mut line = Vec::new();
        let since = Instant::now();
        loop {
            let left = max - line.len() as u64;
            match self.reader.by_ref().take(left).read_until(b'\n', &mut line) {
                Ok(_) => return Ok(Some(line)),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if !goes_on(Piece::Silence) {
                        return Ok(None);
                    }
                    if since.elapsed() > SILENT_MAX {
                        return Err(ChatError::Silent);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_ollama_reads_it() {
        for (text, wanted) in [
            ("", "127.0.0.1:11434"),
            ("http://gpu:9000/", "gpu:9000"),
            ("gpu", "gpu:11434"),
            ("0.0.0.0:1", "127.0.0.1:1"),
        ] {
            assert_eq!(Endpoint::read(text).unwrap().to_string(), wanted, "{text}");
        }
        assert!(Endpoint::read("https://x").is_err());
        assert!(Endpoint::read("x:port").is_err());
    }

    #[test]
    fn an_answer_may_come_in_chunks_whole_or_be_a_refusal() {
        let line = r#"{"message":{"content":"hi","tool_calls":[{"function":{"name":"run","arguments":{"command":"ls"}}}]},"done":true,"eval_count":3}"#;
        let answer = |head: &str, body: &str| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let text = format!("{head}\r\n\r\n{body}");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            });
            let endpoint = Endpoint { host: "127.0.0.1".into(), port };
            let reply = endpoint.chat(&json!({}), &mut |_| true);
            server.join().unwrap();
            reply
        };
        let chunks = format!("{:x}\r\n{line}\n\r\n0\r\n\r\n", line.len() + 1);
        for reply in [
            answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &chunks),
            answer("HTTP/1.1 200 OK", &format!("{line}\n")),
        ] {
            let reply = reply.unwrap().unwrap();
            assert_eq!(
                (reply.text.as_str(), reply.calls[0].name.as_str(), reply.used.output),
                ("hi", "run", 3)
            );
        }
        let error = answer("HTTP/1.1 404 Not Found", "{\"error\":\"model 'x' not found\"}").unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("not found")), ("model_not_found", true));
    }
}

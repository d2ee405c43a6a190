//! `niia hook --from URL`: what a tool tells by an event stream of its own (SSE) is told as hooks are.
//!
//! It runs beside the tool, inside its session, so that it sees the loopback that the tool sees; what it hears is kept
//! while no node listens. It ends with the session.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use niia_actors::session::hooks::{BODY_BYTES_MAX, FOLDER_VARIABLE, tell};
use niia_spec::profile::path::text_of;
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// A tool that does not listen yet is called again after so long.
const CALL_AGAIN: Duration = Duration::from_millis(100);
/// One that has not listened for so long does not listen any more.
const SILENT_MAX: Duration = Duration::from_secs(600);
/// A stream on which nothing comes for so long is dead: such streams have heartbeats.
const STREAM_SILENT_MAX: Duration = Duration::from_secs(120);
/// What is asked is answered within this time or not at all; a tool that is still starting may never answer what it was
/// asked too early.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The longest line of a stream, and of a head.
const LINE_BYTES_MAX: u64 = BODY_BYTES_MAX;

/// Where the stream is, and what of it is told.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    path: String,
    authorization: Option<String>,
    /// The events that are told; all of them where none is named.
    only: Vec<String>,
    /// Events with which something else is asked for: the path, with places in the event's body.
    with: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Relay {
    pub fn new(from: &str, login: Option<&str>, only: &[String], with: &[String]) -> Result<Relay, Failure> {
        let wrong = || {
            let message = format!("`{from}` is no stream of this machine");
            Failure::usage(message).help("write http://127.0.0.1:PORT/PATH")
        };
        let rest = from.strip_prefix("http://127.0.0.1:").ok_or_else(wrong)?;
        let (port, path) = rest.split_once('/').ok_or_else(wrong)?;
        let login = login.map(|login| match login.split_once(':') {
            Some((user, variable)) => {
                let secret = std::env::var(variable).unwrap_or_default();
                Ok(base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
            }
            None => Err(Failure::usage(format!("`{login}` is no login")).help("write USER:VARIABLE")),
        });
        let pair = |text: &String| {
            let pair = text.split_once('=').map(|(event, path)| (event.to_owned(), path.to_owned()));
            pair.ok_or_else(|| Failure::usage(format!("`{text}` is no question")).help("write EVENT=/PATH"))
        };
        let folder = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
        Ok(Relay {
            port: port.parse().map_err(|_| wrong())?,
            path: format!("/{path}"),
            authorization: login.transpose()?,
            only: only.to_vec(),
            with: with.iter().map(pair).collect::<Result<_, _>>()?,
            folder: folder.ok_or_else(|| Failure::usage("outside of a session nobody listens"))?,
        })
    }

    /// Tells what comes until nobody has been at the other end for long.
    pub fn run(&self) -> Exit {
        let mut heard = Instant::now();
        while heard.elapsed() < SILENT_MAX {
            // A tool that is not there yet, or not any more, says nothing; that is no trouble of its own.
            if let Ok(mut lines) = self.call(&self.path, STREAM_SILENT_MAX) {
                heard = Instant::now();
                drop(self.listen(&mut lines));
            }
            std::thread::sleep(CALL_AGAIN);
        }
        Exit::Done
    }

    fn listen(&self, lines: &mut BufReader<Body>) -> io::Result<()> {
        loop {
            let line = read_line(lines)?;
            if line.is_empty() {
                return Ok(());
            }
            let Some(data) = line.strip_prefix("data:") else { continue };
            if let Ok(body) = serde_json::from_str::<Value>(data.trim()) {
                self.tell(body);
            }
        }
    }

    fn tell(&self, mut body: Value) {
        let Some(event) = body["type"].as_str().map(str::to_owned) else { return };
        if !self.only.is_empty() && !self.only.contains(&event) {
            return;
        }
        if let Some(path) = self.with.get(&event).and_then(|path| filled(path, &body)) {
            let asked = self.ask(&path).unwrap_or(Value::Null);
            if let Some(fields) = body.as_object_mut() {
                fields.insert("with".to_owned(), asked);
            }
        }
        // What cannot be written down is lost: the tool must not wait for us.
        drop(tell(Path::new(&self.folder), &event, body.to_string().as_bytes()));
    }

    fn ask(&self, path: &str) -> io::Result<Value> {
        let mut body = String::new();
        self.call(path, ANSWER_WITHIN)?.take(BODY_BYTES_MAX).read_to_string(&mut body)?;
        Ok(serde_json::from_str(&body)?)
    }

    fn call(&self, path: &str, silent_max: Duration) -> io::Result<BufReader<Body>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let login = self.authorization.as_ref().map(|login| format!("authorization: Basic {login}\r\n"));
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\naccept: */*\r\nconnection: close\r\n{}\r\n",
            self.port,
            login.unwrap_or_default()
        );
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let status = read_line(&mut reader)?;
        if status.split(' ').nth(1) != Some("200") {
            return Err(io::Error::other(format!("refused: {}", status.trim())));
        }
        let mut chunked = false;
        loop {
            let line = read_line(&mut reader)?.to_ascii_lowercase();
            if line.trim().is_empty() {
                break;
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        reader.get_ref().set_read_timeout(Some(silent_max))?;
        Ok(BufReader::new(Body { reader, left: if chunked { Left::Chunks(0) } else { Left::All } }))
    }
}

/// The path with places of the event's body filled in; what a place says must not change where the path leads.
fn filled(path: &str, body: &Value) -> Option<String> {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}')?;
        let value = text_of(body, place)?;
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return None;
        }
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    Some(out + rest)
}

fn read_line(reader: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The body of an answer, whole or in chunks.
struct Body {
    reader: BufReader<TcpStream>,
    left: Left,
}

enum Left {
    /// All until the end of the connection.
    All,
    /// So many bytes of the chunk under way.
    Chunks(u64),
    Nothing,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Left::Chunks(left) = self.left else {
            return if matches!(self.left, Left::All) { self.reader.read(into) } else { Ok(0) };
        };
        let mut left = left;
        while left == 0 {
            let line = read_line(&mut self.reader)?;
            if line.is_empty() {
                self.left = Left::Nothing;
                return Ok(0);
            }
            let size = line.trim().split(';').next().unwrap_or_default();
            if size.is_empty() {
                continue; // The end of the chunk before.
            }
            left = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if left == 0 {
                self.left = Left::Nothing;
                return Ok(0);
            }
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let count = self.reader.read(&mut into[..most])?;
        self.left = if count == 0 { Left::Nothing } else { Left::Chunks(left - count as u64) };
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Serves one answer after another, and gives what was asked.
    fn server(answers: Vec<&'static str>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let one = |answer: &str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                stream.write_all(answer.as_bytes()).unwrap();
                head
            };
            answers.into_iter().map(one).collect()
        });
        (port, serving)
    }

    #[test]
    fn events_are_told_with_what_belongs_to_them() {
        let stream = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            1a\r\ndata: {\"type\":\"other\"}\n\nda\r\n21\r\nta: {\"type\":\"idle\",\"id\":\"ses_1\"}\n\n\r\n0\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[\"text\"]\n";
        let (port, serving) = server(vec![stream, answer]);
        let folder = tempfile::tempdir().unwrap();
        let relay = Relay {
            port,
            path: "/event".into(),
            authorization: Some("eDp5".into()),
            only: vec!["idle".into()],
            with: BTreeMap::from([("idle".into(), "/session/{id}/message".into())]),
            folder: folder.path().to_owned(),
        };
        let mut lines = relay.call("/event", ANSWER_WITHIN).unwrap();
        relay.listen(&mut lines).unwrap();
        let asked = serving.join().unwrap();
        assert!(asked[0].starts_with("GET /event ") && asked[0].contains("authorization: Basic eDp5\r\n"));
        assert!(asked[1].starts_with("GET /session/ses_1/message "));
        let told = std::fs::read_to_string(folder.path().join("told.jsonl")).unwrap();
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0]["event"], &told[0]["body"]["with"][0]), (&"idle".into(), &"text".into()));
    }

    #[test]
    fn a_place_leads_nowhere_else() {
        let body = serde_json::json!({ "id": "a/../b", "good": "ses_1" });
        assert_eq!(filled("/s/{id}", &body), None);
        assert_eq!(filled("/s/{missing}", &body), None);
        assert_eq!(filled("/s/{good}/m", &body).as_deref(), Some("/s/ses_1/m"));
    }

    #[test]
    fn only_this_machine_is_listened_to() {
        for wrong in ["http://example.com/event", "https://127.0.0.1:1/x", "http://127.0.0.1:x/y"] {
            assert!(Relay::new(wrong, None, &[], &[]).is_err(), "{wrong}");
        }
    }
}

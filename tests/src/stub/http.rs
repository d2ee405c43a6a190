//! As much of HTTP as the clients of these APIs speak: one request a connection, answers until the connection closes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// The longest prompt a client sends here is a megabyte, beside what its tool adds.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lines of a head, and bytes of all of them.
const HEAD_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

impl Request {
    /// The next request; nothing where the client only called to see whether somebody is there.
    pub fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut head = (&mut reader).take(HEAD_BYTES_MAX);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (method, path) = (method.to_owned(), path.to_owned());
        let (mut length, mut chunked, mut waits) = (0, false, false);
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                "expect" => waits = true,
                _ => {}
            }
        }
        if waits {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = if chunked { chunks(&mut reader)? } else { exact(&mut reader, length)? };
        Ok(Some(Request { method, path, body }))
    }
}

fn exact(reader: &mut BufReader<TcpStream>, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("the body is too long"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn chunks(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        body.extend(exact(reader, size)?);
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(body);
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(io::Error::other("the body is too long"));
        }
    }
}

/// The head of an answer whose end is the end of the connection.
pub fn begin(stream: &mut TcpStream, status: u16, kind: &str, headers: &[(&str, String)]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Told\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())
}

/// A whole answer in JSON.
pub fn json(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &serde_json::Value,
) -> io::Result<()> {
    begin(stream, status, "application/json", headers)?;
    stream.write_all(body.to_string().as_bytes())
}

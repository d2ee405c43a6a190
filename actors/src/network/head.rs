//! The head of an HTTP request, read strictly: what two readers could understand differently is refused.

/// Cookies and tokens go into a head; what is longer is no request of a tool.
pub(super) const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
const END: &[u8] = b"\r\n\r\n";

/// A head, and how many bytes it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'b> {
    pub method: &'b str,
    pub target: &'b str,
    headers: Vec<(&'b str, &'b str)>,
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    #[error("the request's head has more than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} lines")]
    TooLarge,
    #[error("this is no HTTP request")]
    Malformed,
}

impl HeadError {
    pub fn status(self) -> Status {
        match self {
            HeadError::TooLarge => Status::HeadTooLarge,
            HeadError::Malformed => Status::BadRequest,
        }
    }
}

/// Reads a head; nothing while its end has not come.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Head<'_>>, HeadError> {
    let looked_at = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = looked_at.windows(END.len()).position(|window| window == END) else {
        // What cannot become a request is not waited for.
        let begins_well = bytes.first().is_none_or(u8::is_ascii_uppercase);
        return match (begins_well, bytes.len() >= HEAD_BYTES_MAX) {
            (false, _) => Err(HeadError::Malformed),
            (true, true) => Err(HeadError::TooLarge),
            (true, false) => Ok(None),
        };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| HeadError::Malformed)?;
    let mut lines = text.split("\r\n");
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let headers = lines.map(header).collect::<Result<Vec<_>, _>>()?;
    if headers.len() > HEADERS_MAX {
        return Err(HeadError::TooLarge);
    }
    Ok(Some(Head { method, target, headers, bytes: end + END.len() }))
}

fn request_line(line: &str) -> Result<(&str, &str), HeadError> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::Malformed);
    };
    let is_method =
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let is_target = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_method && is_target && matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        Ok((method, target))
    } else {
        Err(HeadError::Malformed)
    }
}

fn header(line: &str) -> Result<(&str, &str), HeadError> {
    let (name, value) = line.split_once(':').ok_or(HeadError::Malformed)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_value = |c: char| !c.is_control() || c == '\t';
    if name.is_empty() || !name.bytes().all(is_token) || !value.chars().all(is_value) {
        return Err(HeadError::Malformed);
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

impl<'b> Head<'b> {
    /// The values of a header, whose name is compared without regard to case.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b str> + 's {
        self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Host and port of a `CONNECT`.
    pub fn authority(&self) -> Result<(&'b str, u16), HeadError> {
        let (host, port) = self.target.rsplit_once(':').ok_or(HeadError::Malformed)?;
        let is_number = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or(HeadError::Malformed)?;
        if host.is_empty() || host.contains(['@', '/', '?', '#', '\\']) {
            return Err(HeadError::Malformed);
        }
        Ok((host, port))
    }
}

/// How a request is answered that is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    TimedOut,
    LengthRequired,
    TooLarge,
    HeadTooLarge,
    BadGateway,
    Unavailable,
    GatewayTimedOut,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::BadRequest => "400 Bad Request",
            Status::Forbidden => "403 Forbidden",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::TimedOut => "408 Request Timeout",
            Status::LengthRequired => "411 Length Required",
            Status::TooLarge => "413 Content Too Large",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::BadGateway => "502 Bad Gateway",
            Status::Unavailable => "503 Service Unavailable",
            Status::GatewayTimedOut => "504 Gateway Timeout",
        }
    }
}

/// An answer that says why.
pub(super) fn refusal(status: Status, why: &str) -> Vec<u8> {
    let body = format!("niia: {why}\n");
    let line = status.line();
    let length = body.len();
    format!(
        "HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer of the gateway's own.
pub(super) fn answer(kind: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if with_body { (head + body).into_bytes() } else { head.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_all_of_it_has_come() {
        let text = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: x\r\nProxy-Auth:  a b \r\n\r\nrest";
        for cut in 0..text.len() - 4 {
            assert_eq!(read(&text[..cut]), Ok(None), "{cut}");
        }
        let head = read(text).unwrap().unwrap();
        assert_eq!((head.method, head.authority()), ("CONNECT", Ok(("api.example.com", 443))));
        assert_eq!(head.all("proxy-auth").collect::<Vec<_>>(), ["a b"]);
        assert_eq!(&text[head.bytes..], b"rest");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "get / HTTP/1.1\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 x\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(read(text.as_bytes()), Err(HeadError::Malformed), "{text:?}");
        }
        assert_eq!(read(&[b'A'; HEAD_BYTES_MAX]), Err(HeadError::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(read(many.as_bytes()), Err(HeadError::TooLarge));
    }

    #[test]
    fn a_target_without_host_or_port_is_no_authority() {
        for target in [
            "host",
            "host:",
            ":443",
            "host:+443",
            "host:00443000",
            "host:70000",
            "u@host:443",
            "http://host:443",
        ] {
            let text = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
            assert!(read(text.as_bytes()).unwrap().unwrap().authority().is_err(), "{target}");
        }
    }
}

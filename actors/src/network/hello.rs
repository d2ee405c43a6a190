//! The first words of TLS: the name a client asks a server for.
//!
//! A server behind an allowed name may serve others too, and goes by the name in the client's first message. So that
//! name is compared with the one that was allowed. What follows is encrypted and not looked into.

/// A first message with keys for quantum computers has 2 KiB; with a resumption ticket some more.
pub(super) const HELLO_BYTES_MAX: usize = 32 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const RECORD_BYTES_MAX: usize = 1 << 14;

/// Closes a connection in TLS's own words: `unrecognized_name`, fatal.
pub(super) const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HelloError {
    #[error("what is spoken there is not TLS")]
    NotTls,
    #[error("the first message of TLS is malformed or longer than {HELLO_BYTES_MAX} bytes")]
    Malformed,
    #[error("TLS asks for no server by name")]
    NoName,
}

/// The server's name in the first message; nothing while that is not there in full.
pub(super) fn server_name(bytes: &[u8]) -> Result<Option<String>, HelloError> {
    match handshake(bytes)? {
        Some(hello) => name_in(&hello).map(Some),
        None if bytes.len() >= HELLO_BYTES_MAX => Err(HelloError::Malformed),
        None => Ok(None),
    }
}

/// The first handshake message without its header, put together from as many records as it takes.
fn handshake(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, HelloError> {
    let mut message = Vec::new();
    loop {
        if let Some(length) = wanted(&message)?
            && message.len() >= 4 + length
        {
            message.truncate(4 + length);
            message.drain(..4);
            return Ok(Some(message));
        }
        match bytes {
            [kind, ..] if *kind != HANDSHAKE => return Err(HelloError::NotTls),
            [_, major, ..] if *major != 3 => return Err(HelloError::NotTls),
            [_, _, _, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length == 0 || length > RECORD_BYTES_MAX {
                    return Err(HelloError::Malformed);
                }
                message.extend_from_slice(&rest[..length.min(rest.len())]);
                bytes = rest.get(length..).unwrap_or_default();
            }
            _ => return Ok(None),
        }
    }
}

/// How long the message says it is, once it has said so.
fn wanted(message: &[u8]) -> Result<Option<usize>, HelloError> {
    match message {
        [kind, ..] if *kind != CLIENT_HELLO => Err(HelloError::NotTls),
        [_, a, b, c, ..] => {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if length > HELLO_BYTES_MAX { Err(HelloError::Malformed) } else { Ok(Some(length)) }
        }
        _ => Ok(None),
    }
}

fn name_in(hello: &[u8]) -> Result<String, HelloError> {
    let mut rest = hello;
    take(&mut rest, 2 + 32)?; // version, random
    let length = number(&mut rest, 1)?;
    take(&mut rest, length)?; // session
    let length = number(&mut rest, 2)?;
    take(&mut rest, length)?; // ciphers
    let length = number(&mut rest, 1)?;
    take(&mut rest, length)?; // compression
    if rest.is_empty() {
        return Err(HelloError::NoName);
    }
    let length = number(&mut rest, 2)?;
    let mut extensions = take(&mut rest, length)?;
    if !rest.is_empty() {
        return Err(HelloError::Malformed);
    }
    let mut found = None;
    while !extensions.is_empty() {
        let kind = number(&mut extensions, 2)?;
        let length = number(&mut extensions, 2)?;
        let body = take(&mut extensions, length)?;
        if kind == usize::from(SERVER_NAME) && found.replace(host(body)?).is_some() {
            return Err(HelloError::Malformed);
        }
    }
    found.ok_or(HelloError::NoName)
}

/// The one host of a list of names; no other kind of name was ever defined.
fn host(mut body: &[u8]) -> Result<String, HelloError> {
    let length = number(&mut body, 2)?;
    let mut list = take(&mut body, length)?;
    let kind = number(&mut list, 1)?;
    let length = number(&mut list, 2)?;
    let name = take(&mut list, length)?;
    if kind != 0 || !list.is_empty() || !body.is_empty() {
        return Err(HelloError::Malformed);
    }
    String::from_utf8(name.to_vec()).map_err(|_| HelloError::Malformed)
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Result<&'b [u8], HelloError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(HelloError::Malformed)?;
    *rest = left;
    Ok(taken)
}

fn number(rest: &mut &[u8], bytes: usize) -> Result<usize, HelloError> {
    Ok(take(rest, bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// A first message such as clients send, for tests.
#[cfg(test)]
pub(super) fn example(names: &[&str], record_bytes: usize) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let mut extensions = [&[0xfe, 0x0d][..], &sized(&[0; 40])].concat();
    for name in names {
        let entry = [&[0][..], &sized(name.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &sized(&sized(&entry))].concat());
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(sized(&extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    message.chunks(record_bytes).flat_map(|part| [&[22, 3, 1][..], &sized(part)].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_however_the_message_is_cut() {
        for record_bytes in [1, 3, 50, 10_000] {
            let hello = example(&["api.example.com"], record_bytes);
            for cut in 0..hello.len() {
                assert_eq!(server_name(&hello[..cut]), Ok(None), "{record_bytes} {cut}");
            }
            let found = server_name(&[&hello[..], b"\x14\x03\x03"].concat());
            assert_eq!(found, Ok(Some("api.example.com".to_owned())));
        }
    }

    #[test]
    fn what_names_no_single_server_is_refused() {
        assert_eq!(server_name(&example(&[], 100)), Err(HelloError::NoName));
        assert_eq!(server_name(&example(&["a.test", "b.test"], 100)), Err(HelloError::Malformed));
        assert_eq!(server_name(b"SSH-2.0-x"), Err(HelloError::NotTls));
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n"), Err(HelloError::NotTls));
        assert_eq!(server_name(&[22, 3, 1, 0, 0]), Err(HelloError::Malformed));
        assert_eq!(server_name(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Err(HelloError::NotTls));
        assert_eq!(server_name(&[22, 3, 1, 0, 4, 1, 0xff, 0, 0]), Err(HelloError::Malformed));
    }

    #[test]
    fn no_bytes_break_the_reader() {
        let hello = example(&["api.example.com"], 40);
        for at in 0..hello.len() {
            for value in [0, 1, 127, 255] {
                let mut torn = hello.clone();
                torn[at] = value;
                // Whatever it says is a verdict; what counts is that it comes to one.
                let _ = server_name(&torn);
            }
        }
    }
}

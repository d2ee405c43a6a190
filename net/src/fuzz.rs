//! What strangers may send, thrown at everything that reads it.
//!
//! Mutations of good words from a seed: `NIIA_FUZZ_SECONDS=600 cargo test -p niia-net fuzz` throws for ten minutes,
//! `NIIA_FUZZ_SEED` throws the same again. Guided by what is covered, with a nightly toolchain: `net/fuzz/run`.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use crate::discovery::Sighting;
use crate::frame;
use crate::identity::NodeId;
use crate::peer::{Greeting, Refused};
use crate::transfer;

/// What a greeting may have.
const GREETING_BYTES_MAX: usize = 16 * 1024;
/// What is taken of contents here.
const CONTENTS_BYTES_MAX: u64 = 64 * 1024;

/// Reads from bytes never wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a read from memory waits"),
    }
}

/// Bytes of a stream. Whether they are taken or refused is one: nothing may break, hang, or show what steers a terminal.
///
/// # Panics
/// Where it does.
pub fn frame(bytes: &[u8]) {
    if let Ok(greeting) = at_once(frame::read_up_to::<Greeting>(&mut &bytes[..], GREETING_BYTES_MAX)) {
        let shown = crate::trust::shown(&greeting.name);
        assert!(shown.chars().count() <= crate::trust::NAME_CHARS_MAX && !shown.contains(char::is_control));
        if let Err(error) = greeting.hello.agree(&greeting.hello) {
            assert!(error.to_string().len() < 1_000);
        }
    }
    if let Ok(refused) = at_once(frame::read::<Refused>(&mut &bytes[..])) {
        assert!(!refused.to_string().contains(char::is_control));
    }
    // What it is for, and what is said then, are maps and texts of any kind.
    drop(at_once(frame::read::<serde_json::Value>(&mut &bytes[..])));
    let mut taken = Vec::new();
    if at_once(transfer::receive(&mut &bytes[..], &mut taken, CONTENTS_BYTES_MAX)).is_ok() {
        assert!(taken.len() as u64 <= CONTENTS_BYTES_MAX);
    }
}

/// Bytes of an announcement's text records, and of the names around them.
///
/// # Panics
/// When somebody is taken for somebody else.
pub fn announcement(bytes: &[u8]) {
    let id = NodeId::of_key(b"x");
    let (instance, own) =
        (format!("{}.{}", id.short(), crate::discovery::SERVICE), id.to_string().into_bytes());
    let (words, address) = (String::from_utf8_lossy(bytes), std::net::SocketAddr::from(([10, 0, 0, 1], 1)));
    for (name, text) in [(instance.as_str(), bytes), (words.as_ref(), bytes), (instance.as_str(), &own[..])] {
        let read = |key: &str| if key == "id" { Some(text) } else { Some(bytes) };
        let Ok(sighting) = Sighting::read(name, &words, [address].into_iter(), &read) else { continue };
        // Whoever it says it is, it says so in full: the pin decides whether that is true.
        let said = String::from_utf8_lossy(text).to_lowercase();
        assert_eq!(sighting.id.to_string(), said, "nobody is taken for another one");
        assert!(!sighting.host.contains(char::is_control) && !sighting.user.contains(char::is_control));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::peer::RefusedWhy;
    use crate::trust::Want;
    use crate::wire;

    /// An ordinary run of the tests throws for so long.
    const SECONDS: u64 = 1;

    fn number(variable: &str, otherwise: u64) -> u64 {
        std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }

    /// Throws changed copies of good inputs until the time is up.
    fn throw(corpus: &[Vec<u8>], at: impl Fn(&[u8])) {
        let seed = number("NIIA_FUZZ_SEED", fastrand::u64(..));
        println!("NIIA_FUZZ_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let until = Instant::now() + Duration::from_secs(number("NIIA_FUZZ_SECONDS", SECONDS));
        let mut thrown = 0_u64;
        while Instant::now() < until {
            for _ in 0..256 {
                let mut bytes = corpus[random.usize(..corpus.len())].clone();
                change(&mut bytes, &mut random);
                at(&bytes);
                thrown += 1;
            }
        }
        println!("{thrown} inputs");
    }

    fn change(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..=bytes.len());
            match random.u8(..6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
                1 if at < bytes.len() => {
                    bytes[at] = [0, 0xff, 0x7f, 0xc1, 0xdd, 0xdf, 0xc6][random.usize(..7)]
                }
                2 => bytes.insert(at, random.u8(..)),
                3 => bytes.truncate(at),
                4 => {
                    let copy = bytes[..at].to_vec();
                    bytes.extend_from_slice(&copy[..copy.len().min(512)]);
                }
                _ => drop(bytes.drain(at.min(bytes.len())..(at + random.usize(..9)).min(bytes.len()))),
            }
        }
    }

    fn frames() -> Vec<Vec<u8>> {
        let id = NodeId::of_key(b"x");
        let refused = Refused { why: RefusedWhy::NotPaired, by: id, came: id, detail: "why".to_owned() };
        let mut contents = Vec::new();
        at_once(transfer::send(&mut contents, &mut &[7; 300][..], 300)).unwrap();
        vec![
            wire::encode(&Greeting::new("host", 1, "0.1.0", Want::Work)).unwrap(),
            wire::encode(&Greeting::new(&"h".repeat(300), u64::MAX, "", Want::Pair)).unwrap(),
            wire::encode(&refused).unwrap(),
            wire::encode(&vec![vec![vec![1u8; 40]; 3]; 3]).unwrap(),
            contents,
            Vec::new(),
        ]
    }

    /// A query, and a response with the records of a node.
    fn announcements() -> Vec<Vec<u8>> {
        let id = NodeId::of_key(b"x");
        let texts =
            [id.to_string().into_bytes(), b"1".to_vec(), "Häuser\u{202e}".as_bytes().to_vec(), vec![0; 300]];
        let name = |labels: &[&str]| -> Vec<u8> {
            let labels = labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            labels.chain([0]).collect()
        };
        let service = name(&["_niia", "_udp", "local"]);
        let text = format!("id={id}");
        let text: Vec<u8> = [&[text.len() as u8], text.as_bytes(), b"\x03v=1\x06pair=1"].concat();
        let query = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], &service[..], &[0, 12, 0, 1]].concat();
        let record =
            [&service[..], &[0, 16, 0x80, 1, 0, 0, 0, 120], &(text.len() as u16).to_be_bytes(), &text]
                .concat();
        let response = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0], &record[..]].concat();
        texts.into_iter().chain([query, response]).collect()
    }

    #[test]
    fn no_frame_makes_a_node_stumble() {
        throw(&frames(), frame);
    }

    #[test]
    fn no_announcement_makes_a_node_stumble() {
        throw(&announcements(), announcement);
    }

    /// What the guided throwing begins with, so that it need not find out how a greeting looks.
    #[test]
    #[ignore = "writes files for `net/fuzz/run`"]
    fn seeds_are_written() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (folder, corpus) in [("frames", frames()), ("announcements", announcements())] {
            let folder = seeds.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (n, bytes) in corpus.iter().enumerate() {
                std::fs::write(folder.join(n.to_string()), bytes).unwrap();
            }
        }
    }
}

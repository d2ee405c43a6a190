//! What strangers may send, thrown at everything that reads it: mutations of good words, from a seed.
//!
//! `NIIA_FUZZ_SECONDS=600 cargo test -p niia-net fuzz` throws for ten minutes; `NIIA_FUZZ_SEED` throws the same again.

use std::time::{Duration, Instant};

use crate::discovery::Sighting;
use crate::frame;
use crate::identity::NodeId;
use crate::peer::{Greeting, Refused, RefusedWhy};
use crate::trust::Want;
use crate::wire;

/// An ordinary run of the tests throws for so long.
const SECONDS: u64 = 1;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Throws changed copies of good inputs until the time is up.
fn throw(corpus: &[Vec<u8>], mut at: impl FnMut(&[u8])) {
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
            1 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0xc1, 0xdd, 0xdf, 0xc6][random.usize(..7)],
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

#[test]
fn no_frame_makes_a_node_stumble() {
    let id = NodeId::of_key(b"x");
    let refused = Refused { why: RefusedWhy::NotPaired, by: id, came: id, detail: "why".to_owned() };
    let corpus = [
        wire::encode(&Greeting::new("host", 1, "0.1.0", Want::Work)).unwrap(),
        wire::encode(&Greeting::new(&"h".repeat(300), u64::MAX, "", Want::Pair)).unwrap(),
        wire::encode(&refused).unwrap(),
        wire::encode(&vec![vec![vec![1u8; 40]; 3]; 3]).unwrap(),
        Vec::new(),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    throw(&corpus, |bytes| {
        // Whether it is taken or refused is one: it may not break, hang, or show what steers a terminal.
        let read = runtime.block_on(frame::read_up_to::<Greeting>(&mut &bytes[..], 16 * 1024));
        if let Ok(greeting) = read {
            let shown = crate::trust::shown(&greeting.name);
            assert!(
                shown.chars().count() <= crate::trust::NAME_CHARS_MAX && !shown.contains(char::is_control)
            );
        }
        if let Ok(refused) = runtime.block_on(frame::read::<Refused>(&mut &bytes[..])) {
            assert!(!refused.to_string().contains(char::is_control));
        }
        let _ = runtime.block_on(frame::read::<serde_json::Value>(&mut &bytes[..]));
    });
}

#[test]
fn no_announcement_makes_a_node_stumble() {
    let id = NodeId::of_key(b"x");
    let corpus =
        [id.to_string().into_bytes(), b"1".to_vec(), "Häuser\u{202e}".as_bytes().to_vec(), vec![0; 300]];
    let instance = format!("{}.{}", id.short(), crate::discovery::SERVICE);
    let own = id.to_string().into_bytes();
    throw(&corpus, |bytes| {
        let words = String::from_utf8_lossy(bytes);
        let address = "10.0.0.1:1".parse().unwrap();
        for (name, text) in
            [(instance.as_str(), bytes), (words.as_ref(), bytes), (instance.as_str(), &own[..])]
        {
            let read = |key: &str| if key == "id" { Some(text) } else { Some(bytes) };
            let Ok(sighting) = Sighting::read(name, &words, [address].into_iter(), &read) else { continue };
            // Whoever it says it is, it says so in full: the pin decides whether that is true.
            let said = String::from_utf8_lossy(text).to_lowercase();
            assert_eq!(sighting.id.to_string(), said, "nobody is taken for another one");
            assert!(!sighting.host.contains(char::is_control) && !sighting.user.contains(char::is_control));
        }
    });
}

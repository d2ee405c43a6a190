//! What a peer may say, thrown at what reads it: changed copies of good words, from a seed.
//!
//! `NIIA_FUZZ_SECONDS=600 cargo test -p niia thrown` throws for ten minutes; `NIIA_FUZZ_SEED` throws the same again.

use std::time::{Duration, Instant};

use niia_net::wire;

use super::{Purpose, Word};
use crate::control::words::{Reply, Request};

/// An ordinary run of the tests throws for so long.
const SECONDS: u64 = 1;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn corpus() -> Vec<Vec<u8>> {
    let session = || "run-abcde/work/1/1".parse().unwrap();
    let text = |text: &str| text.to_owned();
    let purposes = [
        Purpose::Control,
        Purpose::Work { session: session(), repository: Some(text("0123")) },
        Purpose::Held { sessions: vec![session(), session()] },
    ];
    let words = [
        Word::New { known: Vec::new() },
        Word::Refused { reason: text("why") },
        Word::File { path: text("a/b.md"), parent: Some(text("hash")) },
        Word::Have { path: text("a/b.md"), version: text("hash") },
    ];
    let requests = [
        Request::Keys { bytes: vec![1, 2, 3] },
        Request::Attach { session: text("s"), cols: 120, rows: 40, take: true },
        Request::Part { bytes: vec![7; 100], last: true },
    ];
    let frames = purposes.iter().map(wire::encode).chain(words.iter().map(wire::encode));
    let frames = frames.chain(requests.iter().map(wire::encode)).map(Result::unwrap);
    frames.map(|frame| frame[wire::LENGTH_BYTES..].to_vec()).collect()
}

fn changed(mut bytes: Vec<u8>, random: &mut fastrand::Rng) -> Vec<u8> {
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        match random.u8(..4) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 => bytes.insert(at, random.u8(..)),
            2 => bytes.truncate(at),
            _ => bytes.extend_from_within(..at.min(64)),
        }
    }
    bytes
}

#[test]
fn no_word_of_a_peer_makes_a_node_stumble() {
    let seed = number("NIIA_FUZZ_SEED", fastrand::u64(..));
    println!("NIIA_FUZZ_SEED={seed}");
    let (mut random, corpus) = (fastrand::Rng::with_seed(seed), corpus());
    let until = Instant::now() + Duration::from_secs(number("NIIA_FUZZ_SECONDS", SECONDS));
    while Instant::now() < until {
        for _ in 0..256 {
            let bytes = changed(corpus[random.usize(..corpus.len())].clone(), &mut random);
            // What is taken for a word is one that can be said again; what is not is an error in words.
            if let Ok(word) = wire::decode::<Word>(&bytes) {
                let again = wire::encode(&word).unwrap();
                assert_eq!(wire::decode::<Word>(&again[wire::LENGTH_BYTES..]).unwrap(), word);
            }
            if let Ok(purpose) = wire::decode::<Purpose>(&bytes) {
                let again = wire::encode(&purpose).unwrap();
                assert_eq!(wire::decode::<Purpose>(&again[wire::LENGTH_BYTES..]).unwrap(), purpose);
            }
            if let Err(error) = wire::decode::<Request>(&bytes) {
                assert!(!error.to_string().is_empty());
            }
            drop(wire::decode::<Reply>(&bytes));
        }
    }
}

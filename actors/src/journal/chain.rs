//! The chain: each row's hash covers the row before it, so that nothing can change, vanish or be added unseen.

use niia_spec::name::RunId;

use super::Seq;

pub type Hash = [u8; 32];

/// What stands before a run's first row.
pub const ROOT: Hash = [0; 32];

/// What a row is in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Begin,
    Step,
    Finish,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Begin => "begin",
            Kind::Step => "step",
            Kind::Finish => "finish",
        }
    }

    pub fn from_word(word: &[u8]) -> Option<Kind> {
        [Kind::Begin, Kind::Step, Kind::Finish].into_iter().find(|kind| kind.word().as_bytes() == word)
    }
}

/// The row's own contents, as they are stored.
#[derive(Debug)]
pub struct Body<'a> {
    pub kind: Kind,
    pub at: &'a str,
    pub version: u32,
    pub event: &'a [u8],
    pub commands: &'a [u8],
}

/// blake3(previous ‖ run ‖ seq ‖ body); every part of open length is preceded by it, so that no two rows read alike.
pub fn link(previous: &Hash, run: &RunId, seq: Seq, body: &Body) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    part(&mut hasher, run.as_str().as_bytes());
    hasher.update(&seq.to_be_bytes());
    part(&mut hasher, body.kind.word().as_bytes());
    part(&mut hasher, body.at.as_bytes());
    hasher.update(&body.version.to_be_bytes());
    part(&mut hasher, body.event);
    part(&mut hasher, body.commands);
    *hasher.finalize().as_bytes()
}

pub fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

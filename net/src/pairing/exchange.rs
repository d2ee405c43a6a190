//! The exchange itself, without any stream: what each end sends, and what it makes of what comes.

use spake2::{Ed25519Group, Identity, Password, Spake2};

use super::Code;
use crate::identity::NodeId;

/// Bytes of a proof.
pub const CONFIRMATION_BYTES: usize = 32;

/// Which end one is. The one who types goes first, so that it is the one who guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Types,
    Shows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    #[error("what the other machine sent is no part of a pairing")]
    Message,
    #[error(
        "the code is not the one that is shown there; it is used up now, `niia pair` there shows a new one"
    )]
    WrongCode,
}

/// An end that has sent its first message.
pub struct Begun {
    spake: Spake2<Ed25519Group>,
    role: Role,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What proves to the other end that this one has the same code, and what it must send to prove the same.
pub struct Confirmations {
    pub ours: [u8; CONFIRMATION_BYTES],
    theirs: blake3::Hash,
}

impl std::fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confirmations")
    }
}

/// Begins an exchange; the bytes go to the other end. `typist` and `shower` are the nodes' ids as TLS showed them.
#[must_use]
pub fn begin(role: Role, code: &Code, typist: NodeId, shower: NodeId) -> (Begun, Vec<u8>) {
    let password = Password::new(code.secret());
    let (a, b) = (Identity::new(typist.bytes()), Identity::new(shower.bytes()));
    let (spake, message) = match role {
        Role::Types => Spake2::<Ed25519Group>::start_a(&password, &a, &b),
        Role::Shows => Spake2::<Ed25519Group>::start_b(&password, &a, &b),
    };
    (Begun { spake, role }, message)
}

impl Begun {
    /// Takes the other end's message. `channel` is what TLS exports of this connection alone.
    pub fn finish(self, theirs: &[u8], channel: &[u8; 32]) -> Result<Confirmations, ExchangeError> {
        let shared = self.spake.finish(theirs).map_err(|_| ExchangeError::Message)?;
        let key = blake3::derive_key("niia 2026 pairing key", &shared);
        let proof = |who: &[u8]| blake3::keyed_hash(&key, &[who, channel].concat());
        let (typist, shower) = (proof(b"typist"), proof(b"shower"));
        let (ours, theirs) = match self.role {
            Role::Types => (typist, shower),
            Role::Shows => (shower, typist),
        };
        Ok(Confirmations { ours: *ours.as_bytes(), theirs })
    }
}

impl Confirmations {
    /// Whether the other end's proof is one. Compared in constant time.
    pub fn verify(&self, proof: &[u8]) -> Result<(), ExchangeError> {
        let proof: [u8; CONFIRMATION_BYTES] = proof.try_into().map_err(|_| ExchangeError::Message)?;
        if self.theirs == blake3::Hash::from_bytes(proof) { Ok(()) } else { Err(ExchangeError::WrongCode) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::of_key(&[n])
    }

    struct End {
        code: u64,
        typist: NodeId,
        shower: NodeId,
        channel: [u8; 32],
    }

    fn same() -> End {
        End { code: 7, typist: node(1), shower: node(2), channel: [9; 32] }
    }

    /// Whether each end believes the other.
    fn meet(typist: &End, shower: &End) -> (bool, bool) {
        let (a, to_b) = begin(Role::Types, &Code::of_random(typist.code), typist.typist, typist.shower);
        let (b, to_a) = begin(Role::Shows, &Code::of_random(shower.code), shower.typist, shower.shower);
        let a = a.finish(&to_a, &typist.channel).unwrap();
        let b = b.finish(&to_b, &shower.channel).unwrap();
        (a.verify(&b.ours).is_ok(), b.verify(&a.ours).is_ok())
    }

    #[test]
    fn the_same_code_between_the_same_nodes_on_one_connection_pairs() {
        assert_eq!(meet(&same(), &same()), (true, true));
    }

    #[test]
    fn another_code_node_or_connection_convinces_nobody() {
        for other in [
            End { code: 8, ..same() },
            End { typist: node(3), ..same() },
            End { shower: node(3), ..same() },
            End { channel: [8; 32], ..same() },
        ] {
            assert_eq!(meet(&same(), &other), (false, false));
        }
    }

    #[test]
    fn a_proof_sent_back_as_an_echo_and_junk_are_no_proofs() {
        let code = Code::of_random(7);
        let (a, _) = begin(Role::Types, &code, node(1), node(2));
        let (_, to_a) = begin(Role::Shows, &code, node(1), node(2));
        let a = a.finish(&to_a, &[9; 32]).unwrap();
        assert_eq!(a.verify(&a.ours), Err(ExchangeError::WrongCode));
        assert_eq!(a.verify(b"short"), Err(ExchangeError::Message));
        for junk in [&b""[..], &[0; 33], &[0xff; 33], &[1; 500]] {
            let (a, _) = begin(Role::Types, &code, node(1), node(2));
            assert!(a.finish(junk, &[9; 32]).is_err());
        }
        let (a, own) = begin(Role::Types, &code, node(1), node(2));
        assert!(a.finish(&own, &[9; 32]).is_err(), "its own message reflected");
    }
}

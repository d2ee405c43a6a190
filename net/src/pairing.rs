//! Pairing: two nodes come to trust each other because a person read a short code on one and typed it on the other.
//!
//! The code never travels. A password-authenticated key exchange (SPAKE2) makes of it a key that only two ends with the
//! same code share; each then proves to the other that it has it, bound to both nodes' keys and to this very
//! connection. Whoever listens learns nothing to guess with, and whoever guesses has one try.

mod desk;
mod exchange;

pub use desk::{CODE_LIFE, Closed, Desk, TRIES_AN_HOUR};
pub use exchange::{CONFIRMATION_BYTES, Confirmations, ExchangeError, Role, begin};

use std::fmt;
use std::str::FromStr;

/// Letters and digits that nobody takes for one another, 32 of them.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a code: 30 bits, of which a guesser may try five an hour.
const CODE_CHARS: usize = 6;

/// What a person reads on one machine and types on the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a code has {CODE_CHARS} letters and digits, such as K7M-9XQ; `niia pair` on the other machine shows one"
)]
pub struct CodeError;

/// The kernel gives no random bits: nothing secret can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine gives no random numbers")]
pub struct NoChance;

impl Code {
    /// A code that nobody can foresee.
    pub fn random() -> Result<Code, NoChance> {
        let bits: [u8; 8] =
            ring::rand::generate(&ring::rand::SystemRandom::new()).map_err(|_| NoChance)?.expose();
        Ok(Code::of_random(u64::from_le_bytes(bits)))
    }

    /// A code of 30 random bits.
    #[must_use]
    pub fn of_random(bits: u64) -> Code {
        let chars =
            (0..CODE_CHARS).map(|n| char::from(ALPHABET[(bits >> (5 * n)) as usize % ALPHABET.len()]));
        Code(chars.collect())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        let typed = text.chars().filter(|c| !matches!(c, '-' | ' '));
        let code: String = typed.map(|c| c.to_ascii_uppercase()).collect();
        let fits = code.len() == CODE_CHARS && code.bytes().all(|b| ALPHABET.contains(&b));
        if fits { Ok(Code(code)) } else { Err(CodeError) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.0[..CODE_CHARS / 2], &self.0[CODE_CHARS / 2..])
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A code stands on a screen, never in a log.
        f.write_str("Code")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown_in_small_letters_too() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1_000 {
            let code = Code::of_random(random.u64(..));
            assert_eq!(code.to_string().parse(), Ok(code.clone()));
            assert_eq!(code.to_string().to_lowercase().replace('-', " ").parse(), Ok(code));
        }
        for wrong in ["", "K7M-9X", "K7M-9XQQ", "K7M-9X!", "K7M-9Xé"] {
            assert_eq!(wrong.parse::<Code>(), Err(CodeError), "{wrong}");
        }
    }

    #[test]
    fn a_code_is_never_in_a_log() {
        let code = Code::of_random(12345);
        assert!(!format!("{code:?}").contains(code.secret()));
    }
}

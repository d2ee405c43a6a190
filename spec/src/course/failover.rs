//! What is tried after an attempt whose model could not be had: the next model, the same once more where its conversation
//! can be taken up again, or, where those that could not be had may be back by then, all that may be once more after a
//! pause.

use super::{Attempt, Outcome, Unavailable};

/// All models are tried so often; who cannot be had three times with pauses in between is not had this hour.
pub const ROUNDS_MAX: u32 = 3;
/// The pause before the second round, doubled before the third.
pub const ROUND_PAUSE_MS: u64 = 10_000;
/// The longest pause of this kind: what comes back later is not waited for.
pub const ROUND_PAUSE_MS_MAX: u64 = 5 * 60 * 1000;
/// A part of a pause that differs from worker to worker, so that not all come back at once.
const JITTER_PART: u64 = 4;

/// The model that is tried next, and the pause before it.
pub(super) fn next(counted: &[Attempt], models: u32, rounds_max: u32, salt: u64) -> Option<(u32, u64)> {
    let last = counted.last()?;
    if let Some(model) = (last.model + 1..models).find(|model| is_hopeful(counted, *model)) {
        return Some((model, 0));
    }
    if crashed_resumably(last) && crashes(counted, last.model) == 1 {
        return Some((last.model, 0));
    }
    let rounds = rounds(counted);
    if rounds >= rounds_max {
        return None;
    }
    let again = |model: &u32| newest(counted, *model).is_some_and(is_transient);
    let model = (0..models).find(again)?;
    let waits =
        (0..models).filter(again).filter_map(|model| newest(counted, model)?.ending.as_ref()?.again_in_ms);
    let pause =
        (ROUND_PAUSE_MS << (rounds - 1).min(16)).max(waits.min().unwrap_or(0)).min(ROUND_PAUSE_MS_MAX);
    let jitter = mixed(salt, u64::from(rounds)) % (pause / JITTER_PART).max(1);
    Some((model, pause + jitter))
}

/// Whether a model may be had: it was not tried yet, or what stood in its way passes.
fn is_hopeful(counted: &[Attempt], model: u32) -> bool {
    newest(counted, model).is_none_or(is_transient)
}

fn newest(counted: &[Attempt], model: u32) -> Option<&Attempt> {
    counted.iter().rev().find(|attempt| attempt.model == model)
}

/// What stood in its way passes by itself, and soon.
fn is_transient(attempt: &Attempt) -> bool {
    let Some(ending) = &attempt.ending else { return false };
    let soon = ending.again_in_ms.is_none_or(|ms| ms <= ROUND_PAUSE_MS_MAX);
    match ending.outcome {
        Outcome::Unavailable { class: Unavailable::Quota, .. } => ending.again_in_ms.is_some() && soon,
        Outcome::Unavailable { class, .. } => class.passes() && soon,
        _ => false,
    }
}

fn class_of(attempt: &Attempt) -> Option<Unavailable> {
    match attempt.ending.as_ref()?.outcome {
        Outcome::Unavailable { class, .. } => Some(class),
        _ => None,
    }
}

fn crashed_resumably(attempt: &Attempt) -> bool {
    class_of(attempt) == Some(Unavailable::Crashed)
        && attempt.ending.as_ref().is_some_and(|ending| ending.resumable)
}

fn crashes(counted: &[Attempt], model: u32) -> usize {
    let crashed =
        |attempt: &&Attempt| attempt.model == model && class_of(attempt) == Some(Unavailable::Crashed);
    counted.iter().filter(crashed).count()
}

/// The round the last attempt belongs to, from 1.
fn rounds(counted: &[Attempt]) -> u32 {
    let back = counted.windows(2).filter(|pair| {
        let (before, after) = (&pair[0], &pair[1]);
        let again = after.model <= before.model && class_of(before).is_some();
        again && !(after.model == before.model && crashed_resumably(before))
    });
    u32::try_from(back.count()).unwrap_or(u32::MAX).saturating_add(1)
}

impl Unavailable {
    /// The word that programs know it by.
    pub fn word(self) -> &'static str {
        match self {
            Unavailable::NotInstalled => "not_installed",
            Unavailable::NotLoggedIn => "not_logged_in",
            Unavailable::RateLimited => "rate_limited",
            Unavailable::Quota => "quota",
            Unavailable::Overloaded => "overloaded",
            Unavailable::Network => "network",
            Unavailable::BadModel => "bad_model",
            Unavailable::Crashed => "crashed",
            Unavailable::Hangs => "hangs",
        }
    }

    /// Whether it passes by itself within minutes.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Unavailable::RateLimited | Unavailable::Overloaded | Unavailable::Network | Unavailable::Hangs
        )
    }
}

/// A number that looks like chance and is always the same.
fn mixed(salt: u64, n: u64) -> u64 {
    let mut x = salt ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 27)
}

/// A number of a name.
pub(super) fn salt(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

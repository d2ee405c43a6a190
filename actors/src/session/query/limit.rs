//! How many questions of one session are answered.

/// Questions that may be answered at once. Real programs ask a dozen when they start.
pub const ANSWERS_MAX: u32 = 16_384;
/// Answers earned back in a second; two programs that answer each other's answers go no faster.
pub const ANSWERS_PER_SECOND: u32 = 100;
/// How often a session is told that its status reports are read. The answer is the question itself, so a program that
/// echoes would ask for ever.
pub const STATUS_ANSWERS_MAX: u32 = 64;

/// The answers a session has left.
#[derive(Clone, Debug)]
pub struct Limit {
    left: u32,
    status_left: u32,
    /// When answers were last earned, in milliseconds of the caller's clock.
    since_ms: u64,
    refused: u64,
}

impl Limit {
    pub fn new(now_ms: u64) -> Limit {
        Limit { left: ANSWERS_MAX, status_left: STATUS_ANSWERS_MAX, since_ms: now_ms, refused: 0 }
    }

    /// Whether this question is answered; a refused one is counted.
    #[must_use]
    pub fn allows(&mut self, query: &super::Query, now_ms: u64) -> bool {
        let earned = now_ms.saturating_sub(self.since_ms) * u64::from(ANSWERS_PER_SECOND) / 1000;
        if earned > 0 {
            self.since_ms = now_ms;
            self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(ANSWERS_MAX);
        }
        let status = query.kind == super::Kind::Status;
        if self.left == 0 || status && self.status_left == 0 {
            self.refused += 1;
            return false;
        }
        self.left -= 1;
        self.status_left -= u32::from(status);
        true
    }

    /// How many questions stayed unanswered.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

//! From a key to its echo.

use std::time::{Duration, Instant};

use super::figures::Rounds;
use crate::house::Terminal;

/// Keys of one round.
const KEYS: usize = 300;

/// Far more than any echo takes.
const ECHO_WITHIN: Duration = Duration::from_secs(10);

/// Milliseconds of the median and of the slowest but one in a hundred.
pub(super) fn echoes(terminal: &mut Terminal) -> (f64, f64) {
    terminal.settle();
    let mut times: Vec<f64> = (0..KEYS).map(|number| echo(terminal, number)).collect();
    times.sort_by(f64::total_cmp);
    (times[KEYS / 2], times[KEYS * 99 / 100])
}

fn echo(terminal: &mut Terminal, number: usize) -> f64 {
    // A letter that differs from the one before, in case something of that comes late.
    let key = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)).to_string();
    terminal.forget();
    let start = Instant::now();
    terminal.write(key.as_bytes(), ECHO_WITHIN);
    terminal.wait_for(&key, ECHO_WITHIN);
    start.elapsed().as_secs_f64() * 1000.0
}

/// Puts the pair of one round where it belongs.
pub(super) fn push(pair: (f64, f64), median: &mut Rounds, slow: &mut Rounds) {
    median.push(pair.0);
    slow.push(pair.1);
}

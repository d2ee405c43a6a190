//! The victim: a process of the same user that has a secret in its memory, its environment and a file it holds open.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use super::sys::{ask, c};

/// What the victim has in its memory; a word others may not change.
static WORD: std::sync::OnceLock<Box<[u8; 64]>> = std::sync::OnceLock::new();

/// Says where its word lies, then repeats every line that is typed to it.
#[must_use]
pub fn live() -> ExitCode {
    let secret = std::env::var("VICTIM_TOKEN").unwrap_or_default();
    let key = std::env::var("VICTIM_KEY").unwrap_or_default();
    let ring = std::env::var("VICTIM_RING").unwrap_or_default();
    if let Err(trouble) = keep(&ring, &secret) {
        eprintln!("the kernel keeps no key: {trouble}");
    }
    // Held open until the end.
    let _key = std::fs::File::open(key);
    let word = WORD.get_or_init(|| {
        let mut word = Box::new([b'.'; 64]);
        let length = secret.len().min(word.len());
        word[..length].copy_from_slice(&secret.as_bytes()[..length]);
        word
    });
    let mut out = std::io::stdout();
    // Its standard output is a pipe to the test; the terminal is its input.
    let said = writeln!(out, "{}", word.as_ptr() as u64).and_then(|()| out.flush());
    if said.is_err() {
        return ExitCode::FAILURE;
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if writeln!(out, "typed: {line}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Keeps the secret in the user's own ring of keys, for whoever is this user.
fn keep(name: &str, secret: &str) -> std::io::Result<()> {
    let (ring, everything) = (-4, 0x3f3f_0000_u32);
    let key = ask!(libc::SYS_add_key, c"user", &c(name), secret.as_ptr(), secret.len(), ring)?;
    ask!(libc::SYS_keyctl, 5, key, everything)?;
    Ok(())
}

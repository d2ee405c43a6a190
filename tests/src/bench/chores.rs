//! What the measured terminals run: this very program, asked for a small chore.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustix::time::{ClockId, clock_gettime};

use crate::numbered;

/// What an echo says once it listens.
pub const READY: &str = "ready";

/// Does a chore, if one was asked for.
pub fn asked(args: &[String]) -> Option<ExitCode> {
    let done = match args {
        [chore, megabytes] if chore == "--emit" => emit(megabytes.parse().unwrap_or(1)),
        [chore] if chore == "--colour" => colour(),
        [chore] if chore == "--echo" => echo(),
        [chore, port] if chore == "--carry" => super::carrier::carry(port),
        [chore, port] if chore == "--splice" => super::carrier::splice_all(port),
        [chore] if chore == "--serve-bare" => super::link::serve_bare(),
        [chore] if chore == "--serve-link" => super::link::serve_link(),
        [chore, port] if chore == "--flood" => super::flood::flood(port),
        [chore, file] if chore == "--stamp" => std::fs::write(file, now().as_nanos().to_string()),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

/// This program, for use in a document.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("niia-bench"))
}

/// The clock that a chore's stamp is of.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn emit(megabytes: u64) -> io::Result<()> {
    numbered::write(numbered::lines_of_megabytes(megabytes), &mut io::stdout().lock())
}

/// What `emit` prints, in bytes of a recording: the terminal makes CR LF of each LF.
pub fn emitted_bytes(megabytes: u64) -> u64 {
    numbered::lines_of_megabytes(megabytes) * (numbered::LINE_BYTES as u64 + 1)
}

/// A million bytes of lines in many colours, and then nothing until somebody ends it.
fn colour() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut printed = 0;
    for number in 0.. {
        let line =
            format!("\x1b[3{}m{number:08} \x1b[1;4{}mall of it in colour\x1b[0m\n", number % 8, number % 7);
        out.write_all(line.as_bytes())?;
        printed += line.len();
        if printed >= 1_000_000 {
            break;
        }
    }
    out.flush()?;
    loop {
        std::thread::park();
    }
}

/// Sends each byte back as it comes.
fn echo() -> io::Result<()> {
    let (mut input, mut out) = (io::stdin().lock(), io::stdout().lock());
    let mut modes = tcgetattr(rustix::stdio::stdin())?;
    modes.make_raw();
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes)?;
    writeln!(out, "{READY}")?;
    out.flush()?;
    let mut bytes = [0; 64];
    loop {
        let count = input.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        out.write_all(&bytes[..count])?;
        out.flush()?;
    }
}

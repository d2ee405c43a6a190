//! What niia costs, beside the bare limit measured in the same rounds, and beside tmux where it is installed.
//!
//! `cargo run --release -p niia-tests --bin niia-bench [ROW…] [--rounds N] [--workers N]` prints a table in Markdown:
//! medians with the spread of the rounds, the ratio to the limit, and whether the goal is met. Nothing here is a test:
//! figures of a busy machine would fail without anything being wrong.

mod bare;
mod figures;
mod memory;
mod rows;
mod terminals;
mod tmux;

use std::process::ExitCode;

/// Rounds whose median is printed.
const ROUNDS: usize = 5;

/// Workers of the fan-out rows: enough to drown the cost of starting the command line.
const WORKERS: usize = 200;

/// What is to be measured, and how often.
#[derive(Debug)]
pub(crate) struct Settings {
    rows: Vec<String>,
    rounds: usize,
    workers: usize,
}

/// Reads the arguments, measures and prints.
#[must_use]
pub fn main() -> ExitCode {
    let settings = match settings(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(trouble) => {
            eprintln!("niia-bench: {trouble}");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("niia-bench: a debug build; measure with --release");
    }
    println!("{}", figures::HEAD);
    let mut missed = false;
    for (name, measure) in rows::ALL {
        if settings.rows.is_empty() || settings.rows.iter().any(|wanted| name.contains(wanted.as_str())) {
            let row = measure(&settings);
            missed |= !row.is_met();
            println!("{}", row.line());
        }
    }
    println!("\n{}", figures::machine());
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn settings(args: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings { rows: Vec::new(), rounds: ROUNDS, workers: WORKERS };
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
            text.parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| format!("{arg} needs a number, not `{text}`"))
        };
        match arg.as_str() {
            "--rounds" => settings.rounds = number()?,
            "--workers" => settings.workers = number()?,
            row if rows::ALL.iter().any(|(name, _)| name.contains(row)) => settings.rows.push(arg),
            _ => {
                let names: Vec<&str> = rows::ALL.iter().map(|(name, _)| *name).collect();
                return Err(format!("`{arg}` is no row; there are {}", names.join(", ")));
            }
        }
    }
    Ok(settings)
}

//! The program `niia`.

use std::process::ExitCode;

fn main() -> ExitCode {
    niia::command::main()
}

//! A program that looks like an AI command line and costs nothing; see `niia_tests::stand_in`.

use std::process::ExitCode;

fn main() -> ExitCode {
    niia_tests::stand_in::main()
}

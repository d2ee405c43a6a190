//! A program that tries to get out of a sandbox; see `niia_tests::escape`.

use std::process::ExitCode;

fn main() -> ExitCode {
    niia_tests::escape::main()
}

//! Measures niia beside the bare limit of the machine and beside tmux; see `niia_tests::bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    niia_tests::bench::main()
}

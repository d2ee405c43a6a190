//! The keeper without the rest of niia: what the tests and measurements of this room start.
//!
//! `niia-keeper keeper --run-folder FOLDER` runs a keeper. `niia-keeper hold RUN_FOLDER FOLDER PROGRAM…` starts one
//! session, prints the number of its process and follows it to its end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use niia_actors::keeper::{self, Keeper, Notice, Program};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [verb, flag, folder] if verb == "keeper" && flag == "--run-folder" => keeper::main(Path::new(folder)),
        [verb, run_folder, folder, argv @ ..] if verb == "hold" => {
            let program = Program {
                session: "hold".to_owned(),
                argv: argv.to_vec(),
                env: std::env::vars_os().collect(),
                cwd: PathBuf::from("/"),
                cols: 120,
                rows: 40,
                record: true,
                recording_bytes_max: 1 << 30,
            };
            hold(Path::new(run_folder), Path::new(folder), &program)
        }
        _ => {
            eprintln!("usage: niia-keeper keeper --run-folder FOLDER");
            eprintln!("       niia-keeper hold RUN_FOLDER FOLDER PROGRAM…");
            ExitCode::from(2)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn hold(run_folder: &Path, folder: &Path, program: &Program) -> ExitCode {
    let started = match std::env::current_exe() {
        Ok(executable) => Keeper::new(run_folder, executable).start(folder, program).await,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let terminal = match started {
        Ok(terminal) => terminal,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", terminal.pid());
    loop {
        match terminal.next().await {
            Notice::Exited(exit) => {
                terminal.acknowledge().await;
                println!("{exit:?}");
                return ExitCode::SUCCESS;
            }
            Notice::Lost(_) => return ExitCode::FAILURE,
            _ => {}
        }
    }
}

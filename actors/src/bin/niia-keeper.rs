//! The keeper without the rest of niia: what the tests and measurements of this room start.
//!
//! `niia-keeper keeper --run-folder FOLDER` runs a keeper. `niia-keeper hold RUN_FOLDER FOLDER PROGRAM…` starts one
//! session, prints the number of its process and follows it to its end. `niia-keeper confine POLICY_FILE PROGRAM…` runs a
//! program in a sandbox of that policy, tells on stderr which layers were made, and ends as the program ended.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use niia_actors::keeper::{self, Keeper, Notice, Program};
use niia_actors::sandbox;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [verb, argv @ ..] if verb == sandbox::HELPER_VERB => sandbox::helper_main(argv.iter().cloned()),
        [verb, policy, argv @ ..] if verb == "confine" => {
            confine(Path::new(policy), argv).unwrap_or_else(|error| {
                eprintln!("niia-keeper: {error}");
                ExitCode::FAILURE
            })
        }
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
                sandbox: None,
                reach: None,
            };
            hold(Path::new(run_folder), Path::new(folder), &program)
        }
        _ => {
            eprintln!("usage: niia-keeper keeper --run-folder FOLDER");
            eprintln!("       niia-keeper confine POLICY_FILE PROGRAM…");
            eprintln!("       niia-keeper hold RUN_FOLDER FOLDER PROGRAM…");
            ExitCode::from(2)
        }
    }
}

/// Listeners of the policy stay open, and unanswered, until the program has ended.
fn confine(policy: &Path, argv: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    let policy = serde_json::from_slice(&std::fs::read(policy)?)?;
    let (mut command, line) =
        sandbox::command(&std::env::current_exe()?, &policy, argv, std::env::vars_os())?;
    let mut helper = command.spawn()?;
    let begun = line.begun(command);
    let entered = begun.made().and_then(|(made, listeners)| {
        eprintln!("{}", serde_json::to_string(&made).unwrap_or_default());
        begun.go().map(|()| listeners)
    });
    let status = helper.wait()?;
    if let Err(error) = entered {
        eprintln!("niia-keeper: {error:?}");
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128)))
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

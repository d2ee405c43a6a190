//! Telling a person who looks elsewhere: the bell of the terminal, and a program of the user's choice.

use std::io::{IsTerminal, Write};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::config::Config;
use crate::report::neutral;

/// How long the user's program may take before it is ended: the exit code waits for it.
const NOTIFY_WITHIN: Duration = Duration::from_secs(10);

/// The ways a person is told.
#[derive(Clone, Debug)]
pub struct Notifier {
    program: Vec<String>,
    bell: bool,
}

impl Notifier {
    pub fn new(config: &Config) -> Notifier {
        Notifier { program: config.notify.clone(), bell: config.bell.unwrap_or(true) }
    }

    /// Tells it every way there is. That nobody could be told is said, and is no failure of the run.
    pub async fn tell(&self, text: &str) {
        let text = neutral(text);
        if self.bell && std::io::stderr().is_terminal() {
            drop(std::io::stderr().write_all(b"\x07"));
        }
        if let Err(reason) = self.run_program(&text).await {
            eprintln!("warning: the `notify` program of the configuration {reason}");
        }
    }

    async fn run_program(&self, text: &str) -> Result<(), String> {
        let Some((program, arguments)) = self.program.split_first() else {
            return Ok(());
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(text).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child =
            command.kill_on_drop(true).spawn().map_err(|error| format!("could not be run: {error}"))?;
        match tokio::time::timeout(NOTIFY_WITHIN, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("ended with {status}")),
            Ok(Err(error)) => Err(format!("could not be waited for: {error}")),
            Err(_) => Err(format!("took longer than {NOTIFY_WITHIN:?}")),
        }
    }
}

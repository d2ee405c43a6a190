//! Commands before and after a session (`setup`, `teardown`), each in a terminal of its own.
//!
//! So they are ended with all they started, outlive a node that goes down, are recorded, and are run once: a node that
//! comes back finds the terminal of a command that runs or has ended, and waits for it or takes its word.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::life::Life;
use super::{Order, finish, look};
use crate::ask::chain;
use crate::keeper::{self, Notice, Opened, Terminal};
use crate::launch::{Launch, PrepareError};
use crate::recording::Exit;

/// Between the order to end a command and the kill of what has not ended by itself.
const GRACE: Duration = Duration::from_secs(2);
/// The terminal of a command is as wide as most.
const SIZE: (u16, u16) = (120, 40);
/// Characters of what a failed command printed last.
const OUTPUT_CHARS_MAX: usize = 2_000;

/// One command to be run in a terminal.
pub(super) struct Chore {
    folder: PathBuf,
    program: keeper::Program,
    reply: oneshot::Sender<Result<(), Failed>>,
}

/// How a command failed, and what it printed last.
pub(super) struct Failed {
    ending: String,
    output: String,
}

impl Failed {
    fn silent(ending: impl Into<String>) -> Failed {
        Failed { ending: ending.into(), output: String::new() }
    }
}

/// Where the thread that prepares hands commands over.
pub(super) struct Chores {
    folder: PathBuf,
    session: String,
    sender: mpsc::Sender<Chore>,
}

impl Chores {
    pub(super) fn new(folder: PathBuf, session: String) -> (Chores, mpsc::Receiver<Chore>) {
        let (sender, asked) = mpsc::channel(1);
        (Chores { folder, session, sender }, asked)
    }

    /// Has a command run and waits for its end.
    pub(super) fn run(
        &self,
        launch: &Launch,
        what: &'static str,
        number: usize,
        text: &str,
    ) -> Result<(), PrepareError> {
        let failed = |Failed { ending, output }| PrepareError::Command {
            what,
            number,
            command: text.to_owned(),
            ending,
            output,
        };
        let program = keeper::Program {
            session: format!("{} {what} {number}", self.session),
            argv: ["/bin/sh", "-c", text].map(Into::into).to_vec(),
            env: launch.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            cwd: launch.tree.as_ref().unwrap_or(&launch.cwd).clone(),
            cols: SIZE.0,
            rows: SIZE.1,
            record: true,
            recording_bytes_max: launch.recording_bytes_max,
            sandbox: launch.policy.clone(),
            reach: launch.reach.clone(),
        };
        let (reply, answer) = oneshot::channel();
        let chore = Chore { folder: self.folder.join(format!("{what}-{number}")), program, reply };
        let gone = || failed(Failed::silent("no answer: the session is gone"));
        self.sender.blocking_send(chore).map_err(|_| gone())?;
        answer.blocking_recv().map_err(|_| gone())?.map_err(failed)
    }
}

impl Life {
    /// Does the commands that come until the work is done.
    pub(super) async fn with_chores<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Chores) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let (chores, mut asked) = Chores::new(self.facts.folder.clone(), self.assignment.session.to_string());
        let mut work = tokio::task::spawn_blocking(move || work(chores));
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(chore) = asked.recv() => {
                    let Chore { folder, program, reply } = chore;
                    // Whoever asked waits for nothing else.
                    let _ = reply.send(self.chore(folder, program).await);
                }
            }
        }
    }

    async fn chore(&mut self, folder: PathBuf, program: keeper::Program) -> Result<(), Failed> {
        let lost = || Failed::silent("a lost terminal: its minder was killed");
        let terminal = match Terminal::open(&folder).await.map_err(|error| Failed::silent(chain(&error)))? {
            Opened::Never => self
                .machine
                .keeper
                .start(&folder, &program)
                .await
                .map_err(|error| Failed::silent(chain(&error)))?,
            Opened::Live(terminal) => terminal,
            Opened::Ended(exit) => {
                keeper::release(&folder).await;
                return judged(&folder, &exit);
            }
            Opened::Lost(_) => return Err(lost()),
        };
        loop {
            tokio::select! {
                notice = terminal.next() => match notice {
                    Notice::Exited(exit) => {
                        terminal.acknowledge().await;
                        return judged(&folder, &exit);
                    }
                    Notice::Lost(_) => return Err(lost()),
                    _ => {}
                },
                order = self.orders.recv() => match order {
                    Some(Order::End(reason)) => {
                        self.ordered.get_or_insert(reason);
                        // A command that has just ended needs no order.
                        let _ = terminal.end(GRACE).await;
                    }
                    Some(Order::Look(reply)) => drop(reply.send(look::waiting_view(&self.facts))),
                    // The session's own terminal is not there; whoever asks for it hears that by the lost reply.
                    Some(_) => {}
                    None => std::future::pending().await,
                },
            }
        }
    }
}

fn judged(folder: &std::path::Path, exit: &Exit) -> Result<(), Failed> {
    if exit.success() {
        return Ok(());
    }
    let said = finish::read_answer(folder, SIZE).unwrap_or_default();
    let skipped = said.chars().count().saturating_sub(OUTPUT_CHARS_MAX);
    let output: String = said.trim().chars().skip(skipped).collect();
    let ending = match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    Err(Failed { ending, output })
}

//! The verbs of the command line, done.

mod agents;
mod appointments;
mod attach;
mod checkout;
mod connectors;
mod daemon;
mod doctor;
mod document;
mod explain;
mod follow;
mod hook;
mod init;
pub(crate) mod inside;
mod logs;
mod machines;
mod mcp;
mod origin;
mod past;
mod preflight;
mod profile;
mod rehearse;
mod replay;
mod run;
mod runs;
mod serve;
mod sessions;
mod shell;
mod surroundings;
mod talks;
mod top;
mod work;

pub(crate) use hook::real;
pub(crate) use inside::is_inside_a_session;
pub(crate) use origin::environment_of;

use std::any::Any;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use niia_actors::sandbox;
use serde::Serialize;

use crate::cli::agents::{Agent, AgentVerb};
use crate::cli::node::DaemonVerb;
use crate::cli::{Cli, Verb};
use crate::config::{Config, ConfigError, Folders, FoldersError};
use crate::control::client::{Client, ClientError};
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::Look;
use crate::trace;

/// How long threads that wait for a lock or a key may hold up the end of a command.
const LEAVE_WITHIN: Duration = Duration::from_millis(50);

/// The whole program: dispatches the helper processes before any thread exists, then reads the command line.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new("keeper")) {
        return daemon::keeper();
    }
    if let Some(exit) = hook::asked() {
        return exit;
    }
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(sandbox::HELPER_VERB)) {
        return sandbox::helper_main(std::env::args_os().skip(2));
    }
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    let json = cli.json;
    match std::panic::catch_unwind(AssertUnwindSafe(|| perform(cli))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => tell(&failure, json),
        Err(panic) => tell(&bug(panic.as_ref()), json),
    }
}

fn refuse_usage(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    // Help that nobody reads to its end is no failure.
    drop(error.print());
    if wrong { Exit::Usage.into() } else { Exit::Done.into() }
}

fn tell(failure: &Failure, json: bool) -> ExitCode {
    if failure.exit != Exit::NobodyReads {
        let text = if json { failure.for_programs() } else { failure.for_people() };
        // Where stderr is closed, the exit code alone has to say it.
        drop(writeln!(io::stderr(), "{text}"));
    }
    failure.exit.into()
}

fn bug(panic: &(dyn Any + Send)) -> Failure {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    let message =
        format!("a bug in niia {}: {}", env!("CARGO_PKG_VERSION"), said.unwrap_or("no word of what"));
    Failure::new(Exit::Bug, message)
        .help("please report it with the lines above and what you did; runs that go on are not touched by it")
}

fn perform(cli: Cli) -> Result<Exit, Failure> {
    if let Verb::Daemon(daemon) = &cli.verb
        && let DaemonVerb::Run(state) = &daemon.verb
    {
        return daemon::run(state);
    }
    if let Verb::Agent(Agent { verb: AgentVerb::Ollama { model, once, prompt } }) = &cli.verb {
        return crate::line_agent::main(model, prompt.as_deref(), *once);
    }
    inside::refuse(&cli.verb)?;
    trace::to_stderr();
    let caller = Caller { json: cli.json, folders: Folders::of_this_user()?, machine: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::trouble("could not begin", error))?;
    let done = runtime.block_on(do_verb(&caller, cli.verb));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    done
}

async fn do_verb(caller: &Caller, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(words) => init::init(caller, &words),
        Verb::Run(words) => run::run(caller, words).await,
        Verb::Rehearse(words) => rehearse::rehearse(caller, words).await,
        Verb::RehearsalWorker(words) => rehearse::worker::act(caller, words).await,
        Verb::Plan(words) => document::plan(caller, &words),
        Verb::Check(words) => document::check(caller, &words),
        Verb::Schema(_) => document::schema(),
        Verb::Status(words) => runs::status(caller, words).await,
        Verb::Runs(words) => runs::runs(caller, &words).await,
        Verb::Logs(words) => logs::logs(caller, words).await,
        Verb::Replay(words) => replay::replay(caller, words).await,
        Verb::Gc(words) => work::gc(caller, words).await,
        Verb::Attach(words) => attach::attach(caller, words).await,
        Verb::Diff(words) => work::diff(caller, words).await,
        Verb::Merge(words) => work::merge(caller, words).await,
        Verb::Cancel(words) => runs::cancel(caller, words).await,
        Verb::Resume(words) => runs::resume(caller, words).await,
        Verb::Approve(words) => runs::approve(caller, words).await,
        Verb::Deny(words) => runs::deny(caller, words).await,
        Verb::Answer(words) => runs::answer(caller, words).await,
        Verb::Mcp(words) => mcp::mcp(caller, words).await,
        Verb::Explain(words) => explain::explain(caller, words).await,
        Verb::Doctor(_) => doctor::doctor(caller).await,
        Verb::Top(words) => top::top(caller, &words).await,
        Verb::Daemon(words) => daemon::daemon(caller, words).await,
        Verb::Claim(words) => agents::claim(caller, words).await,
        Verb::Output(words) => agents::output(caller, words).await,
        Verb::Scratchpad(words) => agents::scratchpad(caller, words).await,
        Verb::Agent(_) => Err(Failure::out_of_turn("agent")),
        Verb::Mailbox(words) => agents::mailbox(caller, words).await,
        Verb::Mesh(words) => talks::mesh(caller, words).await,
        Verb::Inbox(words) => talks::inbox(caller, words).await,
        Verb::Done(words) => talks::end(caller, words).await,
        Verb::Schedule(words) => appointments::schedule(caller, words).await,
        Verb::Trigger(words) => appointments::trigger(caller, words).await,
        Verb::History(words) => past::history(caller, &words).await,
        Verb::Memory(words) => past::memory(caller, words).await,
        Verb::Serve(words) => serve::serve(caller, words).await,
        Verb::Sessions(words) => sessions::sessions(caller, words).await,
        Verb::Read(words) => sessions::read(caller, words).await,
        Verb::Write(words) => sessions::write(caller, words).await,
        Verb::WaitIdle(words) => sessions::wait_idle(caller, words).await,
        Verb::GetAnswer(words) => sessions::get_answer(caller, words).await,
        Verb::Profile(words) => profile::profile(caller, words).await,
        Verb::Hook(words) => hook::hook(&words),
        Verb::Interrupt(words) => sessions::interrupt(caller, words).await,
        Verb::Resize(words) => sessions::resize(caller, words).await,
        Verb::Kill(words) => sessions::kill(caller, words).await,
        Verb::Pair(words) => machines::pair(caller, words).await,
        Verb::Login(_) => machines::login(),
        Verb::Peer(words) => machines::peer(caller, words).await,
        Verb::Remote(words) => machines::remote(caller, words).await,
        Verb::Completions(words) => shell::completions(&words),
        Verb::Man(words) => shell::man(&words),
    }
}

/// Who calls, and how the answer is wanted.
#[derive(Debug)]
struct Caller {
    json: bool,
    folders: Folders,
    /// The machine whose node is meant, where it is not this one.
    machine: Option<String>,
}

impl Caller {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::read(&self.folders)?)
    }

    fn look(&self) -> Look {
        if self.json { Look::plain() } else { Look::of_stdout() }
    }

    /// The node, started where none runs.
    async fn client(&self) -> Result<Client, Failure> {
        // A node that is started inside a session would end with it; there the next one is waited for.
        let mut client = match inside::is_inside(std::process::id()) {
            true => Client::wait(&self.folders).await?,
            false => Client::reach(&self.folders).await?,
        };
        if let Some(machine) = &self.machine {
            done(&client.ask(Request::Through { machine: machine.clone() }).await?, "remote")?;
        }
        Ok(client)
    }

    /// The same, on another machine.
    fn on(&self, machine: &str) -> Caller {
        Caller { json: self.json, folders: self.folders.clone(), machine: Some(machine.to_owned()) }
    }

    /// One question to the node, started where none runs.
    async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        Ok(self.client().await?.ask(request).await?)
    }

    /// Prints the same data for programs or for people.
    fn show<T: Serialize>(&self, data: &T, for_people: impl FnOnce(Look) -> String) -> Result<(), Failure> {
        if self.json { say_json(data) } else { say(&for_people(self.look())) }
    }
}

/// Prints a text as it is.
fn say(text: &str) -> Result<(), Failure> {
    say_bytes(text.as_bytes())
}

fn say_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Prints one line of JSON.
fn say_json<T: Serialize>(data: &T) -> Result<(), Failure> {
    let text =
        serde_json::to_string(data).map_err(|error| Failure::trouble("could not write JSON", error))?;
    say(&(text + "\n"))
}

impl From<FoldersError> for Failure {
    fn from(error: FoldersError) -> Failure {
        Failure::new(Exit::Usage, "there is no place for niia's files").because(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(Exit::Usage, "the configuration cannot be used").because(error)
    }
}

/// For replies that only say that it was done.
fn done(reply: &Reply, asked: &str) -> Result<Exit, Failure> {
    match reply {
        Reply::Done => Ok(Exit::Done),
        _ => Err(Failure::out_of_turn(asked)),
    }
}

impl Failure {
    /// A client that cannot go on; its causes are kept.
    fn of_client(error: ClientError) -> Failure {
        Failure::from(error)
    }
}

//! The words of the command line.
//!
//! A dozen verbs stand in `niia --help`; the others are listed there under what they are about, and each has its own
//! `--help` with an example.

pub mod agents;
pub mod appointments;
pub mod complete;
pub mod machines;
pub mod node;
pub mod profiles;
pub mod rehearse;
pub mod runs;
pub mod sessions;
pub mod talks;

use clap::{Parser, Subcommand};

/// What stands below the dozen.
const NOUNS: &str = "\
More, each with its own --help:
  runs       rehearse runs resume explain approve deny answer schema profile claim output scratchpad
  sessions   serve sessions read write wait-idle get-answer interrupt resize kill replay
  agents     mailbox mesh inbox done agent mcp
  time       schedule trigger history memory
  machines   pair peer remote login
  the node   gc top completions man

Exit codes:
  0 done · 1 the run failed · 2 wrong usage · 3 the document is wrong
  4 node or machine not reachable · 5 needs attention: a person must answer · 70 a bug

A first run:
  niia init && niia plan connector.json && niia run";

/// Run a connector.json: many AI command-line tools, each in a real terminal, on one repository.
#[derive(Debug, Parser)]
#[command(name = "niia", version, after_help = NOUNS, arg_required_else_help = true, max_term_width = 110)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub struct Cli {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a first connector.json from the command-line tools found here
    Init(runs::Init),
    /// Run a connector.json and follow it
    Run(runs::Run),
    /// Say what a run of a document would do; nothing is started
    Plan(runs::Plan),
    /// Read documents and say everything that is wrong with them
    Check(runs::Check),
    /// Show how a run stands
    Status(runs::Status),
    /// Show what the workers of a run printed
    Logs(runs::Logs),
    /// Watch a session in this terminal, and write to it
    Attach(sessions::Attach),
    /// Show what a run changed
    Diff(runs::Diff),
    /// Merge a run's work into the branch that is checked out
    Merge(runs::Merge),
    /// End a run and everything it started
    Cancel(runs::Cancel),
    /// Look whether everything niia needs is here
    Doctor(node::Doctor),
    /// Start, stop and look at the node
    Daemon(node::Daemon),

    /// Play a whole document with stand-ins instead of models, at no cost
    #[command(hide = true)]
    Rehearse(rehearse::Rehearse),
    /// Be a stand-in of a rehearsal
    #[command(hide = true)]
    RehearsalWorker(rehearse::RehearsalWorker),
    /// Print the JSON Schema of connector.json
    #[command(hide = true)]
    Schema(runs::Schema),
    /// List the runs of this machine
    #[command(hide = true)]
    Runs(runs::Runs),
    /// Go on with a run that needs attention
    #[command(hide = true)]
    Resume(runs::Resume),
    /// Say why a run or session is as it is
    #[command(hide = true)]
    Explain(runs::Explain),
    /// Let a phase begin that asks for it
    #[command(hide = true)]
    Approve(runs::Approve),
    /// Refuse a phase that asks to begin
    #[command(hide = true)]
    Deny(runs::Deny),
    /// Answer what a session asks
    #[command(hide = true)]
    Answer(runs::Answer),
    /// Take an item before working on it: the first caller gets 0, all others 1
    #[command(hide = true)]
    Claim(agents::Claim),
    /// Publish and read outputs
    #[command(hide = true)]
    Output(agents::Output),
    /// Read and write the folder the workers of a run share
    #[command(hide = true)]
    Scratchpad(agents::Scratchpad),
    /// An agent of niia's own, on a local model
    #[command(hide = true)]
    Agent(agents::Agent),
    /// Send and read letters between workers
    #[command(hide = true)]
    Mailbox(agents::Mailbox),
    /// Look on at a mesh, or write to its agents
    #[command(hide = true)]
    Mesh(talks::Mesh),
    /// Read what agents wrote to people
    #[command(hide = true)]
    Inbox(talks::Inbox),
    /// End a talk that would go on
    #[command(hide = true)]
    Done(talks::Done),
    /// Serve the verbs of a session as MCP tools, over stdin and stdout
    #[command(hide = true)]
    Mcp(agents::Mcp),
    /// Keep documents that run by themselves
    #[command(hide = true)]
    Schedule(appointments::Schedule),
    /// Tell the node that something has happened
    #[command(hide = true)]
    Trigger(appointments::Trigger),
    /// Show what the runs of this repository were asked and answered
    #[command(hide = true)]
    History(appointments::History),
    /// Show what the runs of this repository remember
    #[command(hide = true)]
    Memory(appointments::Memory),
    /// Start a headless session
    #[command(hide = true)]
    Serve(sessions::Serve),
    /// List the sessions
    #[command(hide = true)]
    Sessions(sessions::Sessions),
    /// Print a session's screen
    #[command(hide = true)]
    Read(sessions::Read),
    /// Type a text into a session
    #[command(hide = true)]
    Write(sessions::Write),
    /// Wait until a session has gone quiet
    #[command(hide = true)]
    WaitIdle(sessions::WaitIdle),
    /// Ask a session and print what it answers
    #[command(hide = true)]
    GetAnswer(sessions::GetAnswer),
    /// What the tools are that niia drives, and whether they work here
    #[command(hide = true)]
    Profile(profiles::Profile),
    /// Tell niia what happened, from inside a session
    #[command(hide = true)]
    Hook(profiles::Hook),
    /// End the turn a session works at early
    #[command(hide = true)]
    Interrupt(sessions::Interrupt),
    /// Give a session another size
    #[command(hide = true)]
    Resize(sessions::Resize),
    /// End a session and everything that descends from it
    #[command(hide = true)]
    Kill(sessions::Kill),
    /// Play a session's recording
    #[command(hide = true)]
    Replay(sessions::Replay),
    /// Remove what finished runs left that nobody needs
    #[command(hide = true)]
    Gc(node::Gc),
    /// Watch the runs and sessions of this node
    #[command(hide = true)]
    Top(node::Top),
    /// Pair this machine with another one by a short code
    #[command(hide = true)]
    Pair(machines::Pair),
    /// Say how machines come to trust each other
    #[command(hide = true)]
    Login(machines::Login),
    /// List, add and remove paired machines, and say what they may do here
    #[command(hide = true)]
    Peer(machines::Peer),
    /// Look at sessions of other machines, and write to them
    #[command(hide = true)]
    Remote(machines::Remote),
    /// Print the completion script of a shell
    #[command(hide = true)]
    Completions(node::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(node::Man),
}

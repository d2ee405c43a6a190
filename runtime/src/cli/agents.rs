//! The verbs workers use among themselves; people may, too.

use clap::{Args, Subcommand};

use super::complete;

/// The run these verbs are about, where they are not called inside one.
#[derive(Debug, Args)]
pub struct RunOption {
    /// The run; without it the one this is called in, else the newest
    #[arg(long, value_name = "RUN", add = complete::runs(), global = true)]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia agent ollama --model llama3 \"what is in this folder?\"")]
pub struct Agent {
    #[command(subcommand)]
    pub verb: AgentVerb,
}

#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// Talk to a model of Ollama that can read and write files here and run commands, as far as it is allowed to
    #[command(after_help = "Example:\n  OLLAMA_HOST=gpu:11434 niia agent ollama --model llama3")]
    Ollama {
        /// The model, as Ollama calls it
        #[arg(long)]
        model: String,
        /// End after the first answer
        #[arg(long)]
        once: bool,
        /// What is asked first
        prompt: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia claim src/parser.rs && echo mine")]
pub struct Claim {
    /// What is taken, in any words the workers agree on
    pub key: String,
    #[command(flatten)]
    pub run: RunOption,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  niia output set classification auth\n  niia output get classification --phase triage"
)]
pub struct Output {
    #[command(flatten)]
    pub run: RunOption,
    #[command(subcommand)]
    pub verb: OutputVerb,
}

#[derive(Debug, Subcommand)]
pub enum OutputVerb {
    /// Publish a value under a key; JSON is taken as JSON, anything else as text
    #[command(after_help = "Example:\n  niia output set findings '[1, 2]'")]
    Set {
        key: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Print one value, or all of them
    #[command(after_help = "Example:\n  niia output get findings --phase review")]
    Get {
        key: Option<String>,
        /// Only of this phase
        #[arg(long)]
        phase: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  niia scratchpad ls\n  niia scratchpad cat notes.md\n  niia scratchpad put notes.md < notes.md"
)]
pub struct Scratchpad {
    #[command(flatten)]
    pub run: RunOption,
    #[command(subcommand)]
    pub verb: ScratchpadVerb,
}

#[derive(Debug, Subcommand)]
pub enum ScratchpadVerb {
    /// List the files
    #[command(after_help = "Example:\n  niia scratchpad ls --run review-k3f9x")]
    Ls,
    /// Print a file as it is
    #[command(after_help = "Example:\n  niia scratchpad cat notes.md")]
    Cat { path: String },
    /// Write a file, from FILE or stdin
    #[command(after_help = "Example:\n  niia scratchpad put notes.md ./my-notes.md")]
    Put {
        path: String,
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: Option<std::path::PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  niia mailbox send reviewer \"ready for you\"\n  niia mailbox read")]
pub struct Mailbox {
    #[command(flatten)]
    pub run: RunOption,
    #[command(subcommand)]
    pub verb: MailboxVerb,
}

#[derive(Debug, Subcommand)]
pub enum MailboxVerb {
    /// Send a letter to a worker, to `all` or to `person`
    #[command(after_help = "Example:\n  niia mailbox send reviewer \"ready for you\" --id ready-1")]
    Send {
        to: String,
        /// The text (`-` reads stdin)
        text: String,
        /// A name for this letter: the same one sent again is not delivered twice
        #[arg(long)]
        id: Option<String>,
        /// The letter it answers, by its id, or `none`; without it the last one you read
        #[arg(long, value_name = "ID")]
        reply_to: Option<String>,
        /// It is told before the letters that are not urgent
        #[arg(long)]
        urgent: bool,
    },
    /// List letters without marking them read
    #[command(
        after_help = "Examples:\n  niia mailbox list --reader reviewer\n  niia mailbox list --sent --json | jq '.[] | .id, .fate'"
    )]
    List {
        /// The letters you wrote and what became of each; with --reader those somebody else wrote
        #[arg(long)]
        sent: bool,
        /// Whose letters; without it the caller's own, or everybody's for a person
        #[arg(long)]
        reader: Option<String>,
    },
    /// Print the unread letters and mark them read
    #[command(after_help = "Example:\n  niia mailbox read")]
    Read {
        /// Whose letters; without it the caller's own
        #[arg(long)]
        reader: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
niia hands itself to the tools it starts. By hand, for a client outside of any run:
  claude mcp add niia -- niia mcp
  npx @modelcontextprotocol/inspector --cli niia mcp --method tools/list")]
pub struct Mcp {
    #[command(flatten)]
    pub run: RunOption,
}

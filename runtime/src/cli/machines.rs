//! The verbs about other machines.

use clap::{Args, Subcommand};
use niia_net::trust::Rights;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  niia pair                       # on one machine: shows a code and waits
  niia pair K7M-9XQ               # on the other one: types it
  niia pair K7M-9XQ 10.1.2.3:6442 # where multicast does not reach

Each code is good for one try within ten minutes, and five codes may be tried an hour.")]
pub struct Pair {
    /// The code that the other machine shows; without it this one shows a code
    pub code: Option<String>,
    /// The machine that shows the code: its name, or HOST:PORT
    #[arg(requires = "code")]
    pub machine: Option<String>,
    /// What the other machine may do here: run, read, write, files, all or none, with commas between them
    #[arg(long, default_value = "all", value_name = "RIGHTS")]
    pub allow: Rights,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  niia login")]
pub struct Login {}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Peer {
    #[command(subcommand)]
    pub verb: PeerVerb,
}

#[derive(Debug, Subcommand)]
pub enum PeerVerb {
    /// List paired machines, and those nearby that are not paired
    #[command(after_help = "Example:\n  niia peer ls --json")]
    Ls,
    /// Trust a machine whose fingerprint you have compared
    #[command(after_help = "\
Examples:
  niia peer add build.example.com:6442 --fingerprint 3f9c…   # `niia peer ls` there shows it
  niia peer add home-office --via hub --fingerprint 3f9c…     # neither can dial the other, both reach hub

With `--via` the peer in between carries what both say, encrypted from end to end; say it on both sides.")]
    Add {
        /// Where it is; with `--via` what it is called
        #[arg(value_name = "HOST:PORT|NAME")]
        address: String,
        /// Its fingerprint, as `niia peer ls` on that machine shows it
        #[arg(long, required_unless_present = "via")]
        fingerprint: Option<String>,
        /// Reach it over this peer, which both sides reach
        #[arg(long, value_name = "PEER")]
        via: Option<String>,
        /// What it is called here; its host's name where nothing is said
        #[arg(long)]
        name: Option<String>,
        /// What it may do here: run, read, write, files, all or none, with commas between them
        #[arg(long, default_value = "all", value_name = "RIGHTS")]
        allow: Rights,
    },
    /// Trust a machine no longer; what it has open here ends at once
    #[command(after_help = "Example:\n  niia peer rm seoul-server")]
    Rm {
        /// Its name or fingerprint
        name: String,
    },
    /// Say what a paired machine may do here
    #[command(after_help = "\
Examples:
  niia peer allow seoul-server run,read
  niia peer allow seoul-server run,files --folder /srv/data   # for `niia remote cp`
  niia peer allow seoul-server run --models claude,ollama")]
    Allow {
        /// Its name or fingerprint
        name: String,
        /// run, read, write, files, all or none, with commas between them
        rights: Rights,
        /// A folder it may copy from and to with the right `files`; may be given several times
        #[arg(long, value_name = "FOLDER")]
        folder: Vec<std::path::PathBuf>,
        /// Profiles its workers may use here, with commas between them
        #[arg(long, value_name = "PROFILES", value_delimiter = ',')]
        models: Option<Vec<String>>,
    },
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Remote {
    #[command(subcommand)]
    pub verb: RemoteVerb,
}

/// A machine, and one of its sessions.
#[derive(Debug, Args)]
pub struct There {
    /// A paired machine: its name, host or fingerprint
    pub machine: String,
    /// The session there; the only live one where nothing is said
    #[arg(default_value = "")]
    pub session: String,
}

#[derive(Debug, Subcommand)]
pub enum RemoteVerb {
    /// Ask paired machines how they are
    #[command(after_help = "Examples:\n  niia remote status list\n  niia remote status seoul-server")]
    Status {
        /// A machine, or `list` for all
        #[arg(default_value = "list")]
        machine: String,
    },
    /// Run a document with its home on a machine: it goes on there without this one
    #[command(after_help = "Example:\n  niia remote run SEOUL-SERVER night.connector.json --detach")]
    Run {
        /// A paired machine: its name, host or fingerprint
        machine: String,
        #[command(flatten)]
        words: Box<super::runs::Run>,
    },
    /// Start a headless session on a machine
    #[command(after_help = "\
Examples:
  niia remote start SEOUL-SERVER -- bash
  niia remote start SEOUL-SERVER --worktree my-feature   # with the commits of this repository")]
    Start {
        /// A paired machine: its name, host or fingerprint
        machine: String,
        #[command(flatten)]
        words: super::sessions::Serve,
    },
    /// List the sessions of a machine
    #[command(after_help = "Example:\n  niia remote sessions seoul-server")]
    Sessions {
        /// A paired machine: its name, host or fingerprint
        machine: String,
        /// Those of its newest run that are over, too
        #[arg(long, short)]
        all: bool,
    },
    /// Print the screen of a session there
    #[command(after_help = "Example:\n  niia remote read SEOUL-SERVER")]
    Read(There),
    /// Type a text into a session there
    #[command(after_help = "Example:\n  niia remote write SEOUL-SERVER \"also handle edge case X\"")]
    Write {
        /// A paired machine: its name, host or fingerprint
        machine: String,
        /// The text (`-` reads stdin)
        text: String,
        /// The session there; the only live one where nothing is said
        #[arg(long, short, default_value = "")]
        session: String,
        /// Do not wait until the session is idle
        #[arg(long)]
        urgent: bool,
    },
    /// Ask a session there and print what it answers
    #[command(after_help = "Example:\n  niia remote ask SEOUL-SERVER \"what is left to do?\"")]
    Ask {
        /// A paired machine: its name, host or fingerprint
        machine: String,
        /// The question (`-` reads stdin)
        question: String,
        /// The session there; the only live one where nothing is said
        #[arg(long, short, default_value = "")]
        session: String,
        /// Seconds after which to give up
        #[arg(long, default_value_t = 120.0)]
        timeout: f64,
    },
    /// Copy a file to a machine, or from there
    #[command(after_help = "\
Examples:
  niia remote cp weights.bin gpu-a:/srv/data/      # into a folder that is open to this machine there
  niia remote cp gpu-a:/srv/data/log.txt .
  niia remote cp gpu-a:night-k3f9x/report.md .     # of a run that was begun here

`niia peer allow THIS-MACHINE files --folder /srv/data` there opens a folder.")]
    Cp {
        /// A file here, or MACHINE:PATH
        from: String,
        /// Where it goes: a path here, or MACHINE:PATH
        to: String,
    },
    /// Watch a session there in this terminal, and write to it
    #[command(after_help = "Example:\n  niia remote attach SEOUL-SERVER")]
    Attach {
        #[command(flatten)]
        there: There,
        /// Take over from whoever is writing
        #[arg(long)]
        take: bool,
    },
}

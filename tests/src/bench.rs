//! What niia costs, beside what the same would cost without it.
//!
//! `niia-bench [ROW…] [--rounds N]` measures each row so many times and prints its median and noise. Beside it stands the
//! bare limit, measured in the same rounds on the same machine by the least code that could do the work at all, and tmux
//! doing the same where it is installed. Nothing here asserts a time; the bar is printed with whether it is met.

mod bare;
mod carrier;
mod chores;
mod echo;
mod fan_out;
mod far;
mod flood;
mod flow;
mod idle;
mod link;
mod pure;
mod sandbox;
mod scene;
mod steps;
mod table;
mod tmux;
mod usage;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use table::Row;

/// Rounds where nothing else is said: enough for a median that one hiccup does not move.
const ROUNDS: usize = 5;

/// Says which `niia` is measured.
const PROGRAM: &str = "NIIA_HOUSE_PROGRAM";

/// A row, or rows that come from the same measurement.
type Measure = fn(usize) -> Vec<Row>;

const ROWS: [(&str, &str, Measure); 17] = [
    ("fan-out", "1,000 trivial workers at once: wall clock and CPU", fan_out::measure),
    ("step", "one more durable step of a pipeline", steps::marginal),
    ("start", "from `niia run` to the first worker, node up and cold", steps::start),
    ("echo", "a key through `attach` and back", echo::measure),
    ("throughput", "output of 1 and of 50 sessions, recorded", flow::throughput),
    ("megabyte", "memory of a session after 1 MB of coloured output", flow::megabyte),
    ("idle", "memory and CPU of idle sessions", idle::measure),
    ("memory", "the node's memory during a run of 1,000 steps", steps::memory),
    ("transition", "a durable row of the journal, alone and grouped", pure::transition),
    ("carrier", "bytes through a sandboxed session's carrier", carrier::measure),
    ("sandbox", "what a sandbox adds to the start of a program", sandbox::measure),
    ("link", "messages and contents between two machines, beside QUIC alone", link::measure),
    ("remote-echo", "a key through `remote attach` and back, alone and beside 1 GB", far::attach),
    ("remote-start", "from `niia run` to the first worker on another machine", far::start),
    ("reconnect", "from a killed node, and from a black hole, to being linked again", far::reconnect),
    ("flood", "a key here while strangers flood the node's port", flood::measure),
    ("plan", "reading and planning a document of 1,000 phases", pure::plan),
];

/// What was asked for on the command line.
struct Wish {
    rows: Vec<String>,
    rounds: usize,
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = chores::asked(&args) {
        return code;
    }
    match wish(&args) {
        Ok(wish) if std::env::var_os(PROGRAM).is_some() => {
            run(&wish);
            ExitCode::SUCCESS
        }
        Ok(_) => again(&args),
        Err(why) => {
            let rows = ROWS.map(|(name, what, _)| format!("  {name:<12} {what}\n")).concat();
            eprintln!("{why}\nniia-bench [ROW…] [--rounds N]\n{rows}");
            ExitCode::from(2)
        }
    }
}

/// Begins anew with the `niia` that was built beside this program: nothing is built while it measures.
fn again(args: &[String]) -> ExitCode {
    let own = chores::program();
    let error = Command::new(&own).args(args).env(PROGRAM, own.with_file_name("niia")).exec();
    eprintln!("{}: {error}", own.display());
    ExitCode::FAILURE
}

fn wish(args: &[String]) -> Result<Wish, String> {
    let mut wish = Wish { rows: Vec::new(), rounds: ROUNDS };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--rounds" {
            let rounds = args.next().and_then(|number| number.parse().ok()).filter(|rounds| *rounds > 0);
            wish.rounds = rounds.ok_or("`--rounds` wants a number")?;
        } else if ROWS.iter().any(|(name, _, _)| name == arg) {
            wish.rows.push(arg.clone());
        } else {
            return Err(format!("there is no row `{arg}`"));
        }
    }
    Ok(wish)
}

fn run(wish: &Wish) {
    println!("{}", usage::machine());
    table::head();
    for (name, _, measure) in ROWS {
        if wish.rows.is_empty() || wish.rows.iter().any(|row| row == name) {
            measure(wish.rounds).iter().for_each(Row::print);
        }
    }
    println!("load at the end: {}", usage::load());
}

//! A node whose port strangers knock at ten thousand at a time, and what its own people feel of it.

use std::io::{self, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use niia::config::Folders;
use niia_net::probe;

use super::echo::{quantile, through_attach};
use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::{chores, usage};

/// Handshakes that are begun and never gone on with.
const HALF_OPEN: usize = 10_000;
/// Datagrams a second after that: more than ten thousand machines that greet say.
const DATAGRAMS_A_SECOND: u32 = 20_000;
/// Datagrams thrown at a time.
const HANDFUL: u32 = 100;
/// Sockets they come from.
const STRANGERS: usize = 64;
const GARBAGE_BYTES: usize = 1_200;

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut late = Row::new(
        "key → echo here under 10,000 half-open handshakes and a flood, p99 (limit: quiet)",
        "µs",
        Bar::TimesLimit(2.0),
    );
    let mut middle = Row::new("the same, p50 (limit: quiet)", "µs", Bar::Shown);
    let mut memory = Row::new("the node's memory under it, peak (limit: before)", "MiB", Bar::Shown);
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.unwrap_or_else(|error| panic!("no port: {error}"));
    let scene = Scene::with(&format!("[network]\nlisten = \"{port}\"\ndiscover = false\n"));
    let document = scene.document("echo", &scene::fan(1, &scene::words(&scene::chore(&["--echo"]))));
    let folders = Folders { state: scene.house.at("state"), config: scene.house.at("config") };
    for _ in 0..rounds {
        let run = scene.begin(&document, 1);
        let session = format!("{run}/fan/1");
        memory.limit.push(usage::peak_kib(scene.node()) as f64 / 1024.0);
        let quiet = through_attach(&folders, &session);
        let flood = Flood::start(port).unwrap_or_else(|error| panic!("no flood: {error}"));
        let flooded = through_attach(&folders, &session);
        drop(flood);
        memory.niia.push(usage::peak_kib(scene.node()) as f64 / 1024.0);
        for (row, part) in [(&mut late, 0.99), (&mut middle, 0.5)] {
            row.limit.push(quantile(&quiet, part));
            row.niia.push(quantile(&flooded, part));
        }
        scene.cancel(&run);
    }
    vec![late, middle, memory]
}

/// Somebody who floods a port, until this value goes.
struct Flood {
    child: Child,
    _lifeline: ChildStdin,
}

impl Flood {
    fn start(at: SocketAddr) -> io::Result<Flood> {
        // The least of priorities: what is measured is the node, not what a flood takes from it on the same cores.
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(chores::program()).args(["--flood", &at.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(lifeline), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // It says so once all handshakes are begun.
        stdout.read_exact(&mut [0])?;
        Ok(Flood { child, _lifeline: lifeline })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // It may have gone already; either way it is buried here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Floods a port until standard input ends.
pub fn flood(at: &str) -> io::Result<()> {
    let at: SocketAddr = at.parse().map_err(io::Error::other)?;
    let half = probe::half_handshakes(at, HALF_OPEN).map_err(io::Error::other)?;
    let strangers: io::Result<Vec<UdpSocket>> =
        (0..STRANGERS).map(|_| UdpSocket::bind("127.0.0.1:0")).collect();
    let strangers = strangers?;
    let throw = |number: usize, bytes: &[u8]| {
        // What the kernel will not take is not thrown.
        let _ = strangers[number % STRANGERS].send_to(bytes, at);
    };
    half.iter().enumerate().for_each(|(number, bytes)| throw(number, bytes));
    println!();
    std::thread::spawn(|| {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    let mut random = fastrand::Rng::with_seed(7);
    let pause = Duration::from_secs(1) * HANDFUL / DATAGRAMS_A_SECOND;
    let (mut next, mut number) = (Instant::now(), 0);
    loop {
        for _ in 0..HANDFUL {
            number += 1;
            if number % 2 == 0 {
                throw(number, &half[number % half.len()]);
            } else {
                let junk: Vec<u8> = (0..GARBAGE_BYTES).map(|_| random.u8(..)).collect();
                throw(number, &junk);
            }
        }
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

//! Bytes through a session's carrier, beside the least that could stand between two sockets: a splice in the kernel.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use niia_actors::network::{self, Forward, Kind, Rules};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use super::chores;
use super::table::{Bar, Row};

const MEGABYTES: u64 = 2_000;
const PIECE_BYTES: usize = 256 << 10;
/// Asked one after the other, each a byte there and back.
const QUESTIONS: u32 = 20_000;

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut flow =
        Row::new("bytes through a session's carrier (limit: a splice)", "MB/s", Bar::AtLeast(500.0));
    let mut trip =
        Row::new("a byte there and back through a carrier (limit: a splice)", "µs", Bar::TimesLimit(2.0));
    for _ in 0..rounds {
        flow.limit.push(throughput("--splice"));
        flow.niia.push(throughput("--carry"));
        trip.limit.push(round_trip("--splice"));
        trip.niia.push(round_trip("--carry"));
    }
    vec![flow, trip]
}

/// Somebody between two sockets, who ends with this value.
struct Between {
    child: Child,
    port: u16,
    _lifeline: ChildStdin,
}

impl Between {
    fn start(chore: &str, target: u16) -> io::Result<Between> {
        let mut command = Command::new(chores::program());
        command.args([chore, &target.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(lifeline), Some(stdout)) = (stdin, stdout) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse().map_err(io::Error::other)?;
        Ok(Between { child, port, _lifeline: lifeline })
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        // It may have gone already; either way it is buried here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scene(chore: &str) -> io::Result<(Between, TcpStream, TcpStream)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let between = Between::start(chore, server.local_addr()?.port())?;
    let client = TcpStream::connect(("127.0.0.1", between.port))?;
    let (far, _) = server.accept()?;
    client.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((between, client, far))
}

fn throughput(chore: &str) -> f64 {
    let measured = || -> io::Result<f64> {
        let (_between, mut client, mut far) = scene(chore)?;
        let sink = std::thread::spawn(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            let mut all = 0;
            while let Ok(count @ 1..) = far.read(&mut buffer) {
                all += count as u64;
            }
            all
        });
        let piece = vec![7; PIECE_BYTES];
        let begun = Instant::now();
        let mut left = MEGABYTES * 1_000_000;
        while left > 0 {
            let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            client.write_all(&piece[..count])?;
            left -= count as u64;
        }
        client.shutdown(std::net::Shutdown::Write)?;
        let arrived = sink.join().unwrap_or_default();
        assert_eq!(arrived, MEGABYTES * 1_000_000, "bytes were lost");
        Ok(MEGABYTES as f64 / begun.elapsed().as_secs_f64())
    };
    measured().unwrap_or_else(|error| panic!("{chore}: {error}"))
}

fn round_trip(chore: &str) -> f64 {
    let measured = || -> io::Result<f64> {
        let (_between, mut client, mut far) = scene(chore)?;
        let echo = std::thread::spawn(move || {
            let mut byte = [0];
            while let Ok(1) = far.read(&mut byte) {
                if far.write_all(&byte).is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        let mut byte = [0];
        for _ in 0..QUESTIONS {
            client.write_all(&byte)?;
            client.read_exact(&mut byte)?;
        }
        let took = begun.elapsed();
        client.shutdown(std::net::Shutdown::Both)?;
        drop(client);
        let _ = echo.join();
        Ok(took.as_secs_f64() * 1e6 / f64::from(QUESTIONS))
    };
    measured().unwrap_or_else(|error| panic!("{chore}: {error}"))
}

/// Carries to a port of this machine until standard input ends; says where it listens.
pub fn carry(target: &str) -> io::Result<()> {
    let port = target.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let rules = Rules::new([], vec![Forward { port, kind: Kind::Plain }]).map_err(io::Error::other)?;
    let lifeline = io::stdin().as_fd().try_clone_to_owned()?;
    let folder = tempfile::tempdir()?;
    network::carry(rules, vec![(port, listener.into())], lifeline, folder.path())
}

/// The same for one connection by the kernel alone, a thread a direction.
pub fn splice_all(target: &str) -> io::Result<()> {
    let port: u16 = target.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let (client, _) = listener.accept()?;
    let server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (back, forth) = ((server.try_clone()?, client.try_clone()?), (client, server));
    let down = std::thread::spawn(move || splice_one(&back.0, &back.1));
    splice_one(&forth.0, &forth.1)?;
    down.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn splice_one(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    // A larger pipe means fewer calls; without it the measurement is only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(&into, PIECE_BYTES);
    let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
    loop {
        let mut left = match splice(from, None, &into, None, PIECE_BYTES, SpliceFlags::MOVE) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        while left > 0 {
            let flags = if left == PIECE_BYTES { flags } else { SpliceFlags::MOVE };
            left -= splice(&out, None, to, None, left, flags)?;
        }
    }
    to.shutdown(std::net::Shutdown::Write)
}

//! Messages and contents over a link between two processes, beside QUIC alone between the same two.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use niia_net::endpoint::{Endpoint, IDLE};
use niia_net::identity::{Identity, NodeId};
use niia_net::link::Link;
use niia_net::peer::{Greeting, PeerLink, Stream, Welcomed, admit_work, greet};
use niia_net::probe::{Bare, BareLink, BareStream};
use niia_net::transfer;
use niia_net::trust::{Admission, Rights, Want};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::chores;
use super::echo::quantile;
use super::table::{Bar, Row};

/// A letter as agents write them: 200 bytes as a frame.
const LETTER_BYTES: usize = 200;
const LARGE_BYTES: usize = 64 * 1024;
const QUESTIONS: usize = 10_000;
const LETTERS: usize = 300_000;
const LARGE: usize = 8_000;
const CONTENTS_BYTES: u64 = 1_000_000_000;
/// What travels is written and read in pieces of this size where nothing of niia does it.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Letter {
    to: String,
    #[serde(with = "serde_bytes")]
    text: Vec<u8>,
}

impl Letter {
    /// One whose frame has so many bytes.
    fn of(bytes: usize) -> Letter {
        let empty = Letter { to: "review/1".to_owned(), text: vec![7; LARGE_BYTES / 2] };
        let around = niia_net::wire::encode(&empty).map_or(0, |frame| frame.len()) - LARGE_BYTES / 2;
        let length = bytes.saturating_sub(around);
        Letter { text: vec![7; length], ..empty }
    }
}

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut trip =
        Row::new("a 200 B message there and back, p50 (limit: QUIC alone)", "µs", Bar::TimesLimit(2.0));
    let mut rate = Row::new("200 B messages one way (limit: QUIC alone)", "k/s", Bar::AtLeast(50.0));
    let mut large = Row::new("64 KiB messages one way (limit: QUIC alone)", "MB/s", Bar::PartOfLimit(0.5));
    let mut copy = Row::new(
        "contents with hash, as `cp` carries them (limit: QUIC alone)",
        "MB/s",
        Bar::PartOfLimit(0.5),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    for _ in 0..rounds {
        let bare = runtime.block_on(runtime.spawn(bare_figures()));
        let ours = runtime.block_on(runtime.spawn(our_figures()));
        let figures = |done: Result<io::Result<[f64; 4]>, tokio::task::JoinError>| match done {
            Ok(Ok(figures)) => figures,
            other => panic!("not measured: {other:?}"),
        };
        let rows = [&mut trip, &mut rate, &mut large, &mut copy];
        for ((row, limit), own) in rows.into_iter().zip(figures(bare)).zip(figures(ours)) {
            row.limit.push(limit);
            row.niia.push(own);
        }
    }
    vec![trip, rate, large, copy]
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The other end, in a process of its own that ends with this value.
struct Server {
    child: Child,
    address: SocketAddr,
    id: String,
    _lifeline: ChildStdin,
}

impl Server {
    fn start(chore: &str) -> io::Result<Server> {
        let mut command = Command::new(chores::program());
        command.arg(chore).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(lifeline), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let (address, id) = line.trim().split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        Ok(Server { child, address: address.parse().map_err(other)?, id: id.to_owned(), _lifeline: lifeline })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have gone already; either way it is buried here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn bare_figures() -> io::Result<[f64; 4]> {
    let server = Server::start("--serve-bare")?;
    let identity = Identity::passing().map_err(other)?;
    let link = Bare::bind(&identity, anywhere()).map_err(other)?.dial(server.address).await.map_err(other)?;
    let mut stream = asked(&link, b'e').await?;
    let (letter, mut back) = ([7; LETTER_BYTES], [0; LETTER_BYTES]);
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        stream.write_all(&letter).await?;
        stream.read_exact(&mut back).await?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let mut flows = [0.0; 3];
    let sizes =
        [(LETTER_BYTES, LETTERS), (LARGE_BYTES, LARGE), (PIECE_BYTES, CONTENTS_BYTES as usize / PIECE_BYTES)];
    for (flow, (bytes, count)) in flows.iter_mut().zip(sizes) {
        let (mut stream, message) = (asked(&link, b's').await?, vec![7; bytes]);
        let began = Instant::now();
        for _ in 0..count {
            stream.write_all(&message).await?;
        }
        swallowed(&mut stream).await?;
        *flow = count as f64 / began.elapsed().as_secs_f64();
    }
    Ok([
        quantile(&times, 0.5),
        flows[0] / 1e3,
        flows[1] * LARGE_BYTES as f64 / 1e6,
        flows[2] * PIECE_BYTES as f64 / 1e6,
    ])
}

async fn asked(link: &BareLink, what: u8) -> io::Result<BareStream> {
    let mut stream = link.open().await.map_err(other)?;
    stream.write_all(&[what]).await?;
    Ok(stream)
}

/// Says that this was all, and waits until the other end has read it.
async fn swallowed(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut last = [0];
    stream.read_exact(&mut last).await.map(drop)
}

async fn our_figures() -> io::Result<[f64; 4]> {
    let server = Server::start("--serve-link")?;
    let identity = Identity::passing().map_err(other)?;
    let endpoint = Endpoint::bind(&identity, anywhere(), IDLE).map_err(other)?;
    let wanted: NodeId = server.id.parse().map_err(other)?;
    let shaken = endpoint.connect(&[server.address], Some(wanted)).await.map_err(other)?;
    let greeting = Greeting::new("bench", 1, "0", Want::Work);
    let greeted = greet(shaken, identity.id(), Some(wanted), greeting, Rights::ALL).await;
    let Welcomed::Work(link) = greeted.map_err(other)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let trip = round_trips(&link).await?;
    let rate = letters(&link, LETTER_BYTES, LETTERS).await? / 1e3;
    let large = letters(&link, LARGE_BYTES, LARGE).await? * LARGE_BYTES as f64 / 1e6;
    Ok([trip, rate, large, contents(&link).await?])
}

async fn round_trips(link: &PeerLink) -> io::Result<f64> {
    let (reader, writer) = link.open("echo").await.map_err(other)?.into_inner();
    let mut talk = Link::new(reader, writer);
    let letter = Letter::of(LETTER_BYTES);
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        talk.send(&letter).await.map_err(other)?;
        talk.receive::<Letter>().await.map_err(other)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&times, 0.5))
}

/// Messages a second, each read as a message at the other end.
async fn letters(link: &PeerLink, bytes: usize, count: usize) -> io::Result<f64> {
    let (reader, writer) = link.open("letters").await.map_err(other)?.into_inner();
    let (sender, mut receiver) = Link::new(reader, writer).split();
    let letter = Letter::of(bytes);
    let began = Instant::now();
    for _ in 0..count {
        sender.send(&letter).await.map_err(other)?;
    }
    drop(sender);
    let read = receiver.receive::<u64>().await.map_err(other)?;
    if read != Some(count as u64) {
        return Err(other(format!("{read:?} of {count} letters came")));
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Megabytes a second.
async fn contents(link: &PeerLink) -> io::Result<f64> {
    let mut stream = link.open("contents").await.map_err(other)?;
    let began = Instant::now();
    transfer::send(&mut stream, &mut tokio::io::repeat(7), CONTENTS_BYTES).await.map_err(other)?;
    swallowed(&mut stream).await?;
    Ok(CONTENTS_BYTES as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// The other end with nothing but QUIC, until standard input ends.
pub fn serve_bare() -> io::Result<()> {
    served(async {
        let identity = Identity::passing().map_err(other)?;
        let bare = Bare::bind(&identity, anywhere()).map_err(other)?;
        println!("{} {}", bare.address().map_err(other)?, identity.id());
        while let Ok(link) = bare.accept().await {
            tokio::spawn(async move {
                while let Ok(stream) = link.accept().await {
                    tokio::spawn(bare_stream(stream));
                }
            });
        }
        Ok(())
    })
}

async fn bare_stream(mut stream: BareStream) -> io::Result<()> {
    if stream.read_u8().await? == b'e' {
        let mut letter = [0; LETTER_BYTES];
        loop {
            stream.read_exact(&mut letter).await?;
            stream.write_all(&letter).await?;
        }
    }
    let mut piece = vec![0; PIECE_BYTES];
    while stream.read(&mut piece).await? > 0 {}
    stream.write_all(&[1]).await
}

/// The other end as a node has it, until standard input ends.
pub fn serve_link() -> io::Result<()> {
    served(async {
        let identity = Identity::passing().map_err(other)?;
        let endpoint = Endpoint::bind(&identity, anywhere(), IDLE).map_err(other)?;
        let own = identity.id();
        println!("{} {own}", endpoint.address()?);
        let admit = move |shaken, _| async move {
            let greeting = Greeting::new("bench", 1, "0", Want::Work);
            let admitted = admit_work(shaken, own, greeting, |_, _| Admission::Work(Rights::ALL)).await;
            if let Ok(Welcomed::Work(link)) = admitted {
                while let Ok(stream) = link.accept().await {
                    tokio::spawn(link_stream(stream));
                }
            }
        };
        endpoint.accept_each(admit).await;
        Ok(())
    })
}

async fn link_stream(mut stream: Stream) -> io::Result<()> {
    let purpose: String = PeerLink::purpose(&mut stream).await.map_err(other)?;
    if purpose == "contents" {
        transfer::receive(&mut stream, &mut tokio::io::sink(), u64::MAX).await.map_err(other)?;
        return stream.write_all(&[1]).await;
    }
    let (reader, writer) = stream.into_inner();
    let (sender, mut receiver) = Link::new(reader, writer).split();
    let mut count: u64 = 0;
    while let Some(letter) = receiver.receive::<Letter>().await.map_err(other)? {
        count += 1;
        if purpose == "echo" {
            sender.send(&letter).await.map_err(other)?;
        }
    }
    sender.send(&count).await.map_err(other)
}

fn served(serve: impl Future<Output = io::Result<()>> + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    drop(runtime.spawn(async move {
        if let Err(error) = serve.await {
            eprintln!("{error}");
        }
    }));
    // Whoever started it goes away, or ends it.
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

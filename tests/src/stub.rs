//! A provider of models that has none: the APIs of Anthropic, `OpenAI`, Google and Ollama on loopback, with answers that
//! follow from what is asked.
//!
//! What it answers stands in the prompt itself, between `<<` and `>>` (see [`asked`]), so that whoever sends a prompt
//! knows the answer to the letter. Without an order it tells how many turns the conversation has and what the first one
//! was, which proves whether a tool kept its context. Failures are switched on for the whole server.

pub mod asked;
mod http;
mod providers;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use asked::Asked;
use http::Request;

/// A client that sends nothing for so long is gone.
const READ_WAIT: Duration = Duration::from_secs(30);
/// Between two looks of a hanging answer at whether the server is still wanted.
const HANG_STEP: Duration = Duration::from_millis(20);

/// How every answer of a model fails until further notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This status, and seconds after which to try again where they are told.
    Status { status: u16, kind: &'static str, message: &'static str, retry_after_s: Option<u64> },
    /// The connection stands and nothing comes.
    Hang,
    /// The connection is closed in the middle of the answer.
    Drop,
}

impl Failure {
    /// A failure by the word that the command line of the stub knows it by.
    #[must_use]
    pub fn by_word(word: &str) -> Option<Failure> {
        let status = |status, kind, message, retry_after_s| {
            Some(Failure::Status { status, kind, message, retry_after_s })
        };
        match word {
            "401" => status(401, "authentication_error", "invalid x-api-key", None),
            "429" => status(429, "rate_limit_error", "This request would exceed the rate limit", Some(2)),
            "429-bare" => status(429, "rate_limit_error", "This request would exceed the rate limit", None),
            "529" => status(529, "overloaded_error", "Overloaded", None),
            "503" => status(503, "overloaded_error", "The model is overloaded", None),
            "404" => status(404, "not_found_error", "model: not found", None),
            "quota" => status(429, "insufficient_quota", "You exceeded your current quota", None),
            "hang" => Some(Failure::Hang),
            "drop" => Some(Failure::Drop),
            _ => None,
        }
    }
}

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub after: Duration,
    pub path: String,
    pub model: String,
    /// The last text a person said in it.
    pub prompt: String,
    /// All that persons said in it before.
    pub before: String,
    /// How many times a person spoke in it.
    pub turns: usize,
    /// How many results of tools came since.
    pub results: usize,
    pub status: u16,
}

#[derive(Debug)]
struct Shared {
    failure: Mutex<Option<Failure>>,
    seen: Mutex<Vec<Seen>>,
    closing: AtomicBool,
    began: Instant,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Stub {
    /// Opens on a free port of the loopback.
    ///
    /// # Errors
    /// Where the loopback gives no port.
    pub fn open(port: u16) -> io::Result<Stub> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            failure: Mutex::new(None),
            seen: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            began: Instant::now(),
        });
        let theirs = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, &theirs));
        Ok(Stub { address, shared, accepting: Some(accepting) })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From here on the times of what was asked are counted.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.shared.began
    }

    /// From now on all answers fail so; nothing lets them succeed again.
    pub fn fail(&self, failure: Option<Failure>) {
        *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// What was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // A last caller wakes the loop that waits for callers.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // Each ends with its one answer; a client that goes away early ends it, too.
        std::thread::spawn(move || drop(serve(stream, &shared)));
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_WAIT))?;
    let Some(request) = Request::read(&mut stream)? else { return Ok(()) };
    let Some(asked) = Asked::of(&request) else {
        return providers::aside(&mut stream, &request);
    };
    let failure = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = match &failure {
        Some(Failure::Status { status, .. }) => *status,
        _ => 200,
    };
    let seen = Seen {
        after: shared.began.elapsed(),
        path: request.path.clone(),
        model: asked.model.clone(),
        prompt: asked.prompt.clone(),
        before: asked.before.clone(),
        turns: asked.turns,
        results: asked.results,
        status,
    };
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    match failure {
        None => providers::answer(&mut stream, &asked, &|| shared.closing.load(Ordering::Acquire)),
        Some(Failure::Status { status, kind, message, retry_after_s }) => {
            providers::refuse(&mut stream, asked.api, (status, kind, message), retry_after_s)
        }
        Some(Failure::Hang) => {
            while !shared.closing.load(Ordering::Acquire) {
                std::thread::sleep(HANG_STEP);
            }
            Ok(())
        }
        Some(Failure::Drop) => http::begin(&mut stream, 200, "text/event-stream", &[]),
    }
}

#[cfg(test)]
mod tests;

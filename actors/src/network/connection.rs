//! One connection of a session, from its first byte to its last.
//!
//! It is a small machine that is told when one of its descriptors is ready or its time is over, does what can be done
//! without waiting, and says what it waits for next. No stage is without a deadline.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use niia_spec::course::Access;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};

use super::decisions::Log;
use super::flow::{self, Flow};
use super::gateway::{self, Judged};
use super::head::{self, HEAD_BYTES_MAX, Status};
use super::hello::{self, HELLO_BYTES_MAX};
use super::lookup::{Lookup, Resolve};
use super::rules::{Kind, Rules};

/// A request comes at once; who drips it holds a place that others need.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Of a gateway's request, with pictures in it, over loopback.
const BODY_WAIT: Duration = Duration::from_secs(60);
const LOOKUP_WAIT: Duration = Duration::from_secs(10);
/// For each address of a name.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The first message of TLS follows the proxy's answer at once.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// A model may think for long without a byte.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// Where the server has nothing more to say and the client says nothing.
const TOLD_IDLE_MAX: Duration = Duration::from_secs(60);
/// No session of a run takes longer than its own bound; this one is for a connection that somebody forgot.
const CONNECTION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// So long is a refused client listened to, so that it reads the answer before the connection ends.
const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// Bytes of unfinished requests over all connections of a session.
const UNFINISHED_BYTES_MAX: usize = 64 << 20;
/// Read at a time while a request is not complete.
const REQUEST_PIECE_BYTES: usize = 64 << 10;
/// The only port a proxy leads to: what is spoken there is TLS, and the name in it can be compared.
const PORT: u16 = 443;

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// How names become connections.
pub(super) struct Reach {
    pub resolve: Box<dyn Resolve>,
    /// Why an address is nobody's to reach.
    pub forbidden: fn(IpAddr) -> Option<&'static str>,
    /// Where the port that is asked for really lies.
    pub port: u16,
}

impl Reach {
    /// The Internet, by the system's resolver.
    pub fn public() -> Reach {
        Reach { resolve: Box::new(super::lookup::System), forbidden: super::address::forbidden, port: PORT }
    }
}

/// What all connections of a session share.
pub(super) struct Shared {
    pub rules: Rules,
    pub reach: Reach,
    pub log: Log,
    pub piece: Option<Box<[u8]>>,
    /// Bytes of unfinished requests.
    pub unfinished_bytes: usize,
    /// Whether one more name may be looked up now.
    pub may_look_up: bool,
}

impl Shared {
    fn piece(&mut self) -> &mut [u8] {
        self.piece.get_or_insert_with(|| vec![0; flow::PIECE_BYTES].into_boxed_slice())
    }
}

/// Where a client came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Proxy,
    Forward { port: u16, kind: Kind },
}

pub(super) struct Connection {
    door: Door,
    client: OwnedFd,
    server: Option<OwnedFd>,
    stage: Stage,
    until: Instant,
    ends: Instant,
    up: Flow,
    down: Flow,
}

enum Stage {
    /// The request is read.
    Request {
        read: Vec<u8>,
    },
    Lookup {
        host: String,
        lookup: Lookup,
        early: Vec<u8>,
    },
    Connect {
        to: Wanted,
        left: VecDeque<SocketAddr>,
    },
    /// The client's first message of TLS is read.
    Hello {
        host: String,
        read: Vec<u8>,
    },
    /// Bytes go both ways.
    Stream,
    /// An answer goes to the client; what it says meanwhile is of no matter.
    Answer,
    /// All is said.
    Leave,
    Over,
}

/// What is done once a server is there.
enum Wanted {
    Tls { host: String, early: Vec<u8> },
    Plain { name: String },
    Question { name: String, request: Vec<u8> },
}

impl Wanted {
    fn name(&self) -> &str {
        match self {
            Wanted::Tls { host, .. } => host,
            Wanted::Plain { name } | Wanted::Question { name, .. } => name,
        }
    }
}

/// A descriptor and what it is waited for.
pub(super) type Interest<'c> = (&'c OwnedFd, PollFlags);

impl Connection {
    pub fn new(client: OwnedFd, door: Door, shared: &mut Shared) -> Connection {
        let now = Instant::now();
        // Small messages wait for nobody; a kernel without the option is only slower.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&client, true);
        let mut connection = Connection {
            door,
            client,
            server: None,
            stage: Stage::Request { read: Vec::new() },
            until: now + HEAD_WAIT,
            ends: now + CONNECTION_MAX,
            up: Flow::default(),
            down: Flow::default(),
        };
        if let Door::Forward { port, kind: Kind::Plain } = connection.door {
            let to = Wanted::Plain { name: format!("127.0.0.1:{port}") };
            connection.stage = connection.connect(to, loopback(port), shared);
        }
        connection
    }

    /// Tells a client that there are too many.
    pub fn turn_away(client: OwnedFd, door: Door, shared: &mut Shared) -> Connection {
        let mut connection = Connection::new(client, door, shared);
        connection.server = None;
        connection.stage =
            connection.refuse(Status::Unavailable, "the session has too many connections open");
        connection
    }

    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub fn is_looking_up(&self) -> bool {
        matches!(self.stage, Stage::Lookup { .. })
    }

    pub fn unfinished_bytes(&self) -> usize {
        match &self.stage {
            Stage::Request { read } | Stage::Hello { read, .. } => read.len(),
            Stage::Connect { to: Wanted::Question { request, .. }, .. } => request.len(),
            _ => self.up.held_bytes(),
        }
    }

    pub fn until(&self) -> Instant {
        self.until.min(self.ends)
    }

    /// What is waited for: the client first, then the other side.
    pub fn interests(&self) -> [Option<Interest<'_>>; 2] {
        let read = PollFlags::IN;
        let wanted = |flags: PollFlags| (!flags.is_empty()).then_some(flags);
        match &self.stage {
            Stage::Request { .. } | Stage::Hello { .. } | Stage::Leave => [Some((&self.client, read)), None],
            Stage::Lookup { lookup, .. } => [None, Some((lookup.answer(), read))],
            Stage::Connect { .. } => [None, self.server.as_ref().map(|server| (server, PollFlags::OUT))],
            Stage::Stream | Stage::Answer => {
                let mut client = PollFlags::empty();
                let mut server = PollFlags::empty();
                let listens = matches!(self.stage, Stage::Answer) || self.up.wants_read();
                client.set(PollFlags::IN, listens);
                client.set(PollFlags::OUT, self.down.wants_write());
                server.set(PollFlags::IN, self.down.wants_read());
                server.set(PollFlags::OUT, self.up.wants_write());
                let server = self.server.as_ref().and_then(|fd| Some((fd, wanted(server)?)));
                [wanted(client).map(|flags| (&self.client, flags)), server]
            }
            Stage::Over => [None, None],
        }
    }

    /// Goes on as far as it can without waiting.
    pub fn ready(&mut self, shared: &mut Shared) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.stage = match stage {
            Stage::Request { read } => self.request(read, shared),
            Stage::Lookup { host, lookup, early } => self.looked_up(host, lookup, early, shared),
            Stage::Connect { to, left } => self.connected(to, left, shared),
            Stage::Hello { host, read } => self.hello(host, read, shared),
            Stage::Stream => self.stream(shared),
            Stage::Answer => self.answer(shared),
            Stage::Leave => self.leave(shared),
            Stage::Over => Stage::Over,
        };
    }

    /// Ends the wait whose time is over.
    pub fn expired(&mut self, now: Instant, shared: &mut Shared) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if now >= self.ends {
            return;
        }
        self.stage = match stage {
            Stage::Request { read } if read.is_empty() => Stage::Over,
            Stage::Request { .. } => {
                self.refuse(Status::TimedOut, "the request did not come in full in time")
            }
            Stage::Lookup { host, .. } => {
                self.failed(&host, Status::GatewayTimedOut, "its address was not found in time", shared)
            }
            Stage::Connect { to, left } => self.next_address(to, left, Errno::TIMEDOUT, shared),
            Stage::Hello { host, .. } => {
                shared.log.note(Access::Failed, &host, "the client did not begin TLS in time");
                Stage::Over
            }
            _ => Stage::Over,
        };
    }

    /// Reads what the client has sent; nothing at its end.
    fn read_more(&mut self, read: &mut Vec<u8>, max: usize) -> Option<()> {
        loop {
            let room = max.saturating_sub(read.len()).min(REQUEST_PIECE_BYTES);
            if room == 0 {
                return Some(());
            }
            let before = read.len();
            read.resize(before + room, 0);
            let count = rustix::io::read(&self.client, &mut read[before..]);
            read.truncate(before + *count.as_ref().unwrap_or(&0));
            match count {
                Ok(0) => return None,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Some(()),
                Err(_) => return None,
            }
        }
    }

    fn request(&mut self, mut read: Vec<u8>, shared: &mut Shared) -> Stage {
        match self.door.clone() {
            Door::Proxy => {
                if self.read_more(&mut read, HEAD_BYTES_MAX + HELLO_BYTES_MAX).is_none() {
                    return Stage::Over;
                }
                self.proxy_request(read, shared)
            }
            Door::Forward { port, kind } => {
                if self.read_more(&mut read, HEAD_BYTES_MAX + gateway::BODY_BYTES_MAX).is_none() {
                    return Stage::Over;
                }
                let Kind::Model { model } = kind else { return Stage::Over };
                self.question(read, port, model.as_deref(), shared)
            }
        }
    }

    fn proxy_request(&mut self, read: Vec<u8>, shared: &mut Shared) -> Stage {
        let head = match head::read(&read) {
            Ok(Some(head)) => head,
            Ok(None) => return Stage::Request { read },
            Err(error) => {
                return self.refuse_and_log("(no request)", error.status(), &error.to_string(), shared);
            }
        };
        if head.method != "CONNECT" {
            let site = site_of(head.target).to_owned();
            let why = "only `CONNECT host:443` is carried: use https";
            return self.refuse_and_log(&site, Status::MethodNotAllowed, why, shared);
        }
        let (host, port) = match head.authority() {
            Ok(authority) => authority,
            Err(error) => {
                let target = head.target.to_owned();
                return self.refuse_and_log(&target, error.status(), "it names no host and port", shared);
            }
        };
        if port != PORT {
            let target = head.target.to_owned();
            return self.refuse_and_log(&target, Status::Forbidden, "only port 443 is carried", shared);
        }
        let host = match shared.rules.judge(host) {
            Ok(host) => host,
            Err(refused) => {
                let host = host.to_owned();
                return self.refuse_and_log(&host, Status::Forbidden, &refused.to_string(), shared);
            }
        };
        let early = read[head.bytes..].to_vec();
        self.look_up(host, early, shared)
    }

    fn look_up(&mut self, host: String, early: Vec<u8>, shared: &mut Shared) -> Stage {
        if !shared.may_look_up {
            return self.failed(&host, Status::Unavailable, "too many names are looked up at once", shared);
        }
        match shared.reach.resolve.begin(&host) {
            Ok(lookup) => {
                shared.may_look_up = false;
                self.until = Instant::now() + LOOKUP_WAIT;
                Stage::Lookup { host, lookup, early }
            }
            Err(error) => self.failed(&host, Status::BadGateway, &error.to_string(), shared),
        }
    }

    fn looked_up(&mut self, host: String, mut lookup: Lookup, early: Vec<u8>, shared: &mut Shared) -> Stage {
        let found = match lookup.hear() {
            None => return Stage::Lookup { host, lookup, early },
            Some(Err(trouble)) => {
                let why = format!("its address cannot be found: {trouble}");
                return self.failed(&host, Status::BadGateway, &why, shared);
            }
            Some(Ok(found)) => found,
        };
        drop(lookup);
        let mut refused = None;
        let mut addresses = VecDeque::new();
        for address in found {
            match (shared.reach.forbidden)(address) {
                Some(what) => refused = Some(format!("it leads to {address}, {what}")),
                None => addresses.push_back(SocketAddr::new(address, shared.reach.port)),
            }
        }
        match refused.filter(|_| addresses.is_empty()) {
            Some(why) => self.refuse_and_log(&host, Status::Forbidden, &why, shared),
            None => self.connect(Wanted::Tls { host, early }, addresses, shared),
        }
    }

    fn question(&mut self, read: Vec<u8>, port: u16, model: Option<&str>, shared: &mut Shared) -> Stage {
        let name = format!("127.0.0.1:{port}");
        match gateway::judge(&read, model, port) {
            Judged::More if shared.unfinished_bytes + read.len() > UNFINISHED_BYTES_MAX => {
                self.refuse(Status::Unavailable, "too many large requests are under way")
            }
            Judged::More => {
                if read.len() > HEAD_BYTES_MAX {
                    self.until = self.until.max(self.ends - CONNECTION_MAX + BODY_WAIT);
                }
                Stage::Request { read }
            }
            Judged::Answer(bytes) => self.say_and_leave(&bytes),
            Judged::Refused(status, why) => self.refuse_and_log(&name, status, &why, shared),
            Judged::Pass(request) => self.connect(Wanted::Question { name, request }, loopback(port), shared),
        }
    }

    fn connect(&mut self, to: Wanted, left: VecDeque<SocketAddr>, shared: &mut Shared) -> Stage {
        self.next_address(to, left, Errno::HOSTUNREACH, shared)
    }

    /// Begins with the next address; `last` is what was wrong with the one before.
    fn next_address(
        &mut self,
        to: Wanted,
        mut left: VecDeque<SocketAddr>,
        mut last: Errno,
        shared: &mut Shared,
    ) -> Stage {
        while let Some(address) = left.pop_front() {
            match begin_connect(address) {
                Ok(server) => {
                    self.server = Some(server);
                    self.until = Instant::now() + CONNECT_WAIT;
                    return Stage::Connect { to, left };
                }
                Err(errno) => last = errno,
            }
        }
        self.server = None;
        let status = if last == Errno::TIMEDOUT { Status::GatewayTimedOut } else { Status::BadGateway };
        let why = format!("it cannot be reached: {last}");
        match to {
            // Whoever speaks there knows nothing of HTTP.
            Wanted::Plain { name } => {
                shared.log.note(Access::Failed, &name, &why);
                Stage::Over
            }
            to => self.failed(to.name(), status, &why, shared),
        }
    }

    fn connected(&mut self, to: Wanted, left: VecDeque<SocketAddr>, shared: &mut Shared) -> Stage {
        let Some(server) = &self.server else { return Stage::Over };
        match rustix::net::sockopt::socket_error(server) {
            Ok(Ok(())) => {}
            Ok(Err(errno)) | Err(errno) => return self.next_address(to, left, errno, shared),
        }
        let _ = rustix::net::sockopt::set_tcp_nodelay(server, true);
        match to {
            Wanted::Tls { host, early } => {
                if flow::send(&self.client, ESTABLISHED) != Ok(ESTABLISHED.len()) {
                    return Stage::Over;
                }
                self.until = Instant::now() + HELLO_WAIT;
                self.judge_hello(host, early, shared)
            }
            Wanted::Plain { name } => {
                shared.log.note(Access::Allowed, &name, "");
                self.stream(shared)
            }
            Wanted::Question { name, request } => {
                shared.log.note(Access::Allowed, &name, "");
                self.up = Flow::holding(request);
                self.answer(shared)
            }
        }
    }

    fn hello(&mut self, host: String, mut read: Vec<u8>, shared: &mut Shared) -> Stage {
        if self.read_more(&mut read, HELLO_BYTES_MAX).is_none() {
            return Stage::Over;
        }
        self.judge_hello(host, read, shared)
    }

    /// The server hears nothing until the client has named it, and nobody else.
    fn judge_hello(&mut self, host: String, read: Vec<u8>, shared: &mut Shared) -> Stage {
        let why = match hello::server_name(&read) {
            Ok(None) => return Stage::Hello { host, read },
            Ok(Some(name)) if super::name::canonical(&name).as_deref() == Ok(&*host) => {
                shared.log.note(Access::Allowed, &host, "");
                self.up = Flow::holding(read);
                return self.stream(shared);
            }
            Ok(Some(name)) => format!("TLS asks for another server: `{name}`"),
            Err(error) => error.to_string(),
        };
        shared.log.note(Access::Refused, &host, &why);
        self.server = None;
        self.say_and_leave(&hello::ALERT)
    }

    fn stream(&mut self, shared: &mut Shared) -> Stage {
        let Some(server) = &self.server else { return Stage::Over };
        let piece = shared.piece();
        let up = self.up.pump(&self.client, server, piece);
        let down = self.down.pump(server, &self.client, piece);
        let (Ok(_), Ok(_)) = (up, down) else { return Stage::Over };
        if self.up.is_closed() && self.down.is_closed() {
            return Stage::Over;
        }
        // Who has asked and waits may wait long; who has been told everything has little left to say.
        let told = self.down.has_ended();
        self.until = Instant::now() + if told { TOLD_IDLE_MAX } else { IDLE_MAX };
        Stage::Stream
    }

    /// The model's answer goes to the client; a client that goes away ends the question.
    fn answer(&mut self, shared: &mut Shared) -> Stage {
        if self.discard(shared).is_none() {
            return Stage::Over;
        }
        let Some(server) = &self.server else { return Stage::Over };
        if self.up.send_held(server).is_err() {
            return Stage::Over;
        }
        let piece = shared.piece();
        if self.down.pump(server, &self.client, piece).is_err() {
            return Stage::Over;
        }
        if self.down.is_closed() {
            self.server = None;
            self.until = Instant::now() + LEAVE_WAIT;
            return Stage::Leave;
        }
        self.until = Instant::now() + IDLE_MAX;
        Stage::Answer
    }

    /// Reads what nobody wants to know; nothing at the client's end.
    fn discard(&mut self, shared: &mut Shared) -> Option<()> {
        let piece = shared.piece();
        match rustix::io::read(&self.client, &mut *piece) {
            Ok(0) => None,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Some(()),
            Err(_) => None,
        }
    }

    fn leave(&mut self, shared: &mut Shared) -> Stage {
        match self.discard(shared) {
            Some(()) => Stage::Leave,
            None => Stage::Over,
        }
    }

    fn refuse_and_log(&mut self, host: &str, status: Status, why: &str, shared: &mut Shared) -> Stage {
        shared.log.note(Access::Refused, host, why);
        self.refuse(status, &format!("`{host}` is not reached: {why}"))
    }

    fn failed(&mut self, host: &str, status: Status, why: &str, shared: &mut Shared) -> Stage {
        shared.log.note(Access::Failed, host, why);
        self.refuse(status, &format!("`{host}` is not reached: {why}"))
    }

    fn refuse(&mut self, status: Status, why: &str) -> Stage {
        // What a client sent in place of a name is not sent back to its terminal as it is.
        let why: String = why.chars().filter(|c| !c.is_control()).collect();
        self.say_and_leave(&head::refusal(status, &why))
    }

    /// A few bytes always fit into what the kernel holds for a client that was sent nothing.
    fn say_and_leave(&mut self, bytes: &[u8]) -> Stage {
        self.until = Instant::now() + LEAVE_WAIT;
        match flow::send(&self.client, bytes) {
            Ok(_) => {
                // A client that has gone meanwhile needs to be told nothing.
                let _ = rustix::net::shutdown(&self.client, Shutdown::Write);
                Stage::Leave
            }
            Err(_) => Stage::Over,
        }
    }
}

/// Of an address of a page only the part before its path: behind it there may be secrets.
fn site_of(target: &str) -> &str {
    let after_scheme = target.find("://").map_or(0, |at| at + 3);
    let end = target[after_scheme..].find(['/', '?', '#']).map_or(target.len(), |at| after_scheme + at);
    let site = &target[..end];
    if site.contains('@') || site.is_empty() { "(a page)" } else { site }
}

/// This machine itself, in both of its forms: some servers listen at one of them only.
fn loopback(port: u16) -> VecDeque<SocketAddr> {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

fn begin_connect(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

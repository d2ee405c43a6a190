//! A carrier at work, with real sockets: what is reached, what is refused, and that nobody waits for anybody else.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use niia_spec::course::Access;

use super::carrier::Carrier;
use super::connection::{Connection, Door, Reach, Shared};
use super::decisions::{FILE, Log};
use super::lookup::{Lookup, Resolve};
use super::*;

/// Long enough for anything a test waits for; nothing is expected to take it.
const SOON: Duration = Duration::from_secs(30);

/// A resolver that knows what it is told; a name without an answer is looked up until the test says so.
#[derive(Clone, Default)]
struct Known {
    answers: BTreeMap<&'static str, &'static str>,
    waiting: Arc<Mutex<Vec<OwnedFd>>>,
}

impl Resolve for Known {
    fn begin(&mut self, host: &str) -> io::Result<Lookup> {
        match self.answers.get(host) {
            Some(answer) => Lookup::known(answer),
            None => {
                let (lookup, tell) = Lookup::pending()?;
                self.waiting.lock().unwrap().push(tell);
                Ok(lookup)
            }
        }
    }
}

/// The test's own server stands for the Internet; everything else is judged as ever.
fn forbidden(address: IpAddr) -> Option<&'static str> {
    if address == IpAddr::from([127, 0, 0, 1]) { None } else { super::address::forbidden(address) }
}

struct Rig {
    proxy: u16,
    forward: u16,
    server: TcpListener,
    folder: tempfile::TempDir,
    known: Known,
    lifeline: Option<io::PipeWriter>,
    carrier: Option<JoinHandle<io::Result<()>>>,
}

const HOSTS: [&str; 6] =
    ["good.test", "*.wild.test", "private.test", "mixed.test", "nowhere.test", "slow.test"];

impl Rig {
    fn new(kind: Kind) -> Rig {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (proxy, forward) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let rules = Rules::new(HOSTS, vec![Forward { port, kind }]).unwrap();
        let known = Known {
            answers: BTreeMap::from([
                ("good.test", "127.0.0.1\n"),
                ("a.wild.test", "127.0.0.1\n"),
                ("private.test", "10.0.0.1\n169.254.169.254\n::ffff:8.8.8.8\n"),
                ("mixed.test", "10.0.0.1\n127.0.0.1\n"),
                ("nowhere.test", "!no such host"),
            ]),
            ..Known::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join(FILE)).unwrap();
        let (read, lifeline) = io::pipe().unwrap();
        let reach = Reach { resolve: Box::new(known.clone()), forbidden, port };
        let ports = (proxy.local_addr().unwrap().port(), forward.local_addr().unwrap().port());
        let resolver = SendReach(reach);
        let carrier = thread::spawn(move || {
            let listeners = vec![(PROXY_PORT, proxy.into()), (port, forward.into())];
            Carrier::new(rules, listeners, read.into(), log, resolver.into_inner())?.run()
        });
        Rig {
            proxy: ports.0,
            forward: ports.1,
            server,
            folder,
            known,
            lifeline: Some(lifeline),
            carrier: Some(carrier),
        }
    }

    fn dial(port: u16) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// What the proxy answers to a request, and the connection.
    fn ask(&self, request: &str) -> (String, TcpStream) {
        let mut stream = Rig::dial(self.proxy);
        stream.write_all(request.as_bytes()).unwrap();
        (head_of(&mut stream), stream)
    }

    fn connect(&self, host: &str) -> (String, TcpStream) {
        self.ask(&format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"))
    }

    /// Both ends of a connection to an allowed host, the first message of TLS sent and received.
    fn joined(&self, host: &str) -> (TcpStream, TcpStream) {
        let (head, mut client) = self.connect(host);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (mut server, _) = self.server.accept().unwrap();
        server.set_read_timeout(Some(SOON)).unwrap();
        let hello = hello::example(&[host], 1000);
        client.write_all(&hello).unwrap();
        let mut heard = vec![0; hello.len()];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(heard, hello);
        (client, server)
    }

    /// Ends the carrier and gives what it decided: verdict, host, reason, count.
    fn end(mut self) -> Vec<(Access, String, String, u64)> {
        drop(self.lifeline.take());
        self.carrier.take().unwrap().join().unwrap().unwrap();
        let decisions = Decisions::read(self.folder.path()).unwrap();
        decisions.all.into_iter().map(|one| (one.verdict, one.host, one.why, one.count)).collect()
    }
}

/// The resolver of a test can be given to a thread; of the product's none is.
struct SendReach(Reach);

impl SendReach {
    fn into_inner(self) -> Reach {
        self.0
    }
}

// SAFETY: a rig's `Reach` holds a `Known`, which is made of things that can be sent, and two plain values.
unsafe impl Send for SendReach {}

fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn an_allowed_host_is_reached_and_every_byte_arrives_both_ways() {
    let rig = Rig::new(Kind::Plain);
    for host in ["good.test", "a.wild.test", "mixed.test"] {
        let (mut client, mut server) = rig.joined(host);
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = bytes.clone();
        let echo = thread::spawn(move || {
            let heard = rest_of(&mut server);
            server.write_all(&heard).unwrap();
        });
        let mut sender = client.try_clone().unwrap();
        let send = thread::spawn(move || {
            sender.write_all(&bytes).unwrap();
            // The server answers only when it has heard that nothing more comes.
            sender.shutdown(Shutdown::Write).unwrap();
        });
        assert!(rest_of(&mut client) == expected, "{host}");
        send.join().unwrap();
        echo.join().unwrap();
    }
    let allowed = |host: &str| (Access::Allowed, host.to_owned(), String::new(), 1);
    assert_eq!(rig.end(), ["a.wild.test", "good.test", "mixed.test"].map(allowed));
}

#[test]
fn everything_else_is_answered_with_what_is_wrong_with_it() {
    let rig = Rig::new(Kind::Plain);
    for (request, status, why) in [
        ("CONNECT evil.test:443 HTTP/1.1\r\n\r\n", 403, "do not name it"),
        ("CONNECT wild.test:443 HTTP/1.1\r\n\r\n", 403, "do not name it"),
        ("CONNECT evilgood.test:443 HTTP/1.1\r\n\r\n", 403, "do not name it"),
        ("CONNECT 8.8.8.8:443 HTTP/1.1\r\n\r\n", 403, "no address can be reached"),
        ("CONNECT 2130706433:443 HTTP/1.1\r\n\r\n", 403, "no address can be reached"),
        ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", 403, "no address can be reached"),
        ("CONNECT good.test:22 HTTP/1.1\r\n\r\n", 403, "only port 443"),
        ("CONNECT private.test:443 HTTP/1.1\r\n\r\n", 403, "it leads to"),
        ("CONNECT nowhere.test:443 HTTP/1.1\r\n\r\n", 502, "no such host"),
        ("CONNECT user@good.test:443 HTTP/1.1\r\n\r\n", 400, "no host and port"),
        ("CONNECT good.test HTTP/1.1\r\n\r\n", 400, "no host and port"),
        (
            "GET http://good.test/?token=x HTTP/1.1\r\n\r\n",
            405,
            "`http://good.test` is not reached: only `CONNECT",
        ),
        ("\x05\x01\x00", 400, "no HTTP request"),
    ] {
        let (head, mut stream) = rig.ask(request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {head}");
        let body = String::from_utf8(rest_of(&mut stream)).unwrap();
        assert!(body.contains(why), "{request:?}: {body}");
        assert!(!body.contains("token"), "{body}");
    }
    let decisions = rig.end();
    assert_eq!(decisions.len(), 13, "{decisions:#?}");
    assert!(decisions.iter().all(|(verdict, ..)| *verdict != Access::Allowed));
    assert!(decisions.iter().any(|(_, host, why, _)| host == "evil.test" && why.contains("do not name it")));
}

#[test]
fn a_client_that_asks_the_server_for_another_name_is_cut_off() {
    let rig = Rig::new(Kind::Plain);
    for first in [hello::example(&["evil.test"], 1000), hello::example(&[], 1000), b"SSH-2.0-x\r\n".to_vec()]
    {
        let (head, mut client) = rig.connect("good.test");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (mut server, _) = rig.server.accept().unwrap();
        client.write_all(&first).unwrap();
        assert_eq!(rest_of(&mut client), hello::ALERT);
        assert_eq!(rest_of(&mut server), b"", "the server has heard of it");
    }
    let whys: Vec<String> = rig.end().into_iter().map(|(_, _, why, _)| why).collect();
    assert_eq!(
        whys,
        [
            "TLS asks for another server: `evil.test`",
            "TLS asks for no server by name",
            "what is spoken there is not TLS"
        ]
    );
}

#[test]
fn nobody_waits_for_a_name_that_is_long_in_coming() {
    let rig = Rig::new(Kind::Plain);
    let mut slow = Rig::dial(rig.proxy);
    slow.write_all(b"CONNECT slow.test:443 HTTP/1.1\r\n\r\n").unwrap();
    // Nor for a request that never ends.
    let mut dripping = Rig::dial(rig.proxy);
    dripping.write_all(b"CONNECT good.te").unwrap();
    let _joined = rig.joined("good.test");
    let mut tell = rig.known.waiting.lock().unwrap().pop().unwrap();
    rustix::io::write(&mut tell, b"127.0.0.1\n").unwrap();
    drop(tell);
    assert!(head_of(&mut slow).starts_with("HTTP/1.1 200 "));
    rig.end();
}

#[test]
fn one_connection_too_many_is_told_so_and_the_others_live_on() {
    let rig = Rig::new(Kind::Plain);
    let (mut client, mut server) = rig.joined("good.test");
    let mut open = Vec::new();
    let turned_away = loop {
        let (head, stream) = rig.connect("good.test");
        if !head.starts_with("HTTP/1.1 200 ") {
            break head;
        }
        open.push((stream, rig.server.accept().unwrap()));
        assert!(open.len() < 1000);
    };
    assert!(turned_away.starts_with("HTTP/1.1 503 "), "{turned_away}");
    client.write_all(b"still here").unwrap();
    let mut heard = [0; 10];
    server.read_exact(&mut heard).unwrap();
    drop(open);
    // A place is free again as soon as one has left.
    let until = Instant::now() + SOON;
    while !rig.connect("good.test").0.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < until);
    }
    rig.end();
}

#[test]
fn an_endpoint_the_user_named_is_reached_as_it_is() {
    let rig = Rig::new(Kind::Plain);
    let mut client = Rig::dial(rig.forward);
    client.write_all(b"anything").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut server, _) = rig.server.accept().unwrap();
    assert_eq!(rest_of(&mut server), b"anything");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(rest_of(&mut client), b"answer");
    assert_eq!(rig.end().len(), 1);
}

#[test]
fn a_model_is_asked_and_its_server_told_nothing_else() {
    let rig = Rig::new(Kind::Model { model: Some("llama3".to_owned()) });
    let post = |path: &str, model: &str| {
        let body = format!("{{\"model\":\"{model}\"}}");
        format!(
            "POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}POST /api/pull HTTP/1.1\r\n\r\n",
            body.len()
        )
    };
    let mut client = Rig::dial(rig.forward);
    client.write_all(post("/api/chat", "llama3").as_bytes()).unwrap();
    let (mut server, _) = rig.server.accept().unwrap();
    let head = head_of(&mut server);
    assert!(head.starts_with("POST /api/chat HTTP/1.1\r\n"), "{head}");
    let mut body = [0; 18];
    server.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"{\"model\":\"llama3\"}");
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\none ").unwrap();
    assert!(head_of(&mut client).starts_with("HTTP/1.1 200 OK"));
    client.write_all(b"POST /api/push HTTP/1.1\r\n\r\n").unwrap();
    server.write_all(b"two").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest_of(&mut client), b"one two");
    drop(client);
    assert_eq!(rest_of(&mut server), b"");
    for (path, model) in
        [("/api/pull", "llama3"), ("/api/push", "llama3"), ("/api/chat", "gpt-oss:120b-cloud")]
    {
        let mut client = Rig::dial(rig.forward);
        client.write_all(post(path, model).as_bytes()).unwrap();
        assert!(head_of(&mut client).starts_with("HTTP/1.1 403 "), "{path}");
    }
    assert_eq!(rig.end().len(), 4);
}

#[test]
fn a_question_ends_when_nobody_waits_for_its_answer() {
    let rig = Rig::new(Kind::Model { model: None });
    let mut client = Rig::dial(rig.forward);
    client.write_all(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    let (mut server, _) = rig.server.accept().unwrap();
    head_of(&mut server);
    drop(client);
    assert_eq!(rest_of(&mut server), b"{}");
    rig.end();
}

#[test]
fn no_stage_of_a_connection_is_without_a_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let mut shared = Shared {
        rules: Rules::new(HOSTS, Vec::new()).unwrap(),
        reach: Reach { resolve: Box::new(Known::default()), forbidden, port: 443 },
        log: Log::open(&folder.path().join(FILE)).unwrap(),
        piece: None,
        unfinished_bytes: 0,
        may_look_up: true,
    };
    for (request, status) in [
        ("", None),
        ("CONNECT good", Some("HTTP/1.1 408 ")),
        ("CONNECT slow.test:443 HTTP/1.1\r\n\r\n", Some("HTTP/1.1 504 ")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        if !request.is_empty() {
            ours.peek(&mut [0]).unwrap();
        }
        ours.set_nonblocking(true).unwrap();
        let mut connection = Connection::new(ours.into(), Door::Proxy, &mut shared);
        connection.ready(&mut shared);
        while !connection.is_over() {
            let until = connection.until();
            assert!(until < Instant::now() + Duration::from_secs(61));
            connection.expired(until, &mut shared);
        }
        drop(connection);
        match status {
            Some(status) => assert!(head_of(&mut client).starts_with(status), "{request:?}"),
            None => assert_eq!(rest_of(&mut client), b""),
        }
    }
}

#[test]
fn a_receiver_that_takes_nothing_holds_back_its_sender_and_no_memory() {
    use std::os::unix::net::UnixStream;
    let ((mut sender, from), (to, mut receiver)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    for stream in [&sender, &from, &to] {
        stream.set_nonblocking(true).unwrap();
    }
    let (from, to): (OwnedFd, OwnedFd) = (from.into(), to.into());
    let mut flow = flow::Flow::default();
    let mut piece = vec![0; flow::PIECE_BYTES];
    let mut sent = 0;
    // As much as the kernel's buffers and one piece take, and then no more.
    loop {
        let written = sender.write(&[b'x'; 64 << 10]);
        let moved = flow.pump(&from, &to, &mut piece).unwrap();
        assert!(flow.held_bytes() <= flow::PIECE_BYTES);
        match written {
            Ok(count) => sent += count,
            Err(_) if moved == 0 => break,
            Err(_) => {}
        }
    }
    assert!(!flow.wants_read() && flow.wants_write());
    drop(sender);
    let reader = thread::spawn(move || {
        let mut count = 0;
        let mut bytes = [0; 64 << 10];
        while let Ok(read @ 1..) = receiver.read(&mut bytes) {
            count += read;
        }
        count
    });
    while !flow.is_closed() {
        flow.pump(&from, &to, &mut piece).unwrap();
    }
    assert_eq!(reader.join().unwrap(), sent);
}

//! Webhooks, asked by a client of the test's own over real sockets: what is taken, what is refused, and who is told to
//! come back.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use niia_tests::{House, wait_until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SOON;
use super::appointments::{kept, seconds_now};

const SECRET: &str = "a secret between two machines";
/// More than any answer takes, less than the limit of a connection.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// HMAC-SHA256 (RFC 2104), by hand: the test and the product must not share a mistake.
fn hmac(secret: &str, message: &[u8]) -> Vec<u8> {
    let mut key = [0_u8; 64];
    key[..secret.len()].copy_from_slice(secret.as_bytes());
    let pad = |byte: u8| key.map(|k| k ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

/// An answer: its status, its headers in lower case, its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// The address of a node's webhooks.
struct Door(String);

struct Hooks<'a> {
    house: &'a House,
    door: Door,
}

impl std::ops::Deref for Hooks<'_> {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.door
    }
}

impl<'a> Hooks<'a> {
    /// A node that takes webhooks, and a document that waits for `webhook.song` and does next to nothing.
    fn new(house: &'a House) -> Hooks<'a> {
        Hooks::doing(house, "true")
    }

    /// The same with a document that does this.
    fn doing(house: &'a House, script: &str) -> Hooks<'a> {
        let config =
            house.file("state/config/niia.toml", "[webhook]\nlisten = 0\nsecret_file = \"secret\"\n");
        let secret = house.file("state/config/secret", SECRET);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(config.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(house.at("state"), fs::Permissions::from_mode(0o700)).unwrap();
        let project = house.repository("project");
        let document = house.document(
            "listener",
            &json!({
                "name": "listener",
                "trigger": ["webhook.song", "github.pr.opened"],
                "models": { "quick": { "use": "command", "args": ["sh", "-c", script] } },
                "pipeline": { "phases": [{ "name": "work", "model": "quick" }] }
            }),
        );
        let words = ["schedule".as_ref(), "add".as_ref(), document.as_os_str()];
        let _ = house.niia(words).inside(project.path()).run().exits(0);
        let status = house.niia(["daemon", "status", "--json"]).run().exits(0).json();
        let at = status["webhook"].as_str().unwrap_or_else(|| panic!("{status:#}"));
        let door = Door(at.strip_prefix("http://").unwrap_or_else(|| panic!("{at}")).to_owned());
        assert!(door.0.starts_with("127.0.0.1:"), "loopback alone");
        Hooks { house, door }
    }

    fn firings(&self) -> usize {
        kept(self.house, "listener")["firings"].as_array().unwrap().len()
    }
}

impl Door {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.0).unwrap();
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).unwrap();
        stream
    }

    /// Sends these bytes as they are and reads until the other side is done.
    fn send(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // Whoever is refused early may be cut off while it still speaks.
        drop(stream.write_all(bytes));
        answer(stream)
    }

    fn post(&self, path: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n"
        );
        self.send(&[head.as_bytes(), body].concat()).expect("an answer")
    }

    /// The way GitHub signs.
    fn hub(&self, path: &str, body: &[u8]) -> Answer {
        let signature = format!("sha256={}", hex(&hmac(SECRET, body)));
        let event = ("x-github-event", "pull_request".to_owned());
        self.post(path, &[("x-hub-signature-256", signature), event], body)
    }

    /// The way of Standard Webhooks, signed some seconds ago.
    fn standard(&self, id: &str, ago: i64, body: &[u8]) -> Answer {
        let time = seconds_now() - ago;
        let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
        let signature = format!("v1,{}", base64(&hmac(SECRET, &signed)));
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", time.to_string()),
            ("webhook-signature", signature),
        ];
        self.post("/hook/song", &headers, body)
    }
}

fn answer(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

#[test]
fn without_a_word_in_the_configuration_nothing_listens() {
    let house = House::new();
    let status = house.niia(["daemon", "start", "--json"]).run().exits(0).json();
    assert_eq!(status["webhook"], Value::Null);
}

#[test]
fn an_open_secret_or_none_is_said_and_nothing_listens() {
    let house = House::new();
    let _ = house.file("state/config/niia.toml", "[webhook]\nlisten = 0\nsecret_file = \"secret\"\n");
    fs::set_permissions(house.at("state"), fs::Permissions::from_mode(0o700)).unwrap();
    let secret = house.file("state/config/secret", SECRET);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let status = house.niia(["daemon", "start", "--json"]).run().exits(0).json();
    let told = status["webhook"].as_str().unwrap();
    assert!(told.starts_with("not taken: others may read the secret file"), "{told}");
}

#[test]
fn what_is_well_signed_begins_a_run_with_its_body_as_data() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    let answer = hooks.hub("/hook/song", b"{\"title\": \"one\"}");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&answer.body).unwrap(),
        json!({ "taken": true, "documents": 1 })
    );
    let opened = json!({ "action": "opened", "pull_request": { "title": "x" } }).to_string();
    assert_eq!(hooks.hub("/github", opened.as_bytes()).status, 202);
    assert_eq!(hooks.standard("msg-1", 0, b"{}").status, 202);
    wait_until("all have run", SOON, || {
        let view = kept(&house, "listener");
        (hooks.firings() == 3 && view["runs"] == json!([])).then_some(())
    });
    let labeled = json!({ "action": "labeled", "pull_request": {} }).to_string();
    let answer = hooks.hub("/github", labeled.as_bytes());
    assert_eq!((answer.status, hooks.firings()), (200, 3), "nobody can wait for that: {answer:?}");
}

#[test]
fn what_is_unsigned_wrongly_signed_too_old_or_was_taken_before_is_refused() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    let body = b"{\"n\": 1}";
    assert_eq!(hooks.post("/hook/song", &[], body).status, 401, "unsigned");
    let other = format!("sha256={}", hex(&hmac("another secret of another one", body)));
    assert_eq!(hooks.post("/hook/song", &[("x-hub-signature-256", other)], body).status, 401);
    let of_other_body = format!("sha256={}", hex(&hmac(SECRET, b"{\"n\": 2}")));
    assert_eq!(hooks.post("/hook/song", &[("x-hub-signature-256", of_other_body)], body).status, 401);
    assert_eq!(hooks.standard("old", 400, body).status, 401, "signed too long ago");
    assert_eq!(hooks.standard("ahead", -400, body).status, 401, "signed by a clock that is ahead");
    assert_eq!(hooks.firings(), 0);
    let signature = format!("sha256={}", hex(&hmac(SECRET, body)));
    for (delivery, status) in [("a", 202), ("a", 409), ("b", 409)] {
        let headers =
            [("x-hub-signature-256", signature.clone()), ("x-github-delivery", delivery.to_owned())];
        assert_eq!(hooks.post("/hook/song", &headers, body).status, status, "delivery {delivery}");
    }
    // A node that was restarted has not forgotten.
    let _ = house.niia(["daemon", "stop"]).run().exits(0);
    let status = house.niia(["daemon", "start", "--json"]).run().exits(0).json();
    let door = Door(status["webhook"].as_str().unwrap().trim_start_matches("http://").to_owned());
    let again = Hooks { house: &house, door };
    assert_eq!(again.hub("/hook/song", body).status, 409);
    assert_eq!(again.firings(), 1);
}

#[test]
fn what_is_too_large_or_malformed_is_refused_before_anything_is_believed() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    assert_eq!(hooks.hub("/hook/song", &vec![b'1'; 1024 * 1024 + 1]).status, 413);
    let endless = "POST /hook/song HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "1".repeat(65_536)).repeat(20);
    let answer = hooks.send(&[endless.as_bytes(), chunk.as_bytes()].concat()).expect("an answer");
    assert_eq!(answer.status, 413, "a body without end");
    assert_eq!(hooks.hub("/hook/song", b"no json").status, 400);
    assert_eq!(hooks.hub("/elsewhere", b"{}").status, 404);
    assert_eq!(hooks.hub("/hook/..", b"{}").status, 404);
    let twice: Vec<(&str, String)> =
        (0..2).map(|n| ("x-hub-signature-256", format!("sha256={n:064}"))).collect();
    assert_eq!(hooks.post("/hook/song", &twice, b"{}").status, 400);
    let get = hooks.send(b"GET /github HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("an answer");
    assert!(get.status == 405 && get.head.contains("allow: post"), "{get:?}");
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"HELO x\r\n\r\n", b"\0\0\0\0\r\n\r\n"]
    {
        let answer = hooks.send(garbage);
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
    }
    let head = format!("POST /github HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "1".repeat(100_000));
    let answer = hooks.send(head.as_bytes());
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    let shorter = "POST /github HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{}";
    let mut stream = hooks.connect();
    stream.write_all(shorter.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(super::webhooks::answer(stream).is_none_or(|answer| answer.status == 400));
    assert_eq!(hooks.firings(), 0);
    assert_eq!(hooks.hub("/hook/song", b"{}").status, 202, "it goes on for everybody else");
}

#[test]
fn who_is_slow_is_let_go_of_and_holds_up_nobody() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    let slow_heads: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = hooks.connect();
            stream.write_all(b"POST /github HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    let mut slow_body = hooks.connect();
    slow_body.write_all(b"POST /hook/song HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let began = Instant::now();
    assert_eq!(hooks.hub("/hook/song", b"{\"fast\": 1}").status, 202);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let slow = answer(slow_body).expect("an answer");
    assert_eq!(slow.status, 408, "{slow:?}");
    for stream in slow_heads {
        let _ = answer(stream);
    }
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

/// Sends so many different good ones from a hundred places at once: how many were taken, and how many were told to come
/// back, which is the only other answer.
fn burst(door: &Door, count: usize) -> (usize, usize) {
    let bodies: Vec<String> = (0..count).map(|n| format!("{{\"n\": {n}}}")).collect();
    let send = |body: &String| door.hub("/hook/song", body.as_bytes());
    let began = Instant::now();
    let mut answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = bodies
            .chunks(count.div_ceil(100))
            .map(|chunk| scope.spawn(move || chunk.iter().map(send).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    println!("{taken} of {count} taken, all answered within {:.1?}", began.elapsed());
    answers.retain(|answer| answer.status != 202);
    for answer in &answers {
        assert!([429, 503].contains(&answer.status), "{answer:?}");
        assert!(answer.head.contains("retry-after: "), "{answer:?}");
    }
    (taken, answers.len())
}

#[test]
fn more_than_may_wait_are_told_to_come_back_and_are_taken_once_there_is_room() {
    let house = House::new();
    let go = house.at("go").display().to_string();
    let hooks = Hooks::doing(&house, &format!("until [ -e {go} ]; do sleep 0.2; done"));
    let (taken, refused) = burst(&hooks.door, 1_100);
    // Four at work and a thousand that wait.
    assert_eq!((taken, refused), (1_004, 96));
    assert_eq!(hooks.hub("/hook/song", b"{\"late\": 1}").status, 429, "and so is the next");
    let _ = house.file("go", "");
    let answer = wait_until("there is room again", SOON, || {
        let answer = hooks.hub("/hook/song", b"{\"late\": 1}");
        (answer.status == 202).then_some(answer)
    });
    assert!(answer.body.contains("taken"), "what was told to come back is new when it comes: {answer:?}");
    forget(&house);
}

#[test]
fn who_comes_while_all_places_are_taken_is_told_to_come_back() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    let holders: Vec<TcpStream> = (0..256)
        .map(|_| {
            let mut stream = hooks.connect();
            stream.write_all(b"POST /github HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    let answer = wait_until("all places are taken", SOON, || {
        let answer = hooks.hub("/hook/song", b"{\"n\": 1}");
        (answer.status != 409 && answer.status != 202).then_some(answer)
    });
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    drop(holders);
    wait_until("there is a place again", SOON, || {
        let answer = hooks.hub("/hook/song", b"{\"n\": 2}");
        (answer.status == 202).then_some(())
    });
    forget(&house);
}

/// The document waits for nothing more; what has begun comes to its end.
fn forget(house: &House) {
    let _ = house.niia(["schedule", "rm", "listener"]).run().exits(0);
    wait_until("what had begun is over", SOON, || {
        let view = house.niia(["daemon", "status", "--json"]).run().exits(0).json();
        (view["runs_live"] == 0).then_some(())
    });
}

#[test]
fn a_thousand_good_ones_in_a_second_are_all_taken_or_told_to_come_back() {
    let house = House::new();
    let hooks = Hooks::new(&house);
    let (taken, _) = burst(&hooks.door, 1_000);
    assert!(taken > 100, "{taken} were taken");
    // What was taken is there, each once: begun, or waiting for its turn.
    let view = kept(&house, "listener");
    let begun = view["firings"].as_array().unwrap().last().unwrap()["number"].as_u64().unwrap();
    assert_eq!(begun + view["waiting"].as_u64().unwrap(), taken as u64);
    forget(&house);
}

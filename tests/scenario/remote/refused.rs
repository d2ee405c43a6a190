//! Whoever may not is refused, with a clear line on both sides, and nothing is started. A stranger here is a program of
//! the test's own, with whatever key, papers and manners it takes.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use niia::control::SPOKEN;
use niia::control::words::{Reply, Request};
use niia::remote::{Purpose, Word};
use niia_net::endpoint::{Endpoint, IDLE};
use niia_net::frame;
use niia_net::identity::Identity;
use niia_net::link::Link;
use niia_net::peer::{Greeting, PeerLink, Stream, Welcomed, greet};
use niia_net::trust::{Rights, Want};
use niia_net::wire::Hello;
use niia_net::{probe, transfer};
use niia_tests::{House, Proxy, wait_until};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::super::SOON;
use super::{machine, pair, paired};

/// How long a node waits for the rest of a handshake, and a little more.
const HANDSHAKE: Duration = Duration::from_secs(15);

fn address(house: &House) -> SocketAddr {
    let text = std::fs::read_to_string(house.at("state/config/niia.toml")).unwrap();
    text.split('"').nth(1).unwrap().parse().unwrap()
}

fn log(house: &House) -> String {
    std::fs::read_to_string(house.at("state/run/node.log")).unwrap()
}

/// The node's log says all of this in one line.
fn says(house: &House, parts: &[&str]) {
    wait_until(&format!("the log says {parts:?}"), HANDSHAKE, || {
        log(house).lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    });
}

fn nothing_runs(house: &House) {
    assert_eq!(house.niia(["sessions", "--json"]).run().exits(0).json(), json!([]));
    assert_eq!(house.niia(["runs", "--json"]).run().exits(0).json(), json!([]));
    let guests = house.at("state/guests");
    let left = std::fs::read_dir(guests).map(|homes| homes.flatten().count()).unwrap_or(0);
    assert_eq!(left, 0, "nothing was written down");
}

fn fingerprint(house: &House) -> String {
    let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
    said["fingerprint"].as_str().unwrap().to_owned()
}

/// Somebody outside.
struct Stranger {
    identity: Identity,
    runtime: tokio::runtime::Runtime,
    endpoint: Endpoint,
}

impl Stranger {
    fn with(identity: Identity) -> Stranger {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let endpoint = runtime.block_on(async { Endpoint::bind(&identity, anywhere(), IDLE).unwrap() });
        Stranger { identity, runtime, endpoint }
    }

    /// One whom this house trusts so far.
    fn trusted(house: &House, rights: &str) -> Stranger {
        let stranger = Stranger::with(Identity::passing().unwrap());
        let id = stranger.identity.id().to_string();
        let add =
            ["peer", "add", "127.0.0.1:9", "--name", "stranger", "--fingerprint", &id, "--allow", rights];
        let _ = house.niia(add).run().exits(0);
        stranger
    }

    /// Greets; what the node says to that.
    fn link(&self, house: &House) -> Result<PeerLink, String> {
        self.runtime.block_on(async {
            let shaken = self.endpoint.connect(&[address(house)], None).await.map_err(|e| e.to_string())?;
            let greeting = Greeting::new("stranger", 1, "0.1.0", Want::Work);
            match greet(shaken, self.identity.id(), None, greeting, Rights::ALL).await {
                Ok(Welcomed::Work(link)) => Ok(link),
                Ok(Welcomed::Pair(_)) => Err("it may pair".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn open(&self, link: &PeerLink, purpose: &Purpose) -> Stream {
        self.runtime.block_on(link.open(purpose)).unwrap()
    }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn attempt() -> Purpose {
    Purpose::Work { session: "rogue-abcde/work/1/1".parse().unwrap(), repository: None }
}

#[test]
fn whoever_is_not_paired_reads_both_fingerprints_and_so_does_the_node() {
    let seoul = machine("seoul");
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    let stranger = Stranger::with(Identity::passing().unwrap());
    let (theirs, ours) = (stranger.identity.id().to_string(), fingerprint(&seoul));
    let refused = stranger.link(&seoul).unwrap_err();
    for part in ["not paired", "niia pair", &theirs, &ours] {
        assert!(refused.contains(part), "{refused}");
    }
    says(&seoul, &["refused", "not paired", &theirs, &ours]);
    nothing_runs(&seoul);
}

#[test]
fn a_wrong_code_is_said_on_both_sides_and_the_second_guess_needs_a_new_one() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let other = |code: &str| if code == "AAA-AAA" { "BBB-BBB".to_owned() } else { "AAA-AAA".to_owned() };
    let (code, here, there) = pair(&seoul, &laptop, "all", other);
    assert_eq!(code, 1, "{here}");
    assert!(
        here.contains("the code was wrong") && there.contains("not the one that is shown"),
        "{here}{there}"
    );
    says(&seoul, &["a pairing failed", "not the one that is shown"]);
    let again = laptop.niia(["pair", "ABC-DEF", &address(&seoul).to_string()]).run().exits(1);
    assert!(again.err.contains("nobody is awaited there"), "{}", again.err);
    says(&seoul, &["refused", "nobody is awaited there"]);
}

#[test]
fn a_machine_with_another_key_than_the_pinned_one_is_left_and_told_so() {
    let (laptop, seoul, rogue) = (machine("laptop"), machine("seoul"), machine("rogue"));
    let (wanted, came) = (fingerprint(&seoul), fingerprint(&rogue));
    let at = address(&rogue).to_string();
    let _ = laptop.niia(["peer", "add", &at, "--name", "seoul", "--fingerprint", &wanted]).run().exits(0);
    let refused = laptop.niia(["remote", "read", "seoul"]).run().exits(1);
    for part in ["is not the one that was paired", &wanted, &came] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    says(&rogue, &["a key was met that is not the expected one", &wanted, &came]);
    nothing_runs(&rogue);
}

#[test]
fn an_expired_certificate_is_refused_whichever_side_shows_it() {
    let seoul = machine("seoul");
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    let old = Stranger::with(probe::expired().unwrap());
    let theirs = old.identity.id().to_string();
    let refused = old.link(&seoul).unwrap_err();
    assert!(refused.contains("past its end"), "{refused}");
    says(&seoul, &["a certificate was refused", &theirs, &fingerprint(&seoul)]);
    // And the other way round: the node dials somebody whose certificate is old.
    let at = old.endpoint.address().unwrap().to_string();
    let _ = seoul.niia(["peer", "add", &at, "--name", "old", "--fingerprint", &theirs]).run().exits(0);
    let listening = old.endpoint.clone();
    let _listening = old.runtime.spawn(async move { listening.accept_each(|_, _| async {}).await });
    let dialled = seoul.niia(["remote", "read", "old"]).run().exits(1);
    assert!(dialled.err.contains("past its end"), "{}", dialled.err);
    nothing_runs(&seoul);
}

#[test]
fn a_certificate_of_somebody_elses_making_is_refused() {
    let seoul = machine("seoul");
    let _ = seoul.niia(["daemon", "start"]).run().exits(0);
    let foreign = Stranger::with(probe::foreign().unwrap());
    let theirs = foreign.identity.id().to_string();
    // Even one whose key the node trusts.
    let add = ["peer", "add", "127.0.0.1:9", "--name", "foreign", "--fingerprint", &theirs];
    let _ = seoul.niia(add).run().exits(0);
    let refused = foreign.link(&seoul).unwrap_err();
    assert!(refused.contains("not one a node makes of its own key"), "{refused}");
    says(&seoul, &["a certificate was refused", &theirs, &fingerprint(&seoul)]);
    nothing_runs(&seoul);
}

#[test]
fn a_peer_that_was_removed_is_shown_the_door_at_once_and_not_let_in_again() {
    let seoul = machine("seoul");
    let stranger = Stranger::trusted(&seoul, "all");
    let link = stranger.link(&seoul).unwrap();
    let _ = seoul.niia(["peer", "rm", "stranger"]).run().exits(0);
    let told = stranger.runtime.block_on(link.closed());
    assert!(told.contains("this peer was removed there"), "{told}");
    says(&seoul, &["a link is over", &stranger.identity.id().to_string()]);
    assert!(stranger.link(&seoul).unwrap_err().contains("not paired"));
    says(&seoul, &["refused", "not paired", &stranger.identity.id().to_string()]);
    nothing_runs(&seoul);
}

#[test]
fn a_right_that_is_missing_is_named_on_both_sides_for_words_and_for_work() {
    let seoul = machine("seoul");
    let stranger = Stranger::trusted(&seoul, "read");
    let theirs = stranger.identity.id().to_string();
    let link = stranger.link(&seoul).unwrap();
    let mut work = stranger.open(&link, &attempt());
    let said: Word = stranger.runtime.block_on(frame::read(&mut work)).unwrap();
    assert!(
        matches!(&said, Word::Refused { reason } if reason.contains("needs the right `run`")),
        "{said:?}"
    );
    says(&seoul, &["refused", "needs the right `run`", &theirs]);
    let (reader, writer) = stranger.open(&link, &Purpose::Control).into_inner();
    let mut control = Link::new(reader, writer);
    let reply = stranger.runtime.block_on(async {
        control.greet(&Hello::new(SPOKEN, "0.1.0")).await.unwrap();
        control.send(&Request::Kill { session: "x".to_owned() }).await.unwrap();
        control.receive::<Reply>().await.unwrap()
    });
    let Some(Reply::Refused(refusal)) = reply else { panic!("{reply:?}") };
    assert!(refusal.message.contains("needs the right `write`"), "{}", refusal.message);
    says(&seoul, &["refused", "needs the right `write`", &theirs]);
    nothing_runs(&seoul);
}

#[test]
fn a_path_that_leads_outside_is_refused_and_nothing_is_begun() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    paired(&laptop, &seoul, "run");
    seoul.install("claude", "wait-for /nowhere\nsay x");
    // What an attempt needs is taken from a real one: only its file is another.
    let document = json!({ "name": "sent", "pipeline": { "phases": [
        { "name": "work", "model": "claude", "machine": "seoul", "prompt": "x" }] } });
    let project = laptop.repository("project");
    let run = laptop.detach(project.path(), &laptop.document("sent", &document));
    let offer = wait_until("the attempt is there", SOON, || {
        let homes = std::fs::read_dir(seoul.at("state/guests")).ok()?.flatten();
        let attempts = homes.map(|home| home.path().join("runs").join(&run).join("attempts"));
        let file = attempts.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten().next()?;
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
        Some(record["offer"].clone())
    });
    let _ = laptop.niia(["cancel", &run]).run();
    let _ = laptop.wait_over(&run, SOON);
    let stranger = Stranger::trusted(&seoul, "run");
    let link = stranger.link(&seoul).unwrap();
    let mut offer = offer;
    offer["tips"] = json!(null);
    let outside = seoul.at("outside.txt");
    for path in ["../../../../../outside.txt", "/tmp/outside.txt", "a/../../../outside.txt"] {
        let mut work = stranger.open(&link, &attempt());
        let said = stranger.runtime.block_on(async {
            let first: Word = frame::read(&mut work).await.unwrap();
            assert!(matches!(first, Word::New { .. }), "{first:?}");
            let offer = serde_json::to_vec(&offer).unwrap();
            brought(&mut work, &Word::Offer, &offer).await;
            brought(&mut work, &Word::File { path: path.to_owned(), parent: None }, b"x").await;
            frame::write(&mut work, &Word::Ready).await.unwrap();
            loop {
                match frame::read::<Word>(&mut work).await.unwrap() {
                    Word::Beat => {}
                    word => return word,
                }
            }
        });
        assert!(matches!(&said, Word::Refused { reason } if reason.contains(path)), "{said:?}");
        says(&seoul, &["refused", path, &stranger.identity.id().to_string()]);
        assert!(!outside.exists());
    }
    assert_eq!(seoul.niia(["sessions", "--json"]).run().exits(0).json(), json!([]));
}

async fn brought(stream: &mut Stream, word: &Word, bytes: &[u8]) {
    frame::write(stream, word).await.unwrap();
    transfer::send(stream, &mut &bytes[..], bytes.len() as u64).await.unwrap();
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_comes_and_the_link_goes_on() {
    let seoul = machine("seoul");
    let stranger = Stranger::trusted(&seoul, "all");
    let theirs = stranger.identity.id().to_string();
    let link = stranger.link(&seoul).unwrap();
    // In the place of a purpose, and in the middle of a talk.
    for purpose in [None, Some(attempt())] {
        let said = stranger.runtime.block_on(async {
            let mut stream = match &purpose {
                Some(purpose) => {
                    let mut stream = link.open(purpose).await.unwrap();
                    assert!(matches!(frame::read(&mut stream).await.unwrap(), Word::New { .. }));
                    stream
                }
                None => link.bare().await.unwrap(),
            };
            stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
            loop {
                match frame::read::<Word>(&mut stream).await.unwrap() {
                    Word::Beat => {}
                    word => return word,
                }
            }
        });
        assert!(
            matches!(&said, Word::Refused { reason } if reason.contains("larger than the 1048576")),
            "{said:?}"
        );
    }
    says(&seoul, &["refused", "larger than the 1048576", &theirs]);
    assert!(!link.is_over(), "what is wrong on one stream ends that stream");
    nothing_runs(&seoul);
}

#[test]
fn bytes_that_were_heard_on_the_wire_are_worth_nothing_when_they_are_said_again() {
    let (laptop, seoul) = (machine("laptop"), machine("seoul"));
    let proxy = Proxy::before(address(&seoul), niia_tests::Link::default(), 1).unwrap();
    proxy.keep();
    let (of_seoul, of_laptop) = (fingerprint(&seoul), fingerprint(&laptop));
    let at = proxy.address().to_string();
    let _ = laptop.niia(["peer", "add", &at, "--name", "seoul", "--fingerprint", &of_seoul]).run().exits(0);
    let back = address(&laptop).to_string();
    let _ =
        seoul.niia(["peer", "add", &back, "--name", "laptop", "--fingerprint", &of_laptop]).run().exits(0);
    let tool = seoul.install("talker", "chat\nsay heard {prompt}");
    let run = seoul.niia(["serve".as_ref(), "--".as_ref(), tool.as_os_str()]).run().exits(0).run_id();
    let _ = laptop.niia(["remote", "write", "seoul", "only-once"]).run().exits(0);
    wait_until("it was heard", SOON, || {
        laptop.niia(["remote", "read", "seoul"]).run().exits(0).out.contains("heard only-once").then_some(())
    });
    let kept = proxy.kept();
    assert!(kept.len() > 5, "{} datagrams", kept.len());
    // A node that was restarted knows nothing of what it has heard before.
    for verb in ["stop", "start"] {
        let _ = seoul.niia(["daemon", verb]).run().exits(0);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answered = false;
    for datagram in kept.iter().chain(&kept) {
        socket.send_to(datagram, address(&seoul)).unwrap();
        answered |= socket.recv(&mut [0; 2_000]).is_ok();
    }
    // Whoever says them again is asked for more than he has heard, and the node says that he came to nothing.
    assert!(answered, "the first of them begins a handshake that cannot be gone on with");
    let port = format!(":{} ", socket.local_addr().unwrap().port());
    says(&seoul, &["somebody who came was not let in", &port]);
    let log = log(&seoul);
    let others = log.lines().filter(|line| line.contains(&port) && !line.contains("was not let in"));
    assert_eq!(others.collect::<Vec<_>>(), [] as [&str; 0], "nobody was taken for the laptop");
    let screen = seoul.niia(["read", &run]).run().exits(0).out;
    assert_eq!(screen.matches("heard only-once").count(), 1, "{screen}");
    let _ = laptop.niia(["remote", "read", "seoul"]).run().exits(0);
    seoul.end(&run);
}

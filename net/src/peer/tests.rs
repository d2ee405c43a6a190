//! Two nodes on loopback, over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::endpoint::{ConnectError, Endpoint, Shaken};
use crate::identity::Identity;
use crate::pairing::{Closed, Code, Desk};
use crate::trust::{Peer, Peers, Rights, Want, admit};
use crate::wire::Hello;

const BUILD: &str = "0.1.0";

/// What the end that was dialled made of a visitor.
#[derive(Debug)]
enum Came {
    Link(PeerLink),
    Paired(Result<Paired, String>),
    Refused(Refused),
}

struct Node {
    id: NodeId,
    endpoint: Endpoint,
    peers: Arc<Mutex<Peers>>,
    desk: Arc<Mutex<Desk>>,
    came: mpsc::UnboundedReceiver<Came>,
}

fn greeting(want: Want) -> Greeting {
    Greeting::new("a-host", 7, BUILD, want)
}

fn node_of(identity: &Identity) -> Node {
    let endpoint = Endpoint::bind(identity, "127.0.0.1:0".parse().unwrap(), crate::endpoint::IDLE).unwrap();
    let (peers, desk) = (Arc::new(Mutex::new(Peers::default())), Arc::new(Mutex::new(Desk::default())));
    let (tell, came) = mpsc::unbounded_channel();
    let own = identity.id();
    let (listening, trusted, codes) = (endpoint.clone(), Arc::clone(&peers), Arc::clone(&desk));
    tokio::spawn(async move {
        let visit = move |shaken: Shaken, _place| {
            let (tell, trusted, codes) = (tell.clone(), Arc::clone(&trusted), Arc::clone(&codes));
            async move {
                let decide = |came, want| {
                    let open = codes.lock().unwrap().is_open(Default::default());
                    admit(&trusted.lock().unwrap(), own, came, want, open)
                };
                let came = match admit_work(shaken, own, greeting(Want::Work), decide).await {
                    Ok(Welcomed::Work(link)) => Came::Link(link),
                    Ok(Welcomed::Pair(pairing)) => {
                        let take = || codes.lock().unwrap().take(Default::default());
                        Came::Paired(show(*pairing, own, take).await.map_err(|error| error.to_string()))
                    }
                    Err(refusing) => Came::Refused(refusing.tell().await),
                };
                let _ = tell.send(came);
            }
        };
        listening.accept_each(visit).await;
    });
    Node { id: own, endpoint, peers, desk, came }
}

fn node() -> Node {
    node_of(&Identity::passing().unwrap())
}

impl Node {
    fn address(&self) -> SocketAddr {
        self.endpoint.address().unwrap()
    }

    fn trust(&self, id: NodeId) {
        let peer = Peer { rights: Rights::ALL, ..Peer::default() };
        self.peers.lock().unwrap().0.insert(id, peer);
    }

    async fn dial(&self, other: &Node, wanted: Option<NodeId>, want: Want) -> Result<Welcomed, PeerError> {
        let shaken = self.endpoint.connect(&[other.address()], wanted).await.unwrap();
        greet(shaken, self.id, wanted, greeting(want), Rights::ALL).await
    }

    async fn pair(&self, other: &Node, code: &Code) -> Result<Paired, PairError> {
        match self.dial(other, None, Want::Pair).await? {
            Welcomed::Pair(pairing) => type_in(*pairing, self.id, code).await,
            Welcomed::Work(_) => panic!("it asked to pair"),
        }
    }

    async fn came(&mut self) -> Came {
        self.came.recv().await.expect("somebody came")
    }

    async fn link_to(&self, other: &Node) -> PeerLink {
        match self.dial(other, Some(other.id), Want::Work).await.unwrap() {
            Welcomed::Work(link) => link,
            Welcomed::Pair(_) => panic!("it asked to work"),
        }
    }
}

fn code(bits: u64) -> Code {
    Code::of_random(bits)
}

#[tokio::test]
async fn a_code_read_here_and_typed_there_pairs_and_each_learns_the_others_key() {
    let (here, mut there) = (node(), node());
    there.desk.lock().unwrap().show(code(5), Default::default()).unwrap();
    let paired = here.pair(&there, &code(5)).await.unwrap();
    assert_eq!((paired.id, paired.name.as_str()), (there.id, "a-host"));
    match there.came().await {
        Came::Paired(Ok(paired)) => assert_eq!(paired.id, here.id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_code_is_refused_on_both_sides_and_used_up() {
    let (here, mut there) = (node(), node());
    there.desk.lock().unwrap().show(code(5), Default::default()).unwrap();
    let wrong = here.pair(&there, &code(6)).await.unwrap_err().to_string();
    assert!(wrong.contains("the code was wrong") && wrong.contains(&here.id.to_string()), "{wrong}");
    assert!(wrong.contains(&there.id.to_string()), "{wrong}");
    match there.came().await {
        Came::Paired(Err(error)) => assert!(error.contains("not the one that is shown"), "{error}"),
        other => panic!("{other:?}"),
    }
    // The second guess finds nothing to guess at, even with the right code.
    let again = here.pair(&there, &code(5)).await.unwrap_err().to_string();
    assert!(again.contains("begin with `niia pair` there"), "{again}");
}

#[tokio::test]
async fn a_typist_who_breaks_off_has_used_the_code_up() {
    let (here, there) = (node(), node());
    there.desk.lock().unwrap().show(code(5), Default::default()).unwrap();
    let Welcomed::Pair(mut pairing) = here.dial(&there, None, Want::Pair).await.unwrap() else {
        panic!("it asked to pair");
    };
    let (_, part) = crate::pairing::begin(crate::pairing::Role::Types, &code(5), here.id, there.id);
    // The other end answers: it has taken the code for this try.
    pairing.trade_parts(part).await;
    drop(pairing);
    assert_eq!(there.desk.lock().unwrap().take(Default::default()), Err(Closed::NoCode));
}

#[tokio::test]
async fn a_stranger_may_do_nothing_and_both_sides_read_why() {
    let (here, mut there) = (node(), node());
    let error = here.dial(&there, Some(there.id), Want::Work).await.unwrap_err().to_string();
    for part in ["are not paired", "niia pair", &here.id.to_string(), &there.id.to_string()] {
        assert!(error.contains(part), "{error}");
    }
    match there.came().await {
        Came::Refused(refused) => assert_eq!(refused.to_string(), error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_key_at_the_address_of_a_peer_is_refused_with_both_fingerprints() {
    let (here, mut there, known) = (node(), node(), node());
    let error = here.dial(&there, Some(known.id), Want::Work).await.unwrap_err();
    assert!(matches!(error, PeerError::WrongKey { wanted, came } if wanted == known.id && came == there.id));
    let said = error.to_string();
    assert!(said.contains(&known.id.to_string()) && said.contains(&there.id.to_string()));
    match there.came().await {
        Came::Refused(refused) => {
            let said = refused.to_string();
            assert!(said.contains(&known.id.to_string()) && said.contains(&here.id.to_string()), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_past_its_end_is_refused_whichever_side_shows_it() {
    let (here, old) = (node(), node_of(&Identity::long_ago().unwrap()));
    let dialled = here.endpoint.connect(&[old.address()], None).await.unwrap_err();
    assert!(dialled.to_string().contains("past its end"), "{dialled}");
    let shaken = old.endpoint.connect(&[here.address()], None).await;
    // A refused certificate of the end that dials shows only when it reads.
    let refused = match shaken {
        Err(error) => error.to_string(),
        Ok(shaken) => {
            let greeted = greet(shaken, old.id, None, greeting(Want::Work), Rights::ALL).await;
            greeted.unwrap_err().to_string()
        }
    };
    assert!(refused.contains("past its end"), "{refused}");
}

#[tokio::test]
async fn a_node_that_is_two_versions_apart_is_told_which_one_to_upgrade() {
    let (here, there) = (node(), node());
    there.trust(here.id);
    let shaken = here.endpoint.connect(&[there.address()], Some(there.id)).await.unwrap();
    let mut old = greeting(Want::Work);
    old.hello = Hello { version: old.hello.version + 2, ..old.hello };
    let error = greet(shaken, here.id, None, old, Rights::ALL).await.unwrap_err().to_string();
    assert!(error.contains("too far apart") && error.contains("upgrade the older"), "{error}");
    let shaken = here.endpoint.connect(&[there.address()], Some(there.id)).await.unwrap();
    let mut next = greeting(Want::Work);
    next.hello.version += 1;
    assert!(
        greet(shaken, here.id, None, next, Rights::ALL).await.is_ok(),
        "neighbours understand each other"
    );
}

#[tokio::test]
async fn streams_carry_their_purpose_and_a_full_one_holds_up_no_other() {
    let (here, mut there) = (node(), node());
    there.trust(here.id);
    let link = here.link_to(&there).await;
    let Came::Link(theirs) = there.came().await else { panic!("a link") };
    assert_eq!((theirs.id, theirs.incarnation, theirs.version), (here.id, 7, crate::wire::PROTOCOL));
    let serving = tokio::spawn({
        let theirs = theirs.clone();
        async move {
            let mut held = Vec::new();
            while let Ok(mut stream) = theirs.accept().await {
                let purpose: String = PeerLink::purpose(&mut stream).await.unwrap();
                match purpose.as_str() {
                    // Nobody reads it.
                    "bulk" => held.push(stream),
                    _ => {
                        let mut key = [0; 1];
                        stream.read_exact(&mut key).await.unwrap();
                        stream.write_all(&key).await.unwrap();
                        held.push(stream);
                    }
                }
            }
        }
    });
    let mut bulk = link.open("bulk").await.unwrap();
    let stuffed = async {
        while tokio::time::timeout(std::time::Duration::from_millis(300), bulk.write_all(&[0; 65_536]))
            .await
            .is_ok()
        {}
    };
    stuffed.await;
    for _ in 0..50 {
        let mut keys = link.open("keys").await.unwrap();
        keys.write_all(b"k").await.unwrap();
        let mut back = [0; 1];
        keys.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"k");
    }
    link.close(CloseCode::Done, "done");
    serving.await.unwrap();
    assert_eq!(theirs.closed().await, "done");
}

#[tokio::test]
async fn a_revoked_peer_is_shown_the_door_and_reads_why() {
    let (here, mut there) = (node(), node());
    there.trust(here.id);
    let link = here.link_to(&there).await;
    let Came::Link(theirs) = there.came().await else { panic!("a link") };
    tokio::spawn({
        let theirs = theirs.clone();
        async move { theirs.echo().await }
    });
    link.ping(1).await.unwrap();
    there.peers.lock().unwrap().0.clear();
    theirs.close(CloseCode::Revoked, "this peer was removed there");
    assert_eq!(link.closed().await, "this peer was removed there");
    assert!(link.is_over() && link.ping(2).await.is_err());
    let again = here.dial(&there, Some(there.id), Want::Work).await.unwrap_err();
    assert!(matches!(again, PeerError::Refused(Refused { why: RefusedWhy::NotPaired, .. })));
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_its_stream_and_nothing_else() {
    let (here, mut there) = (node(), node());
    there.trust(here.id);
    let link = here.link_to(&there).await;
    let Came::Link(theirs) = there.came().await else { panic!("a link") };
    let mut stream = link.open("frames").await.unwrap();
    let mut other = theirs.accept().await.unwrap();
    let _: String = PeerLink::purpose(&mut other).await.unwrap();
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let refused = PeerLink::purpose::<String>(&mut other).await.unwrap_err();
    assert!(refused.to_string().contains("larger than the 1048576"), "{refused}");
    drop((stream, other));
    assert!(link.open("the next").await.is_ok() && !link.is_over());
}

#[tokio::test]
async fn garbage_and_half_a_greeting_harm_nobody() {
    let (here, there) = (node(), node());
    there.trust(here.id);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2_000 {
        let junk: Vec<u8> = (0..random.usize(0..1_300)).map(|_| random.u8(..)).collect();
        socket.send_to(&junk, there.address()).unwrap();
    }
    let shaken = here.endpoint.connect(&[there.address()], None).await.unwrap();
    let (mut writer, _reader) = shaken.connection.open_bi().await.unwrap();
    writer.write_all(&[0, 0, 16, 0, 1, 2, 3]).await.unwrap();
    // Whoever greets properly is let in beside the one who never ends his greeting.
    assert_eq!(here.link_to(&there).await.id, there.id);
}

#[tokio::test]
async fn of_several_addresses_the_one_that_answers_with_the_right_key_is_taken() {
    let (here, there, other) = (node(), node(), node());
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [dead.local_addr().unwrap(), other.address(), there.address()];
    let shaken = here.endpoint.connect(&addresses, Some(there.id)).await.unwrap();
    assert_eq!(shaken.id, there.id);
    assert!(matches!(here.endpoint.connect(&[], None).await, Err(ConnectError::NoAddress)));
}

#[tokio::test]
async fn what_is_long_gives_way_to_words_and_arrives_whole() {
    const BYTES: usize = 2 * 1024 * 1024;
    let (here, mut there) = (node(), node());
    there.trust(here.id);
    let link = here.link_to(&there).await;
    let Came::Link(theirs) = there.came().await else { panic!("a link") };
    let mut long = link.open("long").await.unwrap();
    let mut words = link.open("words").await.unwrap();
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        for _ in 0..2 {
            let mut stream = theirs.accept().await.unwrap();
            let purpose: String = PeerLink::purpose(&mut stream).await.unwrap();
            if purpose == "long" {
                stream.read_to_end(&mut read).await.unwrap();
            }
        }
        read
    });
    long.writer_mut().yields();
    let contents: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    for piece in contents.chunks(300_000) {
        words.write_all(b"a word").await.unwrap();
        long.write_all(piece).await.unwrap();
    }
    long.shutdown().await.unwrap();
    assert!(reading.await.unwrap() == contents);
}

//! Where the tasks of an endpoint run shows nowhere else: it must not show in what they do either.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::peer::{Greeting, PeerLink, Welcomed, admit_work, greet};
use crate::trust::{Admission, Rights, Want};

fn greeting() -> Greeting {
    Greeting::new("a-host", 7, "0.1.0", Want::Work)
}

/// One that lets in everybody, and who came in.
fn open_to_all(identity: &Identity) -> (Endpoint, tokio::sync::mpsc::UnboundedReceiver<PeerLink>) {
    let endpoint = Endpoint::bind(identity, "127.0.0.1:0".parse().unwrap(), IDLE).unwrap();
    let (tell, came) = tokio::sync::mpsc::unbounded_channel();
    let (listening, own) = (endpoint.clone(), identity.id());
    tokio::spawn(async move {
        let admit = move |shaken, _place| {
            let tell = tell.clone();
            async move {
                let admitted = admit_work(shaken, own, greeting(), |_, _| Admission::Work(Rights::ALL)).await;
                if let Ok(Welcomed::Work(link)) = admitted {
                    let _ = tell.send(link);
                }
            }
        };
        listening.accept_each(admit).await;
    });
    (endpoint, came)
}

async fn linked(from: &Endpoint, own: &Identity, to: &Endpoint) -> PeerLink {
    let shaken = from.connect(&[to.address().unwrap()], None).await.unwrap();
    match greet(shaken, own.id(), None, greeting(), Rights::ALL).await.unwrap() {
        Welcomed::Work(link) => link,
        Welcomed::Pair(_) => panic!("it asked to work"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_served_where_it_is_used_and_its_port_is_free_once_all_is_over() {
    let (identity, other) = (Identity::passing().unwrap(), Identity::passing().unwrap());
    let (here, _) = open_to_all(&identity);
    let (there, mut came) = open_to_all(&other);
    let address = here.address().unwrap();
    for _ in 0..3 {
        let link = linked(&here, &identity, &there).await;
        let theirs = came.recv().await.unwrap();
        let mut stream = link.open("word").await.unwrap();
        let mut other = theirs.accept().await.unwrap();
        let purpose: String = PeerLink::purpose(&mut other).await.unwrap();
        assert_eq!(purpose, "word");
        for word in 0..200u8 {
            stream.write_all(&[word]).await.unwrap();
            assert_eq!(other.read_u8().await.unwrap(), word);
        }
    }
    here.close("done");
    here.closed().await;
    drop(here);
    // The task that reads the socket has moved; it must be told all the same that nobody needs it any more.
    let free = async {
        while std::net::UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(IDLE, free).await.expect("the port is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_goes_on_through_a_crowd_of_strangers() {
    let (identity, other) = (Identity::passing().unwrap(), Identity::passing().unwrap());
    let (here, _) = open_to_all(&identity);
    let (there, mut came) = open_to_all(&other);
    let link = linked(&here, &identity, &there).await;
    let theirs = came.recv().await.unwrap();
    let mut stream = link.open("word").await.unwrap();
    let mut far = theirs.accept().await.unwrap();
    let _: String = PeerLink::purpose(&mut far).await.unwrap();
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let address = there.address().unwrap();
        strangers.spawn(async move {
            let identity = Identity::passing().unwrap();
            let at = Endpoint::bind(&identity, "127.0.0.1:0".parse().unwrap(), IDLE).unwrap();
            at.connect(&[address], None).await.map(drop)
        });
    }
    let mut word = 0u8;
    while !strangers.is_empty() {
        stream.write_all(&[word]).await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), word);
        far.write_all(&[word]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), word);
        word = word.wrapping_add(1);
        if let Some(come) = strangers.try_join_next() {
            come.unwrap().unwrap();
        }
    }
}

//! Links: what goes in comes out, and whatever else comes ends the link with one clear error.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use niia_net::link::{self, Link, LinkError, LinkReceiver, LinkSender};
use niia_net::wire::{self, FRAME_BYTES_MAX, Hello, WireError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf};
use tokio::net::{UnixListener, UnixStream};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Number(u64),
    #[serde(with = "serde_bytes")]
    Bytes(Vec<u8>),
    Named {
        text: String,
        maybe: Option<bool>,
    },
}

type Receiver = LinkReceiver<ReadHalf<DuplexStream>>;

fn both_ends(buffer_bytes: usize) -> (LinkSender, Receiver) {
    let (near, far) = tokio::io::duplex(buffer_bytes);
    let (sender, unused) = Link::over(near).split();
    drop(unused);
    let (_, receiver) = Link::over(far).split();
    (sender, receiver)
}

/// A receiver at the end of a stream that holds these bytes and then ends.
async fn receiver_of(bytes: Vec<u8>) -> Receiver {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        // A receiver that has seen enough goes away before all is written.
        drop(near.write_all(&bytes).await);
    });
    Link::over(far).split().1
}

#[tokio::test]
async fn messages_arrive_whole_and_in_order() {
    let (sender, mut receiver) = both_ends(100);
    let messages: Vec<Message> = (0..2_000_u64)
        .map(|n| match n % 3 {
            0 => Message::Number(n),
            1 => Message::Bytes(vec![n as u8; n as usize]),
            _ => Message::Named { text: format!("line {n}"), maybe: None },
        })
        .collect();
    let sent = messages.clone();
    tokio::spawn(async move {
        for message in &sent {
            sender.send(message).await.unwrap();
        }
    });
    for message in messages {
        assert_eq!(receiver.receive::<Message>().await.unwrap(), Some(message));
    }
    assert_eq!(receiver.receive::<Message>().await.unwrap(), None);
}

#[tokio::test]
async fn a_message_of_the_largest_frame_passes_and_one_byte_more_is_refused_before_it_is_sent() {
    let (sender, mut receiver) = both_ends(4096);
    let around = wire::encode(&Message::Bytes(vec![0; 70_000])).unwrap().len() - wire::LENGTH_BYTES - 70_000;
    let largest = Message::Bytes(vec![7; FRAME_BYTES_MAX - around]);
    let task = tokio::spawn(async move { receiver.receive::<Message>().await });
    sender.send(&largest).await.unwrap();
    assert_eq!(task.await.unwrap().unwrap(), Some(largest));
    let larger = Message::Bytes(vec![7; FRAME_BYTES_MAX - around + 1]);
    assert!(matches!(sender.send(&larger).await, Err(LinkError::Wire(WireError::Unfit))));
}

#[tokio::test]
async fn a_reader_that_does_not_read_fills_the_queue_and_no_more() {
    let (sender, receiver) = both_ends(64);
    let message = Message::Bytes(vec![1; 100_000]);
    let mut sent = 0;
    let refusal = loop {
        match sender.try_send(&message) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, LinkError::Full), "{refusal}");
    assert!(sent * 100_000 <= link::QUEUE_BYTES_MAX);
    drop(receiver);
    sender.closed().await;
    assert!(matches!(sender.send(&message).await, Err(LinkError::Over { .. })));
}

#[tokio::test]
async fn a_sender_waits_for_a_slow_reader_and_loses_nothing() {
    let (sender, mut receiver) = both_ends(64);
    let count = 200_u64;
    tokio::spawn(async move {
        for n in 0..count {
            sender.send(&Message::Bytes(vec![n as u8; 50_000])).await.unwrap();
        }
    });
    for n in 0..count {
        let Some(Message::Bytes(bytes)) = receiver.receive().await.unwrap() else { panic!("message {n}") };
        assert!(bytes.len() == 50_000 && bytes.iter().all(|byte| *byte == n as u8));
    }
}

#[tokio::test]
async fn what_was_sent_before_the_sender_went_is_written() {
    let (sender, mut receiver) = both_ends(1 << 20);
    sender.send(&Message::Number(1)).await.unwrap();
    sender.flush().await.unwrap();
    sender.send(&Message::Number(2)).await.unwrap();
    drop(sender);
    assert_eq!(receiver.receive().await.unwrap(), Some(Message::Number(1)));
    assert_eq!(receiver.receive().await.unwrap(), Some(Message::Number(2)));
    assert_eq!(receiver.receive::<Message>().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_queue_nobody_reads_is_given_up_once_nobody_sends() {
    let (near, far) = tokio::io::duplex(16);
    let (sender, _) = Link::over(near).split();
    sender.send(&Message::Bytes(vec![0; 1000])).await.unwrap();
    drop(sender);
    let mut receiver: Receiver = Link::over(far).split().1;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(matches!(receiver.receive::<Message>().await, Err(LinkError::Cut { .. })));
}

#[tokio::test]
async fn waiting_for_a_message_may_be_given_up_at_any_byte() {
    let (mut near, far) = tokio::io::duplex(64);
    let mut receiver: Receiver = Link::over(far).split().1;
    let message = Message::Named { text: "whole".repeat(20), maybe: Some(true) };
    for byte in wire::encode(&message).unwrap() {
        let impatient = tokio::time::timeout(std::time::Duration::ZERO, receiver.receive::<Message>());
        assert!(impatient.await.is_err());
        near.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(receiver.receive().await.unwrap(), Some(message));
}

#[tokio::test]
async fn a_frame_cut_short_at_any_byte_says_so() {
    let frame = wire::encode(&Message::Number(u64::MAX)).unwrap();
    for end in 1..frame.len() {
        let mut receiver = receiver_of(frame[..end].to_vec()).await;
        let error = receiver.receive::<Message>().await.unwrap_err();
        assert!(matches!(error, LinkError::Cut { have, .. } if have == end), "{end}: {error}");
        assert!(matches!(receiver.receive::<Message>().await, Err(LinkError::Over { .. })));
    }
}

#[tokio::test]
async fn a_length_above_the_bound_is_refused_before_its_bytes_come() {
    let (mut near, far) = tokio::io::duplex(64);
    let mut receiver: Receiver = Link::over(far).split().1;
    near.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let error = receiver.receive::<Message>().await.unwrap_err();
    assert!(matches!(error, LinkError::Wire(WireError::TooLarge { bytes }) if bytes == u32::MAX as usize));
}

#[tokio::test]
async fn bytes_behind_a_message_in_its_frame_are_an_error() {
    let mut frame = wire::encode(&Message::Number(5)).unwrap();
    frame.push(0xc0);
    frame[3] += 1;
    let error = receiver_of(frame).await.receive::<Message>().await.unwrap_err();
    assert!(matches!(error, LinkError::Wire(WireError::Trailing { extra: 1 })), "{error}");
}

#[tokio::test]
async fn random_bytes_are_never_more_than_an_error() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..3_000 {
        let mut bytes: Vec<u8> = (0..random.usize(0..200)).map(|_| random.u8(..)).collect();
        if round % 2 == 0 && bytes.len() > 4 {
            // A right length lets the garbage through to the message.
            let length = (bytes.len() as u32 - 4).to_be_bytes();
            bytes[..4].copy_from_slice(&length);
        }
        let mut receiver = receiver_of(bytes).await;
        while let Ok(Some(_)) = receiver.receive::<Message>().await {}
    }
}

#[tokio::test]
async fn a_damaged_message_is_another_message_or_an_error() {
    let message = Message::Named { text: "some text".to_owned(), maybe: Some(false) };
    let frame = wire::encode(&message).unwrap();
    let mut random = fastrand::Rng::with_seed(8);
    for place in 0..frame.len() {
        for _ in 0..20 {
            let mut bytes = frame.clone();
            bytes[place] ^= random.u8(1..);
            drop(receiver_of(bytes).await.receive::<Message>().await);
        }
    }
}

#[tokio::test]
async fn nesting_without_end_is_an_error() {
    // Arrays of one element each, deeper than any message: the depth of a reader's stack is not the sender's to choose.
    let mut frame = 100_000_u32.to_be_bytes().to_vec();
    frame.resize(100_004, 0x91);
    let error = receiver_of(frame).await.receive::<serde_json::Value>().await.unwrap_err();
    assert!(matches!(error, LinkError::Wire(WireError::Decode { .. })), "{error}");
}

#[tokio::test]
async fn two_ends_of_neighbouring_versions_agree_on_the_older() {
    let (near, far) = tokio::io::duplex(4096);
    let (mut near, mut far) = (Link::over(near), Link::over(far));
    let new = Hello { version: 7, ..Hello::new("niia", "new") };
    let old = Hello { version: 6, ..Hello::new("niia", "old") };
    let (a, b) = tokio::join!(near.greet(&new), far.greet(&old));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.version, b.version), (6, 6));
    assert_eq!(a.theirs.build, "old");
    near.send(&Message::Number(3)).await.unwrap();
    assert_eq!(far.receive().await.unwrap(), Some(Message::Number(3)));
}

#[tokio::test]
async fn two_ends_further_apart_say_which_versions_they_have() {
    let ours = Hello { version: 7, ..Hello::new("niia", "x") };
    let theirs = Hello { version: 5, ..Hello::new("niia", "0.1.0") };
    let text = ours.agree(&theirs).unwrap_err().to_string();
    assert!(text.contains('7') && text.contains('5') && text.contains("0.1.0"), "{text}");
    let other = Hello::new("http", "x");
    assert!(matches!(ours.agree(&other), Err(WireError::Protocol { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_never_greets_is_given_up() {
    let (near, _far) = tokio::io::duplex(4096);
    let error = Link::over(near).greet(&Hello::new("niia", "x")).await.unwrap_err();
    assert!(matches!(error, LinkError::Silent));
}

#[tokio::test]
async fn a_unix_socket_tells_who_is_at_the_other_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (near, far) = tokio::join!(UnixStream::connect(&path), listener.accept());
    let peer = link::peer(&far.unwrap().0).unwrap();
    assert_eq!(peer.pid, Some(std::process::id() as i32));
    drop(near);
}

//! The mailbox: every letter is stored before its sender is told, and given to its reader once, in order.

#![allow(clippy::unwrap_used)] // A helper of a test fails the test.

use std::collections::{BTreeMap, BTreeSet};

use niia_actors::journal::{Fate, Journal};
use niia_actors::mailbox::{
    self, Draft, HOPS_MAX, LETTER_BYTES_MAX, MailboxArguments, MailboxHandle, Party, Refusal,
};
use niia_spec::name::{RunId, Slug};

struct Fixture {
    folder: tempfile::TempDir,
    letters_max: usize,
    messages_max: u32,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap(), letters_max: 100, messages_max: 10_000 }
    }

    async fn open(&self) -> (Journal, MailboxHandle) {
        let (journal, loaded) = Journal::open(&self.folder.path().join("journal.db")).unwrap();
        if loaded.runs.is_empty() {
            journal.begin(&run(), b"plan".to_vec(), Vec::new()).await.unwrap();
        }
        let mailbox = self.start(&journal).await;
        (journal, mailbox)
    }

    async fn start(&self, journal: &Journal) -> MailboxHandle {
        let arguments = MailboxArguments {
            posted: None,
            run: run(),
            journal: journal.clone(),
            letters_max: self.letters_max,
            messages_max: self.messages_max,
        };
        MailboxHandle::start(arguments, None).await.unwrap()
    }
}

fn run() -> RunId {
    Slug::new("mesh-abcde").unwrap()
}

fn party(text: &str) -> Party {
    text.parse().unwrap()
}

fn draft(id: &str, from: &str, to: &str) -> Draft {
    let text = format!("text of {id}");
    Draft { id: id.to_owned(), from: party(from), to: party(to), text, cause: None, urgent: false }
}

#[tokio::test]
async fn a_letter_is_given_once_and_listed_ever_after() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    assert_eq!(mailbox.send(draft("1", "mesh/a", "mesh/b")).await.unwrap(), Ok(1));
    assert_eq!(mailbox.send(draft("2", "person", "mesh/b")).await.unwrap(), Ok(2));
    assert_eq!(mailbox.unread().await.unwrap(), BTreeMap::from([(party("mesh/b"), 2)]));
    assert!(mailbox.take(party("mesh/a")).await.unwrap().is_empty());
    let letters = mailbox.take(party("mesh/b")).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.text.as_str()).collect::<Vec<_>>(),
        ["text of 1", "text of 2"]
    );
    assert!(mailbox.take(party("mesh/b")).await.unwrap().is_empty());
    assert!(mailbox.unread().await.unwrap().is_empty());
    let (listed, damage) = mailbox::list(&journal, &run()).unwrap();
    assert_eq!(listed, letters);
    assert!(damage.is_empty());
}

#[tokio::test]
async fn a_letter_sent_again_is_no_second_letter() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    let (first, second) = tokio::join!(
        mailbox.send(draft("x", "mesh/a", "mesh/b")),
        mailbox.send(draft("x", "mesh/a", "mesh/b"))
    );
    assert_eq!((first.unwrap(), second.unwrap()), (Ok(1), Ok(1)));
    mailbox.take(party("mesh/b")).await.unwrap();
    assert_eq!(mailbox.send(draft("x", "mesh/a", "mesh/b")).await.unwrap(), Ok(1));
    let other = Draft { text: "other words".to_owned(), ..draft("x", "mesh/a", "mesh/b") };
    assert!(matches!(mailbox.send(other).await.unwrap(), Err(Refusal::IdTaken { .. })));
    assert!(mailbox.take(party("mesh/b")).await.unwrap().is_empty());
    assert_eq!(mailbox::list(&journal, &run()).unwrap().0.len(), 1);
}

#[tokio::test]
async fn letters_and_what_was_read_of_them_outlive_the_node() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    for n in 0..5 {
        mailbox.send(draft(&format!("{n}"), "mesh/a", "mesh/b")).await.unwrap().unwrap();
        if n == 2 {
            assert_eq!(mailbox.take(party("mesh/b")).await.unwrap().len(), 3);
        }
    }
    mailbox.stop();
    journal.close();
    let (_journal, mailbox) = fixture.open().await;
    let left: Vec<u64> =
        mailbox.take(party("mesh/b")).await.unwrap().iter().map(|letter| letter.number).collect();
    assert_eq!(left, [4, 5]);
    assert_eq!(mailbox.send(draft("3", "mesh/a", "mesh/b")).await.unwrap(), Ok(4));
}

#[tokio::test]
async fn a_reader_that_lets_letters_pile_up_makes_its_senders_wait() {
    let fixture = Fixture { letters_max: 3, ..Fixture::new() };
    let (_journal, mailbox) = fixture.open().await;
    let senders: Vec<_> = (0..10)
        .map(|n| {
            let mailbox = mailbox.clone();
            tokio::spawn(async move { mailbox.send(draft(&format!("{n}"), "mesh/a", "mesh/b")).await })
        })
        .collect();
    // Others are not held up by it.
    mailbox.send(draft("other", "mesh/a", "mesh/c")).await.unwrap().unwrap();
    let mut got = 0;
    while got < 10 {
        let taken = mailbox.take(party("mesh/b")).await.unwrap().len();
        assert!(taken <= 3);
        got += taken;
        tokio::task::yield_now().await;
    }
    for sender in senders {
        sender.await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn too_many_waiting_senders_are_refused_with_the_reader_and_the_number() {
    let fixture = Fixture { letters_max: 2, ..Fixture::new() };
    let (_journal, mailbox) = fixture.open().await;
    let mut senders = tokio::task::JoinSet::new();
    for n in 0..300 {
        let mailbox = mailbox.clone();
        senders.spawn(async move { mailbox.send(draft(&format!("{n}"), "mesh/a", "mesh/b")).await.unwrap() });
    }
    // 2 fit and 256 wait: the other 42 hear that nobody reads.
    let mut refused = 0;
    while refused < 42 {
        if let Err(refusal) = senders.join_next().await.unwrap().unwrap() {
            assert!(matches!(&refusal, Refusal::Full { reader, .. } if reader == "mesh/b"), "{refusal}");
            refused += 1;
        }
    }
    senders.abort_all();
}

#[tokio::test]
async fn workers_that_answer_each_other_for_ever_come_to_an_end() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    // Three of them: a counter for each pair would not see it.
    let ring = ["mesh/a", "mesh/b", "mesh/c"];
    for n in 0..HOPS_MAX as usize {
        let (from, to) = (ring[n % 3], ring[(n + 1) % 3]);
        mailbox.send(draft(&format!("{n}"), from, to)).await.unwrap().unwrap();
        let taken = mailbox.take(party(to)).await.unwrap();
        assert_eq!(taken[0].hops as usize, n + 1);
    }
    let from = ring[HOPS_MAX as usize % 3];
    assert_eq!(mailbox.send(draft("last", from, "mesh/x")).await.unwrap(), Err(Refusal::TooManyHops));
    assert!(mailbox.take(party("mesh/x")).await.unwrap().is_empty());
    let (letters, _) = mailbox::list(&journal, &run()).unwrap();
    assert!(matches!(&letters.last().unwrap().fate, Fate::Dead { .. }));
    // A person begins a new chain.
    mailbox.send(draft("anew", "person", from)).await.unwrap().unwrap();
    assert_eq!(mailbox.take(party(from)).await.unwrap()[0].hops, 1);
}

#[tokio::test]
async fn what_is_too_large_too_much_or_unnamed_is_refused() {
    let fixture = Fixture { messages_max: 2, ..Fixture::new() };
    let (_journal, mailbox) = fixture.open().await;
    let large = Draft { text: "x".repeat(LETTER_BYTES_MAX + 1), ..draft("1", "mesh/a", "mesh/b") };
    assert!(matches!(mailbox.send(large).await.unwrap(), Err(Refusal::TooLarge { .. })));
    for id in ["", "two words", "a\nb", &"x".repeat(200)] {
        assert_eq!(mailbox.send(draft(id, "mesh/a", "mesh/b")).await.unwrap(), Err(Refusal::Id));
    }
    for id in ["1", "2"] {
        mailbox.send(draft(id, "mesh/a", "mesh/b")).await.unwrap().unwrap();
    }
    let refusal = mailbox.send(draft("3", "mesh/a", "mesh/b")).await.unwrap();
    assert_eq!(refusal, Err(Refusal::TooManyLetters { max: 2 }));
}

#[tokio::test]
async fn a_letter_that_cannot_be_delivered_is_laid_aside_with_the_reason() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    for id in ["poison", "good"] {
        mailbox.send(draft(id, "mesh/a", "mesh/b")).await.unwrap().unwrap();
    }
    let reason = "three times typed, never submitted".to_owned();
    assert!(mailbox.bury(party("mesh/b"), 1, reason.clone()).await.unwrap());
    assert!(!mailbox.bury(party("mesh/b"), 1, reason.clone()).await.unwrap());
    assert_eq!(mailbox.take(party("mesh/b")).await.unwrap()[0].id, "good");
    assert_eq!(mailbox::list(&journal, &run()).unwrap().0[0].fate, Fate::Dead { reason });
}

#[tokio::test]
async fn a_changed_or_missing_letter_is_said_and_not_given() {
    let deeds = [
        ("UPDATE letters SET text = 'give me the keys' WHERE number = 2", "letter 2 is not what was written"),
        ("UPDATE letters SET fate = 'read' WHERE number = 2", "letter 2 is not what was written"),
        ("DELETE FROM letters WHERE number = 2", "the letters 2 to 2 are missing"),
        ("DELETE FROM letters WHERE number = 3", "the letters 3 to 3 are missing"),
    ];
    for (deed, said) in deeds {
        let fixture = Fixture::new();
        let (journal, mailbox) = fixture.open().await;
        for id in ["1", "2", "3"] {
            mailbox.send(draft(id, "mesh/a", "mesh/b")).await.unwrap().unwrap();
        }
        mailbox.stop();
        journal.close();
        let database = fixture.folder.path().join("journal.db");
        rusqlite::Connection::open(database).unwrap().execute_batch(deed).unwrap();
        let (journal, mailbox) = fixture.open().await;
        assert_eq!(mailbox.take(party("mesh/b")).await.unwrap().len(), 2, "{deed}");
        assert_eq!(mailbox::list(&journal, &run()).unwrap().1, [said], "{deed}");
    }
}

/// Eight senders that repeat themselves, three readers, and a mailbox and journal that end and come back in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_letter_is_lost_doubled_or_overtaken_whatever_happens_to_the_mailbox() {
    for seed in 0..5 {
        let fixture = Fixture { letters_max: 7, ..Fixture::new() };
        let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // How far each sender knows that it has come.
        let mut sent = [0_u32; 8];
        for epoch in 0..4 {
            let (journal, mailbox) = fixture.open().await;
            let until = (epoch + 1) * 10;
            let mut senders = tokio::task::JoinSet::new();
            for (sender, from) in sent.into_iter().enumerate() {
                let seed = seed * 100 + u64::from(epoch);
                senders.spawn(send_some(mailbox.clone(), sender, from, until, seed));
            }
            let mut stopping = false;
            while !senders.is_empty() {
                for reader in ["mesh/x", "mesh/y", "mesh/z"] {
                    let letters = mailbox.take(party(reader)).await.unwrap_or_default();
                    given
                        .entry(reader.to_owned())
                        .or_default()
                        .extend(letters.into_iter().map(|letter| letter.id));
                }
                let count: usize = given.values().map(Vec::len).sum();
                if !stopping && epoch < 3 && count > 60 * (epoch as usize + 1) {
                    stopping = true;
                    mailbox.stop();
                }
                while let Some(ended) = senders.try_join_next() {
                    let (sender, reached) = ended.unwrap();
                    sent[sender] = reached;
                }
                tokio::task::yield_now().await;
            }
            for reader in ["mesh/x", "mesh/y", "mesh/z"] {
                let letters = mailbox.take(party(reader)).await.unwrap_or_default();
                given
                    .entry(reader.to_owned())
                    .or_default()
                    .extend(letters.into_iter().map(|letter| letter.id));
            }
            mailbox.stop();
            journal.close();
        }
        check(&given, sent, &fixture).await;
    }
}

async fn send_some(mailbox: MailboxHandle, sender: usize, from: u32, until: u32, seed: u64) -> (usize, u32) {
    let mut random = fastrand::Rng::with_seed(seed * 8 + sender as u64);
    for n in from..until {
        let reader = ["mesh/x", "mesh/y", "mesh/z"][(sender + n as usize) % 3];
        let letter = draft(&format!("{sender}-{n:03}"), "person", reader);
        for _ in 0..random.u8(1..3) {
            // The mailbox ended: this letter may be there or not, and is sent again to the next one.
            let Ok(answer) = mailbox.send(letter.clone()).await else { return (sender, n) };
            answer.unwrap();
        }
    }
    (sender, until)
}

async fn check(given: &BTreeMap<String, Vec<String>>, sent: [u32; 8], fixture: &Fixture) {
    let (journal, _mailbox) = fixture.open().await;
    let (listed, damage) = mailbox::list(&journal, &run()).unwrap();
    assert!(damage.is_empty());
    let stored: BTreeSet<&str> = listed.iter().map(|letter| letter.id.as_str()).collect();
    assert_eq!(stored.len(), listed.len(), "a letter is stored twice");
    for (sender, reached) in sent.into_iter().enumerate() {
        for n in 0..reached {
            assert!(stored.contains(format!("{sender}-{n:03}").as_str()), "{sender}-{n} was acknowledged");
        }
    }
    for ids in given.values() {
        let once: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(once.len(), ids.len(), "a letter was given twice");
        for sender in 0..8 {
            let own: Vec<&String> = ids.iter().filter(|id| id.starts_with(&format!("{sender}-"))).collect();
            assert!(own.is_sorted(), "{own:?}");
        }
    }
    let given: usize = given.values().map(Vec::len).sum();
    assert!(given > 200);
    // Only a take that was under way when the mailbox ended may have marked letters that nobody saw.
    assert!(stored.len() - given <= 3 * 7, "{} of {} letters were given", given, stored.len());
}

#[tokio::test]
async fn letters_that_are_handed_out_come_once_however_often_they_are_asked_for() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    let reader = party("mesh/b");
    for id in ["one", "two"] {
        mailbox.send(draft(id, "mesh/a", "mesh/b")).await.unwrap().unwrap();
    }
    let ids = |letters: Vec<niia_actors::mailbox::Letter>| {
        letters.into_iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(mailbox.hand_out(reader.clone(), "k".to_owned()).await.unwrap()), ["one", "two"]);
    assert!(mailbox.hand_out(reader.clone(), "other".to_owned()).await.unwrap().is_empty());
    let receipts = |journal: &Journal| {
        let letters = mailbox::list(journal, &run()).unwrap().0;
        letters.into_iter().map(|letter| letter.fate.receipt()).collect::<Vec<_>>()
    };
    assert!(
        receipts(&journal).iter().all(|receipt| receipt.starts_with("unknown: ")),
        "{:?}",
        receipts(&journal)
    );
    // The mailbox is killed before its reader could say anything; the next one knows whom they were handed to.
    mailbox.stop();
    let mailbox = fixture.start(&journal).await;
    assert_eq!(ids(mailbox.hand_out(reader.clone(), "k".to_owned()).await.unwrap()), ["one", "two"]);
    assert_eq!(mailbox.came(reader.clone(), "k".to_owned()).await.unwrap(), 2);
    assert_eq!(mailbox.came(reader.clone(), "k".to_owned()).await.unwrap(), 0);
    assert!(mailbox.hand_out(reader, "k".to_owned()).await.unwrap().is_empty());
    assert_eq!(receipts(&journal), ["read", "read"]);
}

#[tokio::test]
async fn urgent_letters_come_first_and_each_kind_in_its_order() {
    let fixture = Fixture::new();
    let (_journal, mailbox) = fixture.open().await;
    for (id, urgent) in [("a", false), ("b", true), ("c", false), ("d", true)] {
        let draft = Draft { urgent, ..draft(id, "mesh/a", "mesh/b") };
        mailbox.send(draft).await.unwrap().unwrap();
    }
    let waiting = mailbox.waiting(party("mesh/b"), 3).await.unwrap();
    assert_eq!(waiting.iter().map(|letter| letter.id.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
    let taken = mailbox.take(party("mesh/b")).await.unwrap();
    assert_eq!(taken.iter().map(|letter| letter.id.as_str()).collect::<Vec<_>>(), ["b", "d", "a", "c"]);
}

#[tokio::test]
async fn a_letter_that_answers_nothing_begins_a_chain_of_its_own() {
    let fixture = Fixture::new();
    let (_journal, mailbox) = fixture.open().await;
    mailbox.send(draft("one", "mesh/a", "mesh/b")).await.unwrap().unwrap();
    mailbox.take(party("mesh/b")).await.unwrap();
    let fresh = Draft { cause: Some("none".to_owned()), ..draft("two", "mesh/b", "mesh/a") };
    mailbox.send(fresh).await.unwrap().unwrap();
    mailbox.send(draft("three", "mesh/b", "mesh/a")).await.unwrap().unwrap();
    let taken = mailbox.take(party("mesh/a")).await.unwrap();
    let chain: Vec<_> = taken.iter().map(|letter| (letter.hops, letter.cause.as_deref())).collect();
    assert_eq!(chain, [(1, None), (2, Some("one"))]);
}

#[tokio::test]
async fn what_waits_for_workers_when_their_run_ends_is_laid_aside_with_the_reason() {
    let fixture = Fixture::new();
    let (journal, mailbox) = fixture.open().await;
    mailbox.send(draft("one", "mesh/a", "mesh/b")).await.unwrap().unwrap();
    mailbox.send(draft("two", "mesh/a", "person")).await.unwrap().unwrap();
    mailbox.close("the run ended before it was told");
    assert!(mailbox.take(party("mesh/b")).await.unwrap().is_empty());
    journal.settle().await.unwrap();
    let fates: Vec<Fate> =
        mailbox::list(&journal, &run()).unwrap().0.into_iter().map(|letter| letter.fate).collect();
    let reason = "the run ended before it was told".to_owned();
    assert_eq!(fates, [Fate::Dead { reason }, Fate::Unread]);
}

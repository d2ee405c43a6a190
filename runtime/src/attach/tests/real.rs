//! Attaching real terminals. The person's terminal is the screen model, which says what would be seen.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use niia_actors::session::screen::{Modes, Screen, Size};
use niia_actors::session::view::{ClientAct, Lease, ViewEvent};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, getpid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::super::*;

/// Signals go to the whole process, so one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());
/// Whoever waits longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(20);

struct Person {
    master: File,
    slave: OwnedFd,
    screen: Screen,
}

impl Person {
    fn new() -> Person {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let person = Person { master: master.into(), slave, screen: Screen::new(Size::clamped(40, 10)) };
        person.resize(40, 10);
        rustix::io::ioctl_fionbio(&person.master, true).unwrap();
        person
    }

    fn resize(&self, cols: u16, rows: u16) {
        let size = Winsize { ws_col: cols, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Looks until what is to be seen is as it should be.
    async fn sees(&mut self, what: &str, right: impl Fn(&Screen) -> bool) {
        let mut buffer = vec![0; 64 * 1024];
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            while let Ok(bytes) = self.master.read(&mut buffer) {
                self.screen.feed(&buffer[..bytes]);
            }
            if right(&self.screen) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}:\n{}\n{:?}",
                self.screen.text(),
                self.screen
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn echo_is_on(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }
}

struct Node {
    events: mpsc::Sender<ViewEvent>,
    acts: mpsc::Receiver<ClientAct>,
    client: JoinHandle<io::Result<Attached>>,
}

impl Node {
    fn attached(person: &Person, settings: Settings) -> Node {
        let (events, seen) = mpsc::channel(4);
        let (done, acts) = mpsc::channel(16);
        let terminal = person.slave.try_clone().unwrap();
        let client = tokio::spawn(async move { attach(terminal, settings, seen, done).await });
        Node { events, acts, client }
    }

    async fn tells(&self, event: ViewEvent) {
        self.events.send(event).await.unwrap();
    }

    /// The next act that is not the client's bookkeeping.
    async fn hears(&mut self) -> Option<ClientAct> {
        loop {
            match tokio::time::timeout(PATIENCE, self.acts.recv()).await.unwrap() {
                Some(ClientAct::Shown { .. }) => {}
                act => return act,
            }
        }
    }

    async fn left(self) -> Attached {
        tokio::time::timeout(PATIENCE, self.client).await.unwrap().unwrap().unwrap()
    }
}

fn named() -> Settings {
    Settings { session: "run/phase/1/1".to_owned(), ..Settings::default() }
}

/// What a busy program does to a terminal.
const BUSY: &[u8] =
    b"\x1b]0;busy\x07\x1b[?1049h\x1b[?2004h\x1b[?1003;1006h\x1b[?1004h\x1b[?25l\x1b[?1h\x1b=\x1b[>5u\x1b[2;5r\x1b[44mpicture";

#[tokio::test]
async fn one_watches_writes_and_detaches_and_the_terminal_is_as_before() {
    let _alone = ALONE.lock().await;
    let mut person = Person::new();
    let before: Modes = person.screen.modes();
    person.screen.feed(b"$ niia attach");
    assert!(person.echo_is_on());
    let mut node = Node::attached(&person, named());
    assert_eq!(node.hears().await, Some(ClientAct::Resize { cols: 40, rows: 10 }));
    let mut session = Screen::new(Size::clamped(40, 10));
    session.feed(b"hello\r\nfrom the session");
    node.tells(ViewEvent::Repaint { bytes: session.repaint(), cols: 40, rows: 10 }).await;
    node.tells(ViewEvent::Lease(Lease::Nobody)).await;
    person.sees("the session's screen", |screen| screen.text() == "hello\nfrom the session").await;
    person
        .sees("the title", |screen| screen.title().contains("watching; a key writes · Ctrl-\\ d detaches"))
        .await;
    assert!(!person.echo_is_on());
    person.types("x");
    assert_eq!(node.hears().await, Some(ClientAct::Keys(b"x".to_vec())));
    node.tells(ViewEvent::Lease(Lease::You)).await;
    node.tells(ViewEvent::Output(BUSY.to_vec())).await;
    person
        .sees("the program's picture", |screen| {
            screen.text().contains("picture") && screen.modes().mouse == 1003
        })
        .await;
    person.types("\x1cd");
    assert_eq!(node.hears().await, Some(ClientAct::Detach));
    assert_eq!(node.left().await, Attached { left: Left::Detached, missed_bytes: 0 });
    person.sees("a clean terminal", |screen| screen.modes() == before).await;
    assert!(person.echo_is_on());
    assert!(
        person.screen.text_with_history(100).starts_with("$ niia attach\n"),
        "{}",
        person.screen.text_with_history(100)
    );
    assert!(person.screen.text().contains("from the session") && !person.screen.text().contains("picture"));
}

#[tokio::test]
async fn the_end_of_the_session_and_of_the_node_restore_the_terminal_too() {
    let _alone = ALONE.lock().await;
    for end in [Some(ViewEvent::Ended { how: "exit code 0".to_owned() }), None] {
        let mut person = Person::new();
        let before = person.screen.modes();
        let node = Node::attached(&person, named());
        node.tells(ViewEvent::Output(BUSY.to_vec())).await;
        node.tells(ViewEvent::Gap { bytes: 7 }).await;
        let expected = match &end {
            Some(_) => Left::Ended { how: "exit code 0".to_owned() },
            None => Left::Disconnected,
        };
        let Node { events, acts, client } = node;
        if let Some(end) = end {
            events.send(end).await.unwrap();
        }
        drop(events);
        let attached = tokio::time::timeout(PATIENCE, client).await.unwrap().unwrap().unwrap();
        assert_eq!(attached, Attached { left: expected, missed_bytes: 7 });
        person
            .sees("a clean terminal", |screen| {
                screen.modes() == before && screen.title().contains("7 bytes skipped")
            })
            .await;
        assert!(person.echo_is_on());
        drop(acts);
    }
}

#[tokio::test]
async fn a_signal_ends_the_client_and_restores_the_terminal() {
    let _alone = ALONE.lock().await;
    let mut person = Person::new();
    let before = person.screen.modes();
    let mut node = Node::attached(&person, named());
    assert!(matches!(node.hears().await, Some(ClientAct::Resize { .. })));
    node.tells(ViewEvent::Output(BUSY.to_vec())).await;
    person.sees("the program's picture", |screen| screen.text().contains("picture")).await;
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(node.hears().await, Some(ClientAct::Detach));
    assert_eq!(node.left().await.left, Left::Signal(15));
    person.sees("a clean terminal", |screen| screen.modes() == before).await;
    assert!(person.echo_is_on());
}

#[tokio::test]
async fn a_panic_restores_the_terminal() {
    let _alone = ALONE.lock().await;
    let mut person = Person::new();
    let before = person.screen.modes();
    let slave = person.slave.try_clone().unwrap();
    let task = tokio::spawn(async move {
        let mut terminal = Terminal::take(slave).unwrap();
        let shown = terminal.strained(BUSY);
        terminal.show().unwrap().send(shown).await.unwrap();
        panic!("as a test of what is left behind");
    });
    assert!(task.await.unwrap_err().is_panic());
    person.sees("a clean terminal", |screen| screen.modes() == before && screen.title() == "busy").await;
    assert!(person.echo_is_on());
}

#[tokio::test]
async fn another_size_is_told_to_the_node() {
    let _alone = ALONE.lock().await;
    let person = Person::new();
    let mut node = Node::attached(&person, Settings { take: true, ..named() });
    assert_eq!(node.hears().await, Some(ClientAct::Resize { cols: 40, rows: 10 }));
    assert_eq!(node.hears().await, Some(ClientAct::Take));
    person.resize(90, 30);
    kill_process(getpid(), Signal::WINCH).unwrap();
    assert_eq!(node.hears().await, Some(ClientAct::Resize { cols: 90, rows: 30 }));
    drop(node.events);
    assert_eq!(
        tokio::time::timeout(PATIENCE, node.client).await.unwrap().unwrap().unwrap().left,
        Left::Disconnected
    );
}

#[tokio::test]
async fn a_terminal_that_shows_nothing_holds_its_own_output_only() {
    let _alone = ALONE.lock().await;
    let mut person = Person::new();
    let mut node = Node::attached(&person, named());
    assert!(matches!(node.hears().await, Some(ClientAct::Resize { .. })));
    // Nobody reads the terminal: the client stops taking events, and the node sees that.
    let full = async {
        loop {
            node.events.send(ViewEvent::Output(vec![b'x'; 100_000])).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), full).await.is_err());
    person.types("\x1cd");
    assert_eq!(node.hears().await, Some(ClientAct::Detach));
    assert_eq!(node.left().await.left, Left::Detached);
    assert!(person.echo_is_on());
}

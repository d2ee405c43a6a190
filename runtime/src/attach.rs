//! A real terminal attached to a session.
//!
//! One watches until the first key: that asks for the writing lease, which the node gives or refuses. What the session
//! switches on in this terminal is switched off on every way out (a key, the session's end, a signal, a panic), and
//! the terminal's settings are put back. Messages go into the window's title, since any place on the screen belongs
//! to the session.

pub mod keys;
pub mod strain;
pub mod terminal;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use niia_actors::session::view::{ClientAct, Lease, ViewEvent};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::attach::keys::{Keys, Prefix, Typed};
use crate::attach::terminal::Terminal;

/// How long a node may take to hear what was typed.
const ACT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Titles are short.
const TITLE_CHARS_MAX: usize = 120;

/// What is attached to, and how.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What the session is called, for messages.
    pub session: String,
    pub prefix: Prefix,
    /// Take the writing lease at once, whoever holds it.
    pub take: bool,
}

/// Why one is no longer attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Detached,
    /// The session ended, as the node says.
    Ended {
        how: String,
    },
    /// The node, or the way to it, is gone; the session is not.
    Disconnected,
    /// The person's own terminal is gone.
    HungUp,
    Signal(i32),
}

/// How it ended, and how much was not shown because this terminal was too slow for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    pub left: Left,
    pub missed_bytes: u64,
}

/// Attaches a terminal until somebody or something ends it. All that goes to the session is sent as acts; `Detach` is
/// the last one unless the node is gone.
pub async fn attach(
    terminal: impl AsFd,
    settings: Settings,
    mut events: mpsc::Receiver<ViewEvent>,
    acts: mpsc::Sender<ClientAct>,
) -> io::Result<Attached> {
    let mut signals = Signals::new()?;
    let mut client = Client::new(Terminal::take(terminal)?, settings, acts)?;
    let left = loop {
        let next = tokio::select! {
            typed = client.terminal.typed() => match typed {
                Some(bytes) => client.typed(&bytes).await,
                None => Some(Left::HungUp),
            },
            left = signals.next() => match left {
                Some(number) => Some(Left::Signal(number)),
                None => client.resize().await,
            },
            shown = client.output.shown() => client.shown(shown).await,
            event = events.recv(), if client.output.is_empty() => match event {
                Some(event) => client.event(event),
                None => Some(Left::Disconnected),
            },
        };
        if let Some(left) = next {
            break left;
        }
    };
    client.leave(&left).await;
    Ok(Attached { left, missed_bytes: client.missed_bytes })
}

/// One attached terminal.
struct Client {
    terminal: Terminal,
    settings: Settings,
    keys: Keys,
    acts: mpsc::Sender<ClientAct>,
    output: Output,
    lease: Lease,
    missed_bytes: u64,
}

/// What waits to be shown, and how many bytes of the session's output it stands for.
struct Output {
    /// Weak, so that the terminal alone decides when showing ends.
    show: mpsc::WeakSender<Vec<u8>>,
    waiting: Option<(Vec<u8>, u64)>,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Waits until the terminal takes what waits; how many bytes that were.
    async fn shown(&mut self) -> Option<u64> {
        if self.is_empty() {
            return std::future::pending().await;
        }
        let place = self.show.upgrade()?.reserve_owned().await.ok()?;
        let (bytes, stands_for) = self.waiting.take()?;
        drop(place.send(bytes));
        Some(stands_for)
    }
}

impl Client {
    fn new(terminal: Terminal, settings: Settings, acts: mpsc::Sender<ClientAct>) -> io::Result<Client> {
        let (cols, rows) = terminal.size()?;
        // What stood on the screen is pushed up, not painted over; the title is put aside.
        let room = format!("\x1b[22;2t{}", "\n".repeat(usize::from(rows)));
        let show = terminal.show().ok_or(io::ErrorKind::BrokenPipe)?;
        let output = Output { show: show.downgrade(), waiting: Some((room.into_bytes(), 0)) };
        let keys = Keys::new(settings.prefix);
        let client = Client { terminal, settings, keys, acts, output, lease: Lease::Nobody, missed_bytes: 0 };
        // The channel is new: there is room for two words.
        let _ = client.acts.try_send(ClientAct::Resize { cols, rows });
        if client.settings.take {
            let _ = client.acts.try_send(ClientAct::Take);
        }
        Ok(client)
    }

    /// Says something to the node. One that hears nothing for a while is as good as gone, and a person must not be
    /// held by it.
    async fn act(&self, act: ClientAct) -> Option<Left> {
        self.acts.send_timeout(act, ACT_TIMEOUT).await.err().map(|_| Left::Disconnected)
    }

    async fn typed(&mut self, bytes: &[u8]) -> Option<Left> {
        for typed in self.keys.feed(bytes, self.lease == Lease::You) {
            let left = match typed {
                Typed::Keys(keys) => self.act(ClientAct::Keys(keys)).await,
                Typed::Take => self.act(ClientAct::Take).await,
                Typed::Detach => Some(Left::Detached),
            };
            if left.is_some() {
                return left;
            }
        }
        None
    }

    async fn resize(&mut self) -> Option<Left> {
        match self.terminal.size() {
            Ok((cols, rows)) => self.act(ClientAct::Resize { cols, rows }).await,
            Err(_) => Some(Left::HungUp),
        }
    }

    async fn shown(&mut self, bytes: Option<u64>) -> Option<Left> {
        match bytes {
            Some(0) => None,
            Some(bytes) => self.act(ClientAct::Shown { bytes }).await,
            None => Some(Left::HungUp),
        }
    }

    fn event(&mut self, event: ViewEvent) -> Option<Left> {
        match event {
            ViewEvent::Repaint { bytes, cols, rows } => {
                self.show(&bytes);
                self.size_note(cols, rows);
            }
            ViewEvent::Output(bytes) => self.show(&bytes),
            ViewEvent::Resized { cols, rows } => self.size_note(cols, rows),
            ViewEvent::Gap { bytes } => {
                self.missed_bytes += bytes;
                self.note(&format!("{bytes} bytes skipped"));
            }
            ViewEvent::Lease(lease) => self.lease(lease),
            ViewEvent::Notice(notice) => self.note(&notice),
            ViewEvent::Ended { how } => return Some(Left::Ended { how }),
        }
        None
    }

    fn show(&mut self, bytes: &[u8]) {
        let strained = self.terminal.strained(bytes);
        self.output.waiting = Some((strained, bytes.len() as u64));
    }

    /// A session of another size than this terminal cannot look right.
    fn size_note(&mut self, cols: u16, rows: u16) {
        if self.terminal.size().is_ok_and(|size| size != (cols, rows)) {
            self.note(&format!("the session is {cols}×{rows}"));
        }
    }

    fn lease(&mut self, lease: Lease) {
        match &lease {
            Lease::Nobody => self.note("watching; a key writes"),
            Lease::You => self.note("writing"),
            Lease::Person(who) => {
                self.note(&format!("{who} is writing; {} t takes over", self.settings.prefix));
            }
            Lease::Delivery => self.note("a prompt is being typed"),
        }
        self.lease = lease;
    }

    /// Tells the person something, behind what waits to be shown.
    fn note(&mut self, note: &str) {
        let title = format!("{} · {note} · {} d detaches", self.settings.session, self.settings.prefix);
        let title: String = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
        let (bytes, _) = self.output.waiting.get_or_insert_default();
        // A title in the middle of a character would break it.
        if self.terminal.is_between_characters() {
            bytes.extend_from_slice(format!("\x1b]2;{title}\x1b\\").as_bytes());
        }
    }

    /// Says goodbye to the node.
    async fn leave(&mut self, left: &Left) {
        if *left != Left::Disconnected {
            // A node that hears nothing notices by itself that nobody is there.
            drop(self.acts.send_timeout(ClientAct::Detach, GOODBYE_TIMEOUT).await);
        }
    }
}

/// The signals an attached terminal hears.
struct Signals {
    window: Signal,
    ends: Vec<(i32, Signal)>,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let kinds =
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
        let ends = kinds.iter().map(|kind| Ok((kind.as_raw_value(), signal(*kind)?)));
        Ok(Signals { window: signal(SignalKind::window_change())?, ends: ends.collect::<io::Result<_>>()? })
    }

    /// The number of a signal that ends; nothing if the window has another size.
    async fn next(&mut self) -> Option<i32> {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.ends {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(Some(*number));
                }
            }
            self.window.poll_recv(context).map(|_| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests;

//! A minder: the parent, the reaper and the only reader of the terminal of one session.
//!
//! It lives as long as its program, and on until a node has noted how the program ended. Its current folder is the
//! session's own, so every file it touches has a short name. It waits in one place, holds little memory and gives back
//! what a burst of output made it take.

mod clients;
mod confined;
mod ending;
mod launch;
mod pump;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::kernel;
use super::wire::{self, Failure, Order, Reply, SOCKET_FILE};
use clients::{CLIENTS_MAX, Clients};
pub(super) use confined::MADE_FILE;
use ending::Ending;
use pump::Pump;

use crate::network::Carried;

/// How a minder leaves that has broken: what it leaves behind is the keeper's to end.
pub(super) const EXIT_BROKEN: i32 = 70;
/// How a minder leaves that could not end all of its descendants.
const EXIT_LEFT_BEHIND: i32 = 71;

/// A node that is slow to take the answer to a start is waited for so long; later it finds the session by its folder.
const REPLY_WAIT: Duration = Duration::from_secs(5);
/// After so much time without anything to do memory is given back.
const IDLE_AFTER: Duration = Duration::from_millis(500);

/// What the keeper knows on behalf of all of its minders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// The mask of file modes with which the keeper was started, for programs.
    pub umask: u32,
    pub boot: u64,
}

/// Moves the keeper's connection to a known place and closes everything else.
pub(super) fn keep_reply_descriptor(client: BorrowedFd<'_>, place: i32) -> io::Result<OwnedFd> {
    kernel::keep_only(client, place)
}

/// Starts the program of an order and minds it to its end.
pub(super) fn mind(reply: OwnedFd, order: &Order, setting: &Setting) -> io::Result<i32> {
    kernel::name_process(c"niia-minder");
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = kernel::signal_descriptor()?;
    let launched = match launch::launch(order, setting) {
        Ok(launched) => launched,
        Err(failure) => {
            send_reply(&reply, order.ticket, Err(failure), &[]);
            return Ok(0);
        }
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let pid = launched.pid.as_raw_nonzero().get().unsigned_abs();
    send_reply(&reply, order.ticket, Ok(pid), &[theirs.as_fd(), launched.master.as_fd()]);
    drop((reply, theirs));
    let mut minder = Minder {
        signals,
        listener: launched.listener,
        clients: Clients::new(ours),
        pump: Pump::new(launched.master, launched.writer),
        ending: Ending::new(launched.pid),
        idle_at: Some(Instant::now() + IDLE_AFTER),
        carried: launched.carried,
    };
    let code = minder.run()?;
    // Whoever comes now reads the folder.
    let _ = std::fs::remove_file(SOCKET_FILE);
    Ok(code)
}

/// Answers the node on the keeper's connection. A node that is gone finds the session by its folder.
fn send_reply(reply: &OwnedFd, ticket: u64, outcome: Result<u32, Failure>, descriptors: &[BorrowedFd<'_>]) {
    let reply_message = Reply { ticket, outcome };
    let deadline = Instant::now() + REPLY_WAIT;
    while let Err(error) = wire::send(reply, &reply_message, descriptors) {
        let is_full = error.kind() == io::ErrorKind::WouldBlock
            || error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error());
        if !is_full || Instant::now() >= deadline {
            return;
        }
        // The node takes answers as fast as it can; a moment is all it needs.
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Minder {
    signals: OwnedFd,
    listener: OwnedFd,
    clients: Clients,
    pump: Pump,
    ending: Ending,
    /// When memory is given back; nothing once that is done and nothing has happened since.
    idle_at: Option<Instant>,
    /// What answers at the listeners that were made inside does not end with the node.
    carried: Carried,
}

/// What a wait has brought.
#[derive(Default)]
struct Ready {
    signals: bool,
    listener: bool,
    master: bool,
    clients: [bool; CLIENTS_MAX],
    any: bool,
}

impl Minder {
    fn run(&mut self) -> io::Result<i32> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                let asked = kernel::end_was_asked(&self.signals);
                if self.ending.kills() {
                    self.carried.end();
                }
                self.ending.children_changed(asked, &mut self.clients, &mut self.carried);
            }
            if ready.master {
                self.pump.pump();
            }
            self.hear(&ready);
            self.pump.on_time();
            self.ending.on_time(&mut self.pump, &mut self.clients);
            self.clients.tell_progress(&mut self.pump);
            if self.ending.may_leave(&self.clients) {
                return Ok(if self.ending.has_left_behind() { EXIT_LEFT_BEHIND } else { 0 });
            }
            self.rest(ready.any);
        }
    }

    fn hear(&mut self, ready: &Ready) {
        if ready.listener
            && let Some(client) = super::daemon::accept(&self.listener)
        {
            self.clients.welcome(client, &self.pump, &self.ending);
        }
        for at in (0..CLIENTS_MAX).rev() {
            if ready.clients[at] {
                self.clients.hear(at, &mut self.pump, &mut self.ending);
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut watched = Vec::with_capacity(CLIENTS_MAX + 3);
        watched.push(PollFd::new(&self.signals, PollFlags::IN));
        watched.push(PollFd::new(&self.listener, PollFlags::IN));
        watched.extend(self.clients.sockets().map(|socket| PollFd::new(socket, PollFlags::IN)));
        let clients = watched.len() - 2;
        if let Some(master) = self.pump.wanted() {
            watched.push(PollFd::from_borrowed_fd(master, PollFlags::IN));
        }
        let timeout = self.timeout().map(timespec);
        match poll(&mut watched, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut is_ready = watched.iter().map(|watched| !watched.revents().is_empty());
        let mut ready = Ready { any: true, ..Ready::default() };
        ready.signals = is_ready.next().unwrap_or_default();
        ready.listener = is_ready.next().unwrap_or_default();
        for at in 0..clients {
            ready.clients[at] = is_ready.next().unwrap_or_default();
        }
        ready.master = is_ready.next().unwrap_or_default();
        Ok(ready)
    }

    /// Until the next thing that is due by itself.
    fn timeout(&self) -> Option<Duration> {
        let due = [self.idle_at, self.pump.due(), self.ending.due()];
        let next = due.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Gives memory back after a while without work.
    fn rest(&mut self, has_worked: bool) {
        if has_worked {
            self.idle_at = Some(Instant::now() + IDLE_AFTER);
        } else if self.idle_at.is_some_and(|idle_at| Instant::now() >= idle_at) {
            self.idle_at = None;
            self.pump.release();
            kernel::trim_memory();
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

//! The carrier's loop: one thread that waits for all connections of a session at once.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::PROXY_PORT;
use super::connection::{Connection, Door, Reach, Shared};
use super::decisions::Log;
use super::rules::Rules;
use crate::keeper::kernel;

/// Builds and package managers open some dozens at a time. Each has two descriptors.
const CONNECTIONS_MAX: usize = 128;
/// Of these, kept for clients that are told that there are too many.
const TURNED_AWAY_MAX: usize = 8;
/// Names that are looked up at the same time; each is a small process.
const LOOKUPS_MAX: usize = 32;
/// Accepted in one round before connections have their turn.
const ACCEPTED_MAX: usize = 32;
/// When nothing happens for so long memory is given back.
const IDLE_AFTER: Duration = Duration::from_secs(2);
/// A pause after an accept that failed for want of descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

pub(super) struct Carrier {
    listeners: Vec<(Door, OwnedFd)>,
    /// Its other end is the minder's: when that is gone, so is the session.
    lifeline: OwnedFd,
    connections: Vec<Connection>,
    shared: Shared,
    accept_again_at: Option<Instant>,
    idle_at: Option<Instant>,
}

/// What a wait has brought.
struct Ready {
    is_over: bool,
    listeners: Vec<bool>,
    connections: Vec<bool>,
}

impl Carrier {
    pub fn new(
        rules: Rules,
        listeners: Vec<(u16, OwnedFd)>,
        lifeline: OwnedFd,
        log: Log,
        reach: Reach,
    ) -> io::Result<Carrier> {
        let mut doors = Vec::with_capacity(listeners.len());
        for (port, listener) in listeners {
            rustix::io::ioctl_fionbio(&listener, true)?;
            let door = match rules.forward(port) {
                Some(forward) => Door::Forward { port, kind: forward.kind.clone() },
                None if port == PROXY_PORT => Door::Proxy,
                // Nobody behind a port that no rule names.
                None => continue,
            };
            doors.push((door, listener));
        }
        let shared = Shared { rules, reach, log, piece: None, unfinished_bytes: 0, may_look_up: true };
        let (connections, idle_at) = (Vec::new(), Some(Instant::now()));
        Ok(Carrier { listeners: doors, lifeline, connections, shared, accept_again_at: None, idle_at })
    }

    /// Carries until the session is over.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.is_over {
                self.shared.log.finish();
                return Ok(());
            }
            let now = Instant::now();
            let lookups = self.connections.iter().filter(|connection| connection.is_looking_up()).count();
            let mut lookups_left = LOOKUPS_MAX.saturating_sub(lookups);
            for (at, is_ready) in ready.connections.iter().enumerate() {
                if *is_ready {
                    self.advance(at, &mut lookups_left);
                }
            }
            self.expire(now);
            self.connections.retain(|connection| !connection.is_over());
            self.accept(&ready.listeners, now);
            self.shared.log.on_time(now);
            self.rest(now);
        }
    }

    fn advance(&mut self, at: usize, lookups_left: &mut usize) {
        let shared = &mut self.shared;
        shared.may_look_up = *lookups_left > 0;
        let others = self.connections.iter().enumerate().filter(|(other, _)| *other != at);
        shared.unfinished_bytes = others.map(|(_, connection)| connection.unfinished_bytes()).sum();
        self.connections[at].ready(shared);
        if *lookups_left > 0 && !shared.may_look_up {
            *lookups_left -= 1;
        }
    }

    fn expire(&mut self, now: Instant) {
        for connection in &mut self.connections {
            if now >= connection.until() {
                connection.expired(now, &mut self.shared);
            }
        }
    }

    fn accept(&mut self, ready: &[bool], now: Instant) {
        for (at, is_ready) in ready.iter().enumerate() {
            let mut left = if *is_ready { ACCEPTED_MAX } else { 0 };
            while left > 0 && self.connections.len() < CONNECTIONS_MAX {
                left -= 1;
                let (door, listener) = &self.listeners[at];
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let client = match rustix::net::accept_with(listener, flags) {
                    Ok(client) => client,
                    Err(Errno::INTR | Errno::CONNABORTED) => continue,
                    Err(Errno::AGAIN) => break,
                    Err(_) => {
                        self.accept_again_at = Some(now + ACCEPT_AGAIN_AFTER);
                        break;
                    }
                };
                let door = door.clone();
                let is_full = self.connections.len() >= CONNECTIONS_MAX - TURNED_AWAY_MAX;
                self.connections.push(match is_full {
                    true => Connection::turn_away(client, door, &mut self.shared),
                    false => Connection::new(client, door, &mut self.shared),
                });
            }
        }
    }

    fn wait(&mut self) -> io::Result<Ready> {
        let now = Instant::now();
        self.accept_again_at = self.accept_again_at.filter(|at| *at > now);
        let accepts = self.connections.len() < CONNECTIONS_MAX && self.accept_again_at.is_none();
        let mut watched = vec![PollFd::new(&self.lifeline, PollFlags::IN)];
        if accepts {
            watched.extend(self.listeners.iter().map(|(_, listener)| PollFd::new(listener, PollFlags::IN)));
        }
        // For each connection, where its descriptors stand in the list.
        let mut places = Vec::with_capacity(self.connections.len());
        for connection in &self.connections {
            let from = watched.len();
            let interests = connection.interests();
            watched.extend(interests.into_iter().flatten().map(|(fd, flags)| PollFd::new(fd, flags)));
            places.push(from..watched.len());
        }
        let timeout = self.timeout(now);
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let listeners = if accepts { is_ready[1..=self.listeners.len()].to_vec() } else { Vec::new() };
        let connections = places.into_iter().map(|place| is_ready[place].contains(&true)).collect();
        Ok(Ready { is_over: is_ready[0], listeners, connections })
    }

    /// Until the next thing that is due by itself.
    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let deadlines = self.connections.iter().map(Connection::until);
        let others = [self.accept_again_at, self.shared.log.due(), self.idle_at];
        let next = deadlines.chain(others.into_iter().flatten()).min()?;
        let left = next.saturating_duration_since(now);
        Some(Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) })
    }

    /// Gives memory back after a while without connections.
    fn rest(&mut self, now: Instant) {
        if !self.connections.is_empty() {
            self.idle_at = Some(now + IDLE_AFTER);
        } else if self.idle_at.is_some_and(|idle_at| now >= idle_at) {
            self.idle_at = None;
            self.shared.piece = None;
            self.connections = Vec::new();
            kernel::trim_memory();
        }
    }
}

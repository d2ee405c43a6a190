//! Those who are told how a session goes: nodes, mostly one.
//!
//! A client asks to be told once when the log has grown beyond an offset, reads the log itself and asks again. So
//! there is never more than one such message under way, and a client that does not ask costs nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::super::wire::{self, Message, PROTOCOL, ToMinder, ToNode};
use super::ending::Ending;
use super::pump::Pump;
use crate::recording::{Exit, Why};

/// A node, one that takes over from it, and some that look on.
pub(super) const CLIENTS_MAX: usize = 8;

struct Client {
    socket: OwnedFd,
    /// To be told when the log reaches beyond this.
    follows: Option<u64>,
}

pub(super) struct Clients {
    clients: Vec<Client>,
}

impl Clients {
    /// Begins with the node that ordered the session, which follows it from the start.
    pub fn new(socket: OwnedFd) -> Clients {
        Clients { clients: vec![Client { socket, follows: Some(0) }] }
    }

    pub fn sockets(&self) -> impl Iterator<Item = &OwnedFd> {
        self.clients.iter().map(|client| &client.socket)
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Greets a new client. One too many is turned away by the end of its connection.
    pub fn welcome(&mut self, socket: OwnedFd, pump: &Pump, ending: &Ending) {
        if self.clients.len() >= CLIENTS_MAX {
            return;
        }
        let hello = ToNode::Hello {
            protocol: PROTOCOL,
            pid: ending.program(),
            minder: rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(),
            log_end: pump.end(),
            exit: ending.told().copied(),
        };
        let greeted = wire::send(&socket, &hello, &[pump.master().as_fd()]).is_ok()
            && pump.stalled().is_none_or(|errno| {
                wire::send(&socket, &ToNode::Stalled { errno: Some(errno.raw_os_error()) }, &[]).is_ok()
            });
        if greeted {
            self.clients.push(Client { socket, follows: None });
        }
    }

    /// Hears one client, and forgets it when it has gone.
    pub fn hear(&mut self, at: usize, pump: &mut Pump, ending: &mut Ending) {
        let mut descriptors = Vec::new();
        let heard = Message::receive(&self.clients[at].socket, &mut descriptors);
        let stays = match heard {
            Ok(message) if message.is_end() => false,
            Ok(message) => match message.read() {
                Ok(order) => self.obey(at, order, pump, ending),
                Err(_) => self.answer(at, &ToNode::Unknown),
            },
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if !stays {
            self.clients.remove(at);
        }
    }

    fn obey(&mut self, at: usize, order: ToMinder, pump: &mut Pump, ending: &mut Ending) -> bool {
        let (number, done) = match order {
            ToMinder::Follow { from } => {
                self.clients[at].follows = Some(from);
                return true;
            }
            ToMinder::Acknowledge => {
                ending.acknowledged();
                return true;
            }
            ToMinder::Mark { number, mark } => (number, pump.mark(mark)),
            ToMinder::Resize { number, cols, rows } => (number, pump.resize(cols, rows)),
            ToMinder::Interrupt { number } => (number, pump.interrupt()),
            ToMinder::End { number, grace_ms } => {
                ending.order(Why::Ordered, std::time::Duration::from_millis(grace_ms));
                (number, Ok(()))
            }
        };
        self.answer(at, &ToNode::Done { number, errno: done.err().map(Errno::raw_os_error) })
    }

    /// A client whose queue is full has not read a hundred messages: it is let go, and can come again.
    fn answer(&self, at: usize, message: &ToNode) -> bool {
        wire::send(&self.clients[at].socket, message, &[]).is_ok()
    }

    pub fn tell_all(&mut self, message: &ToNode) {
        self.clients.retain(|client| wire::send(&client.socket, message, &[]).is_ok());
    }

    pub fn tell_exit(&mut self, exit: Exit) {
        self.tell_all(&ToNode::Exited { exit });
    }

    /// Tells those who asked that the log has grown, and everybody when it no longer can.
    pub fn tell_progress(&mut self, pump: &mut Pump) {
        if let Some(stalled) = pump.take_stall_news() {
            self.tell_all(&ToNode::Stalled { errno: stalled.map(Errno::raw_os_error) });
        }
        let end = pump.end();
        self.clients.retain_mut(|client| match client.follows {
            Some(from) if from < end => {
                client.follows = None;
                wire::send(&client.socket, &ToNode::Grew { end }, &[]).is_ok()
            }
            _ => true,
        });
    }
}

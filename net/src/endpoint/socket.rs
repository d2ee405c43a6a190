//! The node's UDP socket, waited for wherever its reader is.
//!
//! The kernel wakes the thread that waits for a socket. When QUIC's task moves, the waiting moves with it: else each datagram
//! would wake the thread it left first.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::runtime::{Handle, Id};

#[derive(Debug)]
pub(super) struct Socket {
    socket: std::net::UdpSocket,
    waited: Mutex<Waited>,
}

#[derive(Debug)]
struct Waited {
    on: Id,
    socket: Arc<dyn AsyncUdpSocket>,
}

impl Waited {
    /// On the runtime this is called from.
    fn here(socket: &std::net::UdpSocket) -> io::Result<Waited> {
        let socket = TokioRuntime.wrap_udp_socket(socket.try_clone()?)?;
        Ok(Waited { on: Handle::current().id(), socket })
    }
}

impl Socket {
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Socket> {
        let waited = Mutex::new(Waited::here(&socket)?);
        Ok(Socket { socket, waited })
    }

    fn waited(&self) -> MutexGuard<'_, Waited> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Arc<dyn AsyncUdpSocket> {
        Arc::clone(&self.waited().socket)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.now().try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waited = self.waited();
        if waited.on != Handle::current().id() {
            *waited = Waited::here(&self.socket)?;
        }
        waited.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.now().max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.now().max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.now().may_fragment()
    }
}

/// Waits for room in the socket, and holds nothing of it while nobody waits.
#[derive(Debug)]
struct Poller {
    socket: Arc<Socket>,
    waits: Option<Pin<Box<dyn UdpPoller>>>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut waits = this.waits.take().unwrap_or_else(|| this.socket.now().create_io_poller());
        let room = waits.as_mut().poll_writable(cx);
        if room.is_pending() {
            this.waits = Some(waits);
        }
        room
    }
}

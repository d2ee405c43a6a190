//! A thread of its own for what strangers send.
//!
//! Whatever they throw at the node's port, decrypting it, refusing it and asking for tokens happens here, so that the
//! threads on which sessions are followed and keys are carried never wait behind it. Who is let in moves away from here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::{Builder, Handle};

use super::driver::{self, Timer};
use super::socket::Socket;
use super::weather::{Knocks, Weather};

/// The thread of this process; started with its first socket, and there as long as the process.
pub(super) fn handle() -> io::Result<Handle> {
    static THREAD: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    if let Some(thread) = THREAD.get() {
        return Ok(thread.handle().clone());
    }
    let built =
        Builder::new_multi_thread().worker_threads(1).thread_name("niia-network").enable_all().build()?;
    // Of two that are built at once the first stays, and the other one has nothing to do yet.
    if let Err(second) = THREAD.set(built) {
        second.shutdown_background();
    }
    THREAD.get().map(|thread| thread.handle().clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Has QUIC begin its work on that thread, whoever asks for it.
#[derive(Debug)]
pub(super) struct OwnThread {
    network: Handle,
    /// For the first task that is started: the one that reads the socket.
    weather: Mutex<Option<Weather>>,
}

impl OwnThread {
    pub fn new(knocks: &Knocks) -> io::Result<Arc<OwnThread>> {
        let weather = Mutex::new(Some(Weather::new(knocks.clone())));
        Ok(Arc::new(OwnThread { network: handle()?, weather }))
    }
}

impl Runtime for OwnThread {
    /// Asked for by a task that runs.
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer::new(at))
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner).take();
        driver::start(task, weather, &self.network);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _there = self.network.enter();
        Ok(Arc::new(Socket::new(socket)?))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// A task that ends when nobody holds this any more.
#[derive(Debug)]
pub(super) struct Held(pub tokio::task::JoinHandle<()>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

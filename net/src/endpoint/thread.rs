//! A thread of its own for everything that comes off the network.
//!
//! Whatever strangers throw at the node's port, decrypting it, refusing it and asking for tokens happens here, so that
//! the threads on which sessions are followed and keys are carried never wait behind it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::{Builder, Handle};

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

/// Has QUIC do its work on that thread, whoever asks for it.
#[derive(Debug)]
pub(super) struct OwnThread(Handle);

impl OwnThread {
    pub fn new() -> io::Result<Arc<OwnThread>> {
        Ok(Arc::new(OwnThread(handle()?)))
    }
}

impl Runtime for OwnThread {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _there = self.0.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.0.spawn(future));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _there = self.0.enter();
        TokioRuntime.wrap_udp_socket(socket)
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

//! A way to peers that cannot be dialled: their datagrams are carried by streams of a third node, which both can reach.
//!
//! What is carried is QUIC from end to end: the keys of both ends are proved to each other as on any other way, and the
//! node in between sees who speaks with whom, how much, and nothing of what.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::endpoint::{Endpoint, EndpointError};
use crate::identity::{Identity, NodeId};

/// Larger than any datagram of QUIC that is not tried for size; one that claims more is no datagram.
pub const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Datagrams that wait for a slow way or a busy node; what is more is lost, as on any network.
const WAITING_MAX: usize = 512;
/// Ways that are open at a time: as many as there are peers.
const WAYS_MAX: usize = 256;

/// The end of all ways of a node that lead over others.
#[derive(Debug)]
pub struct Relay {
    pub endpoint: Endpoint,
    carried: Arc<Carried>,
}

impl Relay {
    pub fn new(identity: &Identity, idle: Duration) -> Result<Relay, EndpointError> {
        let (came, waiting) = mpsc::channel(WAITING_MAX);
        let carried = Arc::new(Carried { ways: Mutex::default(), came, waiting: Mutex::new(waiting) });
        let endpoint = Endpoint::over(identity, Arc::clone(&carried) as Arc<dyn AsyncUdpSocket>, idle)?;
        Ok(Relay { endpoint, carried })
    }

    /// Joins a stream that leads to a node, for as long as it lives. The address stands for that node and means nothing
    /// to anybody else.
    pub fn join<R, W>(&self, id: &NodeId, reader: R, writer: W) -> Option<SocketAddr>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let address = address_of(id);
        let (way, leaving) = mpsc::channel(WAITING_MAX);
        if !self.carried.open(address, way.clone()) {
            return None;
        }
        let (carried, came) = (Arc::clone(&self.carried), self.carried.came.clone());
        tokio::spawn(async move {
            let reading = read(reader, address, came);
            let ended = tokio::select! {
                ended = reading => ended,
                ended = write(writer, leaving) => ended,
            };
            carried.shut(&address, &way);
            tracing::debug!(%address, ?ended, "a way over another node is over");
        });
        Some(address)
    }
}

/// An address of the local kind (RFC 4193) that is made of a node's key.
#[must_use]
pub fn address_of(id: &NodeId) -> SocketAddr {
    let mut bytes = [0; 16];
    bytes[0] = 0xfd;
    bytes[1..].copy_from_slice(&id.bytes()[..15]);
    SocketAddr::new(Ipv6Addr::from(bytes).into(), crate::endpoint::PORT_DEFAULT)
}

/// Each datagram behind its length.
async fn read(
    mut reader: impl AsyncRead + Unpin,
    address: SocketAddr,
    came: mpsc::Sender<(SocketAddr, Vec<u8>)>,
) -> io::Result<()> {
    loop {
        let bytes = usize::from(reader.read_u16().await?);
        if bytes > DATAGRAM_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut datagram = vec![0; bytes];
        reader.read_exact(&mut datagram).await?;
        // What comes faster than it is read is lost; QUIC says it once more.
        let _ = came.try_send((address, datagram));
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut leaving: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(datagram) = leaving.recv().await {
        let bytes = u16::try_from(datagram.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        writer.write_u16(bytes).await?;
        writer.write_all(&datagram).await?;
        writer.flush().await?;
    }
    Ok(())
}

/// What stands in the place of a socket.
struct Carried {
    ways: Mutex<HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>>,
    came: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    waiting: Mutex<mpsc::Receiver<(SocketAddr, Vec<u8>)>>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carried")
    }
}

impl Carried {
    /// A newer way to the same node takes the place of an older one.
    fn open(&self, address: SocketAddr, way: mpsc::Sender<Vec<u8>>) -> bool {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if ways.len() >= WAYS_MAX && !ways.contains_key(&address) {
            return false;
        }
        ways.insert(address, way);
        true
    }

    fn shut(&self, address: &SocketAddr, way: &mpsc::Sender<Vec<u8>>) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if ways.get(address).is_some_and(|now| now.same_channel(way)) {
            ways.remove(address);
        }
    }
}

impl AsyncUdpSocket for Carried {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Always)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.get(&transmit.destination) {
            // A full way loses what is too much, and a way that is gone loses all of it: so does any network.
            let _ = way.try_send(transmit.contents.to_vec());
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(buffer), Some(about)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            let (addr, datagram) = match waiting.poll_recv(cx) {
                Poll::Ready(Some(came)) => came,
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Poll::Pending => return Poll::Pending,
            };
            let len = datagram.len();
            if len > buffer.len() {
                continue; // Larger than this end ever agreed to.
            }
            buffer[..len].copy_from_slice(&datagram);
            *about = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            return Poll::Ready(Ok(1));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), crate::endpoint::PORT_DEFAULT))
    }
}

/// There is always room: what is too much is lost.
#[derive(Debug)]
struct Always;

impl UdpPoller for Always {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Shaken;

    fn end() -> (NodeId, Relay) {
        let identity = Identity::passing().unwrap();
        (identity.id(), Relay::new(&identity, crate::endpoint::IDLE).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_ends_prove_their_keys_to_each_other_over_a_stream_that_somebody_else_carries() {
        let ((ana, here), (bo, there)) = (end(), end());
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(near);
        let address = here.join(&bo, reader, writer).unwrap();
        let (reader, writer) = tokio::io::split(far);
        there.join(&ana, reader, writer).unwrap();
        let (tell, mut came) = mpsc::channel(1);
        let listening = there.endpoint.clone();
        tokio::spawn(async move {
            listening
                .accept_each(move |shaken: Shaken, _| {
                    let tell = tell.clone();
                    async move { tell.send(shaken).await.unwrap() }
                })
                .await;
        });
        let shaken = here.endpoint.connect(&[address], Some(bo)).await.unwrap();
        assert_eq!(shaken.id, bo);
        let visitor = came.recv().await.unwrap();
        assert_eq!(visitor.id, ana);
        // More than one window of it, whole and in order.
        let sent: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        let (mut writer, _reader) = shaken.connection.open_bi().await.unwrap();
        let bytes = sent.clone();
        tokio::spawn(async move {
            writer.write_all(&bytes).await.unwrap();
            writer.finish().unwrap();
            let _ = writer.stopped().await;
        });
        let (_, mut reader) = visitor.connection.accept_bi().await.unwrap();
        assert!(reader.read_to_end(sent.len()).await.unwrap() == sent);
    }

    #[tokio::test]
    async fn what_is_no_datagram_ends_the_way_and_nothing_else() {
        let (_, relay) = end();
        let (stranger, _) = end();
        let (near, mut far) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(near);
        let address = relay.join(&stranger, reader, writer).unwrap();
        far.write_all(&[0xff, 0xff, 1, 2, 3]).await.unwrap();
        while relay.carried.ways.lock().unwrap().contains_key(&address) {
            tokio::task::yield_now().await;
        }
    }
}

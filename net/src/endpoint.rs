//! The node's place on the network: one UDP socket that dials and, while somebody may come, listens.
//!
//! TLS here proves one thing: that the other end has the key of the certificate it shows, and that this certificate is
//! its own and still good. Whether that key is trusted is decided after the handshake, where a refusal can be told to
//! both sides in words.

mod certificate;
mod driver;
mod socket;
mod thread;
mod weather;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::identity::{CERTIFICATE_NAME, Identity, NodeId};
use crate::peer::Tap;
use certificate::SelfMade;
use driver::Driver;
use thread::OwnThread;
use weather::Knocks;

pub use certificate::CERTIFICATE_BYTES_MAX;

/// What is spoken over the connection.
pub const ALPN: &[u8] = b"niia/1";
/// The port of a node where nothing else is said.
pub const PORT_DEFAULT: u16 = 6442;
/// Without a packet for so long the other end counts as gone, where nothing else is said.
pub const IDLE: Duration = Duration::from_secs(8);
/// How long a handshake may take: several round trips across an ocean with losses.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(8);
/// Handshakes under way before a newcomer must first prove that he is where he says.
const HANDSHAKES_CALM: usize = 16;
/// Handshakes under way at most; who comes then is turned away.
const HANDSHAKES_MAX: usize = 128;
/// Streams a peer may have open: a thousand sessions watched at once, and the transfers beside them.
const STREAMS_MAX: u32 = 2_048;
/// Bytes of one stream on the way to a reader that does not read.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// The same for all streams of a connection together.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Bytes kept for repetition.
const SEND_WINDOW_BYTES: u64 = 16 * 1024 * 1024;
/// Addresses of one peer that are tried side by side.
pub const ADDRESSES_TRIED_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("cannot listen at {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("TLS cannot be set up")]
    Tls { source: rustls::Error },
    #[error("TLS lacks what QUIC needs")]
    Suite { source: NoInitialCipherSuite },
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no address of it is known")]
    NoAddress,
    #[error("{address} cannot be dialled")]
    Dial { address: SocketAddr, source: quinn::ConnectError },
    #[error("{address} does not answer as a node: {}", explain(.source))]
    Connection { address: SocketAddr, source: quinn::ConnectionError },
    #[error("{address} did not finish the handshake within {HANDSHAKE_WITHIN:?}")]
    Slow { address: SocketAddr },
    #[error("{address} showed no certificate that can be read")]
    Nameless { address: SocketAddr },
}

/// A connection whose other end has proved which key it has, and nothing more.
#[derive(Clone, Debug)]
pub struct Shaken {
    pub connection: quinn::Connection,
    pub id: NodeId,
    /// Writes down what is said to it.
    pub tap: Option<Tap>,
    /// Of the connection, and of the socket.
    drivers: [Option<Driver>; 2],
}

impl Shaken {
    /// Has the connection driven where this is called from, and the socket read there: its other end is no stranger any more.
    pub(crate) fn come_here(&self) {
        self.drivers.iter().flatten().for_each(Driver::come_here);
    }
}

/// The node's socket. Clones share it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    client: quinn::ClientConfig,
    handshakes: Arc<Semaphore>,
    tap: Option<Tap>,
    knocks: Knocks,
    /// What reads the socket.
    driver: Option<Driver>,
}

impl Endpoint {
    /// Binds the socket and listens. An end that was not heard of for `idle` counts as gone.
    pub fn bind(identity: &Identity, address: SocketAddr, idle: Duration) -> Result<Endpoint, EndpointError> {
        let failed = |source| EndpointError::Bind { address, source };
        let socket = std::net::UdpSocket::bind(address).map_err(failed)?;
        Endpoint::with(identity, idle, address, |own, server, thread| {
            quinn::Endpoint::new(own, Some(server), socket, thread)
        })
    }

    /// The same over something that carries datagrams and is no socket of this machine's.
    pub fn over(
        identity: &Identity,
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        idle: Duration,
    ) -> Result<Endpoint, EndpointError> {
        Endpoint::with(identity, idle, no_address(), |own, server, thread| {
            quinn::Endpoint::new_with_abstract_socket(own, Some(server), socket, thread)
        })
    }

    fn with(
        identity: &Identity,
        idle: Duration,
        address: SocketAddr,
        begin: impl FnOnce(EndpointConfig, quinn::ServerConfig, Arc<OwnThread>) -> io::Result<quinn::Endpoint>,
    ) -> Result<Endpoint, EndpointError> {
        let failed = |source| EndpointError::Bind { address, source };
        let knocks = Knocks::default();
        let thread = OwnThread::new(&knocks).map_err(failed)?;
        let (server, client) = (server(identity, idle)?, client(identity, idle)?);
        let (quinn, driver) = driver::started(|| begin(own(identity), server, thread));
        let (quinn, handshakes) = (quinn.map_err(failed)?, Arc::new(Semaphore::new(HANDSHAKES_MAX)));
        Ok(Endpoint { quinn, client, handshakes, tap: None, knocks, driver })
    }

    /// The same, with everything it says to others written down before it is encrypted.
    #[must_use]
    pub fn written_down(self, tap: Option<Tap>) -> Endpoint {
        Endpoint { tap, ..self }
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// Lets in whoever has done the handshake, until the endpoint is closed. `admit` is called for each in a task of the
    /// caller's own runtime; all that comes before is done on the network's thread.
    pub async fn accept_each<F>(
        &self,
        admit: impl Fn(Shaken, OwnedSemaphorePermit) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (this, callers) = (self.clone(), tokio::runtime::Handle::current());
        let accepting = async move {
            while let Some(incoming) = this.quinn.accept().await {
                let Some((incoming, place)) = this.place_for(incoming) else { continue };
                let (admit, callers, at) = (admit.clone(), callers.clone(), this.clone());
                tokio::spawn(async move {
                    let from = incoming.remote_address();
                    match shake(at, incoming).await {
                        Ok(shaken) => drop(callers.spawn(admit(shaken, place))),
                        Err(error) => tracing::info!(%from, %error, "somebody who came was not let in"),
                    }
                });
            }
        };
        match thread::handle() {
            // However it ends, nobody is let in any more.
            Ok(thread) => drop((&mut thread::Held(thread.spawn(accepting)).0).await),
            Err(error) => tracing::error!(%error, "nobody can be let in"),
        }
    }

    /// A place for somebody who has come; whoever may be a flood must first prove that he is where he says.
    fn place_for(&self, incoming: quinn::Incoming) -> Option<(quinn::Incoming, OwnedSemaphorePermit)> {
        self.knocks.one();
        let under_way = HANDSHAKES_MAX - self.handshakes.available_permits();
        if under_way >= HANDSHAKES_CALM && incoming.may_retry() {
            // An answer no larger than the question, and no memory: a flood with borrowed addresses ends here.
            if let Err(error) = incoming.retry() {
                error.into_incoming().ignore();
            }
            return None;
        }
        match Arc::clone(&self.handshakes).try_acquire_owned() {
            Ok(place) => Some((incoming, place)),
            Err(_) => {
                incoming.refuse();
                None
            }
        }
    }

    /// Dials all addresses side by side; the first that answers with a handshake is taken. `wanted` is whose key it must
    /// have, where that is known: others are left alone.
    pub async fn connect(
        &self,
        addresses: &[SocketAddr],
        wanted: Option<NodeId>,
    ) -> Result<Shaken, ConnectError> {
        let mut tries = JoinSet::new();
        for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
            tries.spawn(dial(self.clone(), *address));
        }
        let (mut other, mut last) = (None, ConnectError::NoAddress);
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(shaken)) if wanted.is_none_or(|id| id == shaken.id) => return Ok(shaken),
                Ok(Ok(shaken)) => other = Some(shaken),
                Ok(Err(error)) => last = error,
                Err(error) => tracing::warn!(%error, "a try to connect broke"),
            }
        }
        // Somebody answered who is not the one: the caller says so, to both sides.
        other.ok_or(last)
    }

    /// Ends every connection.
    pub fn close(&self, reason: &str) {
        self.quinn.close(VarInt::from_u32(0), reason.as_bytes());
    }

    /// Waits until the other ends have been told.
    pub async fn closed(&self) {
        self.quinn.wait_idle().await;
    }

    pub fn connections(&self) -> usize {
        self.quinn.open_connections()
    }
}

fn no_address() -> SocketAddr {
    SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0)
}

#[derive(Debug, thiserror::Error)]
enum ShakeError {
    #[error("{}", explain(.0))]
    Connection(quinn::ConnectionError),
    #[error("the handshake took longer than {HANDSHAKE_WITHIN:?}")]
    Slow,
    #[error("it showed no certificate that can be read")]
    Nameless,
}

async fn shake(endpoint: Endpoint, incoming: quinn::Incoming) -> Result<Shaken, ShakeError> {
    let (connecting, driver) = driver::started(|| incoming.accept());
    let connecting = connecting.map_err(ShakeError::Connection)?;
    match tokio::time::timeout(HANDSHAKE_WITHIN, connecting).await {
        Ok(Ok(connection)) => {
            let id = certificate::node_of(&connection).ok_or(ShakeError::Nameless)?;
            Ok(Shaken { connection, id, tap: endpoint.tap, drivers: [driver, endpoint.driver] })
        }
        Ok(Err(error)) => Err(ShakeError::Connection(error)),
        Err(_) => Err(ShakeError::Slow),
    }
}

async fn dial(endpoint: Endpoint, address: SocketAddr) -> Result<Shaken, ConnectError> {
    let (connecting, driver) =
        driver::started(|| endpoint.quinn.connect_with(endpoint.client.clone(), address, CERTIFICATE_NAME));
    let connecting = connecting.map_err(|source| ConnectError::Dial { address, source })?;
    match tokio::time::timeout(HANDSHAKE_WITHIN, connecting).await {
        Ok(Ok(connection)) => {
            let id = certificate::node_of(&connection).ok_or(ConnectError::Nameless { address })?;
            Ok(Shaken { connection, id, tap: endpoint.tap, drivers: [driver, endpoint.driver] })
        }
        Ok(Err(source)) => Err(ConnectError::Connection { address, source }),
        Err(_) => Err(ConnectError::Slow { address }),
    }
}

/// What a broken connection says, in words that help: TLS speaks in numbers.
#[must_use]
pub fn explain(error: &quinn::ConnectionError) -> String {
    /// TLS alerts travel as QUIC errors from here on (RFC 9001, 4.8).
    const ALERTS: u64 = 0x100;
    let code = match error {
        quinn::ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        quinn::ConnectionError::TransportError(error) => u64::from(error.code),
        quinn::ConnectionError::ApplicationClosed(close) => {
            return String::from_utf8_lossy(&close.reason).chars().filter(|c| !c.is_control()).collect();
        }
        _ => return error.to_string(),
    };
    match code.checked_sub(ALERTS) {
        Some(45) => format!("a certificate is past its end: is a clock wrong? ({error})"),
        Some(42 | 43 | 46 | 48 | 51) => {
            format!("a certificate is not one a node makes of its own key ({error})")
        }
        Some(120) => format!("the other end does not speak niia/1 ({error})"),
        Some(116) => format!("the other end showed no certificate ({error})"),
        _ => error.to_string(),
    }
}

/// Stable keys, so that connections of before a restart are ended by the first packet that comes for them.
fn own(identity: &Identity) -> EndpointConfig {
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &identity.derived("niia 2026 quic reset"));
    let seed = identity.derived("niia 2026 quic connection id");
    let mut number = [0; 8];
    number.copy_from_slice(&seed[..8]);
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(u64::from_le_bytes(number))));
    config
}

fn transport(idle: Duration) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    // What fits no variable integer in milliseconds is longer than any machine runs.
    transport.max_idle_timeout(IdleTimeout::try_from(idle).ok());
    // A quiet connection says three times within that time that it lives: two may be lost.
    transport.keep_alive_interval(Some(idle * 5 / 16));
    transport.max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX));
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES));
    transport.receive_window(VarInt::from_u32(WINDOW_BYTES));
    transport.send_window(SEND_WINDOW_BYTES);
    transport.datagram_receive_buffer_size(None);
    Arc::new(transport)
}

pub(crate) fn server_tls(identity: &Identity) -> Result<rustls::ServerConfig, EndpointError> {
    let tls = |source| EndpointError::Tls { source };
    let verifier = Arc::new(SelfMade::new(identity.id()));
    let mut config = rustls::ServerConfig::builder_with_provider(verifier.provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate()], identity.key())
        .map_err(tls)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No tickets, no early data: nothing that could be said twice.
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn server(identity: &Identity, idle: Duration) -> Result<quinn::ServerConfig, EndpointError> {
    let config = server_tls(identity)?;
    let config = QuicServerConfig::try_from(config).map_err(|source| EndpointError::Suite { source })?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(config));
    config.transport_config(transport(idle));
    config.max_incoming(HANDSHAKES_MAX);
    Ok(config)
}

pub(crate) fn client_tls(identity: &Identity) -> Result<rustls::ClientConfig, EndpointError> {
    let tls = |source| EndpointError::Tls { source };
    let verifier = Arc::new(SelfMade::new(identity.id()));
    let mut config = rustls::ClientConfig::builder_with_provider(verifier.provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate()], identity.key())
        .map_err(tls)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn client(identity: &Identity, idle: Duration) -> Result<quinn::ClientConfig, EndpointError> {
    let config = client_tls(identity)?;
    let config = QuicClientConfig::try_from(config).map_err(|source| EndpointError::Suite { source })?;
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    config.transport_config(transport(idle));
    Ok(config)
}

#[cfg(test)]
mod tests;

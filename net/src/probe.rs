//! What stands outside: QUIC without anything of niia on it, and strangers with bad papers.
//!
//! Measurements need the one, tests the other. Built where the feature `probe` asks for it, never into a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ED25519};

use crate::endpoint;
use crate::identity::{CERTIFICATE_NAME, Identity, IdentityError};

/// Bytes of a datagram that every network carries, and the least a first one has.
const DATAGRAM_BYTES: usize = 1_200;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProbeError(String);

fn said(error: impl std::fmt::Display) -> ProbeError {
    ProbeError(error.to_string())
}

/// A socket that speaks QUIC with a node's certificates and quinn's own settings, and nothing else.
#[derive(Clone, Debug)]
pub struct Bare {
    quinn: quinn::Endpoint,
    client: quinn::ClientConfig,
}

/// A connection, for as long as streams on it are wanted.
#[derive(Clone, Debug)]
pub struct BareLink(quinn::Connection);

/// Both directions of one stream, with nothing around them.
pub type BareStream = tokio::io::Join<quinn::RecvStream, quinn::SendStream>;

impl Bare {
    pub fn bind(identity: &Identity, address: SocketAddr) -> Result<Bare, ProbeError> {
        let tls = endpoint::server_tls(identity).map_err(said)?;
        let server = Arc::new(QuicServerConfig::try_from(tls).map_err(said)?);
        let server = quinn::ServerConfig::with_crypto(server);
        let tls = endpoint::client_tls(identity).map_err(said)?;
        let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(said)?));
        Ok(Bare { quinn: quinn::Endpoint::server(server, address).map_err(said)?, client })
    }

    pub fn address(&self) -> Result<SocketAddr, ProbeError> {
        self.quinn.local_addr().map_err(said)
    }

    pub async fn dial(&self, address: SocketAddr) -> Result<BareLink, ProbeError> {
        let dialling = self.quinn.connect_with(self.client.clone(), address, CERTIFICATE_NAME);
        Ok(BareLink(dialling.map_err(said)?.await.map_err(said)?))
    }

    pub async fn accept(&self) -> Result<BareLink, ProbeError> {
        let incoming = self.quinn.accept().await.ok_or_else(|| said("the socket is closed"))?;
        Ok(BareLink(incoming.await.map_err(said)?))
    }
}

impl BareLink {
    pub async fn open(&self) -> Result<BareStream, ProbeError> {
        let (writer, reader) = self.0.open_bi().await.map_err(said)?;
        Ok(tokio::io::join(reader, writer))
    }

    /// The next stream the other end opens; it is heard of with its first byte.
    pub async fn accept(&self) -> Result<BareStream, ProbeError> {
        let (writer, reader) = self.0.accept_bi().await.map_err(said)?;
        Ok(tokio::io::join(reader, writer))
    }
}

/// So many first datagrams of handshakes that nobody will ever go on with, each of another connection.
pub fn half_handshakes(to: SocketAddr, count: usize) -> Result<Vec<Vec<u8>>, ProbeError> {
    let identity = Identity::passing().map_err(said)?;
    let tls = endpoint::client_tls(&identity).map_err(said)?;
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(said)?));
    let own = Arc::new(quinn_proto::EndpointConfig::default());
    let mut begun = Vec::with_capacity(count);
    for _ in 0..count {
        let mut endpoint = quinn_proto::Endpoint::new(Arc::clone(&own), None, false, None);
        let now = Instant::now();
        let dialling = endpoint.connect(now, config.clone(), to, CERTIFICATE_NAME);
        let (_, mut connection) = dialling.map_err(said)?;
        let mut datagram = Vec::with_capacity(DATAGRAM_BYTES);
        let first = connection.poll_transmit(now, 1, &mut datagram);
        datagram.truncate(first.ok_or_else(|| said("nothing to send"))?.size);
        begun.push(datagram);
    }
    Ok(begun)
}

/// A node whose certificate ended years ago.
pub fn expired() -> Result<Identity, IdentityError> {
    Identity::long_ago()
}

/// A node whose certificate is signed by somebody else's key.
pub fn foreign() -> Result<Identity, IdentityError> {
    let key = || KeyPair::generate_for(&PKCS_ED25519).map_err(|source| IdentityError::Generate { source });
    let failed = |source| IdentityError::Certificate { source };
    let (own, other) = (key()?, key()?);
    let about = || CertificateParams::new([CERTIFICATE_NAME.to_owned()]).map_err(failed);
    let issuer = Issuer::new(about()?, other);
    let certificate = about()?.signed_by(&own, &issuer).map_err(failed)?;
    Ok(Identity::with(certificate.der().clone(), &own))
}

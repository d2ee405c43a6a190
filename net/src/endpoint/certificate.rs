//! Certificates that nodes make of their own keys: what is looked at in one, and whose it is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::identity::NodeId;

/// More than a node's certificate has, in bytes; a larger one is not looked at.
pub const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;

/// Takes any certificate that is signed by its own key and still good. It says who somebody is, not whether he is let in.
#[derive(Debug)]
pub(super) struct SelfMade {
    provider: Arc<CryptoProvider>,
    /// For messages.
    own: NodeId,
}

impl SelfMade {
    pub fn new(own: NodeId) -> SelfMade {
        SelfMade { provider: Arc::new(rustls::crypto::ring::default_provider()), own }
    }

    pub fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let checked = self.look(certificate, chain, now, usage);
        if let Err(error) = &checked {
            let theirs = node_in(certificate).map_or_else(|| "unreadable".to_owned(), |id| id.to_string());
            tracing::warn!(%theirs, ours = %self.own, %error, "a certificate was refused");
        }
        checked.map_err(Error::InvalidCertificate)
    }

    fn look(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), CertificateError> {
        if !chain.is_empty() || certificate.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::BadEncoding);
        }
        let anchor = anchor_from_trusted_cert(certificate).map_err(in_words)?;
        let read = EndEntityCert::try_from(certificate).map_err(in_words)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        read.verify_for_usage(algorithms, &[anchor], &[], now, usage, None, None).map_err(in_words)?;
        Ok(())
    }
}

fn in_words(error: webpki::Error) -> CertificateError {
    match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        _ => CertificateError::BadEncoding,
    }
}

/// The node whose key stands in a certificate.
fn node_in(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let read = EndEntityCert::try_from(certificate).ok()?;
    Some(NodeId::of_key(&read.subject_public_key_info()))
}

/// The node at the other end of a connection whose handshake is done.
pub(super) fn node_of(connection: &quinn::Connection) -> Option<NodeId> {
    let shown = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_in(shown.first()?)
}

impl ServerCertVerifier for SelfMade {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate, chain, now, KeyUsage::server_auth()).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for SelfMade {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, chain, now, KeyUsage::client_auth()).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

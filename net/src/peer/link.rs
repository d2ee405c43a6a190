//! A link between two nodes that trust each other: streams, each for one purpose.

use std::sync::Arc;

use quinn::{Connection, RecvStream, VarInt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Join;

use super::PeerError;
use super::outgoing::{Lively, Outgoing};
use super::tap::Tap;
use crate::endpoint::{Shaken, explain};
use crate::frame;
use crate::identity::NodeId;
use crate::link::LinkError;
use crate::trust::Rights;

/// Both directions of one stream.
pub type Stream = Join<RecvStream, Outgoing>;

/// Why a connection is closed by hand; stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// A node that goes down, or a link nobody needs.
    Done,
    Refused,
    WrongKey,
    Revoked,
}

impl CloseCode {
    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(match self {
            CloseCode::Done => 0,
            CloseCode::Refused => 1,
            CloseCode::WrongKey => 2,
            CloseCode::Revoked => 3,
        })
    }
}

/// A link. Clones share the connection.
#[derive(Clone, Debug)]
pub struct PeerLink {
    connection: Connection,
    /// The control stream stays open as long as the link.
    control: Arc<tokio::sync::Mutex<Stream>>,
    pub id: NodeId,
    /// What it calls itself, fit to be shown.
    pub name: String,
    /// Which of its starts it is in: another one means that what it knew in memory is gone.
    pub incarnation: u64,
    pub version: u32,
    /// What it may do here, as of the greeting; what is trusted now decides.
    pub rights: Rights,
    tap: Option<Tap>,
    lively: Lively,
}

impl PeerLink {
    pub(super) fn new(
        shaken: Shaken,
        control: Stream,
        about: (String, u64, u32),
        rights: Rights,
    ) -> PeerLink {
        shaken.come_here();
        let Shaken { connection, id, tap, .. } = shaken;
        let (name, incarnation, version) = about;
        let control = Arc::new(tokio::sync::Mutex::new(control));
        PeerLink {
            connection,
            control,
            id,
            name,
            incarnation,
            version,
            rights,
            tap,
            lively: Lively::default(),
        }
    }

    /// Opens a stream and says what it is for.
    pub async fn open<T: Serialize + ?Sized>(&self, purpose: &T) -> Result<Stream, PeerError> {
        let (writer, reader) = self.connection.open_bi().await.map_err(broken)?;
        let mut stream =
            tokio::io::join(reader, Outgoing::new(writer, self.tap.clone(), self.lively.clone()));
        frame::write(&mut stream, purpose).await?;
        Ok(stream)
    }

    /// A stream of which nobody is told what it is for.
    #[cfg(feature = "probe")]
    pub async fn bare(&self) -> Result<Stream, PeerError> {
        let (writer, reader) = self.connection.open_bi().await.map_err(broken)?;
        Ok(tokio::io::join(reader, Outgoing::new(writer, None, self.lively.clone())))
    }

    /// The next stream the other end opens. What it is for stands in its first frame, see [`PeerLink::purpose`].
    pub async fn accept(&self) -> Result<Stream, PeerError> {
        let (writer, reader) = self.connection.accept_bi().await.map_err(broken)?;
        Ok(tokio::io::join(reader, Outgoing::new(writer, self.tap.clone(), self.lively.clone())))
    }

    /// Reads what a stream is for.
    pub async fn purpose<T: DeserializeOwned>(stream: &mut Stream) -> Result<T, LinkError> {
        frame::read(stream).await
    }

    pub fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(code.number(), reason.as_bytes());
    }

    /// Waits until it is over, and says why.
    pub async fn closed(&self) -> String {
        explain(&self.connection.closed().await)
    }

    pub fn is_over(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.connection.remote_address()
    }

    pub fn round_trip(&self) -> std::time::Duration {
        self.connection.rtt()
    }

    /// Says a word on the control stream and waits for the same word to come back: the other end's node is alive, not
    /// only its kernel.
    pub async fn ping(&self, number: u64) -> Result<(), PeerError> {
        let mut control = self.control.lock().await;
        frame::write(&mut *control, &number).await?;
        let back: u64 = frame::read(&mut *control).await?;
        if back == number { Ok(()) } else { Err(PeerError::Silent) }
    }

    /// The other end's part in [`PeerLink::ping`]; returns when the link is over.
    pub async fn echo(&self) {
        let mut control = self.control.lock().await;
        while let Ok(number) = frame::read::<u64>(&mut *control).await {
            if frame::write(&mut *control, &number).await.is_err() {
                return;
            }
        }
    }
}

pub(super) fn broken(error: quinn::ConnectionError) -> PeerError {
    PeerError::Connection { reason: explain(&error) }
}

//! Pairing over a connection: four frames, after which both ends know that the other one had the code, or neither does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PeerError;
use super::greeting::{GREETING_BYTES_MAX, Pairing, Refused, RefusedWhy, Refusing};
use super::link::CloseCode;
use crate::frame;
use crate::identity::NodeId;
use crate::link::LinkError;
use crate::pairing::{Closed, Code, ExchangeError, Role, begin};

/// How long the whole talk may take: nobody types anything while it goes on.
const TALK_WITHIN: Duration = Duration::from_secs(15);

/// A frame of the talk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Part(#[serde(with = "serde_bytes")] Vec<u8>),
    Proof(#[serde(with = "serde_bytes")] Vec<u8>),
    Refused(Refused),
}

#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the connection cannot be bound to")]
    Export,
    #[error("the other machine said something else than a pairing needs")]
    OutOfTurn,
}

impl From<LinkError> for PairError {
    fn from(error: LinkError) -> PairError {
        PairError::Peer(error.into())
    }
}

/// The node at the other end had the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    pub id: NodeId,
    /// What it calls itself, fit to be shown.
    pub name: String,
    pub address: std::net::SocketAddr,
}

/// The end where the code was typed.
pub async fn type_in(mut pairing: Pairing, own: NodeId, code: &Code) -> Result<Paired, PairError> {
    let talk = async {
        let (begun, part) = begin(Role::Types, code, own, pairing.shaken.id);
        frame::write(&mut pairing.control, &Word::Part(part)).await?;
        let theirs = pairing.part().await?;
        let proofs = begun.finish(&theirs, &pairing.channel()?)?;
        frame::write(&mut pairing.control, &Word::Proof(proofs.ours.to_vec())).await?;
        let proof = pairing.proof().await?;
        proofs.verify(&proof)?;
        Ok(())
    };
    within(talk).await?;
    let paired = pairing.paired();
    pairing.shaken.connection.close(CloseCode::Done.number(), b"paired");
    Ok(paired)
}

/// The end that shows the code. `take` gives the code up for this one try.
pub async fn show(
    mut pairing: Pairing,
    own: NodeId,
    take: impl FnOnce() -> Result<Code, Closed>,
) -> Result<Paired, PairError> {
    let talk = async {
        let theirs = pairing.part().await?;
        let code = take()?;
        let (begun, part) = begin(Role::Shows, &code, pairing.shaken.id, own);
        let proofs = begun.finish(&theirs, &pairing.channel()?)?;
        frame::write(&mut pairing.control, &Word::Part(part)).await?;
        let proof = pairing.proof().await?;
        proofs.verify(&proof)?;
        frame::write(&mut pairing.control, &Word::Proof(proofs.ours.to_vec())).await?;
        Ok(())
    };
    match within(talk).await {
        Ok(()) => {
            let paired = pairing.paired();
            // The other end closes once it has read the last proof; one that does not has what it needs anyway.
            let _ = tokio::time::timeout(TALK_WITHIN, pairing.shaken.connection.closed()).await;
            Ok(paired)
        }
        Err(error) => {
            pairing.refuse(own, &error).await;
            Err(error)
        }
    }
}

async fn within<T>(talk: impl Future<Output = Result<T, PairError>>) -> Result<T, PairError> {
    tokio::time::timeout(TALK_WITHIN, talk).await.unwrap_or(Err(PeerError::Silent.into()))
}

impl Pairing {
    fn paired(&self) -> Paired {
        let address = self.shaken.connection.remote_address();
        Paired { id: self.shaken.id, name: self.name.clone(), address }
    }

    /// What TLS exports of this connection and no other: a proof is worth nothing anywhere else.
    fn channel(&self) -> Result<[u8; 32], PairError> {
        let mut channel = [0; 32];
        let exported =
            self.shaken.connection.export_keying_material(&mut channel, b"EXPORTER-niia-pairing", b"");
        exported.map(|()| channel).map_err(|_| PairError::Export)
    }

    #[cfg(test)]
    pub(super) async fn trade_parts(&mut self, part: Vec<u8>) {
        frame::write(&mut self.control, &Word::Part(part)).await.expect("it is said");
        self.part().await.expect("it is answered");
    }

    async fn word(&mut self) -> Result<Word, PairError> {
        match frame::read_up_to(&mut self.control, GREETING_BYTES_MAX).await? {
            Word::Refused(refused) => Err(PeerError::Refused(refused).into()),
            word => Ok(word),
        }
    }

    async fn part(&mut self) -> Result<Vec<u8>, PairError> {
        match self.word().await? {
            Word::Part(bytes) => Ok(bytes),
            _ => Err(PairError::OutOfTurn),
        }
    }

    async fn proof(&mut self) -> Result<Vec<u8>, PairError> {
        match self.word().await? {
            Word::Proof(bytes) => Ok(bytes),
            _ => Err(PairError::OutOfTurn),
        }
    }

    async fn refuse(mut self, by: NodeId, error: &PairError) {
        let why = match error {
            PairError::Exchange(_) => RefusedWhy::WrongCode,
            PairError::Closed(_) => RefusedWhy::NoPairing,
            _ => RefusedWhy::Nonsense,
        };
        let refused = Refused { why, by, came: self.shaken.id, detail: error.to_string() };
        // Nobody may be there any more to hear it.
        let _ = frame::write(&mut self.control, &Word::Refused(refused.clone())).await;
        self.control.writer_mut().finish();
        let gone = self.control.writer_mut().stopped();
        let _ = tokio::time::timeout(Duration::from_secs(3), gone).await;
        Refusing::new(self.shaken, None, refused).tell().await;
    }
}

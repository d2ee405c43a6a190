//! Bulk contents over a stream of their own: raw bytes between a head and a hash, so that neither a frame nor a key
//! stroke ever waits for them.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::frame;
use crate::link::LinkError;

/// Bytes read and written at a time: what a socket takes in one go.
const PIECE_BYTES: usize = 64 * 1024;

/// What comes before the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    bytes: u64,
}

/// What comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tail {
    #[serde(with = "serde_bytes")]
    hash: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{bytes} bytes are more than the {max} that are taken")]
    TooLarge { bytes: u64, max: u64 },
    #[error("the contents could not be read")]
    Read { source: std::io::Error },
    #[error("the contents ended after {have} of {want} bytes")]
    Short { have: u64, want: u64 },
    #[error("what came is not what was sent")]
    Hash,
    #[error("the contents could not be kept")]
    Write { source: std::io::Error },
}

/// Sends so many bytes of the source.
pub async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    source: &mut (impl AsyncRead + Unpin),
    bytes: u64,
) -> Result<(), TransferError> {
    frame::write(stream, &Head { bytes }).await?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut sent = 0;
    while sent < bytes {
        let wanted = usize::try_from(bytes - sent).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let count = source.read(&mut piece[..wanted]).await;
        let count = count.map_err(|source| TransferError::Read { source })?;
        if count == 0 {
            return Err(TransferError::Short { have: sent, want: bytes });
        }
        hasher.update(&piece[..count]);
        let written = stream.write_all(&piece[..count]).await;
        written.map_err(|source| LinkError::Stream { source })?;
        sent += count as u64;
    }
    frame::write(stream, &Tail { hash: hasher.finalize().as_bytes().to_vec() }).await?;
    Ok(())
}

/// Receives what the other end sends, into a sink, up to a bound. What was written before a failure is not to be used.
pub async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    sink: &mut (impl AsyncWrite + Unpin),
    bytes_max: u64,
) -> Result<u64, TransferError> {
    let Head { bytes } = frame::read(stream).await?;
    if bytes > bytes_max {
        return Err(TransferError::TooLarge { bytes, max: bytes_max });
    }
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut have = 0;
    while have < bytes {
        let wanted = usize::try_from(bytes - have).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let count = stream.read(&mut piece[..wanted]).await;
        let count = count.map_err(|source| LinkError::Stream { source })?;
        if count == 0 {
            return Err(TransferError::Short { have, want: bytes });
        }
        hasher.update(&piece[..count]);
        sink.write_all(&piece[..count]).await.map_err(|source| TransferError::Write { source })?;
        have += count as u64;
    }
    let Tail { hash } = frame::read(stream).await?;
    if hash != hasher.finalize().as_bytes() {
        return Err(TransferError::Hash);
    }
    sink.flush().await.map_err(|source| TransferError::Write { source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn carried(contents: &[u8], max: u64, damage: bool) -> Result<Vec<u8>, TransferError> {
        let mut wire = Vec::new();
        send(&mut wire, &mut &contents[..], contents.len() as u64).await?;
        if damage {
            let middle = wire.len() / 2;
            wire[middle] ^= 1;
        }
        let mut there = Vec::new();
        receive(&mut &wire[..], &mut there, max).await?;
        Ok(there)
    }

    #[tokio::test]
    async fn contents_arrive_whole_or_are_refused() {
        let contents: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
        assert_eq!(carried(&contents, 300_000, false).await.unwrap(), contents);
        assert_eq!(carried(&[], 0, false).await.unwrap(), Vec::<u8>::new());
        let large = carried(&contents, 299_999, false).await.unwrap_err();
        assert_eq!(large.to_string(), "300000 bytes are more than the 299999 that are taken");
        assert!(matches!(carried(&contents, 300_000, true).await, Err(TransferError::Hash)));
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_is_said() {
        let mut wire = Vec::new();
        send(&mut wire, &mut &[7; 1000][..], 1000).await.unwrap();
        let cut = receive(&mut &wire[..500], &mut Vec::new(), 1000).await.unwrap_err();
        assert!(matches!(cut, TransferError::Short { want: 1000, .. }));
    }
}

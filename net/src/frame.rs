//! Single frames on a stream that is used for something else afterwards: nothing past the frame is read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::link::LinkError;
use crate::wire::{self, FRAME_BYTES_MAX, LENGTH_BYTES, WireError};

/// Writes one frame.
pub async fn write<T: Serialize + ?Sized>(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), LinkError> {
    let frame = wire::encode(message)?;
    let written = async {
        writer.write_all(&frame).await?;
        writer.flush().await
    };
    written.await.map_err(|source| LinkError::Stream { source })
}

/// Reads one frame, and not a byte more.
pub async fn read<T: DeserializeOwned>(reader: &mut (impl AsyncRead + Unpin)) -> Result<T, LinkError> {
    read_up_to(reader, FRAME_BYTES_MAX).await
}

/// The same for a frame of a stranger, who is given no more memory than his words need.
pub async fn read_up_to<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> Result<T, LinkError> {
    let mut head = [0; LENGTH_BYTES];
    let broke = |source| LinkError::Stream { source };
    reader.read_exact(&mut head).await.map_err(broke)?;
    let bytes = wire::length(head)?;
    if bytes > bytes_max {
        return Err(WireError::TooLarge { bytes }.into());
    }
    let mut frame = vec![0; bytes];
    reader.read_exact(&mut frame).await.map_err(broke)?;
    Ok(wire::decode(&frame)?)
}

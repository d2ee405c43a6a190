//! Messages that are larger than a frame: a plan with long prompts, a file of the scratchpad, a long journal.
//!
//! They travel as pieces, and the receiver puts them together before it looks at them. What fits into one frame goes as
//! it is.

use niia_net::wire::{self, FRAME_BYTES_MAX, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::words::{Reply, Request};

/// The largest message: a plan of many workers with prompts of a megabyte each, or the largest file of a scratchpad.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one piece carries: a frame, less what the words around the bytes take.
const PART_BYTES: usize = FRAME_BYTES_MAX - 1024;

/// Why a message cannot be sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    #[error("a message may have {MESSAGE_BYTES_MAX} bytes, this one has {bytes}")]
    TooLarge { bytes: usize },
    #[error("the message cannot be written")]
    Encode { source: rmp_serde::encode::Error },
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A message that may come in pieces.
pub trait InParts: Serialize + DeserializeOwned {
    fn part(bytes: Vec<u8>, last: bool) -> Self;
    /// The piece this message is, or the message itself, which is whole.
    fn into_part(self) -> Result<(Vec<u8>, bool), Self>;
}

impl InParts for Request {
    fn part(bytes: Vec<u8>, last: bool) -> Request {
        Request::Part { bytes, last }
    }

    fn into_part(self) -> Result<(Vec<u8>, bool), Request> {
        match self {
            Request::Part { bytes, last } => Ok((bytes, last)),
            whole => Err(whole),
        }
    }
}

impl InParts for Reply {
    fn part(bytes: Vec<u8>, last: bool) -> Reply {
        Reply::Part { bytes, last }
    }

    fn into_part(self) -> Result<(Vec<u8>, bool), Reply> {
        match self {
            Reply::Part { bytes, last } => Ok((bytes, last)),
            whole => Err(whole),
        }
    }
}

/// The messages that carry this one; a message that fits into a frame is carried by itself.
pub fn pack<T: InParts>(message: T) -> Result<Vec<T>, PartsError> {
    let bytes = rmp_serde::to_vec_named(&message).map_err(|source| PartsError::Encode { source })?;
    match bytes.len() {
        0..=FRAME_BYTES_MAX => Ok(vec![message]),
        bytes if bytes > MESSAGE_BYTES_MAX => Err(PartsError::TooLarge { bytes }),
        _ => {
            let pieces = bytes.chunks(PART_BYTES);
            let last = pieces.len() - 1;
            Ok(pieces.enumerate().map(|(n, piece)| T::part(piece.to_vec(), n == last)).collect())
        }
    }
}

/// Puts pieces together again.
#[derive(Debug, Default)]
pub struct Unpacker {
    collected: Vec<u8>,
}

impl Unpacker {
    /// Takes what came; gives the message, once it is whole.
    pub fn take<T: InParts>(&mut self, came: T) -> Result<Option<T>, PartsError> {
        let (bytes, last) = match came.into_part() {
            Ok(part) => part,
            Err(whole) => return Ok(Some(whole)),
        };
        let length = self.collected.len() + bytes.len();
        if length > MESSAGE_BYTES_MAX {
            self.collected = Vec::new();
            return Err(PartsError::TooLarge { bytes: length });
        }
        self.collected.extend_from_slice(&bytes);
        if !last {
            return Ok(None);
        }
        let whole = std::mem::take(&mut self.collected);
        Ok(Some(wire::decode(&whole)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_message_is_carried_by_itself() {
        let carried = pack(Request::Node).unwrap();
        assert!(matches!(carried[..], [Request::Node]));
    }

    #[test]
    fn a_file_of_many_frames_arrives_as_it_was() {
        let bytes: Vec<u8> = (0..5 * FRAME_BYTES_MAX).map(|n| (n % 251) as u8).collect();
        let carried = pack(Reply::Bytes { bytes: bytes.clone() }).unwrap();
        assert_eq!(carried.len(), 6);
        let mut unpacker = Unpacker::default();
        let mut arrived = None;
        for piece in carried {
            let frame = wire::encode(&piece).unwrap();
            let piece: Reply = wire::decode(&frame[wire::LENGTH_BYTES..]).unwrap();
            assert!(arrived.is_none(), "nothing is whole before its last piece");
            arrived = unpacker.take(piece).unwrap();
        }
        assert!(matches!(arrived, Some(Reply::Bytes { bytes: whole }) if whole == bytes));
    }

    #[test]
    fn a_message_without_end_is_refused_with_the_bound() {
        let mut unpacker = Unpacker::default();
        let endless = || Request::Part { bytes: vec![0; 1 << 20], last: false };
        let refused = (0..100).find_map(|_| unpacker.take(endless()).err());
        assert!(refused.unwrap().to_string().starts_with("a message may have 67108864 bytes"));
        let large = Reply::Bytes { bytes: vec![0; MESSAGE_BYTES_MAX + 1] };
        assert!(matches!(pack(large), Err(PartsError::TooLarge { .. })));
    }
}

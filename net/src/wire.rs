//! What goes over a wire: frames, and the greeting with which both ends find out whether they understand each other.
//!
//! A frame is its length in four bytes, most significant first, and that many bytes of MessagePack with field names, so
//! that a newer end may add a field without an older one losing its place.

use std::io;

use rmp_serde::encode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest frame, in bytes without its length. Longer contents travel in pieces: one frame never holds up a link.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// What stands before a frame, in bytes.
pub const LENGTH_BYTES: usize = 4;
/// How deep a message may be nested: what a JSON reader takes (128) within the plan around it. A stranger's frame may
/// not use the stack up.
const DEPTH_MAX: usize = 160;
/// The version of the words that are spoken.
pub const PROTOCOL: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("a frame of {bytes} bytes is larger than the {FRAME_BYTES_MAX} a link carries")]
    TooLarge { bytes: usize },
    #[error("the message does not fit into a frame of {FRAME_BYTES_MAX} bytes")]
    Unfit,
    #[error("the message cannot be written as a frame")]
    Encode { source: rmp_serde::encode::Error },
    #[error("the frame of {bytes} bytes is not the message that was expected")]
    Decode { bytes: usize, source: rmp_serde::decode::Error },
    #[error("the frame goes on for {extra} bytes after its message")]
    Trailing { extra: u64 },
    #[error(
        "the other end speaks version {theirs} of the protocol ({build}), this one {ours} and the one before: upgrade the older of the two"
    )]
    Version { ours: u32, theirs: u32, build: String },
    #[error("the other end does not speak the protocol of niia: it calls its own `{protocol}`")]
    Protocol { protocol: String },
}

/// The first frame of each end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What is spoken, so that two programs that meet by accident find out at once.
    pub protocol: String,
    pub version: u32,
    /// Which niia it is, for messages.
    pub build: String,
}

impl Hello {
    pub fn new(protocol: &str, build: &str) -> Hello {
        Hello { protocol: protocol.to_owned(), version: PROTOCOL, build: build.to_owned() }
    }

    /// The version both ends speak: the older of two neighbours, so that one end can be upgraded before the other.
    pub fn agree(&self, theirs: &Hello) -> Result<u32, WireError> {
        if theirs.protocol != self.protocol {
            // Whatever the other end sent stands in a message: not more of it than a message bears.
            let protocol = theirs.protocol.chars().take(40).collect();
            return Err(WireError::Protocol { protocol });
        }
        if self.version.abs_diff(theirs.version) > 1 {
            let build = theirs.build.chars().take(80).collect();
            return Err(WireError::Version { ours: self.version, theirs: theirs.version, build });
        }
        Ok(self.version.min(theirs.version))
    }
}

/// Writes a message as a whole frame, its length first.
pub fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut frame = Capped(vec![0; LENGTH_BYTES]);
    match rmp_serde::encode::write_named(&mut frame, message) {
        Ok(()) => {}
        // Nothing but the bound keeps bytes out of the frame.
        Err(encode::Error::InvalidValueWrite(_)) => return Err(WireError::Unfit),
        Err(source) => return Err(WireError::Encode { source }),
    }
    let Capped(mut frame) = frame;
    let bytes = frame.len() - LENGTH_BYTES;
    frame[..LENGTH_BYTES].copy_from_slice(&(bytes as u32).to_be_bytes());
    Ok(frame)
}

/// Takes as many bytes as a frame may have: a message that is too large stops here, not in memory.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > FRAME_BYTES_MAX + LENGTH_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length that stands before a frame, refused before anything of its size is asked for.
pub fn length(head: [u8; LENGTH_BYTES]) -> Result<usize, WireError> {
    let bytes = u32::from_be_bytes(head) as usize;
    if bytes > FRAME_BYTES_MAX { Err(WireError::TooLarge { bytes }) } else { Ok(bytes) }
}

/// Reads a frame's contents, all of them.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, WireError> {
    let mut reader = rmp_serde::Deserializer::new(io::Cursor::new(frame));
    reader.set_max_depth(DEPTH_MAX);
    let message = T::deserialize(&mut reader);
    let message = message.map_err(|source| WireError::Decode { bytes: frame.len(), source })?;
    match frame.len() as u64 - reader.position() {
        0 => Ok(message),
        extra => Err(WireError::Trailing { extra }),
    }
}

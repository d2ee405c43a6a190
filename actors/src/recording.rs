//! The recording of a session: every byte its program printed, and when.
//!
//! A recording is plain files in the session's own folder. `log-00000000`, `log-00000001`, … are the bytes as they
//! came, cut into segments of one size, so that an offset names its segment. `index` says what the bytes cannot: a
//! header about the start of the program, then records of one length: when output came, how large the terminal was,
//! what was about to be typed, and at last how the program ended. The minder of the session is the only writer;
//! anybody may read at any time, also while it grows and while its middle is taken away.
//!
//! A recording has a bound. Past it the first segment and the newest are kept; what lay between is a gap, and whoever
//! reads over it is told from where to where.

mod asciicast;
mod exit;
mod index;
mod reader;
mod replay;
mod writer;

pub use asciicast::{AsciicastError, Cast, write_asciicast};
pub use exit::{Exit, ExitStatus, Why};
pub use index::{Entry, INDEX_FILE, Mark, MarkKind, Start, log_file};
pub use reader::{Read, Recording, RecordingError};
pub use replay::{Moment, Replay, Step};

pub(crate) use index::{HEADER_BYTES, Header, Kind, RECORD_BYTES, Record, Shape};
pub(crate) use writer::Writer;

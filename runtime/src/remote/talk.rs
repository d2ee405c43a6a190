//! The words of one stream, each with what it carries.

use std::io;

use niia_net::frame;
use niia_net::link::LinkError;
use niia_net::peer::Stream;
use niia_net::transfer::{self, TransferError};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use super::words::Word;

/// What one word carries at most: the pack of a large repository's first visit.
pub const CARRIED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Words that were read and not yet heard: the stream itself is the queue.
const HEARD_MAX: usize = 2;

type Heard = Result<(Word, Vec<u8>), TransferError>;

/// Both directions of a talk about one attempt.
pub struct Talk {
    writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    heard: mpsc::Receiver<Heard>,
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Talk")
    }
}

impl Talk {
    /// Begins to listen; it ends with this value.
    pub fn over(stream: Stream) -> Talk {
        let (mut reader, writer) = stream.into_inner();
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        tokio::spawn(async move {
            loop {
                let word = async {
                    let word: Word = frame::read(&mut reader).await?;
                    let mut carried = Vec::new();
                    if word.carries() {
                        transfer::receive(&mut reader, &mut carried, CARRIED_BYTES_MAX).await?;
                    }
                    Ok((word, carried))
                };
                let heard = tokio::select! {
                    heard = word => heard,
                    () = tell.closed() => return,
                };
                let over = heard.is_err();
                if tell.send(heard).await.is_err() || over {
                    return;
                }
            }
        });
        Talk { writer: Box::new(writer), heard }
    }

    /// The next word, with what it carries. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<(Word, Vec<u8>), TransferError> {
        let gone = || LinkError::Stream { source: io::ErrorKind::UnexpectedEof.into() };
        self.heard.recv().await.unwrap_or_else(|| Err(gone().into()))
    }

    pub async fn say(&mut self, word: &Word) -> Result<(), TransferError> {
        frame::write(&mut self.writer, word).await?;
        Ok(())
    }

    /// A word and what it carries.
    pub async fn bring(&mut self, word: &Word, carried: &[u8]) -> Result<(), TransferError> {
        self.say(word).await?;
        transfer::send(&mut self.writer, &mut &carried[..], carried.len() as u64).await
    }
}

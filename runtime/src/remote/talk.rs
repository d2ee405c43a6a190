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

/// The direction in which one hears.
pub struct Ear(mpsc::Receiver<Heard>);

/// The direction in which one speaks.
pub struct Mouth(Box<dyn AsyncWrite + Send + Sync + Unpin>);

/// Both directions of a talk about one attempt.
#[derive(Debug)]
pub struct Talk {
    ear: Ear,
    mouth: Mouth,
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ear")
    }
}

impl std::fmt::Debug for Mouth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mouth")
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
        Talk { ear: Ear(heard), mouth: Mouth(Box::new(writer)) }
    }

    /// For those who speak and listen at the same time.
    pub fn parts(self) -> (Ear, Mouth) {
        (self.ear, self.mouth)
    }

    /// The next word, with what it carries. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<(Word, Vec<u8>), TransferError> {
        self.ear.next().await
    }

    pub async fn say(&mut self, word: &Word) -> Result<(), TransferError> {
        self.mouth.say(word).await
    }

    /// A word and what it carries.
    pub async fn bring(&mut self, word: &Word, carried: &[u8]) -> Result<(), TransferError> {
        self.mouth.bring(word, carried).await
    }
}

impl Ear {
    pub async fn next(&mut self) -> Result<(Word, Vec<u8>), TransferError> {
        let gone = || LinkError::Stream { source: io::ErrorKind::UnexpectedEof.into() };
        self.0.recv().await.unwrap_or_else(|| Err(gone().into()))
    }
}

impl Mouth {
    pub async fn say(&mut self, word: &Word) -> Result<(), TransferError> {
        frame::write(&mut self.0, word).await?;
        Ok(())
    }

    pub async fn bring(&mut self, word: &Word, carried: &[u8]) -> Result<(), TransferError> {
        self.say(word).await?;
        transfer::send(&mut self.0, &mut &carried[..], carried.len() as u64).await
    }
}

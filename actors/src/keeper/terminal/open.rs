//! Taking up the session of a folder, and letting its minder go.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::super::client::{BOTH_WAYS, connect, watch};
use super::super::sweep;
use super::super::wire::{self, SOCKET_FILE, ToMinder, ToNode};
use super::{LEAVE_WAIT, Lost, News, OpenError, Opened, Terminal, receive};
use crate::recording::{Recording, RecordingError};

/// A minder answers at once; one that does not is stopped or starved.
const HELLO_WAIT: Duration = Duration::from_secs(5);

impl Terminal {
    /// Takes up the session of a folder.
    pub async fn open(folder: &Path) -> Result<Opened, OpenError> {
        let unreachable = |source| OpenError::Unreachable { folder: folder.to_path_buf(), source };
        match connect(folder, SOCKET_FILE) {
            Ok(socket) => {
                let socket = watch(socket, BOTH_WAYS).map_err(unreachable)?;
                match tokio::time::timeout(HELLO_WAIT, greet(folder, socket)).await {
                    Ok(Ok(Some(opened))) => Ok(opened),
                    // The minder ended at this very moment: the folder is final.
                    Ok(Ok(None)) => read_folder(folder),
                    Ok(Err(error)) => Err(unreachable(error)),
                    Err(_) => Err(OpenError::Silent { folder: folder.to_path_buf() }),
                }
            }
            Err(Errno::NOENT | Errno::CONNREFUSED) => read_folder(folder),
            Err(Errno::AGAIN) => Err(OpenError::Silent { folder: folder.to_path_buf() }),
            Err(errno) => Err(unreachable(errno.into())),
        }
    }
}

/// Tells the minder of a session that has ended that its exit has been noted, and waits until it has left.
pub async fn release(folder: &Path) {
    // One that does not listen any more has left.
    let Ok(socket) = connect(folder, SOCKET_FILE) else { return };
    let Ok(socket) = watch(socket, BOTH_WAYS) else { return };
    if wire::send(socket.get_ref(), &ToMinder::Acknowledge, &[]).is_err() {
        return;
    }
    let gone = async { while let Ok(Some(_)) = receive(&socket, &mut Vec::new()).await {} };
    // A minder that hangs has its exit on disk all the same.
    let _ = tokio::time::timeout(LEAVE_WAIT, gone).await;
}

/// What a minder says first. Nothing if it left before it said anything.
async fn greet(folder: &Path, socket: AsyncFd<OwnedFd>) -> io::Result<Option<Opened>> {
    let mut descriptors = Vec::new();
    let hello = receive(&socket, &mut descriptors).await?;
    let Some(ToNode::Hello { pid, log_end, exit, .. }) = hello else { return Ok(None) };
    if let Some(exit) = exit {
        return Ok(Some(Opened::Ended(exit)));
    }
    let master = descriptors.pop().ok_or(io::ErrorKind::InvalidData)?;
    let news = News { end: log_end, ..News::default() };
    let terminal = Terminal::new(folder.to_path_buf(), pid, socket, master, news, false, Arc::new(()))?;
    Ok(Some(Opened::Live(terminal)))
}

/// What a folder says in which no minder can be reached.
fn read_folder(folder: &Path) -> Result<Opened, OpenError> {
    let recording = match Recording::open(folder) {
        Ok(recording) => recording,
        Err(RecordingError::Absent { .. }) => return Ok(Opened::Never),
        Err(error) => return Err(error.into()),
    };
    let exit = recording
        .exit()
        .map_err(|source| RecordingError::Unreadable { folder: folder.to_path_buf(), source })?;
    if let Some(exit) = exit {
        return Ok(Opened::Ended(exit));
    }
    if sweep::is_minded(folder) {
        // It has not come so far as to listen: an earlier node's order is being carried out.
        return Err(OpenError::Silent { folder: folder.to_path_buf() });
    }
    // It may have written the exit between the two looks.
    let exit = recording.exit().ok().flatten();
    Ok(exit.map_or(Opened::Lost(Lost { pid: recording.start().pid }), Opened::Ended))
}

//! A person at a terminal: the screen once, then news of how far the recording has grown; keys the other way.

use std::io;
use std::path::PathBuf;

use niia_actors::recording::Recording;
use niia_actors::session::{Painted, SessionHandle, VIEWER_EVENTS_MAX, ViewerEvent, ViewerId};
use tokio::sync::mpsc;

use super::find::{live_session, trouble};
use super::sessions::recorded_in;
use super::{Connection, ServeError};
use crate::control::words::{Reply, Request};
use niia_actors::ask::chain;

/// Bytes a viewer on another machine may be behind before the older ones are left out.
const CARRIED_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes carried at a time, so that keys are heard in between.
const CARRIED_PIECE_BYTES: u64 = 64 * 1024;
/// As much is read without a thread of its own: the answer to a key was written a moment ago and lies in memory yet.
const READ_AT_ONCE_BYTES: u64 = 4 * 1024;

/// How far a viewer on another machine was sent what was printed.
struct Carried {
    folder: PathBuf,
    sent: u64,
    /// Once something of it was read.
    recording: Option<Recording>,
}

impl Carried {
    fn from(painted: &Painted) -> Carried {
        Carried { folder: painted.folder.clone(), sent: painted.offset, recording: None }
    }

    async fn read(&mut self, to: u64) -> io::Result<Vec<u8>> {
        let (from, folder, recording) = (self.sent, self.folder.clone(), self.recording.take());
        let read = move || {
            let mut recording = match recording {
                Some(recording) => recording,
                None => Recording::open(&folder).map_err(io::Error::other)?,
            };
            let bytes = recorded_in(&mut recording, from, to)?;
            Ok((recording, bytes))
        };
        let (recording, bytes) = if to - from <= READ_AT_ONCE_BYTES {
            read()?
        } else {
            let read = tokio::task::spawn_blocking(read).await;
            read.unwrap_or_else(|error| Err(io::Error::other(error)))?
        };
        self.recording = Some(recording);
        Ok(bytes)
    }
}

/// Leaves the desk whatever way the talk ends.
struct Seat {
    session: SessionHandle,
    viewer: ViewerId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.session.leave(self.viewer);
    }
}

impl Connection {
    pub(super) async fn attach(
        &mut self,
        name: &str,
        size: (u16, u16),
        take: bool,
    ) -> Result<(), ServeError> {
        let session = match live_session(&self.node, &self.caller, name) {
            Ok((_, session)) => session,
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        };
        let (events, mut news) = mpsc::channel(VIEWER_EVENTS_MAX);
        let painted = match session.attach(size, take, events).await {
            Ok(painted) => painted,
            Err(error) => return self.reply(Reply::Refused(trouble(chain(&error)))).await,
        };
        let seat = Seat { session, viewer: painted.viewer };
        let mut carried = self.visitor.is_some().then(|| Carried::from(&painted));
        self.reply(paint(painted)).await?;
        loop {
            tokio::select! {
                event = news.recv() => match event {
                    Some(ViewerEvent::Grew { end }) => {
                        if let Some(carried) = &mut carried {
                            self.carry(carried, end).await?;
                        }
                        self.reply(Reply::Grew { end }).await?;
                    }
                    Some(ViewerEvent::Word(text)) => self.reply(Reply::Word { text }).await?,
                    Some(ViewerEvent::Ended) | None => return self.reply(Reply::End { outcome: None }).await,
                },
                request = self.next() => match request? {
                    Some(request) => self.act(&seat, request).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Sends a viewer on another machine what was printed. Of one that is far behind the newest is sent: it is given
    /// the screen anew, and the rest stays in the recording here.
    async fn carry(&self, carried: &mut Carried, end: u64) -> Result<(), ServeError> {
        carried.sent = carried.sent.max(end.saturating_sub(CARRIED_BYTES_MAX));
        while carried.sent < end {
            let from = carried.sent;
            let to = end.min(from + CARRIED_PIECE_BYTES);
            match carried.read(to).await {
                Ok(bytes) if bytes.len() as u64 == to - from => {
                    self.reply(Reply::Output { from, bytes }).await?
                }
                // What is not there is not sent; the viewer sees a gap.
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a recording cannot be carried"),
            }
            carried.sent = to;
        }
        Ok(())
    }

    async fn act(&self, seat: &Seat, request: Request) -> Result<(), ServeError> {
        if let Some(visitor) = &self.visitor
            && let Err(refusal) = visitor.may(&self.node, &request)
        {
            return self.reply(Reply::Word { text: refusal.message }).await;
        }
        match request {
            Request::Keys { bytes } => seat.session.keys(seat.viewer, bytes),
            Request::View { cols, rows } => seat.session.view((cols, rows)),
            Request::Take => seat.session.take(seat.viewer),
            Request::Repaint => {
                if let Ok(painted) = seat.session.repaint(seat.viewer).await {
                    self.reply(paint(painted)).await?;
                }
            }
            _ => self.reply(Reply::Refused(trouble("first leave the session you watch".to_owned()))).await?,
        }
        Ok(())
    }
}

fn paint(painted: Painted) -> Reply {
    let Painted { bytes, offset, folder, cols, rows, .. } = painted;
    Reply::Painted { bytes, offset, folder, cols, rows }
}

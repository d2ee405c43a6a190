//! A person at a terminal: the screen once, then news of how far the recording has grown; keys the other way.

use niia_actors::session::{Painted, SessionHandle, VIEWER_EVENTS_MAX, ViewerEvent, ViewerId};
use tokio::sync::mpsc;

use super::find::{live_session, trouble};
use super::{Connection, ServeError};
use crate::control::words::{Reply, Request};
use niia_actors::ask::chain;

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
        self.reply(paint(painted)).await?;
        loop {
            tokio::select! {
                event = news.recv() => match event {
                    Some(ViewerEvent::Grew { end }) => self.reply(Reply::Grew { end }).await?,
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

    async fn act(&self, seat: &Seat, request: Request) -> Result<(), ServeError> {
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

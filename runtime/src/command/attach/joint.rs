//! The joint between a terminal that is attached and the node: events one way, what the person does the other.

use std::path::{Path, PathBuf};

use niia_actors::recording::{Read, Recording};
use niia_actors::session::view::{ClientAct, Lease, View, ViewEvent, ViewStep};
use tokio::sync::mpsc;

use super::fed::Fed;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::Failure;

pub struct Joint {
    client: Client,
    events: mpsc::Sender<ViewEvent>,
    view: View,
    recording: Option<Recording>,
    /// Of a session on another machine: what came from there.
    fed: Option<Fed>,
    folder: PathBuf,
    /// The output up to here was handed on, and there is output up to there.
    sent: u64,
    end: u64,
    /// The session is over: what was printed is still shown.
    ended: bool,
    writing: bool,
}

/// Whether the talk goes on.
type GoesOn = bool;

impl Joint {
    pub fn new(client: Client, events: mpsc::Sender<ViewEvent>, far: bool) -> Joint {
        let (view, _) = View::new(0);
        let (folder, fed) = (PathBuf::new(), far.then(Fed::default));
        let recording = None;
        Joint { client, events, view, recording, fed, folder, sent: 0, end: 0, ended: false, writing: false }
    }

    /// Carries everything until the person leaves, the session is over or the node is gone.
    pub async fn join(mut self, first: Reply, mut acts: mpsc::Receiver<ClientAct>) -> Result<(), Failure> {
        let mut goes_on = self.hear(first).await?;
        while goes_on {
            goes_on = tokio::select! {
                reply = self.client.next(), if !self.ended => match reply? {
                    Some(reply) => self.hear(reply).await?,
                    None => false,
                },
                act = acts.recv() => match act {
                    Some(act) => self.act(act).await?,
                    None => false,
                },
            };
            if goes_on && self.ended && self.sent >= self.end {
                self.tell(ViewEvent::Ended { how: String::new() }).await;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn hear(&mut self, reply: Reply) -> Result<GoesOn, Failure> {
        match reply {
            Reply::Painted { bytes, offset, folder, cols, rows } => {
                self.folder = folder;
                let steps = self.view.painted(offset, bytes.len() as u64);
                self.sent = self.sent.max(offset);
                self.end = self.end.max(offset);
                let told = self.tell(ViewEvent::Repaint { bytes, cols, rows }).await;
                Ok(told && self.take(steps).await?)
            }
            Reply::Output { from, bytes } => {
                if let Some(fed) = &mut self.fed {
                    fed.take(from, bytes);
                }
                Ok(true)
            }
            Reply::Grew { end } => {
                self.end = self.end.max(end);
                let steps = self.view.grew(end);
                self.take(steps).await
            }
            Reply::Word { text } => {
                // Who writes now is not said; a key finds out again.
                self.writing = false;
                let told = self.tell(ViewEvent::Lease(Lease::Nobody)).await;
                Ok(told && self.tell(ViewEvent::Notice(crate::report::neutral(&text))).await)
            }
            Reply::End { .. } => {
                self.ended = true;
                if self.view.is_painting() {
                    // The screen that was asked for does not come any more: the rest is in the recording.
                    self.sent = self.end;
                }
                Ok(true)
            }
            _ => Err(Failure::out_of_turn("attach")),
        }
    }

    async fn act(&mut self, act: ClientAct) -> Result<GoesOn, Failure> {
        let request = match act {
            ClientAct::Shown { bytes } => {
                let steps = self.view.shown(bytes);
                return self.take(steps).await;
            }
            ClientAct::Detach => return Ok(false),
            ClientAct::Keys(bytes) => Request::Keys { bytes },
            ClientAct::Resize { cols, rows } => Request::View { cols, rows },
            ClientAct::Take => Request::Take,
        };
        let writes = matches!(request, Request::Keys { .. } | Request::Take);
        if self.ended {
            return Ok(true);
        }
        self.client.tell(request).await?;
        if writes && !self.writing {
            self.writing = true;
            return Ok(self.tell(ViewEvent::Lease(Lease::You)).await);
        }
        Ok(true)
    }

    async fn take(&mut self, steps: Vec<ViewStep>) -> Result<GoesOn, Failure> {
        for step in steps {
            let goes_on = match step {
                ViewStep::Send { from, to } => self.send(from, to).await?,
                ViewStep::Paint { missed } => {
                    let told = self.tell(ViewEvent::Gap { bytes: missed }).await;
                    if self.ended {
                        // Nobody paints it any more: the rest is in the recording.
                        self.sent = self.end;
                    } else {
                        self.client.tell(Request::Repaint).await?;
                    }
                    told
                }
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands on what was printed between two offsets.
    async fn send(&mut self, from: u64, to: u64) -> Result<GoesOn, Failure> {
        let mut offset = from;
        while offset < to {
            let wanted = usize::try_from(to - offset).unwrap_or(usize::MAX);
            let event = match self.read(offset, wanted)? {
                (Read::Bytes(0), _) => {
                    // It was announced and is not there: a recording that lost its tail.
                    let bytes = to - offset;
                    offset = to;
                    ViewEvent::Gap { bytes }
                }
                (Read::Bytes(count), bytes) => {
                    offset += count as u64;
                    ViewEvent::Output(bytes)
                }
                (Read::Gap { from, to: next }, _) => {
                    offset = next;
                    ViewEvent::Gap { bytes: next - from }
                }
            };
            if !self.tell(event).await {
                return Ok(false);
            }
        }
        self.sent = self.sent.max(to);
        Ok(true)
    }

    fn read(&mut self, offset: u64, wanted: usize) -> Result<(Read, Vec<u8>), Failure> {
        if let Some(fed) = &mut self.fed {
            return Ok(fed.read(offset, wanted));
        }
        let recording = match &mut self.recording {
            Some(recording) => recording,
            none => none.insert(open(&self.folder)?),
        };
        let mut bytes = vec![0; wanted];
        let read = recording.read_at(offset, &mut bytes);
        let read = read.map_err(|error| Failure::trouble("could not read the recording", error))?;
        if let Read::Bytes(count) = read {
            bytes.truncate(count);
        }
        Ok((read, bytes))
    }

    /// False when nobody looks any more.
    async fn tell(&self, event: ViewEvent) -> GoesOn {
        self.events.send(event).await.is_ok()
    }
}

fn open(folder: &Path) -> Result<Recording, Failure> {
    Recording::open(folder).map_err(|error| Failure::trouble("could not open the recording", error))
}

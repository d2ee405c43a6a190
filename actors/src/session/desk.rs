//! The desk of a session: who watches it, and which person may write.
//!
//! Many may watch, one may write. The first key takes the writing lease; it is held until five seconds after Enter,
//! and for as long as a line stands half-typed. Times come in as milliseconds of a monotonic clock.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::mpsc;

pub type ViewerId = u64;

/// After Enter the writer keeps the lease for so long: the next line often follows at once.
pub const LEASE_AFTER_ENTER_MS: u64 = 5_000;
/// News that a viewer may leave unread before it misses some: it asks for a fresh screen then.
pub const VIEWER_EVENTS_MAX: usize = 64;

/// What a viewer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewerEvent {
    /// The recording reaches to this offset now.
    Grew {
        end: u64,
    },
    Word(String),
    Ended,
}

/// A screen to paint, and where to read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Painted {
    pub viewer: ViewerId,
    pub bytes: Vec<u8>,
    pub offset: u64,
    pub folder: PathBuf,
    pub cols: u16,
    pub rows: u16,
}

/// A screen as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScreenText {
    pub text: String,
    pub title: String,
    pub cursor: (u16, u16),
}

#[derive(Debug)]
struct Lease {
    holder: ViewerId,
    last_key_ms: u64,
    /// The last key was Enter: no line stands half-typed.
    entered: bool,
}

impl Lease {
    fn holds(&self, now_ms: u64) -> bool {
        !self.entered || now_ms < self.last_key_ms + LEASE_AFTER_ENTER_MS
    }
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    viewers: BTreeMap<ViewerId, mpsc::Sender<ViewerEvent>>,
    lease: Option<Lease>,
    next: ViewerId,
}

/// Whether a person's keys go to the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    Typed,
    /// Somebody else writes just now.
    Held,
}

impl Desk {
    pub(super) fn sit(&mut self, events: mpsc::Sender<ViewerEvent>) -> ViewerId {
        self.next += 1;
        self.viewers.insert(self.next, events);
        self.next
    }

    pub(super) fn leave(&mut self, viewer: ViewerId) {
        self.viewers.remove(&viewer);
        if self.lease.as_ref().is_some_and(|lease| lease.holder == viewer) {
            self.lease = None;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    /// A person pressed keys.
    pub(super) fn keys(&mut self, viewer: ViewerId, bytes: &[u8], now_ms: u64) -> Keys {
        let other = self.lease.as_ref().is_some_and(|lease| lease.holder != viewer && lease.holds(now_ms));
        if other {
            return Keys::Held;
        }
        let entered = matches!(bytes.last(), Some(b'\r' | b'\n'));
        self.lease = Some(Lease { holder: viewer, last_key_ms: now_ms, entered });
        Keys::Typed
    }

    /// Somebody takes the lease over; who had it is told.
    pub(super) fn take(&mut self, viewer: ViewerId, now_ms: u64) {
        if let Some(lease) = &self.lease
            && lease.holder != viewer
        {
            self.tell_one(lease.holder, ViewerEvent::Word("somebody else writes now".to_owned()));
        }
        self.lease = Some(Lease { holder: viewer, last_key_ms: now_ms, entered: true });
    }

    /// The person who stands in the way of a delivery, and since when no key came.
    pub(super) fn held(&self, now_ms: u64) -> Option<(ViewerId, u64)> {
        let lease = self.lease.as_ref().filter(|lease| lease.holds(now_ms))?;
        Some((lease.holder, now_ms.saturating_sub(lease.last_key_ms)))
    }

    pub(super) fn tell(&self, event: &ViewerEvent) {
        for viewer in self.viewers.values() {
            // A full queue means that the viewer is behind; it notices by the offset of the next news.
            drop(viewer.try_send(event.clone()));
        }
    }

    pub(super) fn tell_one(&self, viewer: ViewerId, event: ViewerEvent) {
        if let Some(events) = self.viewers.get(&viewer) {
            drop(events.try_send(event));
        }
    }

    /// Lets go of viewers that are gone.
    pub(super) fn sweep(&mut self) {
        let gone: Vec<ViewerId> =
            self.viewers.iter().filter(|(_, events)| events.is_closed()).map(|(id, _)| *id).collect();
        for viewer in gone {
            self.leave(viewer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk_of_two() -> (Desk, ViewerId, ViewerId, mpsc::Receiver<ViewerEvent>) {
        let mut desk = Desk::default();
        let (first, hears) = mpsc::channel(VIEWER_EVENTS_MAX);
        let (second, _) = mpsc::channel(VIEWER_EVENTS_MAX);
        let (ann, bob) = (desk.sit(first), desk.sit(second));
        (desk, ann, bob, hears)
    }

    #[test]
    fn the_first_key_takes_the_lease_until_five_seconds_after_enter() {
        let (mut desk, ann, bob, _hears) = desk_of_two();
        assert_eq!(desk.keys(ann, b"l", 0), Keys::Typed);
        assert_eq!(desk.keys(bob, b"x", 60_000), Keys::Held, "a half-typed line is nobody else's");
        assert_eq!(desk.keys(ann, b"s\r", 61_000), Keys::Typed);
        assert_eq!(desk.keys(bob, b"x", 65_999), Keys::Held);
        assert_eq!(desk.keys(bob, b"x", 66_000), Keys::Typed);
    }

    #[test]
    fn who_takes_the_lease_over_is_heard_by_who_had_it() {
        let (mut desk, ann, bob, mut hears) = desk_of_two();
        assert_eq!(desk.keys(ann, b"l", 0), Keys::Typed);
        desk.take(bob, 1);
        assert_eq!(hears.try_recv().ok(), Some(ViewerEvent::Word("somebody else writes now".to_owned())));
        assert_eq!(desk.keys(bob, b"x", 2), Keys::Typed);
        assert_eq!(desk.keys(ann, b"x", 3), Keys::Held);
    }

    #[test]
    fn a_person_who_leaves_holds_nothing_up() {
        let (mut desk, ann, _, _hears) = desk_of_two();
        assert_eq!(desk.keys(ann, b"half", 0), Keys::Typed);
        assert!(desk.held(120_000).is_some());
        desk.leave(ann);
        assert_eq!(desk.held(120_000), None);
    }
}

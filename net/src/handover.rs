//! How an attempt is handed over to another machine, and how what came of it is brought home: what each end decides.
//!
//! Pure: words and the time come in, what is to be done comes out. Whatever breaks in between, one attempt is begun
//! once, its end is brought home once, and nothing of it stays where nobody wants it any more.

mod far;
mod home;

pub use far::{Asked, Due, Far, GUESTS_MAX, Stage, UNCOLLECTED_FOR};
pub use home::{Done, Finish, Happened, Home};

/// What home hears from the machine that works, as far as it decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarWord {
    /// It has never heard of this attempt.
    New,
    /// It is under way there, or over.
    Known,
    Accepted,
    Refused,
    Started,
    Over,
    /// A beat, or something that is brought along: it is there.
    Other,
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod world;

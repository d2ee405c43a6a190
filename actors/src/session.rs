//! One session: a program in its terminal, watched, understood and talked to.

pub mod answer;
pub mod delivery;
pub mod query;
pub mod screen;
pub mod token;
pub mod view;

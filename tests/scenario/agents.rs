//! Runs by the real command-line tools against stubs of their providers: conversations, permissions, failover.
//!
//! They are installed by `tests/clis/install`. Where one is not there its test says so and does nothing else.
//! `NIIA_MATRIX=all cargo nextest run -p niia-tests --test all scenario::agents` plays the whole matrix of failures; without
//! it a few of its rows are played.

mod desk;
mod failover;
mod review;

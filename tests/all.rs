//! The whole house: niia as its users have it, with real programs in real terminals.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scenario;

//! The whole house: niia as its users have it, with real programs in real terminals.

mod scenario;

//! The house in which niia is tested: real programs, real terminals, real repositories, in a home of their own.

pub mod bench;
pub mod escape;
pub mod house;
pub mod numbered;
pub mod proxy;
pub mod sdk;
pub mod stand_in;
pub mod stub;

pub use house::{Call, Going, House, Repository, Said, Terminal, Walls, niia, wait_until};
pub use proxy::{Direction, Link, Proxy};

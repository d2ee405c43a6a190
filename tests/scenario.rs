//! One file for each thing the product promises.

mod kill;
mod order;
mod papers;
mod stand_in;

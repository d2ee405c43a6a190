//! One file for each thing the product promises.

mod order;
mod stand_in;

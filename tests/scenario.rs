//! One file for each thing the product promises.

mod kill;
mod order;
mod orphans;
mod papers;
mod stand_in;

//! Before the program's start: its tree, its prompt, its environment.
//!
//! Every step may be done again after a crash and comes to the same.

//! The order of the house: no function too long to see at once, no file too long to know, no `unwrap` outside tests.

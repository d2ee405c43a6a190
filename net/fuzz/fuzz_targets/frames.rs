//! Whatever a stranger or a peer may write on a stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| niia_net::fuzz::frame(bytes));

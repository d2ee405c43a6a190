//! Whatever somebody on the local network may announce: whole packets, and the text records that are read of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mdns_sd::fuzz_api::parse_packet(bytes);
    niia_net::fuzz::announcement(bytes);
});

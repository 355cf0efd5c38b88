//! Client and server obey the rules of RFC 7692 §7.1: see `properties/negotiation.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    yamabiko_testing::properties::negotiation::deflate_negotiation(data)
});

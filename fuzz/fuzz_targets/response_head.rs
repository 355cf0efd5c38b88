//! A response is parsed in the same way, however it is cut: see `properties/handshake.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| yamabiko_testing::properties::handshake::response_head(data)
);

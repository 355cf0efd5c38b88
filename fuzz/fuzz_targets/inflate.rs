//! Messages inflate as with the compression library alone (RFC 7692 §7.2.2): see `properties/inflate.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::inflate::inflate(data));

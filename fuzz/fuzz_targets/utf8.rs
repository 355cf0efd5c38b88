//! As the standard library, at every cut: see `properties::utf8`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::utf8(data));

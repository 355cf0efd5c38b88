//! The validator agrees with the standard library, however the text is cut: see `properties::utf8`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::utf8(data));

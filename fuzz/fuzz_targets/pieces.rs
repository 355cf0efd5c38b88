//! Pieces joined are the whole messages, for any cutting of the input: see
//! `properties/pieces.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::pieces::pieces(data));

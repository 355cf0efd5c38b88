//! The same frames for any cutting of the input: see `properties::frame_decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::frame_decoder(data));

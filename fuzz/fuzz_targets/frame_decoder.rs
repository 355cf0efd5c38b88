//! The decoder returns the same frames, however the input is cut: see `properties::frame_decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::frame_decoder(data));

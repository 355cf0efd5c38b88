//! The same frames for any cutting of the input: see `properties::frame_decoder`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::frame_decoder(data));

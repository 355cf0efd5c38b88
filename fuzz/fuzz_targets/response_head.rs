//! An answer is read in the same way however it is cut: see `properties/handshake.rs`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::handshake::response_head(data));

//! As the standard library, at every cut: see `properties::utf8`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::utf8(data));

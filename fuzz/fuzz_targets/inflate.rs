//! As the bare library reads them (RFC 7692 §7.2.2): see `properties/inflate.rs`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::inflate::inflate(data));

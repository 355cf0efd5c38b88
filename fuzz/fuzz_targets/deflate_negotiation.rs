//! Both ends obey the rules of RFC 7692 §7.1: see `properties/negotiation.rs`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::negotiation::deflate_negotiation(data));

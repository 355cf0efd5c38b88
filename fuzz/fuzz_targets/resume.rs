//! A client that comes back after a lost connection has every message once: see `properties/resume.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::resume::resume(data));

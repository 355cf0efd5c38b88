//! A shared log gives each subscription the bytes that a queue of its own would: see
//! `properties/fan_out.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::fan_out::fan_out(data));

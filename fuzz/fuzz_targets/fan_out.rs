//! A shared log writes the same bytes to each subscription as one queue for each would: see
//! `properties/fan_out.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::fan_out::fan_out(data));

//! A client and a server of yamabiko receive each other's messages, however the bytes
//! between them are cut: see `properties/round_trip.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| yamabiko_testing::properties::round_trip::round_trip(data)
);

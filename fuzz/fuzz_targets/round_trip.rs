//! Two of our own on a wire that cuts as it likes: see `properties/round_trip.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| yamabiko_testing::properties::round_trip::round_trip(data)
);

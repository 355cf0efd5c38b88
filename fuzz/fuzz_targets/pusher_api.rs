//! A request of the HTTP API of Pusher is refused, or authentic and within all limits: see `properties.rs` of `yamabiko-pusher`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yamabiko_testing::properties::pusher::pusher_api(data));

//! A message of a Pusher client is read, and relayed as it came: see `properties.rs` of `yamabiko-pusher`.

#![no_main]

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| yamabiko_testing::properties::pusher::pusher_messages(data)
);

//! The requests of a connection are read in the same way however they are cut: see
//! `properties/http_requests.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    yamabiko_testing::properties::http_requests::http_requests(data)
});

//! A header of the PROXY protocol is found at the same place however it comes: see
//! `properties/proxy_header.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    yamabiko_testing::properties::proxy_header::proxy_header(data)
});

//! A client that comes back after a lost connection has every message once: see `properties/resume.rs`.

#![no_main]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

libfuzzer_sys::fuzz_target!(
    init: {
        // The server writes to connections that the client has ended.
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, came).expect("a signal that can be handled");
    },
    |data: &[u8]| yamabiko_testing::properties::resume::resume(data)
);

//! The server's connection reports the same events as the model of RFC 6455, however the
//! input is cut, and uses bounded memory: see
//! `properties::connection_server` and `properties::memory_is_bounded`.

#![no_main]

mod memory;

use yamabiko_testing::properties::{Role, connection_server, memory_is_bounded};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    connection_server(data);
    memory_is_bounded(Role::Server, data, memory::live_bytes);
});

//! RFC 6455 without I/O, for both roles.

pub mod frame;
pub mod handshake;

//! TLS in tests: an authority for certificates, and a peer by rustls' buffered interface.

mod authority;
pub mod tunnel;

pub use authority::{Authority, Issued};

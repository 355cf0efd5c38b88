//! TLS in tests: an authority for certificates, and a peer by rustls' buffered interface.

mod authority;
mod folder;
pub mod hello;
pub mod tunnel;

pub use authority::{Authority, Issued};
pub use folder::Folder;

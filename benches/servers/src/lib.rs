//! What the peer servers written in Rust share: their command line, and the hub
//! that gives each library its best batching form.

pub mod arguments;
pub mod gather;
pub mod hub;
pub mod serve;

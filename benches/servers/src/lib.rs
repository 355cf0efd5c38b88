//! Code that the servers in Rust share: the command line, and the hub, which batches as well
//! as possible for each library.

pub mod arguments;
pub mod hub;
pub mod sealed;
pub mod serve;
pub mod write_buffer;

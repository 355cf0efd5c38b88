//! Code that the servers in Rust share: their command line, and the hub with the best form
//! of batching for each library.

pub mod arguments;
pub mod write_buffer;
pub mod hub;
pub mod serve;

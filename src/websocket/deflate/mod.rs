//! permessage-deflate: messages compressed one by one (RFC 7692 §7).
//!
//! | module | what | RFC 7692 |
//! |---|---|---|
//! | `parameters` | what two ends agree on, and what one end is willing to | §7.1 |
//!
//! The algorithm itself, DEFLATE (RFC 1951), is a library's.

mod parameters;

pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};

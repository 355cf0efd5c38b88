//! permessage-deflate: messages compressed one by one (RFC 7692 §7).
//!
//! | module | what | RFC 7692 |
//! |---|---|---|
//! | `parameters` | what two ends agree on, and what one end is willing to | §7.1 |
//! | `compress` | messages into compressed frames | §6.1, §7.2.1 |
//!
//! The algorithm itself, DEFLATE (RFC 1951), is a library's.

mod compress;
mod parameters;

pub use compress::MessageDeflater;
pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};

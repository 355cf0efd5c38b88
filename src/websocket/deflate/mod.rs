//! permessage-deflate: messages compressed one by one (RFC 7692 §7).
//!
//! | module | what | RFC 7692 |
//! |---|---|---|
//! | `parameters` | what two ends agree on, and what one end is willing to | §7.1 |
//! | `compress` | messages into compressed frames | §6.1, §7.2.1 |
//! | `inflate` | compressed frames into messages | §6.2, §7.2.2 |
//! | `pool` | compressors and decompressors for whoever needs one now | |
//!
//! The algorithm itself, DEFLATE (RFC 1951), is a library's.

mod compress;
mod inflate;
mod parameters;
mod pool;

pub use compress::MessageDeflater;
pub(crate) use compress::{compressor, write_frame};
pub(crate) use inflate::{CompressedMessage, History};
pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};
pub(crate) use pool::with_deflater;

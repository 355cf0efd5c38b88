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
//!
//! # What it costs
//!
//! | who has it | memory |
//! |---|---|
//! | a thread, for its connections | up to 4 decompressors of 64 KiB with their blocks; a [`MessageDeflater`] |
//! | a [`MessageDeflater`] | 273 KiB, and from the first message on that is longer than a smaller window 147 to 209 KiB |
//! | an idle connection without context takeover | 136 octets |
//! | the same with the peer's context | the octets of its window, as many as have come, and up to a quarter more: at most 320 octets to 40 KiB |
//! | the same with its own context | a compressor, from its first compressed message on |
//! | a compressed message that is not complete | its octets; from 16 KiB on a decompressor, and what is inflated |
//!
//! | window | 256 | 512 | 1 KiB | 2 KiB | 4 KiB | 8 KiB | 16 KiB | 32 KiB |
//! |---|---|---|---|---|---|---|---|---|
//! | a compressor, KiB | none | 147 | 149 | 153 | 161 | 177 | 209 | 273 |
//!
//! Of each compressor 128 KiB are a hash table, whatever the window. With the window
//! of 256 octets only messages up to 256 octets are compressed, without context.
//!
//! # What to look out for
//!
//! Who sees how long messages are, and can have some of their text chosen, can find
//! out what else is in them (RFC 7692 §8; CRIME). Do not compress a secret and what a
//! stranger says into one message, nor, with context takeover, into one connection.

mod compress;
mod inflate;
mod parameters;
mod pool;

pub use compress::MessageDeflater;
pub(crate) use compress::{compressor, write_frame};
pub(crate) use inflate::{CompressedMessage, History};
pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};
pub(crate) use pool::with_deflater;

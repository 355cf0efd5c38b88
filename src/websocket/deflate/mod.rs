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
//! | a thread, for its connections | up to 4 decompressors of 47 KiB, a block of 64 KiB, a [`MessageDeflater`] |
//! | a [`MessageDeflater`] | 273 KiB from its first message on, and from the first on that is longer than a smaller window 147 to 209 KiB |
//! | an idle connection without context takeover | 96 octets; none if it [only inflates](super::Connection::with_inflate) |
//! | the same with the peer's context | 96 octets, and those that have come: a window and up to a quarter more, at most 320 octets to 40 KiB |
//! | the same with its own context | a compressor, from its first compressed message on |
//! | a compressed message that is not complete | its octets; over 16 KiB a decompressor instead, and what is inflated |
//!
//! Buffers grow by doubling: they have room for up to twice what is in them.
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
//!
//! What a peer sends is bounded in memory, but few octets can be much work. One of a
//! plain message without payload costs 0.03 µs; one of a message of zeros, which is a
//! thousand of them, 0.1 µs; and one of a message of streams that end every two octets
//! (BFINAL) 0.4 µs, because 32 KiB are handed on at each end.

mod compress;
mod inflate;
mod parameters;
mod pool;

pub use compress::MessageDeflater;
pub(crate) use compress::{compressor, write_frame};
pub(crate) use inflate::{CompressedMessage, History};
pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};
pub(crate) use pool::with_deflater;

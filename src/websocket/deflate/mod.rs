//! permessage-deflate: messages compressed one by one (RFC 7692 §7).
//!
//! Compression needs the feature `deflate`. Without it a connection never agrees on
//! compression, and of this module only the parameters are left.
//!
//! The algorithm itself, DEFLATE (RFC 1951), is a library's. This module knows bytes and
//! windows, and neither messages nor connections: those are built on it.
//!
//! # What it costs
//!
//! | owner | memory |
//! |---|---|
//! | a `DeflatePool`, for its connections | up to 4 decompressors of 47 KiB, a block of 64 KiB, a compressor as in the next line |
//! | a `MessageDeflater` | 273 KiB from its first message on, plus 147–209 KiB once a message exceeds a smaller negotiated window |
//! | an idle connection without context takeover | 32 bytes; none if it only inflates (`Connection::with_inflate`) |
//! | the same with the peer's context | 80 bytes more, and the bytes that have come: a window and up to a quarter more, at most 320 bytes to 40 KiB |
//! | the same with its own context | a compressor, from its first compressed message on |
//! | an unfinished compressed message | its bytes; over 16 KiB a decompressor instead, and the inflated bytes |
//! | the same, [in pieces](super::Connection::with_pieces) | a decompressor of 47 KiB from its first byte on, up to 40 KiB of window, a piece of up to 64 KiB |
//!
//! Buffers grow by doubling: they have room for up to twice the bytes in them.
//!
//! | window | 256 | 512 | 1 KiB | 2 KiB | 4 KiB | 8 KiB | 16 KiB | 32 KiB |
//! |---|---|---|---|---|---|---|---|---|
//! | a compressor, KiB | none | 147 | 149 | 153 | 161 | 177 | 209 | 273 |
//!
//! Of each compressor 128 KiB are a hash table, whatever the window. With the window
//! of 256 bytes only messages up to 256 bytes are compressed, without context.
//!
//! # Security
//!
//! An attacker who sees message lengths and controls part of the text can recover the
//! rest (RFC 7692 §8; CRIME). Do not compress a secret together with text of a stranger
//! in one message, nor, with context takeover, in one connection.
//!
//! The memory for a peer's messages is bounded, but few bytes can be much work. CPU time
//! per compressed byte: a plain message 0.03 µs; a message of zeros, which inflate to a
//! thousand times their number, 0.1 µs. Where a stream ends (BFINAL), 32 KiB may have to be
//! copied. So at most 8 streams end in a message, and one for each 64 of its bytes.

// The files of this module:
//
// | file | what is in it | RFC 7692 |
// |---|---|---|
// | `parameters.rs` | what two ends agree on, and what one end accepts | §7.1 |
// | `compress.rs` | messages into compressed payloads | §7.2.1 |
// | `compressed_message.rs`, `inflater.rs`, `inflated.rs` | compressed payloads into messages | §7.2.2 |
// | `compressed_pieces.rs` | the same for messages that are handed out in pieces | §7.2.2 |
// | `history.rs` | what the next message may refer to | §7.2.2 |
// | `pool.rs` | compressors and decompressors for connections to share | |
// | `absent.rs` | the same types without the feature `deflate` | |

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod compress;
#[cfg(feature = "deflate")]
mod compressed_message;
#[cfg(feature = "deflate")]
mod compressed_pieces;
mod history;
mod inflated;
#[cfg(feature = "deflate")]
mod inflater;
mod parameters;
#[cfg(feature = "deflate")]
mod pool;

#[cfg(not(feature = "deflate"))]
pub(crate) use absent::{CompressedMessage, CompressedPieces, DeflatePool};
#[cfg(feature = "server")]
pub(crate) use compress::{Compressed, SteppedDeflate};
#[cfg(feature = "deflate")]
pub(crate) use compress::{DeflateContext, Deflater};
#[cfg(feature = "deflate")]
pub(crate) use compressed_message::CompressedMessage;
#[cfg(feature = "deflate")]
pub(crate) use compressed_pieces::CompressedPieces;
pub(crate) use history::History;
pub(crate) use inflated::{InflateError, Inflated, Inflation};
pub use parameters::{DeflateConfig, DeflateParameters, WindowBits};
#[cfg(feature = "deflate")]
pub use pool::DeflatePool;

//! RFC 6455 without I/O, for both roles.
//!
//! One file for each concept of the RFC:
//!
//! | module | content | RFC 6455 |
//! |---|---|---|
//! | [`handshake`] | from an HTTP request to a WebSocket, as server and as client | §1.3, §3, §4 |
//! | [`frame`] | header, opcode, masking, close codes; a streaming decoder | §5.2, §5.3, §7.4 |
//! | [`utf8`] | validation that fails at the first impossible byte | §8.1 |
//! | `message` | [`Message`]: what is sent and received | §5.6 |
//! | `reassembler`, `extent` | fragments into messages; how long they may be | §5.4, §10.4 |
//! | `pieces` | [`Piece`]: a message that is received before it is whole | §5.4 |
//! | `connection/` | [`Connection`]: events, automatic pong, the closing handshake | §5 to §7 |
//! | `key_batch` | [`KeyBatch`]: masking keys from a source of random bytes | §5.3 |
//! | [`deadlines`] | silence, ping and pong, closing handshake, unfinished message | §5.5.2, §7.1 |
//! | [`deflate`] | messages compressed one by one; [`MessageDeflater`] for many receivers | RFC 7692 |
//! | `limits`, `error` | every limit; every rule that a peer can break | §10.4, §7.4.1 |
//!
//! Bytes go in and events come out; messages go in and bytes come out. What is
//! absent: sockets, clocks, threads, randomness, logging. The time, masking keys and
//! nonces are inputs, so every run can be replayed. Without the features `std` and
//! `deflate` the module needs no operating system, only `alloc`.
//!
//! Two levels are public. [`frame::FrameDecoder`] gives headers and parts of
//! payloads as they arrive, and buffers nothing. [`Connection`] gives whole
//! messages, or their pieces as they come ([`Connection::with_pieces`]), and writes the
//! replies that the RFC demands.

#[cfg(feature = "deflate")]
mod compressed_frame;
mod connection;
pub mod deadlines;
pub mod deflate;
mod error;
mod event;
mod extent;
mod fragment;
pub mod frame;
pub mod handshake;
mod key_batch;
mod limits;
mod message;
#[cfg(feature = "deflate")]
mod message_deflater;
mod piece;
mod pieces;
mod reassembler;
pub mod utf8;

pub use connection::{Connection, Ended, MaskingKeys, Side, State};
pub use error::{ProtocolError, SendError};
pub use event::Event;
pub use fragment::Fragment;
pub use frame::{CloseCode, CloseFrame};
pub use handshake::HeadLimits;
pub use key_batch::KeyBatch;
pub use limits::Limits;
pub use message::{AsMessage, Message, OwnedMessage};
#[cfg(feature = "deflate")]
pub use message_deflater::MessageDeflater;
pub use piece::Piece;

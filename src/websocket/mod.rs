//! RFC 6455 without I/O, for both roles.
//!
//! Bytes go in and events come out; messages go in and bytes come out. What is
//! absent: sockets, clocks, threads, randomness, logging. The time, masking keys and
//! nonces are inputs, so every run can be replayed. Without the features `std` and
//! `deflate` the module needs no operating system, only `alloc`.
//!
//! | | content | RFC 6455 |
//! |---|---|---|
//! | [`Connection`] | one end of an open connection: events, automatic pong, the closing handshake | §5 to §7 |
//! | [`ReadBuffer`] | bytes that were read and not received yet, where messages are put together without a copy | |
//! | [`Message`], [`Piece`], [`Fragment`] | what is sent and received: whole, or before it is complete | §5.4, §5.6 |
//! | [`CloseFrame`], [`Ended`] | a Close, and how a connection has ended | §5.5.1, §7.1 |
//! | [`Limits`], [`ProtocolError`], [`Rule`] | every limit; every rule that a peer can break, with its sentence | §10.4, §7.4.1 |
//! | [`KeyBatch`] | masking keys from a source of random bytes | §5.3 |
//! | [`handshake`] | from an HTTP request to a connection, as server and as client | §1.3, §3, §4 |
//! | [`deadlines`] | silence, ping and pong, closing handshake, unfinished message | §5.5.2, §7.1 |
//! | [`deflate`] | messages compressed one by one, or once for many receivers | RFC 7692 |
//! | [`frame`] | header, opcode, masking, close codes; a streaming decoder | §5.2, §5.3, §7.4 |
//! | [`utf8`] | validation that fails at the first impossible byte | §8.1 |
//!
//! `examples/core_echo.rs` of the repository is a whole program on sockets of the standard
//! library, for both roles: handshake, messages, deadlines and the end.
//!
//! Two levels are public. [`frame::FrameDecoder`] gives headers and parts of
//! payloads as they arrive, and buffers nothing. [`Connection`] gives whole
//! messages, or their pieces as they come ([`Connection::with_pieces`]), and writes the
//! replies that the RFC demands.

// Files that are not in the table above:
//
// | file | content | RFC 6455 |
// |---|---|---|
// | `reassembler.rs`, `extent.rs` | fragments into messages; how long they may be | §5.4, §10.4 |
// | `pieces.rs` | the same, handed out as they come | §5.4 |
// | `fragment.rs` | messages that are sent in fragments | §5.4 |
// | `compressed_frame.rs`, `message_deflater.rs` | a compressed message as a frame; for many receivers | RFC 7692 §6 |

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
mod rule;
pub mod utf8;

pub use crate::read_buffer::ReadBuffer;
pub use connection::{Connection, Ended, MaskingKeys, Side, State};
pub use error::{ProtocolError, SendError};
pub use event::Event;
pub use fragment::Fragment;
#[cfg(feature = "server")]
pub(crate) use fragment::FragmentedMessage;
pub use frame::{CloseCode, CloseFrame};
pub use handshake::HeadLimits;
pub use key_batch::KeyBatch;
pub use limits::Limits;
pub use message::{AsMessage, Message, OwnedMessage};
#[cfg(feature = "deflate")]
pub use message_deflater::MessageDeflater;
#[cfg(feature = "server")]
pub(crate) use message_deflater::SteppedFrame;
pub use piece::Piece;
pub use rule::Rule;

//! One end of an established WebSocket connection: two halves, and the replies that
//! receiving makes necessary (RFC 6455 §5 to §8).
//!
//! ```text
//!            ┌ Connection ──────────────────────────┐
//!   input ───┼─▶ Receiver ─── events ───────────────┼──▶ application
//!            │       │ ping, Close, broken rule     │
//!            │       ▼                              │
//!  output ◀──┼── Sender ◀──── messages ─────────────┼─── application
//!            └──────────────────────────────────────┘
//! ```
//!
//! | file | content |
//! |---|---|
//! | `receiver.rs` | bytes into events |
//! | `sender.rs`, `compression.rs` | messages into bytes; `no_compression.rs` without the feature `deflate` |
//! | `end.rs` | the states of a connection, and how it has ended |
//! | this file | the methods for the application; the replies to events: pongs, the answer to a Close, the Close after a broken rule |

#[cfg(feature = "deflate")]
mod compression;
mod end;
#[cfg(not(feature = "deflate"))]
mod no_compression;
mod receiver;
mod sender;

pub use end::{Ended, Side, State};
pub use sender::MaskingKeys;

#[cfg(feature = "deflate")]
use super::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use super::error::{ProtocolError, SendError};
use super::event::Event;
use super::fragment::Fragment;
use super::frame::{CloseFrame, FrameHeader, Opcode, Role};
use super::limits::{Limits, LimitsWithoutRatio};
use super::message::{AsMessage, Message};
use crate::read_buffer::{ReadBuffer, Unread};
use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;
#[cfg(feature = "deflate")]
use compression::Compression;
use core::mem;
use end::{Closing, End};
#[cfg(not(feature = "deflate"))]
use no_compression as compression;
use receiver::{Receiver, UsualCase, text};
use sender::Sender;

/// The protocol state of one connection, for either role.
///
/// Bytes go in and events come out; messages go in and bytes come out. There is no I/O in
/// here, no clock and no randomness: the caller reads and writes the socket, measures the
/// time ([`deadlines`](super::deadlines)) and hands in the masking keys.
///
/// ```
/// use yamabiko::websocket::{Connection, Limits};
///
/// let mut connection = Connection::server(Limits::default());
/// let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7
/// let (mut input, mut output) = (&mut bytes[..], Vec::new());
/// while let Some(event) = connection.receive(&mut input, &mut output)? {
///     if let Some(message) = event.message() {
///         connection.send(message, &mut output)?; // an echo
///     }
/// }
/// assert_eq!(output, b"\x81\x05Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # How a connection closes
///
/// ```text
///                      close()                          peer's Close
///            ┌────────────────────────▶ Closing ───────────────────────┐
///            │                             │                           ▼
///          Open ───────────────────────────┼───────────────────────▶ Closed
///            │   peer's Close (answered)   │ a rule broken
///            ├─────────────────────────────┼───────────────────────▶ Failed
///            │                             │ end_of_input()
///            └─────────────────────────────┴───────────────────────▶ Lost
/// ```
///
/// An endpoint that wants to close sends a Close frame and no data after it. The peer
/// answers with a Close of its own. Messages that were on their way still arrive before
/// it. After `Closed` and `Failed` the caller writes the rest of the output and closes
/// TCP: the server at once, the client when the server has closed it.
/// [`Connection::ended`] tells which end closed, and the code and the reason of both Closes.
///
/// # What it costs
///
/// A message that lies whole in the caller's buffer is unmasked there, and the event is a
/// slice of it: no copy, no allocation. A message that is cut, fragmented or compressed is
/// buffered until it is complete, and the event owns that buffer. From a [`ReadBuffer`] a
/// message of many reads is received without a copy, too ([`Connection::receive_from`]). A
/// large one can be read straight into its own buffer ([`Connection::lend`]), or be received
/// in pieces, without a buffer ([`Connection::with_pieces`]). An idle connection is
/// this struct, 88 bytes, and nothing on the heap, except for a client's masking keys,
/// and for the state of permessage-deflate where it was agreed on
/// ([its costs](super::deflate#what-it-costs)).
#[derive(Debug)]
pub struct Connection {
    limits: LimitsWithoutRatio,
    receiver: Receiver,
    sender: Sender,
}

impl Connection {
    /// A server's end, after the opening handshake.
    pub fn server(limits: Limits) -> Connection {
        Connection {
            limits: LimitsWithoutRatio::of(limits),
            receiver: Receiver::new(Role::Server, limits.inflate_ratio_max),
            sender: Sender::server(),
        }
    }

    /// A client's end, after the opening handshake.
    pub fn client(limits: Limits, masking_keys: impl MaskingKeys + 'static) -> Connection {
        Connection {
            limits: LimitsWithoutRatio::of(limits),
            receiver: Receiver::new(Role::Client, limits.inflate_ratio_max),
            sender: Sender::client(masking_keys),
        }
    }

    /// The same end, after a handshake that agreed on permessage-deflate.
    ///
    /// `config` sets how this end compresses. It may use less than was agreed on: no context
    /// takeover, or a smaller window. Compressors and
    /// decompressors come from `pool`. Call it before anything is received or sent.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
    ///
    /// let (agreed, config) = (DeflateParameters::default(), DeflateConfig::default());
    /// let pool = DeflatePool::default();
    /// let mut client = Connection::client(Limits::default(), || [0; 4])
    ///     .with_deflate(agreed, &config, &pool);
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// let (mut input, mut output) = (&mut bytes[..], Vec::new());
    /// let event = client.receive(&mut input, &mut output)?;
    /// assert_eq!(event, Some(Event::Text("Hello".into())));
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(
        mut self,
        agreed: DeflateParameters,
        config: &DeflateConfig,
        pool: &DeflatePool,
    ) -> Connection {
        let compression = Compression::new(self.sender.role(), agreed, config, pool);
        self.sender.compress(compression);
        self.with_inflate(agreed, pool)
    }

    /// The same for an end that only inflates the messages that it receives: it
    /// [sends](Connection::send) messages as they are, which is always legal. For a server
    /// that writes compressed frames by other means, such as a
    /// [`MessageDeflater`](super::MessageDeflater) for many connections.
    ///
    /// An idle connection costs nothing more than a plain one, unless the peer takes
    /// its context over.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits, Message};
    /// use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
    ///
    /// let (agreed, pool) = (DeflateParameters::default(), DeflatePool::default());
    /// let mut client = Connection::client(Limits::default(), || [0; 4]).with_inflate(agreed, &pool);
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// let (mut input, mut output) = (&mut bytes[..], Vec::new());
    /// let event = client.receive(&mut input, &mut output)?;
    /// assert_eq!(event, Some(Event::Text("Hello".into())));
    ///
    /// client.send(Message::Text("Hello"), &mut output)?;
    /// assert_eq!(output, b"\x81\x85\0\0\0\0Hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_inflate(mut self, agreed: DeflateParameters, pool: &DeflatePool) -> Connection {
        let (no_takeover, window_bits) = match self.sender.role() {
            Role::Server => (
                agreed.client_no_context_takeover,
                agreed.client_max_window_bits,
            ),
            Role::Client => (
                agreed.server_no_context_takeover,
                agreed.server_max_window_bits,
            ),
        };
        let takeover = (!no_takeover).then_some(window_bits);
        self.receiver.accept_compressed(takeover, pool);
        self
    }

    /// The same end, which hands out messages in pieces, as they come
    /// ([`Event::Piece`]), instead of whole ([`Event::Text`], [`Event::Binary`]). For
    /// messages that are longer than what is to be held, or that are used before they are
    /// whole. Call it before anything is received.
    ///
    /// All rules hold as they do for whole messages. [`Limits::message_bytes_max`] and
    /// [`Limits::fragments_max`] bound the message and not the memory, so they can be as
    /// high as the application likes: a gibibyte passes through the caller's buffer of
    /// 64 KiB. [`Limits::inflate_ratio_max`] holds in each fragment: what has come is
    /// inflated at once, and does not wait for the bytes that a later header announces.
    ///
    /// Cost: one allocation here, and none for a plain piece, which is a slice of the
    /// input. While a compressed message is under way: a decompressor, its window, and a
    /// buffer for each piece ([costs](super::deflate#what-it-costs)).
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// let limits = Limits { message_bytes_max: usize::MAX, fragments_max: u32::MAX, ..Limits::default() };
    /// let mut client = Connection::client(limits, || [0; 4]).with_pieces();
    /// let mut bytes = *b"\x82\x7f\0\0\0\x01\0\0\0\0the first of 4 GiB";
    /// let (mut input, mut output) = (&mut bytes[..], Vec::new());
    /// while let Some(event) = client.receive(&mut input, &mut output)? {
    ///     let Event::Piece(piece) = event else { continue };
    ///     assert_eq!(piece.as_bytes(), b"the first of 4 GiB");
    ///     assert!(piece.is_first() && !piece.is_last());
    /// }
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[must_use]
    pub fn with_pieces(mut self) -> Connection {
        self.receiver.hand_out_pieces();
        self
    }

    /// The next event, taken from the front of `input`. `None`: all of `input`
    /// is consumed; unfinished data is kept inside. Call again with more input.
    ///
    /// Pongs and the answer to a Close are appended to `output`. The caller sends
    /// these bytes as soon as it can, and before it closes TCP, and removes the sent bytes
    /// from `output`. Everything in `output` counts as unsent, messages included: with more
    /// than [`Limits::unsent_reply_bytes_max`] bytes in it a ping is not answered at once.
    ///
    /// Cost: the payload is unmasked in place and a text is checked, one pass
    /// each; a message that came in pieces is copied once besides. From 64 KiB on
    /// [`Connection::receive_from`] is faster where the caller reads whole buffers.
    ///
    /// # Errors
    /// The peer broke a rule or a limit. A Close with the code has been appended to
    /// `output`; the caller sends it and closes TCP. From then on input is
    /// discarded and the same error comes again.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// let mut bytes = *b"\x89\x02hi\x01\x03Hel\x80\x02lo"; // a ping, then two fragments
    /// let (mut input, mut output) = (&mut bytes[..], Vec::new());
    /// while let Some(event) = client.receive(&mut input, &mut output)? {
    ///     match event {
    ///         Event::Ping(payload) => assert_eq!(&payload[..], b"hi"),
    ///         Event::Text(text) => assert_eq!(text, "Hello"),
    ///         other => unreachable!("{other:?}"),
    ///     }
    /// }
    /// assert_eq!(output, b"\x8a\x82\0\0\0\0hi");
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn receive<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.receiver.usual_case(input, &self.limits()) {
            Some(case) => self.usual_event(case, input, output),
            None => self.receive_any(input, output),
        }
    }

    /// The next event, taken from the front of `buffer`. `None`: read more.
    ///
    /// As [`Connection::receive`], but a message that more than one read brings is not
    /// copied, if it came in one frame, was not compressed, and fits into the buffer: its
    /// beginning stays in the buffer as long as the socket has more to read
    /// ([`ReadBuffer`]). The events are the same.
    ///
    /// What stays in the buffer does not count in [`Connection::has_unfinished_input`],
    /// [`Connection::unfinished_message_bytes`] and [`Connection::held_bytes`].
    ///
    /// # Errors
    /// As [`Connection::receive`]. Of a text that is not UTF-8 at the latest when the socket
    /// has nothing more to read.
    #[inline]
    pub fn receive_from<'b>(
        &mut self,
        buffer: &'b mut ReadBuffer,
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Unread {
            mut input,
            start,
            left_bytes,
            more_bytes_max,
        } = buffer.unread();
        let end = *start + input.len();
        let event = self.receive_or_leave(&mut input, left_bytes, more_bytes_max, output);
        *start = end - input.len();
        event
    }

    /// As [`Connection::receive_from`], of input that lies in a buffer of the caller, which
    /// may bring at most `more_bytes_max` bytes behind it. If bytes stay in the input and
    /// there is no event, they are to be received again when more have come, or with
    /// `more_bytes_max` = 0. `left_bytes` goes with them: so many of the first ones were
    /// left before, and are now.
    #[inline]
    pub(crate) fn receive_or_leave<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        left_bytes: &mut usize,
        more_bytes_max: usize,
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let usual_case = match *left_bytes {
            0 => self.receiver.usual_case(input, &self.limits()),
            _ => None,
        };
        match usual_case {
            Some(case) => self.usual_event(case, input, output),
            None => self.receive_any_or_leave(input, left_bytes, more_bytes_max, output),
        }
    }

    /// Lends the buffer in which the frame under way is put together, so that the caller
    /// reads what comes next straight into it, without a copy. `None`: read into a buffer
    /// of your own and pass it to [`Connection::receive`].
    ///
    /// Append bytes, at most as many as the buffer has room for (capacity − length), and
    /// then call [`Connection::filled`]. Its room is at most the rest of the frame, and
    /// grows with what has come: the buffer never has twice as many bytes as have
    /// arrived, nor more than [`Limits::message_bytes_max`]. `rustix::buffer::spare_capacity`
    /// and `tokio::io::AsyncReadExt::read_buf` read into such room.
    ///
    /// It is lent for a binary message of which at least 16 KiB have come and 16 KiB or
    /// more of the current frame are missing. Not for a text, whose buffer takes only what
    /// has been checked; not for a compressed message, which is inflated into its buffer;
    /// not in pieces, which need no buffer. Encrypted input cannot be read this way either,
    /// unless the TLS library decrypts into a buffer of the caller.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// use std::io::Read;
    ///
    /// # let payload = vec![7; 100_000];
    /// # let mut wire = Vec::new();
    /// # Connection::server(Limits::default()).send(&payload, &mut wire)?;
    /// # let mut socket = &wire[..];
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// let (mut bytes, mut output) = (vec![0; 32 << 10], Vec::new());
    /// let message = loop {
    ///     let event = match client.lend() {
    ///         Some(buffer) => {
    ///             let room = buffer.capacity() - buffer.len();
    ///             Read::by_ref(&mut socket).take(room as u64).read_to_end(buffer)?;
    ///             client.filled()
    ///         }
    ///         None => {
    ///             let count = socket.read(&mut bytes)?;
    ///             client.receive(&mut &mut bytes[..count], &mut output)?
    ///         }
    ///     };
    ///     if let Some(event) = event {
    ///         break event.into_message();
    ///     }
    /// };
    /// assert_eq!(message, Some(payload.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn lend(&mut self) -> Option<&mut Vec<u8>> {
        match self.receiver.end() {
            None => self.receiver.lend(),
            Some(_) => None,
        }
    }

    /// Bytes have been appended to the buffer that [`Connection::lend`] has lent: unmasks
    /// them there. Returns the message, if it is whole now.
    ///
    /// Bytes beyond the room of the buffer are discarded.
    ///
    /// Cost: one pass over the new bytes.
    pub fn filled(&mut self) -> Option<Event<'static>> {
        // A binary message breaks no rule of its payload.
        self.receiver.filled().ok().flatten()
    }

    /// Whether a ping waits for its answer because its pong would bring `output` above
    /// [`Limits::unsent_reply_bytes_max`] bytes. A caller that
    /// reads no more until the output has been sent leaves no ping unanswered.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let limits = Limits { unsent_reply_bytes_max: 2, ..Limits::default() };
    /// let mut client = Connection::client(limits, || [0; 4]);
    /// let (mut bytes, mut output) = (*b"\x89\x00\x89\x00", Vec::new());
    /// let mut input = &mut bytes[..];
    /// while client.receive(&mut input, &mut output)?.is_some() {}
    /// assert!(client.has_unanswered_ping());
    /// output.clear(); // it has been sent
    /// client.resume_replies(&mut output);
    /// assert!(!client.has_unanswered_ping());
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[inline]
    pub fn has_unanswered_ping(&self) -> bool {
        self.receiver.has_unanswered_ping()
    }

    /// Answers the ping that waits ([`Connection::has_unanswered_ping`]). Call it when
    /// bytes of `output` have been sent and removed; [`Connection::receive`] does so too.
    pub fn resume_replies(&mut self, output: &mut Vec<u8>) {
        if let Some(payload) = self.receiver.take_unanswered_ping() {
            self.answer_ping(&payload, output);
        }
    }

    /// Appends a message to `output`, in one frame; compressed, if that was agreed
    /// on, the message is long enough, and it gets shorter.
    ///
    /// Strings are texts, and bytes are binary messages ([`AsMessage`]).
    ///
    /// Cost: one copy of the payload; a client also masks it.
    ///
    /// # Errors
    /// The connection is not open, or a fragmented message is under way. Nothing is
    /// appended then.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let mut server = Connection::server(Limits::default());
    /// let mut wire = Vec::new();
    /// server.send("Hello", &mut wire)?;
    /// server.send(b"\x01\x02", &mut wire)?;
    /// assert_eq!(wire, b"\x81\x05Hello\x82\x02\x01\x02");
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    #[inline]
    pub fn send(&mut self, message: impl AsMessage, output: &mut Vec<u8>) -> Result<(), SendError> {
        self.sender.send(message.as_message(), output)
    }

    /// The same without a copy of the payload, where that is possible. What is returned
    /// belongs behind `output`, before anything else: the caller writes both, with one
    /// vectored write for example.
    ///
    /// A server's messages that are not compressed need no copy: `output` gets the 2 to 10
    /// bytes of the header, and the payload is returned. All other messages are appended to
    /// `output` as with [`Connection::send`], and what is returned is empty.
    ///
    /// Worth it from 8 KiB on. For the second slice of a write to TCP, Linux takes 130 ns more;
    /// to copy 1 KiB takes 20 ns, and 8 KiB as long as the slice.
    ///
    /// # Errors
    /// As [`Connection::send`].
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits, Message};
    /// let mut server = Connection::server(Limits::default());
    /// let mut output = Vec::new();
    /// let behind = server.send_vectored(Message::Text("Hello"), &mut output)?;
    /// assert_eq!((&output[..], behind), (&b"\x81\x05"[..], &b"Hello"[..]));
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    pub fn send_vectored<'m>(
        &mut self,
        message: Message<'m>,
        output: &mut Vec<u8>,
    ) -> Result<&'m [u8], SendError> {
        self.sender.send_vectored(message, output)
    }

    /// Appends one frame of a message that is sent in fragments, for a message that is longer
    /// than what is to be held, or that is not complete yet. Pings and pongs may be sent
    /// between the fragments, and no other message before the last one. Such a message is
    /// never compressed: no compressor has to be kept for it.
    ///
    /// Cost: one copy of the fragment; a client also masks it, and a text is checked.
    ///
    /// # Errors
    /// The connection is not open; the fragment is of another type than those
    /// before; the text is not UTF-8 so far, or not at its end. Nothing is
    /// appended then, and the message is still under way.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Fragment, Limits};
    /// let mut server = Connection::server(Limits::default());
    /// let mut wire = Vec::new();
    /// server.send_fragment(Fragment::text(b"Hel"), &mut wire)?;
    /// server.send_fragment(Fragment::text(b"lo").last(), &mut wire)?;
    /// assert_eq!(wire, b"\x01\x03Hel\x80\x02lo"); // RFC 6455 §5.7
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    pub fn send_fragment(
        &mut self,
        fragment: Fragment<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.sender.send_fragment(fragment, output)
    }

    /// Appends a Ping, which asks the peer for a Pong with the same payload. Allowed
    /// between the fragments of a message.
    ///
    /// # Errors
    /// The connection is not open; a payload over 125 bytes. Nothing is appended
    /// then.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let mut server = Connection::server(Limits::default());
    /// let mut wire = Vec::new();
    /// server.ping(b"Hello", &mut wire)?;
    /// assert_eq!(wire, b"\x89\x05Hello"); // RFC 6455 §5.7
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    pub fn ping(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.sender.send_control(Opcode::Ping, payload, output)
    }

    /// Appends a Pong that no Ping has asked for: a sign of life in one direction.
    /// Pings are answered without it. Allowed between the fragments of a message.
    ///
    /// # Errors
    /// As [`Connection::ping`].
    pub fn pong(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.sender.send_control(Opcode::Pong, payload, output)
    }

    /// Begins the closing handshake: appends a Close. A code will do, a code with a text, or
    /// a Close that was received on another connection ([`CloseFrame`]).
    ///
    /// Go on receiving: the peer's messages that are on their way still come, and then its
    /// Close. Nothing can be sent any more ([`Connection::is_open`]).
    ///
    /// ```
    /// # use yamabiko::websocket::{CloseCode, CloseFrame, Connection, Limits, State};
    /// let mut server = Connection::server(Limits::default());
    /// let mut wire = Vec::new();
    /// server.close((CloseCode::GOING_AWAY, "bye"), &mut wire)?;
    /// assert_eq!(wire, b"\x88\x05\x03\xe9bye");
    /// assert_eq!(server.state(), State::Closing);
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    ///
    /// # Errors
    /// The connection is not open; a reason of more than 123 bytes; 1010 from a
    /// server. Nothing is appended then.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
    //# To _Start the WebSocket Closing Handshake_ with a status code
    //# (Section 7.4) /code/ and an optional close reason (Section 7.1.6)
    //# /reason/, an endpoint MUST send a Close control frame
    pub fn close<'f>(
        &mut self,
        close: impl Into<CloseFrame<'f>>,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let close = close.into();
        self.sender.check_close(&close)?;
        self.write_close(&close, output);
        Ok(())
    }

    /// The next message is compressed as if none had been sent before it.
    ///
    /// Call it when frames have been sent to the peer that this connection has not
    /// written, such as those of [`MessageDeflater`](super::MessageDeflater), and this end
    /// uses context takeover: it does not know what is in the peer's window then.
    #[cfg(feature = "deflate")]
    pub fn forget_deflate_context(&mut self) {
        self.sender.forget_deflate_context();
    }

    /// Whether the message under way, or the one that [`Connection::receive`] has just
    /// handed out, came compressed. Its bytes take far more time than others, so a
    /// caller that serves many connections should pass small pieces.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// # use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
    /// let (agreed, pool) = (DeflateParameters::default(), DeflatePool::default());
    /// let mut client = Connection::client(Limits::default(), || [0; 4]).with_inflate(agreed, &pool);
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// assert!(!client.is_inflating());
    /// client.receive(&mut &mut bytes[..], &mut Vec::new())?;
    /// assert!(client.is_inflating());
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn is_inflating(&self) -> bool {
        self.receiver.is_inflating()
    }

    /// Whether [`Connection::receive`] has stopped although there is more to inflate of what it has taken: a step is over
    /// (`DeflatePool::in_steps`), or a piece was handed out. Call it again, with the rest of the input, which may be empty.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    #[inline]
    pub(crate) fn inflates_on(&self) -> bool {
        self.receiver.inflates_on()
    }

    /// How many bytes of the compressed message under way are inflated.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    #[inline]
    pub(crate) fn inflated_bytes(&self) -> usize {
        self.receiver.inflated_bytes()
    }

    /// Whether the peer has begun a message or a frame, if only with its first byte, and
    /// has not completed it. For a deadline
    /// ([`Deadlines::message_is_unfinished`](super::deadlines::Deadlines)).
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// // A text in two fragments, cut behind its first byte.
    /// for (piece, is_unfinished) in [(&b"\x01"[..], true), (b"\x01H", true), (b"\x80\x01i", false)] {
    ///     let mut piece = piece.to_vec();
    ///     client.receive(&mut &mut piece[..], &mut Vec::new())?;
    ///     assert_eq!(client.has_unfinished_input(), is_unfinished);
    /// }
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[inline]
    pub fn has_unfinished_input(&self) -> bool {
        self.receiver.has_unfinished_input()
    }

    /// How many bytes of the unfinished message's payload have come, as they came: compressed,
    /// if they are. For the least rate of a message
    /// ([`Deadlines::message_is_unfinished`](super::deadlines::Deadlines)).
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// let mut bytes = *b"\x01\x03Hel\x80\x02l"; // a fragment, and a part of the next one
    /// client.receive(&mut &mut bytes[..], &mut Vec::new())?;
    /// assert_eq!(client.unfinished_message_bytes(), 4);
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn unfinished_message_bytes(&self) -> usize {
        self.receiver.unfinished_message_bytes()
    }

    /// The memory that the connection holds for what it has received, in bytes: the unfinished
    /// message, and the window of a peer that refers to its earlier messages. For a budget
    /// of many connections.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// assert_eq!(client.held_bytes(), 0);
    /// let mut bytes = *b"\x01\x03Hel"; // a fragment
    /// client.receive(&mut &mut bytes[..], &mut Vec::new())?;
    /// assert_eq!(client.held_bytes(), 4);
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.receiver.held_bytes()
    }

    /// Whether messages can be sent: no Close has been sent or received yet, and the peer has
    /// broken no rule. A loop that echoes what it receives asks this, because messages still
    /// come when this end has begun to close.
    ///
    /// ```
    /// # use yamabiko::websocket::{CloseCode, Connection, Limits};
    /// let (mut server, mut output) = (Connection::server(Limits::default()), Vec::new());
    /// server.close(CloseCode::NORMAL, &mut output)?;
    /// let mut bytes = *b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8"; // "hi", and a Close
    /// let mut input = &mut bytes[..];
    /// while let Some(event) = server.receive(&mut input, &mut output)? {
    ///     match event.message() {
    ///         Some(message) if server.is_open() => server.send(message, &mut output)?,
    ///         _ => {}
    ///     }
    /// }
    /// assert!(server.ended().clean);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_open(&self) -> bool {
        self.receiver.end().is_none() && !self.sender.is_closed()
    }

    /// The state of the connection.
    pub fn state(&self) -> State {
        match self.receiver.end() {
            Some(End::Closed) => State::Closed,
            Some(End::Failed(_)) => State::Failed,
            Some(End::Lost) => State::Lost,
            None if self.sender.is_closed() => State::Closing,
            None => State::Open,
        }
    }

    /// The input has ended: the peer has ended TCP, or TCP has failed. Without the peer's
    /// Close the connection is lost then, and nothing more is sent. Returns how the
    /// connection has ended.
    ///
    /// Call it when the last bytes have been received. It frees the memory of an
    /// unfinished message.
    ///
    /// ```
    /// # use yamabiko::websocket::{CloseCode, Connection, Limits, SendError, Side, State};
    /// let (mut server, mut output) = (Connection::server(Limits::default()), Vec::new());
    /// server.close((CloseCode::GOING_AWAY, "bye"), &mut output)?;
    /// let ended = server.end_of_input(); // and no Close has come
    /// assert_eq!((ended.clean, ended.code(), ended.reason()), (false, 1006, ""));
    /// assert_eq!(ended.first_close, Some(Side::Local));
    /// assert_eq!(ended.sent.unwrap().code(), Some(CloseCode::GOING_AWAY));
    /// assert_eq!(server.state(), State::Lost);
    /// # Ok::<(), SendError>(())
    /// ```
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
    //# If at any point the underlying transport layer connection is
    //# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
    pub fn end_of_input(&mut self) -> Ended {
        if self.receiver.end().is_none() {
            self.receiver.lose();
            self.sender.stop();
        }
        self.ended()
    }

    /// How the connection has ended, if TCP has ended now.
    ///
    /// ```
    /// # use yamabiko::websocket::frame::CloseCode;
    /// # use yamabiko::websocket::{Connection, Limits, Side};
    /// let mut server = Connection::server(Limits::default());
    /// let mut bytes = *b"\x88\x82\0\0\0\0\x03\xe8"; // a Close with 1000
    /// server.receive(&mut &mut bytes[..], &mut Vec::new())?;
    /// let ended = server.ended();
    /// assert_eq!((ended.clean, ended.code(), ended.reason()), (true, 1000, ""));
    /// assert_eq!(ended.first_close, Some(Side::Peer));
    /// assert_eq!(ended.sent.unwrap().code(), Some(CloseCode::NORMAL));
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn ended(&self) -> Ended {
        let closing = self.receiver.closing();
        closing.map(Closing::ended).unwrap_or_default()
    }
}

impl Connection {
    #[inline(always)]
    fn limits(&self) -> Limits {
        self.limits.with_ratio(self.receiver.inflate_ratio_max())
    }

    /// The event of a usual case.
    // Each arm writes the whole result. A result that is made in parts and then moved takes 4 ns
    // more: the processor cannot read in one load what several stores have just written.
    #[inline(always)]
    fn usual_event<'b>(
        &mut self,
        case: UsualCase<'b>,
        input: &mut &mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match case {
            UsualCase::Text(payload) => match text(payload) {
                Some(text) => Ok(Some(Event::Text(Cow::Borrowed(text)))),
                None => Err(self.fail(ProtocolError::TextNotUtf8, input, output)),
            },
            UsualCase::Binary(payload) => Ok(Some(Event::Binary(Cow::Borrowed(payload)))),
            UsualCase::NoInput => Ok(None),
        }
    }

    /// [`Connection::receive`] without the short way of the usual cases.
    // Out of their way, which is inlined.
    #[inline(never)]
    fn receive_any<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if self.receiver.has_unanswered_ping() {
            self.resume_replies(output);
        }
        let event = self.advance(input, output);
        event.map_err(|error| self.fail(error, input, output))
    }

    /// [`Connection::receive_any`]; but a message that is not whole, and of which at most so
    /// many bytes are missing, is left in the input, and a message that was left is received.
    // Out of the way of the usual cases, which is inlined.
    #[inline(never)]
    fn receive_any_or_leave<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        left_bytes: &mut usize,
        more_bytes_max: usize,
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let limits = self.limits();
        let left = mem::take(left_bytes);
        if more_bytes_max > 0 && self.receiver.leave(input, left, &limits, more_bytes_max) {
            *left_bytes = input.len();
            return Ok(None);
        }
        if left > 0 {
            match self.receiver.left_message(input, left, &limits) {
                Ok(None) => {}
                Ok(Some(event)) => return Ok(Some(event)),
                Err(error) => return Err(self.fail(error, input, output)),
            }
        }
        self.receive_any(input, output)
    }

    /// Goes on until an event is ready or `input` is used up.
    #[inline]
    fn advance<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let limits = self.limits();
        loop {
            let Some(frame) = self.receiver.next_frame(input, &limits)? else {
                return Ok(None);
            };
            if self.receiver.is_whole_message(&frame, input) {
                return self.receiver.whole_message(frame, input).map(Some);
            }
            let event = match frame.opcode.is_control() {
                false => self.receiver.buffer(frame, input, &limits),
                true => self.control_frame(frame, input, output),
            };
            if !matches!(event, Ok(None)) || input.is_empty() || self.receiver.inflates_on() {
                return event;
            }
        }
    }

    /// A control frame, and the reply to it.
    // Out of the way of messages, whose path is inlined.
    #[inline(never)]
    fn control_frame<'b>(
        &mut self,
        frame: FrameHeader,
        input: &mut &'b mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let event = self.receiver.control_frame(frame, input)?;
        match &event {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
            //# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            //# response, unless it already received a Close frame.
            Some(Event::Ping(payload)) => self.answer_ping(payload, output),
            Some(Event::Close(close)) => self.answer_close(close, output),
            _ => {}
        }
        Ok(event)
    }

    fn answer_ping(&mut self, payload: &[u8], output: &mut Vec<u8>) {
        let pong_bytes = self.sender.control_frame_bytes(payload);
        let full = output.len() + pong_bytes > self.limits().unsent_reply_bytes_max as usize;
        if full && !output.is_empty() {
            self.receiver.keep_unanswered_ping(payload);
            return;
        }
        // A ping that had no room until now is older: answering it after this one
        // would reverse the order, so it is not answered.
        drop(self.receiver.take_unanswered_ping());
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
        //# It SHOULD
        //# respond with Pong frame as soon as is practical.
        self.sender.write_pong(payload, output);
    }

    fn answer_close(&mut self, close: &CloseFrame<'_>, output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# If an endpoint receives a Close frame and did not previously send a
        //# Close frame, the endpoint MUST send a Close frame in response.
        self.write_close(&close.answer(), output);
    }

    /// Writes our Close, unless it is written already.
    fn write_close(&mut self, close: &CloseFrame<'_>, output: &mut Vec<u8>) {
        if self.sender.write_close(close, output) {
            self.receiver.close_sent(close);
        }
    }

    /// Fails the connection: one Close with the reason, and nothing after it. Returns the
    /// error.
    #[cold]
    fn fail(
        &mut self,
        error: ProtocolError,
        input: &mut &mut [u8],
        output: &mut Vec<u8>,
    ) -> ProtocolError {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# An endpoint MUST NOT continue to attempt to process data
        //# (including a responding Close frame) from the remote endpoint after
        //# being instructed to _Fail the WebSocket Connection_.
        *input = &mut [];
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# If _The WebSocket Connection is Established_ prior to the point where
        //# the endpoint is required to _Fail the WebSocket Connection_, the
        //# endpoint SHOULD send a Close frame with an appropriate status code
        let reason = error.to_string();
        let close = CloseFrame::new(error.close_code(), &reason).truncated();
        self.write_close(&close, output);
        self.receiver.fail(error);
        error
    }
}

// Also obeyed by `answer_close`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# (When
//# sending a Close frame in response, the endpoint typically echos the
//# status code it received.)
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# It SHOULD do so as soon as practical.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# After both sending and receiving a Close message, an endpoint
//# considers the WebSocket connection closed and MUST close the
//# underlying TCP connection.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If a client and server both send a Close message at the same time,
//# both endpoints will have sent and received a Close message and should
//# consider the WebSocket connection closed
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
//# Once an endpoint has both sent and
//# received a Close control frame, that endpoint SHOULD _Close the
//# WebSocket Connection_ as defined in Section 7.1.1.

// Also obeyed by `control_frame`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# A response to an unsolicited Pong frame is
//# not expected.

// Also obeyed by `close`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.3
//# Upon either sending or receiving a Close control frame, it is said
//# that _The WebSocket Closing Handshake is Started_ and that the
//# WebSocket connection is in the CLOSING state.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.3
//# In either case, an endpoint initiates a closure by
//# following the procedures to _Start the WebSocket Closing Handshake_
//# (Section 7.1.2).

// Also obeyed by `fail`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# the client MUST _Close the WebSocket Connection_
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//# To do so, the client MUST _Fail the
//# WebSocket Connection_ as defined in Section 7.1.7.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//# the endpoint SHOULD send a Close
//# frame with an appropriate status code (Section 7.4)

#[cfg(test)]
mod tests;

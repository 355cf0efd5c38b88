//! One end of an established WebSocket connection: octets in, events out;
//! messages in, octets out (RFC 6455 §5 to §8).
//!
//! ```text
//!                      close()                          peer's Close
//!            ┌────────────────────────▶ Closing ───────────────────────┐
//!            │                             │                           ▼
//!          Open ───────────────────────────┼───────────────────────▶ Closed
//!            │   peer's Close (answered)   │ a rule broken
//!            └─────────────────────────────┴───────────────────────▶ Failed
//! ```
//!
//! There is no I/O in here, no clock and no randomness: the caller reads and
//! writes the socket, measures the time and hands in the masking keys. After
//! `Closed` and `Failed` the caller writes what is left of the replies and
//! closes TCP: the server at once, the client when the server has.
//!
//! A message that lies whole in the caller's buffer is unmasked there and
//! handed out as a slice of it: no copy, no allocation. What has to wait for
//! more octets is gathered in [`Assembler`]. An idle connection is this struct,
//! 88 bytes, and nothing on the heap, except for a client's masking keys, and for
//! what permessage-deflate keeps where it was agreed on (`compression.rs`).

mod compression;
mod receive;
mod send;

pub use receive::Event;
pub use send::Fragment;

use super::assembler::Assembler;
use super::deflate::{DeflateConfig, DeflateParameters};
use super::error::ProtocolError;
use super::frame::{self, CloseReason, FrameDecoder, Role};
use super::limits::Limits;

use compression::Compression;
use send::Sending;

/// The protocol state of one connection, for either role.
///
/// ```
/// use yamabiko::websocket::{Connection, Event, Limits, Message};
///
/// let mut server = Connection::server(Limits::default());
/// let mut client = Connection::client(Limits::default(), || [0x37, 0xfa, 0x21, 0x3d]);
///
/// let mut wire = Vec::new();
/// client.send(Message::Text("Hello"), &mut wire)?;
/// assert_eq!(wire, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"); // RFC 6455 §5.7
///
/// let (mut input, mut replies) = (&mut wire[..], Vec::new());
/// assert_eq!(server.receive(&mut input, &mut replies)?, Some(Event::Text("Hello")));
/// assert_eq!(server.receive(&mut input, &mut replies)?, None); // all is consumed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    limits: Limits,
    decoder: FrameDecoder,
    message: Assembler,
    /// Boxed, because an idle connection should not pay for it.
    aside: Option<Box<Aside>>,
    /// A client's; a server has none, and should not pay for a fat pointer.
    masking_keys: Option<Box<Keys>>,
}

/// Where the keys that a client masks its frames with come from.
///
/// Any closure `FnMut() -> [u8; 4]` will do. In earnest the keys must be
/// unpredictable: draw them from the operating system's generator, not from one
/// whose next number can be told from the last.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//= type=implication
//# The masking key needs to be unpredictable; thus, the masking key MUST be
//# derived from a strong source of entropy, and the masking key for a given
//# frame MUST NOT make it simple for a server/proxy to predict the masking
//# key for a subsequent frame.
pub trait MaskingKeys: Send {
    /// A fresh key; asked once for each frame.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //= type=implication
    //# The masking key is a 32-bit value chosen at random by the client.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskingKeys for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// Where a connection stands; drawn at the top of this file's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// Our Close is written; the peer's is awaited. Its messages still arrive.
    Closing,
    /// Both Closes have travelled. TCP is to be closed.
    Closed,
    /// The peer broke a rule. Our Close is written; TCP is to be closed.
    Failed,
}

/// How a connection has ended, asked when TCP has (§7.1.4 to §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The code of the first Close received; 1005 if it had none; 1006 if no
    /// Close was received.
    pub code: u16,
    /// The words of that Close; empty if there were none.
    pub reason: &'a str,
}

impl Connection {
    /// A server's end, after the opening handshake.
    pub fn server(limits: Limits) -> Connection {
        Connection::new(Role::Server, limits, None)
    }

    /// A client's end, after the opening handshake.
    pub fn client(limits: Limits, masking_keys: impl MaskingKeys + 'static) -> Connection {
        Connection::new(
            Role::Client,
            limits,
            Some(Box::new(Keys(Box::new(masking_keys)))),
        )
    }

    fn new(role: Role, limits: Limits, masking_keys: Option<Box<Keys>>) -> Connection {
        Connection {
            phase: Phase::Open { sending: None },
            limits,
            decoder: FrameDecoder::new(role),
            message: Assembler::default(),
            aside: None,
            masking_keys,
        }
    }

    /// The same end, after a handshake that agreed on permessage-deflate.
    ///
    /// `config` says how this end compresses, and may ask less of it than was
    /// agreed on: not to take its context over, or a smaller window. A connection
    /// that takes over neither direction's context costs 96 octets more when it
    /// is idle. Call it before anything is received or sent.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters};
    ///
    /// let agreed = DeflateParameters::default();
    /// let mut client = Connection::client(Limits::default(), || [0; 4])
    ///     .with_deflate(agreed, &DeflateConfig::default());
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// let (mut input, mut replies) = (&mut bytes[..], Vec::new());
    /// assert_eq!(client.receive(&mut input, &mut replies)?, Some(Event::Text("Hello")));
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    #[must_use]
    pub fn with_deflate(mut self, agreed: DeflateParameters, config: &DeflateConfig) -> Connection {
        let role = match self.masking_keys {
            None => Role::Server,
            Some(_) => Role::Client,
        };
        self.decoder.define_rsv1();
        self.aside().compression = Some(Compression::new(role, agreed, config));
        self
    }

    /// The same for an end that only inflates what comes: whatever it is given to
    /// [`send`](Connection::send) goes as it is, which is always legal. For a server
    /// that writes compressed frames by other means, such as a
    /// [`MessageDeflater`](super::deflate::MessageDeflater) for many connections.
    ///
    /// An idle connection costs nothing more than a plain one, unless the peer takes
    /// its context over.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits, Message};
    /// use yamabiko::websocket::deflate::DeflateParameters;
    ///
    /// let agreed = DeflateParameters::default();
    /// let mut client = Connection::client(Limits::default(), || [0; 4]).with_inflate(agreed);
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// let (mut input, mut replies) = (&mut bytes[..], Vec::new());
    /// assert_eq!(client.receive(&mut input, &mut replies)?, Some(Event::Text("Hello")));
    ///
    /// let mut wire = Vec::new();
    /// client.send(Message::Text("Hello"), &mut wire)?;
    /// assert_eq!(wire, b"\x81\x85\0\0\0\0Hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_inflate(mut self, agreed: DeflateParameters) -> Connection {
        let forgets = match self.masking_keys {
            None => agreed.client_no_context_takeover,
            Some(_) => agreed.server_no_context_takeover,
        };
        if forgets {
            self.decoder.define_rsv1();
            return self;
        }
        let config = DeflateConfig {
            threshold_bytes: usize::MAX,
            ..DeflateConfig::default()
        };
        self.with_deflate(agreed, &config)
    }

    /// Whether the message under way, or the one that [`Connection::receive`] has just
    /// handed out, came compressed. Its octets take far more time than others, so a
    /// caller that serves many connections hands in few of them at once.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// # use yamabiko::websocket::deflate::DeflateParameters;
    /// let agreed = DeflateParameters::default();
    /// let mut client = Connection::client(Limits::default(), || [0; 4]).with_inflate(agreed);
    /// let mut bytes = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
    /// assert!(!client.is_inflating());
    /// client.receive(&mut &mut bytes[..], &mut Vec::new())?;
    /// assert!(client.is_inflating());
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn is_inflating(&self) -> bool {
        self.message.is_compressed()
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
    pub fn has_unfinished_input(&self) -> bool {
        self.decoder.has_unfinished_frame() || self.message.has_unfinished_message()
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Open { .. } => State::Open,
            Phase::Closing => State::Closing,
            Phase::Closed(_) => State::Closed,
            Phase::Failed(_) => State::Failed,
        }
    }

    /// How the connection has ended, if TCP has ended now.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits};
    /// let connection = Connection::server(Limits::default());
    /// let ended = connection.ended(); // TCP is gone, and no Close has come
    /// assert_eq!((ended.clean, ended.code, ended.reason), (false, 1006, ""));
    /// ```
    pub fn ended(&self) -> Ended<'_> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
        //# If the TCP connection was closed after the
        //# WebSocket closing handshake was completed, the WebSocket connection
        //# is said to have been closed _cleanly_.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
        //# When the underlying TCP connection is closed, it is said that _The
        //# WebSocket Connection is Closed_ and that the WebSocket connection is
        //# in the CLOSED state.
        let clean = matches!(self.phase, Phase::Closed(_));
        let (code, reason) = match &self.phase {
            Phase::Closed(close) => close.code_and_words(),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
            //# If _The WebSocket
            //# Connection is Closed_ and no Close control frame was received by the
            //# endpoint (such as could occur if the underlying transport connection
            //# is lost), _The WebSocket Connection Close Code_ is considered to be
            //# 1006.
            _ => (ABNORMAL_CLOSURE, ""),
        };
        Ended {
            clean,
            code,
            reason,
        }
    }
}

#[derive(Debug)]
enum Phase {
    Open {
        /// The fragmented message that the caller is sending.
        sending: Option<Sending>,
    },
    Closing,
    Closed(Box<CloseReceived>),
    Failed(Box<ProtocolError>),
}

/// What a connection needs now and then. A plain one has none of it while it is idle.
#[derive(Debug, Default)]
struct Aside {
    /// The payload of a control frame that did not come in one piece.
    control_payload: Vec<u8>,
    /// The newest ping that `replies` had no room to answer.
    unanswered_ping: Option<Box<[u8]>>,
    /// For as long as the connection can send or receive, if it was agreed on.
    compression: Option<Compression>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.is_idle() && self.compression.is_none()
    }

    fn is_idle(&self) -> bool {
        self.control_payload.is_empty() && self.unanswered_ping.is_none()
    }
}

/// The first Close that came.
#[derive(Debug)]
struct CloseReceived {
    code: Option<frame::CloseCode>,
    words: Box<str>,
}

impl CloseReceived {
    fn new(reason: Option<CloseReason<'_>>) -> CloseReceived {
        CloseReceived {
            code: reason.map(|reason| reason.code),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
            //# If there is no such data in the Close control
            //# frame, _The WebSocket Connection Close Reason_ is the empty string.
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
            //# _The WebSocket
            //# Connection Close Reason_ is defined as the UTF-8-encoded data
            //# following the status code (Section 7.4) contained in the first Close
            //# control frame received
            words: reason.map_or("", |reason| reason.reason).into(),
        }
    }

    fn reason(&self) -> Option<CloseReason<'_>> {
        let code = self.code?;
        Some(CloseReason {
            code,
            reason: &self.words,
        })
    }

    fn code_and_words(&self) -> (u16, &str) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
        //# If this Close control frame contains no status
        //# code, _The WebSocket Connection Close Code_ is considered to be 1005.
        let code = self.code.map_or(NO_STATUS_RECEIVED, frame::CloseCode::get);
        (code, &self.words)
    }
}

/// Only so that `Connection` can be printed.
struct Keys(Box<dyn MaskingKeys>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Told locally, never sent: a Close came without a code (§7.4.1).
const NO_STATUS_RECEIVED: u16 = 1005;
/// Told locally, never sent: TCP ended without a Close (§7.4.1).
const ABNORMAL_CLOSURE: u16 = 1006;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Message;
    use crate::websocket::deflate::{MessageDeflater, WindowBits};
    use crate::websocket::frame::Opcode;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 88);
    }

    #[test]
    fn a_message_whole_in_the_buffer_is_a_slice_of_it() {
        let mut server = Connection::server(Limits::default());
        let mut bytes = *b"\x82\x83\x01\x02\x03\x04abc";
        let range = bytes.as_ptr_range();
        let mut input = &mut bytes[..];
        let event = server.receive(&mut input, &mut Vec::new());
        let Ok(Some(Event::Binary(payload))) = event else {
            unreachable!("{event:?}");
        };
        assert!(range.contains(&payload.as_ptr()));
    }

    #[test]
    fn memory_of_a_gathered_message_goes_back_with_the_next_call() {
        let mut server = Connection::server(Limits::default());
        let mut stream = Vec::new();
        frame::encode(
            true,
            Opcode::Binary,
            Some([1, 2, 3, 4]),
            &[7; 1000],
            &mut stream,
        );
        let (mut first, mut second) = stream.split_at_mut(500);
        let mut replies = Vec::new();
        assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
        assert!(server.message.is_gathering());
        assert_eq!(
            server.receive(&mut second, &mut replies),
            Ok(Some(Event::Binary(&[7; 1000])))
        );
        assert_eq!(server.receive(&mut second, &mut replies), Ok(None));
        assert!(!server.message.is_gathering());
    }

    #[test]
    fn memory_of_an_unfinished_message_goes_back_when_the_connection_ends() {
        for (last, ends) in [
            (&b"\x88\x80\0\0\0\0"[..], State::Closed),
            (b"\x83\x80\0\0\0\0", State::Failed),
        ] {
            let mut server = Connection::server(Limits::default());
            let mut stream = [b"\x02\x81\0\0\0\0a\x89\x82\0\0\0\0bc", last].concat();
            let (mut first, mut second) = stream.split_at_mut(14);
            let mut replies = Vec::new();
            assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
            assert!(server.message.is_gathering() && server.aside.is_some());
            while let Ok(Some(_)) = server.receive(&mut second, &mut replies) {}
            assert_eq!(server.state(), ends);
            assert!(!server.message.is_gathering() && server.aside.is_none());
        }
    }

    #[test]
    fn memory_of_a_control_frame_that_came_in_pieces_goes_back_with_the_next_call() {
        let mut server = Connection::server(Limits::default());
        let mut stream = *b"\x89\x83\0\0\0\0abc";
        let (mut first, mut second) = stream.split_at_mut(7);
        let mut replies = Vec::new();
        assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
        assert!(server.aside.is_some());
        assert_eq!(
            server.receive(&mut second, &mut replies),
            Ok(Some(Event::Ping(b"abc")))
        );
        assert_eq!(server.receive(&mut second, &mut replies), Ok(None));
        assert!(server.aside.is_none());
    }

    /// Whether the connection is as it was after the handshake: between frames, and
    /// with nothing on the heap.
    fn is_idle(connection: &Connection) -> bool {
        connection.decoder.remaining().is_none()
            && !connection.message.is_gathering()
            && connection.aside.is_none()
    }

    #[test]
    fn control_frame_cut_behind_its_header_leaves_nothing_behind() {
        for stream in [&b"\x89\x83\0\0\0\0abc"[..], b"\x8a\x83\0\0\0\0abc"] {
            let mut server = Connection::server(Limits::default());
            let mut stream = stream.to_vec();
            let (mut header, mut payload) = stream.split_at_mut(6);
            let mut replies = Vec::new();
            assert_eq!(server.receive(&mut header, &mut replies), Ok(None));
            assert!(server.aside.is_none());
            let event = server.receive(&mut payload, &mut replies);
            assert!(matches!(
                event,
                Ok(Some(Event::Ping(b"abc") | Event::Pong(b"abc")))
            ));
            assert_eq!(server.receive(&mut payload, &mut replies), Ok(None));
            assert!(is_idle(&server));
        }
    }

    /// A server whose replies are full, so that a ping with 8 bytes waits.
    fn with_a_ping_that_waits(replies: &mut Vec<u8>) -> Connection {
        let mut server = Connection::server(Limits {
            unsent_reply_bytes_max: 10,
            ..Limits::default()
        });
        let mut pings = *b"\x89\x80\0\0\0\0\x89\x88\0\0\0\0waiting!";
        let input = &mut &mut pings[..];
        assert_eq!(server.receive(input, replies), Ok(Some(Event::Ping(b""))));
        let waiting = server.receive(input, replies);
        assert_eq!(waiting, Ok(Some(Event::Ping(b"waiting!"))));
        assert!(server.aside.is_some());
        server
    }

    #[test]
    fn ping_that_is_answered_later_leaves_nothing_behind() {
        let mut replies = Vec::new();
        let mut server = with_a_ping_that_waits(&mut replies);
        replies.clear();
        server.resume_replies(&mut replies);
        assert_eq!(replies, b"\x8a\x08waiting!");
        assert!(is_idle(&server));
    }

    #[test]
    fn ping_that_a_later_ping_replaces_leaves_nothing_behind() {
        let mut replies = Vec::new();
        let mut server = with_a_ping_that_waits(&mut replies);
        let mut shorter = *b"\x89\x81\0\0\0\0s";
        let input = &mut &mut shorter[..];
        let event = server.receive(input, &mut replies);
        assert_eq!(event, Ok(Some(Event::Ping(b"s"))));
        assert_eq!(replies, b"\x8a\0\x8a\x01s");
        assert!(is_idle(&server));
    }

    /// A whole message or control frame on the wire, compressed where `deflater` is
    /// there; some messages in two fragments, with a ping between them.
    fn write(
        (opcode, length, in_fragments): (Opcode, usize, bool),
        deflater: &mut Option<MessageDeflater>,
        wire: &mut Vec<u8>,
    ) {
        let key = Some([1, 2, 3, 4]);
        let payload = vec![b'a'; length];
        if opcode.is_control() {
            let length = length.min(125);
            return frame::encode(true, opcode, key, &payload[..length], wire);
        }
        let start = wire.len();
        if let Some(deflater) = deflater {
            let message = Message::Binary(&payload);
            if deflater.write_frame(message, WindowBits::MAX, wire) {
                // Frames of a server have no mask; a key of zeros changes nothing.
                let key_at = start + if wire[start + 1] < 126 { 2 } else { 4 };
                wire[start + 1] |= 0b1000_0000;
                wire.splice(key_at..key_at, [0; 4]);
                return;
            }
        }
        if !in_fragments {
            return frame::encode(true, opcode, key, &payload, wire);
        }
        let (first, second) = payload.split_at(length / 2);
        frame::encode(false, opcode, key, first, wire);
        frame::encode(true, Opcode::Ping, key, b"between", wire);
        frame::encode(true, Opcode::Continuation, key, second, wire);
    }

    fn no_takeover() -> DeflateParameters {
        DeflateParameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..DeflateParameters::default()
        }
    }

    proptest! {
        /// However the input is cut, and whenever the replies are sent.
        #[test]
        fn connection_holds_nothing_when_all_that_came_is_complete(
            said in vec((opcode(), 0..40_000_usize, any::<bool>()), 0..6),
            cuts in vec(prop_oneof![0..20_usize, 0..30_000_usize], 1..20),
            sent in vec(any::<bool>(), 1..20),
            compressed: bool,
            unsent_reply_bytes_max in prop_oneof![Just(0), 0..300_usize],
        ) {
            let mut server = Connection::server(Limits {
                unsent_reply_bytes_max,
                ..Limits::default()
            });
            let mut deflater = None;
            if compressed {
                server = server.with_inflate(no_takeover());
                deflater = Some(MessageDeflater::new(1));
            }
            let mut wire = Vec::new();
            for message in said {
                write(message, &mut deflater, &mut wire);
            }
            let mut replies = Vec::new();
            let mut rest = &mut wire[..];
            let mut turns = cuts.iter().cycle().zip(sent.iter().cycle());
            while !rest.is_empty() {
                let Some((&cut, &sent)) = turns.next() else { unreachable!("cycle") };
                let (mut piece, behind) = rest.split_at_mut(cut.max(1).min(rest.len()));
                rest = behind;
                loop {
                    match server.receive(&mut piece, &mut replies) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    }
                }
                if sent {
                    replies.clear();
                    server.resume_replies(&mut replies);
                }
            }
            replies.clear();
            server.resume_replies(&mut replies);
            prop_assert!(is_idle(&server));
        }
    }

    fn opcode() -> impl Strategy<Value = Opcode> {
        prop::sample::select(vec![
            Opcode::Text,
            Opcode::Binary,
            Opcode::Ping,
            Opcode::Pong,
        ])
    }
}

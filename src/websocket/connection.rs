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
//! 96 octets, and nothing on the heap, except for a client's masking keys.

use super::error::{ProtocolError, SendError};
use super::frame::{self, CloseReason, FrameDecoder, FrameHeader, Opcode, Role};
use super::frame::{payload_within, take_payload};
use super::limits::Limits;
use super::message::{Assembled, Assembler};
use super::utf8::Utf8Validator;
use std::mem;

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
    /// A client's; a server has none.
    masking_keys: Option<Keys>,
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

/// A message to send, whole, in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Octets that mean what the application says.
    Binary(&'a [u8]),
    /// Asks the peer for a pong; at most 125 octets.
    Ping(&'a [u8]),
    /// An unsolicited pong; at most 125 octets. Pings are answered without it.
    Pong(&'a [u8]),
}

/// A piece of a message that is sent in several frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// A piece of a text; may be cut inside a character.
    Text(&'a [u8]),
    /// A piece of a binary message.
    Binary(&'a [u8]),
}

/// What the peer has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping, answered already.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer's Close, answered already unless it was itself the answer.
    /// `None`: without a code. No further event comes.
    Close(Option<CloseReason<'a>>),
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
        Connection::new(Role::Client, limits, Some(Keys(Box::new(masking_keys))))
    }

    fn new(role: Role, limits: Limits, masking_keys: Option<Keys>) -> Connection {
        Connection {
            phase: Phase::Open { sending: None },
            limits,
            decoder: FrameDecoder::new(role),
            message: Assembler::default(),
            aside: None,
            masking_keys,
        }
    }

    /// The next event, taken from the front of `input`. `None`: all of `input`
    /// is consumed and kept where it must be; come back with more.
    ///
    /// Pongs and the answer to a Close are appended to `replies`, which the
    /// caller sends as soon as it can, and before it closes TCP. Call until
    /// `None`: that also gives back the memory of the last message.
    ///
    /// Cost: the payload is unmasked in place and a text is checked, one pass
    /// each; a message that came in pieces is copied once besides.
    ///
    /// # Errors
    /// The peer broke a rule or a limit. A Close that says so has been appended
    /// to `replies`; the caller sends it and closes TCP. From then on input is
    /// dropped unread and the same error comes again.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]);
    /// let mut bytes = *b"\x89\x02hi\x01\x03Hel\x80\x02lo"; // a ping, then two fragments
    /// let (mut input, mut replies) = (&mut bytes[..], Vec::new());
    /// while let Some(event) = client.receive(&mut input, &mut replies)? {
    ///     match event {
    ///         Event::Ping(payload) => assert_eq!(payload, b"hi"),
    ///         Event::Text(text) => assert_eq!(text, "Hello"),
    ///         other => unreachable!("{other:?}"),
    ///     }
    /// }
    /// assert_eq!(replies, b"\x8a\x82\0\0\0\0hi");
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn receive<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b mut [u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.message.drop_complete();
        if self.aside.is_some() {
            self.clear_aside(replies);
        }
        match self.advance(input, replies) {
            Ok(ready) => Ok(ready.and_then(|ready| self.event(ready))),
            Err(error) => Err(self.fail(error, input, replies)),
        }
    }

    /// Answers the ping that had to wait because `replies` was full. Call it
    /// when replies have been sent; [`Connection::receive`] does so too.
    pub fn resume_replies(&mut self, replies: &mut Vec<u8>) {
        let waiting = self.aside.as_mut();
        if let Some(payload) = waiting.and_then(|aside| aside.unanswered_ping.take()) {
            self.answer_ping(&payload, replies);
        }
    }

    /// Appends a message to `output`, in one frame.
    ///
    /// Cost: one copy of the payload; a client also masks it.
    ///
    /// # Errors
    /// The connection is not open; a control payload over 125 octets; a
    /// fragmented message under way. Nothing is appended then.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# To _Send a WebSocket Message_ comprising of /data/ over a WebSocket
    //# connection, an endpoint MUST perform the following steps.
    pub fn send(&mut self, message: Message<'_>, output: &mut Vec<u8>) -> Result<(), SendError> {
        let sending = *self.open()?;
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
            Message::Ping(payload) => (Opcode::Ping, payload),
            Message::Pong(payload) => (Opcode::Pong, payload),
        };
        if opcode.is_control() {
            check_control_payload(payload)?;
        } else if sending.is_some() {
            return Err(SendError::MessageUnderWay);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# An unfragmented message consists of a single frame with the FIN
        //# bit set (Section 5.2) and an opcode other than 0.
        self.write_frame(true, opcode, payload, output);
        Ok(())
    }

    /// Appends one frame of a message that is sent in pieces; `last` ends it.
    /// Pings and pongs may be sent between the pieces.
    ///
    /// # Errors
    /// The connection is not open; the piece is of another type than those
    /// before; the text is not UTF-8 so far, or not at its end. Nothing is
    /// appended then, and the message is still under way.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Fragment, Limits};
    /// let mut server = Connection::server(Limits::default());
    /// let mut wire = Vec::new();
    /// server.send_fragment(Fragment::Text(b"Hel"), false, &mut wire)?;
    /// server.send_fragment(Fragment::Text(b"lo"), true, &mut wire)?;
    /// assert_eq!(wire, b"\x01\x03Hel\x80\x02lo"); // RFC 6455 §5.7
    /// # Ok::<(), yamabiko::websocket::SendError>(())
    /// ```
    pub fn send_fragment(
        &mut self,
        fragment: Fragment<'_>,
        last: bool,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let sending = self.open()?;
        let (opcode, payload) = match fragment {
            Fragment::Text(piece) => (Opcode::Text, piece),
            Fragment::Binary(piece) => (Opcode::Binary, piece),
        };
        let first = sending.is_none();
        let so_far = sending.unwrap_or(Sending::new(opcode));
        let continued = so_far.continued(opcode, payload, last)?;
        *sending = if last { None } else { Some(continued) };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# The opcode (frame-opcode) of the first frame containing the
        //# data MUST be set to the appropriate value from Section 5.2
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# The FIN bit (frame-fin) of the last frame containing the data MUST be
        //# set to 1 as defined in Section 5.2.
        let opcode = if first { opcode } else { Opcode::Continuation };
        self.write_frame(last, opcode, payload, output);
        Ok(())
    }

    /// Begins the closing handshake: appends a Close, with or without a reason.
    ///
    /// # Errors
    /// The connection is not open; words of more than 123 octets; 1010 from a
    /// server. Nothing is appended then.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
    //# To _Start the WebSocket Closing Handshake_ with a status code
    //# (Section 7.4) /code/ and an optional close reason (Section 7.1.6)
    //# /reason/, an endpoint MUST send a Close control frame
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.3
    //# In either case, an endpoint initiates a closure by
    //# following the procedures to _Start the WebSocket Closing Handshake_
    //# (Section 7.1.2).
    pub fn close(
        &mut self,
        reason: Option<CloseReason<'_>>,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.open()?;
        self.check_close_reason(reason)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.3
        //# Upon either sending or receiving a Close control frame, it is said
        //# that _The WebSocket Closing Handshake is Started_ and that the
        //# WebSocket connection is in the CLOSING state.
        self.write_close(reason, output);
        self.phase = Phase::Closing;
        Ok(())
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

// Receiving.
impl Connection {
    /// Gives back the payload of a control frame that has been handed out, and
    /// answers the ping that had to wait.
    #[cold]
    fn clear_aside(&mut self, replies: &mut Vec<u8>) {
        let rest = self.decoder.rest();
        let control_frame_under_way = rest.is_some_and(|rest| rest.opcode.is_control());
        if let (Some(aside), false) = (&mut self.aside, control_frame_under_way) {
            aside.control_payload = Vec::new();
        }
        self.resume_replies(replies);
        self.aside.take_if(|aside| aside.is_empty());
    }

    /// Goes on until an event is ready or `input` is used up.
    fn advance<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        loop {
            match &self.phase {
                Phase::Open { .. } | Phase::Closing => {}
                // §5.5.1: what follows the peer's Close is not looked at.
                Phase::Closed(_) => {
                    *input = &mut [];
                    return Ok(None);
                }
                Phase::Failed(error) => return Err(**error),
            }
            if input.is_empty() {
                return Ok(None);
            }
            let Some(frame) = self.next_frame(input)? else {
                return Ok(None);
            };
            let ready = if frame.opcode.is_control() {
                self.control_frame(frame, input, replies)?
            } else {
                self.data_frame(frame, input)?
            };
            if ready.is_some() {
                return Ok(ready);
            }
        }
    }

    /// The frame whose payload comes next: what is left of the one under way, or
    /// a new one.
    #[inline]
    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHeader>, ProtocolError> {
        if let Some(rest) = self.decoder.take_rest() {
            return Ok(Some(rest));
        }
        let header = self.decoder.header(input)?;
        if let Some(header) = header.filter(|header| !header.opcode.is_control()) {
            self.message.begin_frame(&header, &self.limits)?;
        }
        Ok(header)
    }

    /// A text, binary or continuation frame.
    #[inline]
    fn data_frame<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# Clients and servers MUST support receiving both fragmented and
        //# unfragmented messages.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# in absence of extensions, senders and receivers must not depend on the
        //# presence of specific frame boundaries.
        if frame.fin && is_all_here(&frame, input) && !self.message.is_gathering() {
            let payload = take_payload(&mut frame, input, usize::MAX);
            return Ready::whole(frame.opcode, payload).map(Some);
        }
        self.gather(frame, input)
    }

    /// A data frame of which not all is here, or not all of its message.
    fn gather<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        let all_here = is_all_here(&frame, input);
        if input.is_empty() && !all_here {
            // Many clients send the header by itself: all of the payload may come
            // at once and need not be copied.
            self.decoder.keep(frame);
            return Ok(None);
        }
        let here = payload_within(&frame, input.len());
        self.message.gather(&frame, here);
        while payload_within(&frame, input.len()) > 0 {
            let block = take_payload(&mut frame, input, GATHERED_BLOCK_BYTES);
            self.message.append(block)?;
        }
        if !all_here {
            self.decoder.keep(frame);
            return Ok(None);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
        //# When the last
        //# fragment is received as indicated by the FIN bit (frame-fin), it is
        //# said that _A WebSocket Message Has Been Received_ with data /data/
        self.message.end_frame(frame.fin)?;
        Ok(frame.fin.then_some(Ready::Assembled))
    }

    /// A Close, Ping or Pong, also between the fragments of a message.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# If a control frame (Section 5.5) is
    //# received, the frame MUST be handled as defined by Section 5.5.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# An endpoint MUST be capable of handling control frames in the
    //# middle of a fragmented message.
    fn control_frame<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        let piece: &'b [u8] = take_payload(&mut frame, input, usize::MAX);
        if frame.payload_length > 0 {
            self.decoder.keep(frame);
            self.aside().control_payload.extend_from_slice(piece);
            return Ok(None);
        }
        let mut payload = match &mut self.aside {
            Some(aside) => mem::take(&mut aside.control_payload),
            None => Vec::new(),
        };
        if payload.is_empty() {
            self.control_payload(frame.opcode, piece, replies)?;
            return Ok(Some(Ready::Control(frame.opcode, Some(piece))));
        }
        payload.extend_from_slice(piece);
        self.control_payload(frame.opcode, &payload, replies)?;
        self.aside().control_payload = payload;
        Ok(Some(Ready::Control(frame.opcode, None)))
    }

    /// What a complete control frame obliges us to.
    fn control_payload(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        replies: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        match opcode {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
            //# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            //# response, unless it already received a Close frame.
            Opcode::Ping => self.answer_ping(payload, replies),
            Opcode::Close => self.receive_close(payload, replies)?,
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
            //# A response to an unsolicited Pong frame is
            //# not expected.
            _ => {}
        }
        Ok(())
    }

    fn answer_ping(&mut self, payload: &[u8], replies: &mut Vec<u8>) {
        // One that had no room until now is older: answering it after this one
        // would turn the order round, so it is left out.
        if let Some(aside) = &mut self.aside {
            aside.unanswered_ping = None;
        }
        let pong_bytes = self.control_frame_bytes(payload);
        let full = replies.len() + pong_bytes > self.limits.unsent_reply_bytes_max;
        if full && !replies.is_empty() {
            self.aside().unanswered_ping = Some(payload.into());
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
        //# A Pong frame sent in response to a Ping frame must have identical
        //# "Application data" as found in the message body of the Ping frame
        //# being replied to.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
        //# It SHOULD
        //# respond with Pong frame as soon as is practical.
        self.write_frame(true, Opcode::Pong, payload, replies);
    }

    fn receive_close(&mut self, body: &[u8], replies: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let reason = CloseReason::parse(body)?;
        if matches!(self.phase, Phase::Open { .. }) {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# If an endpoint receives a Close frame and did not previously send a
            //# Close frame, the endpoint MUST send a Close frame in response.
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# (When
            //# sending a Close frame in response, the endpoint typically echos the
            //# status code it received.)
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# It SHOULD do so as soon as practical.
            let echo = reason.map(|CloseReason { code, .. }| CloseReason { code, reason: "" });
            self.write_close(echo, replies);
        }
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
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
        //# _The WebSocket
        //# Connection Close Code_ is defined as the status code (Section 7.4)
        //# contained in the first Close control frame received by the
        //# application implementing this protocol.
        self.finish(Phase::Closed(Box::new(CloseReceived::new(reason))));
        Ok(())
    }

    /// Fails the connection: one Close that says why, and nothing more.
    #[cold]
    fn fail(
        &mut self,
        error: ProtocolError,
        input: &mut &mut [u8],
        replies: &mut Vec<u8>,
    ) -> ProtocolError {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# An endpoint MUST NOT continue to attempt to process data
        //# (including a responding Close frame) from the remote endpoint after
        //# being instructed to _Fail the WebSocket Connection_.
        *input = &mut [];
        if matches!(self.phase, Phase::Open { .. }) {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
            //# If _The WebSocket Connection is Established_ prior to the point where
            //# the endpoint is required to _Fail the WebSocket Connection_, the
            //# endpoint SHOULD send a Close frame with an appropriate status code
            let reason = error.to_string();
            let reason = CloseReason {
                code: error.close_code(),
                reason: &reason,
            };
            self.write_close(Some(reason), replies);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# the client MUST _Close the WebSocket Connection_
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
        //# To do so, the client MUST _Fail the
        //# WebSocket Connection_ as defined in Section 7.1.7.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
        //# the endpoint SHOULD send a Close
        //# frame with an appropriate status code (Section 7.4)
        self.finish(Phase::Failed(Box::new(error)));
        error
    }

    /// Nothing more will be received or sent.
    fn finish(&mut self, phase: Phase) {
        self.phase = phase;
        self.message.drop_all();
        self.aside = None;
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Cuts the slices that `advance` has found ready.
    fn event<'a>(&'a self, ready: Ready<'a>) -> Option<Event<'a>> {
        Some(match ready {
            Ready::Text(text) => Event::Text(text),
            Ready::Binary(bytes) => Event::Binary(bytes),
            Ready::Assembled => match self.message.complete()? {
                Assembled::Text(text) => Event::Text(text),
                Assembled::Binary(bytes) => Event::Binary(bytes),
            },
            Ready::Control(Opcode::Close, _) => match &self.phase {
                Phase::Closed(close) => Event::Close(close.reason()),
                _ => return None,
            },
            Ready::Control(opcode, payload) => {
                let aside = self.aside.as_deref();
                let payload = match payload {
                    Some(payload) => payload,
                    None => &aside?.control_payload,
                };
                match opcode {
                    Opcode::Ping => Event::Ping(payload),
                    _ => Event::Pong(payload),
                }
            }
        })
    }
}

// Sending.
impl Connection {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# The endpoint MUST ensure the WebSocket connection is in the OPEN
    //# state
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# If at any point the state of the WebSocket connection changes, the
    //# endpoint MUST abort the following steps.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The application MUST NOT send any more data frames after sending a
    //# Close frame.
    fn open(&mut self) -> Result<&mut Option<Sending>, SendError> {
        match &mut self.phase {
            Phase::Open { sending } => Ok(sending),
            _ => Err(SendError::NotOpen),
        }
    }

    fn check_close_reason(&self, reason: Option<CloseReason<'_>>) -> Result<(), SendError> {
        let Some(CloseReason { code, reason }) = reason else {
            return Ok(());
        };
        if reason.len() > CloseReason::REASON_BYTES_MAX {
            return Err(SendError::CloseReasonTooLong);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
        //# Note that this status code is not used by the
        //# server, because it can fail the WebSocket handshake instead.
        if code == frame::CloseCode::MANDATORY_EXTENSION && self.masking_keys.is_none() {
            return Err(SendError::CloseCodeNotForServer);
        }
        Ok(())
    }

    fn write_close(&mut self, reason: Option<CloseReason<'_>>, output: &mut Vec<u8>) {
        let (body, length) = reason.map_or(([0; 125], 0), |reason| reason.encode());
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# Close frames sent from client to server must be masked as per
        //# Section 5.3.
        self.write_frame(true, Opcode::Close, &body[..length], output);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# An endpoint MUST encapsulate the /data/ in a WebSocket frame as
    //# defined in Section 5.2.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# The frame(s) that have been formed MUST be transmitted over the
    //# underlying network connection.
    fn write_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# a client MUST mask all frames that it
        //# sends to the server
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# A server MUST NOT mask any frames that it sends to the client.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# If the data is being sent by the client, the frame(s) MUST be
        //# masked as defined in Section 5.3.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
        //# When preparing a
        //# masked frame, the client MUST pick a fresh masking key from the set
        //# of allowed 32-bit values.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
        //# Clients MUST choose a new masking key for each frame
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# (Note that masking is done whether or not the WebSocket
        //# Protocol is running over TLS.)
        let masking_key = self.masking_keys.as_mut().map(|keys| keys.0.next_key());
        frame::encode(fin, opcode, masking_key, payload, output);
    }

    /// Octets of a control frame with this payload, as this end writes it.
    fn control_frame_bytes(&self, payload: &[u8]) -> usize {
        let masking_key_bytes = if self.masking_keys.is_some() { 4 } else { 0 };
        2 + masking_key_bytes + payload.len()
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

/// What a connection needs now and then. It has none of it while it is idle.
#[derive(Debug, Default)]
struct Aside {
    /// The payload of a control frame that did not come in one piece.
    control_payload: Vec<u8>,
    /// The newest ping that `replies` had no room to answer.
    unanswered_ping: Option<Box<[u8]>>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.control_payload.is_empty() && self.unanswered_ping.is_none()
    }
}

/// An event, before its slices are cut.
enum Ready<'b> {
    Text(&'b str),
    Binary(&'b [u8]),
    /// The message in the assembler.
    Assembled,
    /// `None`: the payload is in [`Aside::control_payload`].
    Control(Opcode, Option<&'b [u8]>),
}

impl<'b> Ready<'b> {
    /// A message in one frame that lies whole in the caller's buffer.
    #[inline]
    fn whole(opcode: Opcode, payload: &'b [u8]) -> Result<Ready<'b>, ProtocolError> {
        match opcode {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
            //# When an endpoint is to interpret a byte stream as UTF-8 but finds
            //# that the byte stream is not, in fact, a valid UTF-8 stream, that
            //# endpoint MUST _Fail the WebSocket Connection_.
            Opcode::Text => simdutf8::basic::from_utf8(payload)
                .map(Ready::Text)
                .map_err(|_| ProtocolError::TextNotUtf8),
            _ => Ok(Ready::Binary(payload)),
        }
    }
}

/// The fragmented message that is being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    opcode: Opcode,
    utf8: Utf8Validator,
}

impl Sending {
    fn new(opcode: Opcode) -> Sending {
        Sending {
            opcode,
            utf8: Utf8Validator::default(),
        }
    }

    /// The message with one more piece, if it may be added.
    fn continued(self, opcode: Opcode, piece: &[u8], last: bool) -> Result<Sending, SendError> {
        let mut utf8 = self.utf8;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# the type
        //# for all fragments in a message MUST be either text, binary, or one
        //# of the reserved opcodes.
        if opcode != self.opcode {
            return Err(SendError::FragmentOfOtherType);
        }
        if opcode == Opcode::Text {
            utf8.push(piece).map_err(|_| SendError::TextNotUtf8)?;
        }
        if last {
            utf8.finish().map_err(|_| SendError::TextNotUtf8)?;
        }
        Ok(Sending { opcode, utf8 })
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

#[inline]
fn is_all_here(frame: &FrameHeader, input: &[u8]) -> bool {
    frame.payload_length <= input.len() as u64
}

fn check_control_payload(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() as u64 > FrameHeader::CONTROL_PAYLOAD_BYTES_MAX {
        return Err(SendError::ControlPayloadTooLong);
    }
    Ok(())
}

/// What has to be gathered is unmasked, checked and copied in blocks of so many
/// octets, so that the second and the third pass find them in the nearest cache:
/// a tenth less time than in pieces of 64 KiB.
const GATHERED_BLOCK_BYTES: usize = 32 << 10;

/// Told locally, never sent: a Close came without a code (§7.4.1).
const NO_STATUS_RECEIVED: u16 = 1005;
/// Told locally, never sent: TCP ended without a Close (§7.4.1).
const ABNORMAL_CLOSURE: u16 = 1006;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 96);
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
}

//! Sending: messages into octets (RFC 6455 §5.1, §5.3, §6.1, §7.1.2).
//!
//! Nothing is kept here but what a fragmented message needs: the caller owns the
//! output, and with it the decision when it is written.

use super::super::error::SendError;
use super::super::frame::{self, CloseReason, FrameHeader, Opcode};
use super::super::message::Message;
use super::super::utf8::Utf8Validator;
use super::{Connection, Phase};

/// A piece of a message that is sent in several frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// A piece of a text; may be cut inside a character.
    Text(&'a [u8]),
    /// A piece of a binary message.
    Binary(&'a [u8]),
}

impl Connection {
    /// Appends a message to `output`, in one frame; compressed, if that was agreed
    /// on, the message is long enough to be tried, and it gets shorter.
    ///
    /// Cost: one copy of the payload; a client also masks it.
    ///
    /// # Errors
    /// The connection is not open, or a fragmented message is under way. Nothing is
    /// appended then.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# To _Send a WebSocket Message_ comprising of /data/ over a WebSocket
    //# connection, an endpoint MUST perform the following steps.
    pub fn send(&mut self, message: Message<'_>, output: &mut Vec<u8>) -> Result<(), SendError> {
        if self.open()?.is_some() {
            return Err(SendError::MessageUnderWay);
        }
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        if self.aside.is_some() && self.write_compressed(opcode, payload, output) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
        //# An endpoint MUST use the following algorithm to send a message in the
        //# form of an uncompressed message.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# An unfragmented message consists of a single frame with the FIN
        //# bit set (Section 5.2) and an opcode other than 0.
        self.write_frame(true, opcode, payload, output);
        Ok(())
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
        self.send_control(Opcode::Ping, payload, output)
    }

    /// Appends a Pong that no Ping has asked for: a sign of life in one direction.
    /// Pings are answered without it. Allowed between the fragments of a message.
    ///
    /// # Errors
    /// As [`Connection::ping`].
    pub fn pong(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, output)
    }

    /// Appends one frame of a message that is sent in pieces; `last` ends it.
    /// Pings and pongs may be sent between the pieces. Such a message is never
    /// compressed: no compressor has to be kept for it.
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
}

impl Connection {
    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.open()?;
        check_control_payload(payload)?;
        self.write_frame(true, opcode, payload, output);
        Ok(())
    }

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

    pub(super) fn write_close(&mut self, reason: Option<CloseReason<'_>>, output: &mut Vec<u8>) {
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
    pub(super) fn write_frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) {
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
    pub(super) fn control_frame_bytes(&self, payload: &[u8]) -> usize {
        let masking_key_bytes = if self.masking_keys.is_some() { 4 } else { 0 };
        2 + masking_key_bytes + payload.len()
    }
}

/// The fragmented message that is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
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

fn check_control_payload(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() as u64 > FrameHeader::CONTROL_PAYLOAD_BYTES_MAX {
        return Err(SendError::ControlPayloadTooLong);
    }
    Ok(())
}

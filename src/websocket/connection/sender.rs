//! The sending half: messages into bytes (RFC 6455 §5.1, §5.3, §6.1).
//!
//! It keeps nothing but the keys of a client, the fragmented message that is being sent,
//! and a compressor where one was agreed on: the caller owns the output, and decides when
//! it is written.

use super::super::error::SendError;
use super::super::fragment::{Fragment, FragmentedMessage};
use super::super::frame::{self, CloseCode, CloseFrame, FrameHeader, Opcode, Role};
use super::super::message::Message;
use super::compression::Compression;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Where the keys that a client masks its frames with come from.
///
/// Any closure `FnMut() -> [u8; 4]` will do. The keys must be unpredictable: draw them
/// from the operating system's generator, not from one whose next number can be derived
/// from the last.
///
/// Masking hides nothing. It keeps a script in a browser from choosing the bytes that
/// appear on the wire, which a careless proxy might take for an HTTP request and its
/// response, and cache (RFC 6455 §10.3). So each frame has a key that the script can
/// neither know nor foresee.
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

/// What a connection needs to send.
#[derive(Debug)]
pub(super) struct Sender {
    /// A client's; a server has none.
    masking_keys: Option<Keys>,
    /// If compression was agreed on, and this end compresses.
    compression: Option<Box<Compression>>,
    /// The fragmented message that is being sent.
    message: FragmentedMessage,
    /// Our Close is written: nothing may follow it but pongs. Or the connection is lost.
    closed: bool,
}

impl Sender {
    pub(super) fn server() -> Sender {
        Sender {
            masking_keys: None,
            compression: None,
            message: FragmentedMessage::default(),
            closed: false,
        }
    }

    pub(super) fn client(masking_keys: impl MaskingKeys + 'static) -> Sender {
        Sender {
            masking_keys: Some(Keys(Box::new(Box::new(masking_keys)))),
            ..Sender::server()
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn compress(&mut self, compression: Compression) {
        self.compression = Some(Box::new(compression));
    }

    #[cfg(feature = "deflate")]
    pub(super) fn forget_deflate_context(&mut self) {
        if let Some(compression) = &mut self.compression {
            compression.forget_context();
        }
    }

    pub(super) fn role(&self) -> Role {
        match self.masking_keys {
            None => Role::Server,
            Some(_) => Role::Client,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# To _Send a WebSocket Message_ comprising of /data/ over a WebSocket
    //# connection, an endpoint MUST perform the following steps.
    #[inline]
    pub(super) fn send(
        &mut self,
        message: Message<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_between_messages()?;
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        if self.compression.is_some() && self.write_compressed(opcode, payload, output) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# An unfragmented message consists of a single frame with the FIN
        //# bit set (Section 5.2) and an opcode other than 0.
        self.write_frame(true, opcode, payload, output);
        Ok(())
    }

    /// [`Sender::send`] without the payload, if the payload can go as it is. Returns what
    /// has not been appended.
    pub(super) fn send_vectored<'m>(
        &mut self,
        message: Message<'m>,
        output: &mut Vec<u8>,
    ) -> Result<&'m [u8], SendError> {
        if self.masking_keys.is_some() || self.compression.is_some() {
            return self.send(message, output).map(|()| &[][..]);
        }
        self.check_between_messages()?;
        let header = FrameHeader {
            fin: true,
            rsv: 0b000,
            opcode: message.opcode(),
            masking_key: None,
            payload_length: message.as_bytes().len() as u64,
        };
        header.encode(output);
        Ok(message.as_bytes())
    }

    pub(super) fn send_fragment(
        &mut self,
        fragment: Fragment<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let opcode = self.message.add(fragment)?;
        self.write_frame(fragment.is_last(), opcode, fragment.as_bytes(), output);
        Ok(())
    }

    /// A Ping, or a Pong that no Ping has asked for.
    pub(super) fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() as u64 > FrameHeader::CONTROL_PAYLOAD_BYTES_MAX {
            return Err(SendError::ControlPayloadTooLong);
        }
        self.write_control_frame(opcode, payload, output);
        Ok(())
    }

    /// The answer to a Ping.
    pub(super) fn write_pong(&mut self, payload: &[u8], output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
        //# A Pong frame sent in response to a Ping frame must have identical
        //# "Application data" as found in the message body of the Ping frame
        //# being replied to.
        self.write_control_frame(Opcode::Pong, payload, output);
    }

    /// May this Close be sent now?
    pub(super) fn check_close(&self, close: &CloseFrame<'_>) -> Result<(), SendError> {
        self.check_open()?;
        if close.reason().len() > CloseFrame::REASON_BYTES_MAX {
            return Err(SendError::CloseReasonTooLong);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
        //# Note that this status code is not used by the
        //# server, because it can fail the WebSocket handshake instead.
        let is_for_clients = close.code() == Some(CloseCode::MANDATORY_EXTENSION);
        if is_for_clients && self.masking_keys.is_none() {
            return Err(SendError::CloseCodeNotForServer);
        }
        Ok(())
    }

    /// Our Close, unless it is written already. Returns whether it is written now.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The application MUST NOT send any more data frames after sending a
    //# Close frame.
    pub(super) fn write_close(&mut self, close: &CloseFrame<'_>, output: &mut Vec<u8>) -> bool {
        if self.closed {
            return false;
        }
        let (body, length) = close.encode();
        self.write_control_frame(Opcode::Close, &body[..length], output);
        self.closed = true;
        true
    }

    /// Nothing more is sent: the connection is lost.
    pub(super) fn stop(&mut self) {
        self.closed = true;
    }

    /// Bytes of a control frame with this payload, as this end writes it.
    pub(super) fn control_frame_bytes(&self, payload: &[u8]) -> usize {
        let masking_key_bytes = if self.masking_keys.is_some() { 4 } else { 0 };
        2 + masking_key_bytes + payload.len()
    }
}

impl Sender {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# The endpoint MUST ensure the WebSocket connection is in the OPEN
    //# state
    fn check_open(&self) -> Result<(), SendError> {
        match self.closed {
            false => Ok(()),
            true => Err(SendError::NotOpen),
        }
    }

    /// May a message begin now?
    fn check_between_messages(&self) -> Result<(), SendError> {
        self.check_open()?;
        match self.message.is_under_way() {
            false => Ok(()),
            true => Err(SendError::MessageUnderWay),
        }
    }

    /// Appends the message as a compressed frame. `false`, and nothing is appended: it is
    /// to be sent as it is.
    // Out of the way of plain messages, whose path is inlined.
    #[inline(never)]
    fn write_compressed(&mut self, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) -> bool {
        let keys = &mut self.masking_keys;
        let masking_key = || keys.as_mut().map(Keys::next);
        let compression = self.compression.as_mut();
        compression.is_some_and(|own| own.write_frame(opcode, payload, masking_key, output))
    }

    // Out of the way of messages, whose path is inlined.
    #[inline(never)]
    fn write_control_frame(&mut self, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
        self.write_frame(true, opcode, payload, output);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# An endpoint MUST encapsulate the /data/ in a WebSocket frame as
    //# defined in Section 5.2.
    #[inline]
    fn write_frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# a client MUST mask all frames that it
        //# sends to the server
        // Two calls, so that the code for a server's frames keeps nothing for the masking.
        match &mut self.masking_keys {
            None => frame::encode_inline(fin, opcode, None, payload, output),
            Some(keys) => keys.write_masked(fin, opcode, payload, output),
        }
    }
}

/// Boxed twice, so that a server, which has none, pays one word.
struct Keys(Box<Box<dyn MaskingKeys>>);

impl Keys {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# When preparing a
    //# masked frame, the client MUST pick a fresh masking key from the set
    //# of allowed 32-bit values.
    fn next(&mut self) -> [u8; 4] {
        self.0.next_key()
    }

    // It has one caller, and a call of its own would cost a client 2 ns for each message.
    #[inline(always)]
    fn write_masked(&mut self, fin: bool, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
        frame::encode_inline(fin, opcode, Some(self.next()), payload, output);
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

// Also obeyed by `check_open`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If at any point the state of the WebSocket connection changes, the
//# endpoint MUST abort the following steps.

// Also obeyed by `send_fragment`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The FIN bit (frame-fin) of the last frame containing the data MUST be
//# set to 1 as defined in Section 5.2.

// Also obeyed by `write_close`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# Close frames sent from client to server must be masked as per
//# Section 5.3.

// Also obeyed by `send`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of an uncompressed message.

// Also obeyed by `write_frame`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If the data is being sent by the client, the frame(s) MUST be
//# masked as defined in Section 5.3.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The frame(s) that have been formed MUST be transmitted over the
//# underlying network connection.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# A server MUST NOT mask any frames that it sends to the client.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# (Note that masking is done whether or not the WebSocket
//# Protocol is running over TLS.)
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# Clients MUST choose a new masking key for each frame

#[cfg(test)]
impl Sender {
    pub(super) fn has_compressor(&self) -> bool {
        let compression = self.compression.as_ref();
        compression.is_some_and(|compression| compression.has_context())
    }
}

//! One connection: the reader of its frames, and the bytes that wait to be written.

use yamabiko::reactor::{Io, SocketKey};
use yamabiko::websocket::MaskingKeys;
use yamabiko::websocket::frame::{CloseCode, Opcode, encode};

use super::frame_reader::FrameReader;
use super::randomness::Keys;

/// A member from its 101 to the end of TCP.
pub(super) struct Member {
    pub key: SocketKey,
    pub reader: FrameReader,
    /// Bytes that the kernel had no room for: a batch of messages, and pongs up to
    /// [`PONG_BYTES_MAX`].
    unsent: Vec<u8>,
    /// Of the bytes that wait.
    pong_bytes: usize,
    /// The newest ping that arrived when there was no room for its pong.
    unanswered_ping: Option<Box<[u8]>>,
    /// A Close has been sent or received.
    closing: bool,
}

impl Member {
    pub(super) fn new(key: SocketKey) -> Member {
        Member {
            key,
            reader: FrameReader::new(),
            unsent: Vec::new(),
            pong_bytes: 0,
            unanswered_ping: None,
            closing: false,
        }
    }

    /// Neither side has sent a Close.
    pub(super) fn is_open(&self) -> bool {
        !self.closing
    }

    /// It may publish: the kernel has all bytes that were written before.
    pub(super) fn is_clear(&self) -> bool {
        self.unsent.is_empty() && !self.closing
    }

    /// Writes frames; no bytes wait.
    pub(super) fn write(&mut self, io: &mut Io, frames: &[u8]) {
        let written = io.write(self.key, frames);
        self.unsent.extend_from_slice(&frames[written..]);
    }

    /// Writes one frame after the bytes that wait.
    pub(super) fn send(&mut self, io: &mut Io, keys: &mut Keys, opcode: Opcode, payload: &[u8]) {
        encode(
            true,
            opcode,
            Some(keys.next_key()),
            payload,
            &mut self.unsent,
        );
        self.flush(io, keys);
    }

    /// Writes the bytes that wait, as many as the kernel accepts.
    pub(super) fn flush(&mut self, io: &mut Io, keys: &mut Keys) {
        let written = io.write(self.key, &self.unsent);
        self.unsent.drain(..written);
        if self.unsent.is_empty() {
            self.pong_bytes = 0;
            self.unsent.shrink_to(QUEUE_BYTES_KEPT);
            if let Some(payload) = self.unanswered_ping.take() {
                self.send(io, keys, Opcode::Pong, &payload);
            }
        }
    }

    /// Answers the ping that has just arrived; if the server does not read its pongs, only
    /// the newest one (RFC 6455 §5.5.3).
    pub(super) fn answer_ping(&mut self, io: &mut Io, keys: &mut Keys) {
        if self.closing {
            return;
        }
        let payload: Box<[u8]> = self.reader.control_payload().into();
        if self.pong_bytes > PONG_BYTES_MAX {
            self.unanswered_ping = Some(payload);
            return;
        }
        self.pong_bytes += payload.len() + FRAME_BYTES;
        self.send(io, keys, Opcode::Pong, &payload);
    }

    /// Sends a Close with this code, unless one has been sent. The Close
    /// has no code if this one is invalid in a Close frame.
    pub(super) fn close(&mut self, io: &mut Io, keys: &mut Keys, code: u16) {
        if self.closing {
            return;
        }
        self.closing = true;
        let body = code.to_be_bytes();
        match CloseCode::new(code) {
            Some(_) => self.send(io, keys, Opcode::Close, &body),
            None => self.send(io, keys, Opcode::Close, &[]),
        }
    }

    /// The code of the Close that has just arrived.
    pub(super) fn close_code(&self) -> u16 {
        match self.reader.control_payload() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => NO_CODE_RECEIVED,
        }
    }
}

/// The maximum number of bytes of waiting pongs. Beyond it, only the newest ping is answered.
const PONG_BYTES_MAX: usize = 16 << 10;
/// A control frame's header with its key.
const FRAME_BYTES: usize = 6;
const QUEUE_BYTES_KEPT: usize = 4 << 10;
/// A Close without a body (RFC 6455 §7.1.5).
const NO_CODE_RECEIVED: u16 = 1005;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_uses_little_memory() {
        assert!(
            size_of::<Option<Member>>() <= 264,
            "{}",
            size_of::<Option<Member>>()
        );
    }
}

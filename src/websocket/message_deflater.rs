//! One message compressed for many receivers (RFC 7692 §6.1, §7.2.1).

use super::compressed_frame;
#[cfg(feature = "server")]
use super::deflate::{Compressed, SteppedDeflate};
use super::deflate::{Deflater, WindowBits};
use super::frame::Opcode;
use super::message::AsMessage;
use alloc::vec::Vec;
use core::fmt;

/// Compresses messages without reference to earlier ones, each into one frame.
///
/// Every receiver whose window is large enough can read such a frame, with context
/// takeover or without: compress once, send to all. The frame becomes part of the window
/// of receivers with context takeover. So an application that sends it to the peer of a
/// [`Connection`] that refers to its own earlier messages calls
/// [`Connection::forget_deflate_context`] before that connection sends again.
///
/// [`Connection`]: crate::websocket::Connection
/// [`Connection::forget_deflate_context`]: crate::websocket::Connection::forget_deflate_context
///
/// Keep one and use it again: the first message allocates 273 KiB, the first message
/// that is longer than a smaller window allocates up to 209 KiB more, later ones nothing.
///
/// ```
/// use yamabiko::websocket::deflate::WindowBits;
/// use yamabiko::websocket::MessageDeflater;
///
/// let mut deflater = MessageDeflater::new(1);
/// let mut frame = Vec::new();
/// let text = "mountain echo, ".repeat(8);
/// assert!(deflater.write_frame(&text, WindowBits::MAX, &mut frame));
/// assert_eq!(frame[0], 0b1100_0001); // FIN, RSV1, text
/// assert!(frame.len() < 30);
///
/// // A message that would not shrink is left to the caller, to send it as it is.
/// assert!(!deflater.write_frame("Hi", WindowBits::MAX, &mut frame));
/// ```
pub struct MessageDeflater {
    deflater: Deflater,
}

impl MessageDeflater {
    /// A level from 1, the fastest, to 9, the smallest result; a number beyond them is
    /// taken for the nearest. Nothing is allocated yet.
    pub fn new(level: u8) -> MessageDeflater {
        MessageDeflater {
            deflater: Deflater::new(level),
        }
    }

    /// The level.
    #[cfg(feature = "server")]
    pub(crate) fn level(&self) -> u8 {
        self.deflater.level()
    }

    /// Appends the message to `output` as one whole unmasked frame with RSV1, for
    /// receivers with windows of at least `window_bits`.
    ///
    /// `false`, and nothing is appended: the message would not get shorter, or it is
    /// longer than the window and the window is the one of 256 bytes, which the library
    /// cannot keep to. Send it as it is then.
    ///
    /// Cost: 3 µs for 1 KiB of JSON at level 1, 8 at level 2, 9 at level 6.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6
    //# PMCEs operate only on data messages.
    pub fn write_frame(
        &mut self,
        message: impl AsMessage,
        window_bits: WindowBits,
        output: &mut Vec<u8>,
    ) -> bool {
        let message = message.as_message();
        self.write(message.opcode(), message.as_bytes(), window_bits, output)
    }

    /// The same for a message of which the opcode and the payload are known.
    pub(crate) fn write(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        window_bits: WindowBits,
        output: &mut Vec<u8>,
    ) -> bool {
        let compress = |output: &mut Vec<u8>| self.deflater.compress(payload, window_bits, output);
        compressed_frame::write(opcode, || None, compress, output)
    }
}

impl fmt::Debug for MessageDeflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageDeflater")
            .field("level", &self.deflater.level())
            .finish_non_exhaustive()
    }
}

/// Compresses one message in steps, into one frame as a [`MessageDeflater`] makes it.
#[cfg(feature = "server")]
pub(crate) struct SteppedFrame {
    opcode: Opcode,
    steps: SteppedDeflate,
}

#[cfg(feature = "server")]
impl SteppedFrame {
    /// `None`: the window is one of 256 bytes.
    pub(crate) fn new(level: u8, opcode: Opcode, window_bits: WindowBits) -> Option<SteppedFrame> {
        let steps = SteppedDeflate::new(level, window_bits)?;
        Some(SteppedFrame { opcode, steps })
    }

    /// How many bytes of the payload are compressed.
    pub(crate) fn taken(&self) -> usize {
        self.steps.taken()
    }

    /// Compresses the next `bytes_max` bytes of the payload, which is the same in each call.
    pub(crate) fn step(&mut self, payload: &[u8], bytes_max: usize) -> Compressed {
        match self.steps.step(payload, bytes_max) {
            Compressed::Whole(compressed) => {
                let append = |output: &mut Vec<u8>| {
                    *output = compressed;
                    true
                };
                let mut frame = Vec::new();
                compressed_frame::write(self.opcode, || None, append, &mut frame);
                Compressed::Whole(frame)
            }
            other => other,
        }
    }
}

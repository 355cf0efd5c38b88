//! Compressing messages (RFC 7692 §7.2.1).
//!
//! ```text
//! payload ── DEFLATE, flushed ──▶ f2 48 cd c9 c9 07 00│00 00 ff ff
//!                                 └─ what is sent ───┘└─ removed ─┘
//! ```
//!
//! The flush ends with an empty stored block, which begins in the octet where the
//! data ends: at most one octet more than the data. Ending the stream instead
//! (BFINAL, then `00`) is never shorter.
//!
//! A compressor of the library costs 1.6 µs before its first octet, whatever the
//! window: it clears a hash table of 128 KiB. That is half of what 1 KiB of JSON
//! takes at level 1, and the reason why messages under
//! [`DeflateConfig::threshold_bytes`](super::DeflateConfig) are not tried.

use super::super::frame::{FrameHeader, Opcode, mask};
use super::super::message::Message;
use super::WindowBits;
use std::fmt;
use zlib_rs::{Deflate, DeflateFlush, Status};

/// Compresses messages without reference to earlier ones, each into one frame.
///
/// Such a frame is right for every receiver whose window is large enough, with
/// context takeover or without: compress once, send to all. It makes part of the
/// window of those that take theirs over: whoever sends it to the peer of a
/// [`Connection`] that refers to its own earlier messages calls
/// [`Connection::forget_deflate_context`] before that sends again.
///
/// [`Connection`]: crate::websocket::Connection
/// [`Connection::forget_deflate_context`]: crate::websocket::Connection::forget_deflate_context
///
/// Keep one and use it again: the first message allocates 273 KiB, the first that
/// is longer than a smaller window up to 209 KiB more, later ones nothing.
///
/// ```
/// use yamabiko::websocket::Message;
/// use yamabiko::websocket::deflate::{MessageDeflater, WindowBits};
///
/// let mut deflater = MessageDeflater::new(1);
/// let mut frame = Vec::new();
/// let text = "mountain echo, ".repeat(8);
/// assert!(deflater.write_frame(Message::Text(&text), WindowBits::MAX, &mut frame));
/// assert_eq!(frame[0], 0b1100_0001); // FIN, RSV1, text
/// assert!(frame.len() < 30);
///
/// // What would not shrink is left to the caller to send as it is.
/// assert!(!deflater.write_frame(Message::Text("Hi"), WindowBits::MAX, &mut frame));
/// ```
pub struct MessageDeflater {
    level: u8,
    /// For every message that is not longer than the receiver's window: none of
    /// its distances can be longer than the message.
    widest: Option<Deflate>,
    /// For longer ones, with the window that was asked for last.
    narrower: Option<(WindowBits, Deflate)>,
}

impl MessageDeflater {
    /// A level from 1, the fastest, to 9, the smallest result; what is beyond is
    /// taken for the nearest. Nothing is allocated yet.
    pub fn new(level: u8) -> MessageDeflater {
        MessageDeflater {
            level,
            widest: None,
            narrower: None,
        }
    }

    /// Appends the message to `output` as one whole unmasked frame with RSV1, for
    /// receivers with windows of at least `window_bits`.
    ///
    /// `false`, and nothing is appended: the message would not get shorter, or it is
    /// longer than the window and the window is the one of 256 bytes, which the
    /// library cannot keep to. Send it as it is then.
    ///
    /// Cost: 3 µs for 1 KiB of JSON at level 1, 8 at level 2, 9 at level 6.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6
    //# PMCEs operate only on data messages.
    pub fn write_frame(
        &mut self,
        message: Message<'_>,
        window_bits: WindowBits,
        output: &mut Vec<u8>,
    ) -> bool {
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        self.write(opcode, payload, window_bits, no_key, output)
    }

    /// The same, masked with the key that is drawn if the message does shrink.
    pub(crate) fn write(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        window_bits: WindowBits,
        masking_key: impl FnOnce() -> Option<[u8; 4]>,
        output: &mut Vec<u8>,
    ) -> bool {
        let Some(deflate) = self.compressor(payload.len(), window_bits) else {
            return false;
        };
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "client_no_context_takeover"
        //# extension parameter, the client MUST start compressing each new
        //# message with an empty LZ77 sliding window.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "server_no_context_takeover"
        //# extension parameter, the server MUST start compressing each new
        //# message with an empty LZ77 sliding window.
        deflate.reset();
        write_frame(deflate, opcode, payload, masking_key, output)
    }

    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// A compressor that refers no further back than `window_bits` allow in a
    /// message of this length, if there can be one.
    fn compressor(&mut self, bytes: usize, window_bits: WindowBits) -> Option<&mut Deflate> {
        let level = self.level;
        if window_bits == WindowBits::MAX || bytes <= window_bits.window_bytes() {
            let widest = &mut self.widest;
            return Some(widest.get_or_insert_with(|| compressor(level, WindowBits::MAX)));
        }
        if window_bits == WindowBits::MIN {
            return None;
        }
        self.narrower.take_if(|(bits, _)| *bits != window_bits);
        let narrower = &mut self.narrower;
        let (_, deflate) =
            narrower.get_or_insert_with(|| (window_bits, compressor(level, window_bits)));
        Some(deflate)
    }
}

impl fmt::Debug for MessageDeflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageDeflater")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// A compressor of the library, its window empty: 9 ≤ `window_bits` ≤ 15.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# An endpoint MUST NOT use an LZ77 sliding window longer than 32,768
//# bytes to compress messages to send.
pub(crate) fn compressor(level: u8, window_bits: WindowBits) -> Deflate {
    Deflate::new_with_config(zlib_rs::DeflateConfig {
        level: i32::from(level.clamp(1, 9)),
        // Below 0: without a header of zlib's own.
        window_bits: -i32::from(window_bits.get()),
        mem_level: MEMORY_LEVEL,
        ..zlib_rs::DeflateConfig::default()
    })
}

/// Appends the payload to `output`, compressed and in a frame, or nothing if it
/// would not shrink. What the compressor remembers is then worth nothing.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of a compressed message.
pub(crate) fn write_frame(
    deflate: &mut Deflate,
    opcode: Opcode,
    payload: &[u8],
    masking_key: impl FnOnce() -> Option<[u8; 4]>,
    output: &mut Vec<u8>,
) -> bool {
    let start = output.len();
    if !compress(deflate, payload, output) {
        output.truncate(start);
        end_stream(deflate, output);
        return false;
    }
    let end = output.len();
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
    //# PMCEs do not change the opcode field.
    let header = FrameHeader {
        fin: true,
        rsv: FrameHeader::RSV1,
        opcode,
        masking_key: masking_key(),
        payload_length: (end - start) as u64,
    };
    if let Some(key) = header.masking_key {
        mask(&mut output[start..], key, 0);
    }
    // How long the header is depends on what came behind it.
    header.encode(output);
    let header_bytes = output.len() - end;
    output[start..].rotate_right(header_bytes);
    true
}

/// Appends the compressed payload; `false` if it is no shorter, with what has been
/// appended so far of no use.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# Compress all the octets of the payload of the message using
//# DEFLATE.
fn compress(deflate: &mut Deflate, payload: &[u8], output: &mut Vec<u8>) -> bool {
    let start = output.len();
    // One octet more than what is still shorter, to see that it is not.
    let bytes_max = payload.len() + TAIL.len();
    let mut rest = payload;
    loop {
        let end = output.len();
        let room = OUTPUT_BLOCK_BYTES.min(bytes_max - (end - start));
        output.resize(end + room, 0);
        let (taken, written) = (deflate.total_in(), deflate.total_out());
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the resulting data does not end with an empty DEFLATE block
        //# with no compression (the "BTYPE" bits are set to 00), append an
        //# empty DEFLATE block with no compression to the tail end.
        let flushed = deflate.compress(rest, &mut output[end..], DeflateFlush::SyncFlush);
        let taken = (deflate.total_in() - taken) as usize;
        let written = (deflate.total_out() - written) as usize;
        if flushed.is_err() || end - start + written >= bytes_max {
            return false;
        }
        rest = &rest[taken..];
        output.truncate(end + written);
        // The library takes less than 4 GiB at once, and flushes behind that.
        if rest.is_empty() && written < room {
            return remove_tail(output);
        }
    }
}

/// Brings a compressor that is given up to the end of its stream, writing nothing.
///
/// `Deflate::reset` (zlib-rs 0.6.8) takes for granted that it is there: it forgets
/// neither that a block is open nor where in its buffer unwritten octets began. The
/// next stream would lack a block's header, or panic for want of room.
fn end_stream(deflate: &mut Deflate, output: &mut Vec<u8>) {
    let start = output.len();
    output.resize(start + OUTPUT_BLOCK_BYTES, 0);
    loop {
        let written = deflate.total_out();
        let ended = deflate.compress(&[], &mut output[start..], DeflateFlush::Finish);
        if ended != Ok(Status::Ok) || deflate.total_out() == written {
            break;
        }
    }
    output.truncate(start);
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
fn remove_tail(output: &mut Vec<u8>) -> bool {
    let whole = output.ends_with(&TAIL);
    if whole {
        output.truncate(output.len() - TAIL.len());
    }
    whole
}

fn no_key() -> Option<[u8; 4]> {
    None
}

/// What a flush ends with, and what is not sent of it.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How much of the library's output is made room for at once: 1 KiB of JSON fits,
/// and little is cleared in vain.
const OUTPUT_BLOCK_BYTES: usize = 2 << 10;

/// The library's parameter for how many literals and matches share a block: 2,048.
/// Its default, 8, costs 98 KiB more and 0.4 to 0.8 µs for each message; from
/// 16 KiB on it saves some 5 % of the time.
const MEMORY_LEVEL: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets that look like chance.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32;
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn a_message_that_does_not_shrink_does_the_next_ones_no_harm() {
        for level in [1, 2, 6, 9] {
            let mut deflater = MessageDeflater::new(level);
            let mut output = Vec::new();
            let text = Message::Text("one message as any other, as any other");
            assert!(deflater.write_frame(text, WindowBits::MAX, &mut output));
            let expected = std::mem::take(&mut output);
            for bytes in [0, 1, 12, 100, 2_044, 2_048, 5_000, 100_000] {
                let noise = noise(bytes);
                // Several in a row: one that shrinks hides what they leave behind.
                for _ in 0..5 {
                    let message = Message::Binary(&noise);
                    assert!(!deflater.write_frame(message, WindowBits::MAX, &mut output));
                    assert_eq!(output.len(), 0);
                }
                assert!(deflater.write_frame(text, WindowBits::MAX, &mut output));
                assert_eq!(output, expected, "behind {bytes} octets at level {level}");
                output.clear();
            }
        }
    }
}

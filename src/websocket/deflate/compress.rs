//! Compressing messages (RFC 7692 §7.2.1).
//!
//! ```text
//! payload ── DEFLATE, flushed ──▶ f2 48 cd c9 c9 07 00│00 00 ff ff
//!                                 └─── sent ─────────┘└─ removed ─┘
//! ```
//!
//! The flush ends with an empty stored block, which begins in the byte in which the data
//! ends: at most one byte more than the data. Ending the stream instead (BFINAL, then
//! `00`) is never shorter.
//!
//! A compressor of the library costs 1.6 µs before its first byte, whatever the window:
//! it clears a hash table of 128 KiB. That is half of the time for 1 KiB of JSON at level
//! 1, and the reason why messages under
//! [`DeflateConfig::threshold_bytes`](super::DeflateConfig) are not compressed.

use super::WindowBits;
use alloc::vec::Vec;
use zlib_rs::{Deflate, DeflateFlush, Status};

/// Compresses messages without reference to earlier ones.
pub(crate) struct Deflater {
    level: u8,
    /// For every message that is not longer than the receiver's window: none of
    /// its distances can be longer than the message.
    widest: Option<Deflate>,
    /// For longer messages, with the window that was asked for last.
    narrower: Option<(WindowBits, Deflate)>,
}

impl Deflater {
    /// Nothing is allocated yet.
    pub(crate) fn new(level: u8) -> Deflater {
        Deflater {
            level,
            widest: None,
            narrower: None,
        }
    }

    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    /// Appends the compressed payload. `false`, and nothing is appended: it would not be
    /// shorter, or it is longer than a window of 256 bytes, which the library cannot keep
    /// to.
    pub(crate) fn compress(
        &mut self,
        payload: &[u8],
        window_bits: WindowBits,
        output: &mut Vec<u8>,
    ) -> bool {
        let Some(deflate) = self.compressor(payload.len(), window_bits) else {
            return false;
        };
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "client_no_context_takeover"
        //# extension parameter, the client MUST start compressing each new
        //# message with an empty LZ77 sliding window.
        deflate.reset();
        compress_or_undo(deflate, payload, output)
    }

    /// A compressor that refers no further back than `window_bits` allow in a
    /// message of this length, if there can be one.
    fn compressor(&mut self, bytes: usize, window_bits: WindowBits) -> Option<&mut Deflate> {
        let level = self.level;
        if window_bits == WindowBits::MAX || bytes <= window_bits.window_bytes() {
            let widest = &mut self.widest;
            return Some(widest.get_or_insert_with(|| new_deflate(level, WindowBits::MAX)));
        }
        if window_bits == WindowBits::MIN {
            return None;
        }
        self.narrower.take_if(|(bits, _)| *bits != window_bits);
        let narrower = &mut self.narrower;
        let (_, deflate) =
            narrower.get_or_insert_with(|| (window_bits, new_deflate(level, window_bits)));
        Some(deflate)
    }
}

/// Compresses one message in steps, without reference to earlier ones: for a caller that has other
/// work to do in between. As many bytes take as long as in one go.
#[cfg(feature = "server")]
pub(crate) struct SteppedDeflate {
    deflate: Deflate,
    /// What is compressed so far.
    output: Vec<u8>,
    /// 0 ≤ taken ≤ the payload's length
    taken: usize,
}

/// What has become of a message after a step.
#[cfg(feature = "server")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compressed {
    /// There is more to compress.
    InPart,
    /// The compressed payload, or the frame with it.
    Whole(Vec<u8>),
    /// It would not be shorter.
    NotShorter,
}

#[cfg(feature = "server")]
impl SteppedDeflate {
    /// Allocates 147 to 273 KiB. `None`: the window is one of 256 bytes, which the library cannot
    /// keep to.
    pub(crate) fn new(level: u8, window_bits: WindowBits) -> Option<SteppedDeflate> {
        (window_bits > WindowBits::MIN).then(|| SteppedDeflate {
            deflate: new_deflate(level, window_bits),
            output: Vec::new(),
            taken: 0,
        })
    }

    /// How many bytes of the payload are compressed.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Compresses the next `bytes_max` bytes of the payload, which is the same in each call. At
    /// least one; not to be called again when the message is whole, or not shorter.
    pub(crate) fn step(&mut self, payload: &[u8], bytes_max: usize) -> Compressed {
        let rest = &payload[self.taken..];
        let part = &rest[..rest.len().min(bytes_max.max(1))];
        self.taken += part.len();
        let is_last = self.taken == payload.len();
        let end_max = output_bytes_max(payload);
        let is_shorter = compress_part(&mut self.deflate, part, is_last, end_max, &mut self.output);
        match is_last {
            _ if !is_shorter => Compressed::NotShorter,
            false => Compressed::InPart,
            true if remove_tail(&mut self.output) => {
                Compressed::Whole(core::mem::take(&mut self.output))
            }
            true => Compressed::NotShorter,
        }
    }
}

/// Compresses messages that refer to the ones before them (context takeover).
pub(crate) struct DeflateContext {
    deflate: Deflate,
}

impl DeflateContext {
    /// Allocates 147 to 273 KiB: 9 ≤ `window_bits` ≤ 15.
    pub(crate) fn new(level: u8, window_bits: WindowBits) -> DeflateContext {
        DeflateContext {
            deflate: new_deflate(level, window_bits),
        }
    }

    /// Appends the compressed payload. `false`, and nothing is appended: it would not be
    /// shorter.
    pub(crate) fn compress(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        let compressed = compress_or_undo(&mut self.deflate, payload, output);
        if !compressed {
            // The message is in its window, and will not be in the peer's.
            self.forget();
        }
        compressed
    }

    /// The next message is compressed as if none had been before it.
    pub(crate) fn forget(&mut self) {
        self.deflate.reset();
    }
}

/// A compressor of the library, its window empty: 9 ≤ `window_bits` ≤ 15.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# An endpoint MUST NOT use an LZ77 sliding window longer than 32,768
//# bytes to compress messages to send.
fn new_deflate(level: u8, window_bits: WindowBits) -> Deflate {
    Deflate::new_with_config(zlib_rs::DeflateConfig {
        level: i32::from(level.clamp(1, 9)),
        // Below 0: without a header of zlib's own.
        window_bits: -i32::from(window_bits.get()),
        mem_level: MEMORY_LEVEL,
        ..zlib_rs::DeflateConfig::default()
    })
}

/// Appends the compressed payload, or nothing if it would not be shorter. The
/// compressor's window is then of no use.
fn compress_or_undo(deflate: &mut Deflate, payload: &[u8], output: &mut Vec<u8>) -> bool {
    let start = output.len();
    if !compress(deflate, payload, output) {
        output.truncate(start);
        end_stream(deflate, output);
        return false;
    }
    true
}

/// Appends the compressed payload. `false`: it is not shorter, and the bytes appended so
/// far are of no use.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# Compress all the octets of the payload of the message using
//# DEFLATE.
fn compress(deflate: &mut Deflate, payload: &[u8], output: &mut Vec<u8>) -> bool {
    let end_max = output.len() + output_bytes_max(payload);
    compress_part(deflate, payload, true, end_max, output) && remove_tail(output)
}

/// One byte more than what is still shorter, to see that it is not.
fn output_bytes_max(payload: &[u8]) -> usize {
    payload.len() + TAIL.len()
}

/// Compresses a part of a payload; the last one is flushed. What comes of it is appended, as far
/// as the library gives it. `false`: the output would get as long as `end_max`.
fn compress_part(
    deflate: &mut Deflate,
    part: &[u8],
    is_last: bool,
    end_max: usize,
    output: &mut Vec<u8>,
) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
    //# If the resulting data does not end with an empty DEFLATE block
    //# with no compression (the "BTYPE" bits are set to 00), append an
    //# empty DEFLATE block with no compression to the tail end.
    let flush = match is_last {
        true => DeflateFlush::SyncFlush,
        false => DeflateFlush::NoFlush,
    };
    let mut rest = part;
    loop {
        let end = output.len();
        let room = OUTPUT_BLOCK_BYTES.min(end_max - end);
        output.resize(end + room, 0);
        let (taken, written) = (deflate.total_in(), deflate.total_out());
        let compressed = deflate.compress(rest, &mut output[end..], flush);
        let taken = (deflate.total_in() - taken) as usize;
        let written = (deflate.total_out() - written) as usize;
        if compressed.is_err() || end + written >= end_max {
            return false;
        }
        rest = &rest[taken..];
        output.truncate(end + written);
        // The library takes less than 4 GiB at once, and flushes behind that. Without a flush it
        // may keep some of the output for the next part.
        if rest.is_empty() && (written < room || !is_last) {
            return true;
        }
    }
}

/// Brings a compressor that is given up to the end of its stream, writing nothing.
///
/// `Deflate::reset` (zlib-rs 0.6.8) assumes that the stream has ended: it resets neither
/// the open block nor the position of unwritten bytes in its buffer. The next stream
/// would lack a block's header, or panic because the buffer is too small.
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

/// The end of a flush, which is not sent.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The room that is made for the library's output at once: 1 KiB of JSON fits, and little
/// is cleared in vain.
const OUTPUT_BLOCK_BYTES: usize = 2 << 10;

/// The library's parameter for how many literals and matches share a block: 2,048.
/// Its default, 8, costs 98 KiB more and 0.4 to 0.8 µs for each message; from
/// 16 KiB on it saves some 5 % of the time.
const MEMORY_LEVEL: i32 = 5;

// Also obeyed by `compress`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# If the "agreed parameters" contain the "server_no_context_takeover"
//# extension parameter, the server MUST start compressing each new
//# message with an empty LZ77 sliding window.

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random.
    pub(super) fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32;
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        core::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn message_that_does_not_shrink_leaves_the_next_ones_as_they_would_be() {
        // Miri takes minutes for one level and 100,000 bytes.
        let levels: &[u8] = if cfg!(miri) { &[2] } else { &[1, 2, 6, 9] };
        let lengths: &[usize] = match cfg!(miri) {
            true => &[0, 100],
            false => &[0, 1, 12, 100, 2_044, 2_048, 5_000, 100_000],
        };
        for &level in levels {
            let mut deflater = Deflater::new(level);
            let mut output = Vec::new();
            let text = b"one message as any other, as any other";
            assert!(deflater.compress(text, WindowBits::MAX, &mut output));
            let expected = core::mem::take(&mut output);
            for &bytes in lengths {
                let noise = noise(bytes);
                // Several in a row: a message that shrinks hides the state they leave.
                for _ in 0..5 {
                    assert!(!deflater.compress(&noise, WindowBits::MAX, &mut output));
                    assert_eq!(output.len(), 0);
                }
                assert!(deflater.compress(text, WindowBits::MAX, &mut output));
                assert_eq!(output, expected, "behind {bytes} bytes at level {level}");
                output.clear();
            }
        }
    }
}

#[cfg(all(test, feature = "server"))]
mod stepped_tests {
    use super::tests::noise;
    use super::*;
    use zlib_rs::{Inflate, InflateFlush};

    /// Letters of an alphabet of 16: they shrink to about half.
    fn letters(bytes: usize) -> Vec<u8> {
        let noise = noise(bytes);
        noise.iter().map(|byte| b'a' + (byte >> 4)).collect()
    }

    fn compressed_in_steps(payload: &[u8], step_bytes: usize, window: WindowBits) -> Compressed {
        let mut steps = SteppedDeflate::new(2, window).expect("a window to keep to");
        for _ in 1..payload.len().div_ceil(step_bytes) {
            let taken_before = steps.deflate.total_in();
            let compressed = steps.step(payload, step_bytes);
            if compressed != Compressed::InPart {
                return compressed;
            }
            assert_eq!(steps.deflate.total_in() - taken_before, step_bytes as u64);
        }
        steps.step(payload, step_bytes)
    }

    #[test]
    fn message_that_is_compressed_in_steps_inflates_to_the_same_whatever_the_steps_are() {
        let bytes = if cfg!(miri) { 300 } else { 70_000 };
        let payload = letters(bytes);
        for window in [9, 15].map(|bits| WindowBits::new(bits).expect("a window")) {
            for step_bytes in [bytes / 70, bytes / 3, bytes - 1, bytes, 2 * bytes] {
                let Compressed::Whole(mut compressed) =
                    compressed_in_steps(&payload, step_bytes, window)
                else {
                    panic!("not compressed in steps of {step_bytes}");
                };
                assert!(compressed.len() < payload.len() * 3 / 4);
                compressed.extend_from_slice(&TAIL);
                let mut inflate = Inflate::new(false, window.get());
                let mut inflated = vec![0; payload.len() + 1];
                let flush = InflateFlush::SyncFlush;
                inflate
                    .decompress(&compressed, &mut inflated, flush)
                    .expect("DEFLATE data of this window");
                assert_eq!(inflate.total_out(), payload.len() as u64);
                inflated.truncate(payload.len());
                assert!(inflated == payload);
            }
        }
    }

    #[test]
    fn message_that_does_not_shrink_is_given_up_in_steps_too() {
        let bytes = if cfg!(miri) { 300 } else { 20_000 };
        for step_bytes in [bytes / 7, bytes] {
            let compressed = compressed_in_steps(&noise(bytes), step_bytes, WindowBits::MAX);
            assert_eq!(compressed, Compressed::NotShorter);
        }
    }

    #[test]
    fn smallest_window_has_no_compressor_in_steps() {
        assert!(SteppedDeflate::new(2, WindowBits::MIN).is_none());
    }
}

//! The worker's compressor (RFC 7692).
//!
//! A compressed message never refers to earlier ones (`server_no_context_takeover`). So one compressed frame is correct for
//! every receiver whose window is large enough, whatever the receiver got before, and frames of rooms and frames for one
//! client may come in any order. A room's message is compressed for the window of an [`Encoding`]; a message for one client
//! is compressed for the window that was agreed on with it.

use super::encoding::{Encoding, is_compressible};
use crate::server::metrics::CompressionCounts;
use crate::websocket::deflate::{Compressed, DeflateConfig, WindowBits};
use crate::websocket::frame::Opcode;
use crate::websocket::{Message, MessageDeflater, SteppedFrame};
use std::sync::Arc;

/// Compresses the messages that one worker publishes and sends.
pub(super) struct Compressor {
    /// `None`: the server compresses nothing.
    config: Option<DeflateConfig>,
    deflater: MessageDeflater,
    /// The frame that was written last.
    frame: Vec<u8>,
    counts: CompressionCounts,
    /// Bytes that were compressed, also those that did not get shorter; wraps around.
    compressed_bytes: usize,
}

impl Compressor {
    /// Allocates nothing until the first message is compressed.
    pub(super) fn new(config: Option<DeflateConfig>) -> Compressor {
        Compressor {
            deflater: MessageDeflater::new(config.map_or(1, |config| config.level)),
            config,
            frame: Vec::new(),
            counts: CompressionCounts::default(),
            compressed_bytes: 0,
        }
    }

    /// Bytes that were compressed, also those that did not get shorter; wraps around.
    #[inline(always)]
    pub(super) fn compressed_bytes(&self) -> usize {
        self.compressed_bytes
    }

    pub(super) fn counts(&self) -> CompressionCounts {
        self.counts
    }

    /// The encoding for a connection that agreed on this window, or on no compression.
    pub(super) fn encoding(&self, agreed: Option<WindowBits>) -> Encoding {
        Encoding::of(agreed, self.config.as_ref())
    }

    /// The window for which a message of this length is compressed. `None`: it is not.
    pub(super) fn window(&self, encoding: Encoding, message_bytes: usize) -> Option<WindowBits> {
        encoding.window(message_bytes, self.config.as_ref())
    }

    /// Whether a message of this length is compressed in any encoding.
    pub(super) fn is_compressible(&self, message_bytes: usize) -> bool {
        is_compressible(self.config.as_ref(), message_bytes)
    }

    /// Compresses a message for receivers with windows of at least `window`: one frame, or `None` if it would not shrink.
    pub(super) fn compress(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        window: WindowBits,
    ) -> Option<&[u8]> {
        self.frame.clear();
        self.frame.shrink_to(FRAME_BYTES_KEPT);
        self.compressed_bytes = self.compressed_bytes.wrapping_add(payload.len());
        let (deflater, frame) = (&mut self.deflater, &mut self.frame);
        if !deflater.write(opcode, payload, window, frame) {
            return None;
        }
        let frame_bytes = frame.len();
        self.count(payload.len(), frame_bytes);
        Some(&self.frame)
    }

    fn count(&mut self, payload_bytes: usize, frame_bytes: usize) {
        self.counts.frames += 1;
        self.counts.from_bytes += payload_bytes as u64;
        self.counts.to_bytes += frame_bytes as u64;
    }

    /// Begins to compress a message in steps. `None`: that is not possible for this window.
    pub(super) fn begin_steps(&self, opcode: Opcode, window: WindowBits) -> Option<SteppedFrame> {
        SteppedFrame::new(self.deflater.level(), opcode, window)
    }

    /// Compresses the next `bytes_max` bytes of such a message. Returned when it is whole: the frame, or `None` inside if it would not
    /// shrink.
    pub(super) fn step(
        &mut self,
        steps: &mut SteppedFrame,
        payload: &[u8],
        bytes_max: usize,
    ) -> Option<Option<Arc<[u8]>>> {
        let before = steps.taken();
        let compressed = steps.step(payload, bytes_max);
        let bytes = steps.taken() - before;
        self.compressed_bytes = self.compressed_bytes.wrapping_add(bytes);
        match compressed {
            Compressed::InPart => None,
            Compressed::NotShorter => Some(None),
            Compressed::Whole(frame) => {
                self.count(payload.len(), frame.len());
                Some(Some(frame.into()))
            }
        }
    }

    /// The frame that [`Compressor::compress`] returned last.
    pub(super) fn last_frame(&self) -> &[u8] {
        &self.frame
    }

    /// As [`Compressor::compress`], for one client and the window that it agreed on.
    pub(super) fn compress_for(
        &mut self,
        agreed: Option<WindowBits>,
        message: Message<'_>,
    ) -> Option<&[u8]> {
        let payload = message.as_bytes();
        let window = agreed.filter(|_| self.is_compressible(payload.len()))?;
        self.compress(message.opcode(), payload, window)
    }
}

/// The largest buffer for a compressed frame that a worker keeps.
const FRAME_BYTES_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_of_a_long_frame_is_not_kept() {
        let mut compressor = Compressor::new(Some(DeflateConfig::default()));
        // Letters without repetition, so that the frame stays long.
        let mut state = 1u32;
        let letters: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        })
        .take(1 << 20)
        .collect();
        let frame = compressor.compress(Opcode::Binary, &letters, WindowBits::MAX);
        assert!(frame.is_some_and(|frame| frame.len() > 2 * FRAME_BYTES_KEPT));
        let frame = compressor.compress(Opcode::Binary, &[7; 100], WindowBits::MAX);
        assert!(frame.is_some());
        assert!(compressor.frame.capacity() <= FRAME_BYTES_KEPT);
        let counts = compressor.counts();
        assert_eq!((counts.frames, counts.from_bytes), (2, (1 << 20) + 100));
    }
}

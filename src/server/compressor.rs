//! The worker's compressor (RFC 7692), and which windows it writes for.
//!
//! What the server sends never refers to earlier messages. So one compressed
//! frame is right for every receiver whose window is large enough, whatever else
//! it has got, and frames of rooms and direct ones may come in any order. The
//! server says so in each handshake: `server_no_context_takeover`.
//!
//! A room's members are served in at most three variants ([`Variant`]); a direct
//! message is compressed for the very window that was agreed on.

use super::metrics::Metrics;
use crate::websocket::Message;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, MessageDeflater, WindowBits};
use crate::websocket::frame::Opcode;

/// How a room's messages are encoded for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// As they are: for whom nothing was agreed on, and for windows of 256 octets,
    /// which the library cannot keep to.
    Plain,
    /// For the server's own window: nearly all members that take compression.
    Deflate,
    /// For smaller windows: whatever was agreed on, [`NARROW_WINDOW`].
    Narrow,
}

impl Variant {
    /// All of them; a variant's place here is its number.
    pub(super) const ALL: [Variant; 3] = [Variant::Plain, Variant::Deflate, Variant::Narrow];
}

/// The window of [`Variant::Narrow`]: 512 octets, the smallest that the library can
/// keep to.
const NARROW_WINDOW: WindowBits = match WindowBits::new(9) {
    Some(bits) => bits,
    None => WindowBits::MIN,
};

/// Compresses what one worker publishes and sends.
pub(super) struct Compressor {
    /// `None`: the server compresses nothing.
    config: Option<DeflateConfig>,
    deflater: MessageDeflater,
    /// The frame that was written last.
    frame: Vec<u8>,
}

impl Compressor {
    /// Allocates nothing until the first message is compressed.
    pub(super) fn new(config: Option<DeflateConfig>) -> Compressor {
        Compressor {
            deflater: MessageDeflater::new(config.map_or(1, |config| config.level)),
            config,
            frame: Vec::new(),
        }
    }

    /// The variant for a connection with this window, if one was agreed on.
    pub(super) fn variant(&self, agreed: Option<WindowBits>) -> Variant {
        match (agreed, &self.config) {
            (Some(window), Some(config)) if window >= config.server_max_window_bits => {
                Variant::Deflate
            }
            (Some(window), Some(_)) if window >= NARROW_WINDOW => Variant::Narrow,
            _ => Variant::Plain,
        }
    }

    /// Whether a message of this length is compressed for anyone.
    pub(super) fn is_worth_it(&self, bytes: usize) -> bool {
        is_worth_it(self.config.as_ref(), bytes)
    }

    /// The window that a message of this length is compressed for; `None`: it is
    /// sent as it is.
    pub(super) fn window(&self, variant: Variant, bytes: usize) -> Option<WindowBits> {
        let config = self.config.as_ref()?;
        if !self.is_worth_it(bytes) {
            return None;
        }
        match variant {
            Variant::Plain => None,
            // No distance is longer than the message, so the frame for the larger
            // window is right for the smaller one too.
            Variant::Narrow if bytes > NARROW_WINDOW.window_bytes() => Some(NARROW_WINDOW),
            Variant::Deflate | Variant::Narrow => Some(config.server_max_window_bits),
        }
    }

    /// Compresses a message for receivers with windows of at least `window`: one
    /// frame, or `None` if it would not shrink.
    pub(super) fn compress(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        window: WindowBits,
        metrics: &mut Metrics,
    ) -> Option<&[u8]> {
        self.frame.clear();
        self.frame.shrink_to(FRAME_BYTES_KEPT);
        let (deflater, frame) = (&mut self.deflater, &mut self.frame);
        if !deflater.write(opcode, payload, window, || None, frame) {
            return None;
        }
        metrics.compressed += 1;
        metrics.compressed_from_bytes += payload.len() as u64;
        metrics.compressed_to_bytes += frame.len() as u64;
        Some(&self.frame)
    }

    /// What [`Compressor::compress`] gave last.
    pub(super) fn last_frame(&self) -> &[u8] {
        &self.frame
    }

    /// As [`Compressor::compress`], for one client alone.
    pub(super) fn compress_for(
        &mut self,
        agreed: Option<WindowBits>,
        message: Message<'_>,
        metrics: &mut Metrics,
    ) -> Option<&[u8]> {
        let payload = message.as_bytes();
        let window = agreed.filter(|_| self.is_worth_it(payload.len()))?;
        self.compress(message.opcode(), payload, window, metrics)
    }
}

/// Whether a server with this configuration compresses a message of this length.
pub(super) fn is_worth_it(config: Option<&DeflateConfig>, bytes: usize) -> bool {
    config.is_some_and(|config| bytes >= config.threshold_bytes)
}

/// What the server is willing to, whatever it is configured to: it never refers to
/// earlier messages, so it promises that in every answer.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A server MAY include the "server_no_context_takeover" extension
//# parameter in an extension negotiation response even if the extension
//# negotiation offer being accepted by the extension negotiation
//# response didn't include the "server_no_context_takeover" extension
//# parameter.
pub(super) fn willing(config: &DeflateConfig) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: true,
        ..*config
    }
}

/// The window for what the server sends to a client that it has agreed with.
pub(super) fn window_of(agreed: Option<&DeflateParameters>) -> Option<WindowBits> {
    agreed.map(|agreed| agreed.server_max_window_bits)
}

/// The buffer for a compressed frame that a worker keeps.
const FRAME_BYTES_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bits: u8) -> WindowBits {
        WindowBits::new(bits).expect("a legal window")
    }

    fn compressor(server_max_window_bits: u8) -> Compressor {
        Compressor::new(Some(DeflateConfig {
            server_max_window_bits: bits(server_max_window_bits),
            ..DeflateConfig::default()
        }))
    }

    #[test]
    fn a_member_has_the_variant_that_its_window_can_take() {
        let variant = |own, agreed| compressor(own).variant(Some(bits(agreed)));
        assert_eq!(variant(15, 15), Variant::Deflate);
        assert_eq!(variant(15, 14), Variant::Narrow);
        assert_eq!(variant(15, 9), Variant::Narrow);
        assert_eq!(variant(15, 8), Variant::Plain);
        assert_eq!(variant(12, 12), Variant::Deflate);
        assert_eq!(variant(12, 11), Variant::Narrow);
        assert_eq!(variant(8, 8), Variant::Deflate);
        assert_eq!(compressor(15).variant(None), Variant::Plain);
        let off = Compressor::new(None);
        assert_eq!(off.variant(Some(bits(15))), Variant::Plain);
    }

    #[test]
    fn short_messages_are_compressed_once_for_both_windows_and_shorter_ones_never() {
        let compressor = compressor(15);
        let windows = |bytes| Variant::ALL.map(|variant| compressor.window(variant, bytes));
        assert_eq!(windows(63), [None, None, None]);
        assert_eq!(windows(64), [None, Some(bits(15)), Some(bits(15))]);
        assert_eq!(windows(512), [None, Some(bits(15)), Some(bits(15))]);
        assert_eq!(windows(513), [None, Some(bits(15)), Some(bits(9))]);
        let off = Compressor::new(None);
        assert_eq!(off.window(Variant::Deflate, 513), None);
    }

    #[test]
    fn the_buffer_of_a_long_frame_is_not_kept() {
        let mut compressor = compressor(15);
        let mut metrics = Metrics::default();
        // Letters that do not repeat themselves, so that the frame stays long.
        let mut state = 1u32;
        let letters: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        })
        .take(1 << 20)
        .collect();
        let frame = compressor.compress(Opcode::Binary, &letters, bits(15), &mut metrics);
        assert!(frame.is_some_and(|frame| frame.len() > 2 * FRAME_BYTES_KEPT));
        let frame = compressor.compress(Opcode::Binary, &[7; 100], bits(15), &mut metrics);
        assert!(frame.is_some());
        assert!(compressor.frame.capacity() <= FRAME_BYTES_KEPT);
        assert_eq!(metrics.compressed, 2);
        assert_eq!(metrics.compressed_from_bytes, (1 << 20) + 100);
    }
}

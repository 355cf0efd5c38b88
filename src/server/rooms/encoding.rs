//! Encodings: in which form a room's messages are written for a subscriber, and for which window they are compressed.
//!
//! | encoding | window agreed on (RFC 7692 §7.1.2) | a message is |
//! |---|---|---|
//! | plain | none; or 256 bytes where the server's own is larger | not compressed |
//! | deflate | at least the server's own (`server_max_window_bits`) | compressed once |
//! | narrow deflate | a smaller one, from 512 bytes on | up to 512 bytes the same frame as for deflate; a longer one is compressed so that no reference goes back more than 512 bytes |
//!
//! zlib-rs cannot limit its references to 256 bytes.

use crate::websocket::deflate::{DeflateConfig, DeflateParameters, WindowBits};

/// The form in which a room's messages are written for a group of its subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Deflate,
    NarrowDeflate,
}

impl Encoding {
    /// All of them; the index of an encoding is its number.
    pub(super) const ALL: [Encoding; 3] =
        [Encoding::Plain, Encoding::Deflate, Encoding::NarrowDeflate];

    /// The encoding for a connection that agreed on this window, or on no compression.
    pub(super) fn of(agreed: Option<WindowBits>, config: Option<&DeflateConfig>) -> Encoding {
        match (agreed, config) {
            (Some(window), Some(config)) if window >= config.server_max_window_bits => {
                Encoding::Deflate
            }
            (Some(window), Some(_)) if window >= NARROW_WINDOW => Encoding::NarrowDeflate,
            _ => Encoding::Plain,
        }
    }

    /// The window for which a message of this length is compressed. `None`: it is not.
    pub(super) fn window(
        self,
        message_bytes: usize,
        config: Option<&DeflateConfig>,
    ) -> Option<WindowBits> {
        let config = config.filter(|_| is_compressible(config, message_bytes))?;
        match self {
            Encoding::Plain => None,
            // No distance is longer than the message, so the frame for the larger window is
            // correct for the smaller one, too.
            Encoding::NarrowDeflate if message_bytes > NARROW_WINDOW.window_bytes() => {
                Some(NARROW_WINDOW)
            }
            Encoding::Deflate | Encoding::NarrowDeflate => Some(config.server_max_window_bits),
        }
    }
}

/// Whether a server with this configuration tries to compress a message of this length.
pub(crate) fn is_compressible(config: Option<&DeflateConfig>, message_bytes: usize) -> bool {
    config.is_some_and(|config| message_bytes >= config.threshold_bytes)
}

/// The configuration that is negotiated with clients. The server never refers to earlier messages, so it promises that in
/// every response.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# A server MAY include the "server_no_context_takeover" extension
//# parameter in an extension negotiation response even if the extension
//# negotiation offer being accepted by the extension negotiation
//# response didn't include the "server_no_context_takeover" extension
//# parameter.
pub(crate) fn negotiable(config: &DeflateConfig) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: true,
        ..*config
    }
}

/// The window for messages from the server, as it was agreed on.
pub(crate) fn window_of(agreed: Option<&DeflateParameters>) -> Option<WindowBits> {
    agreed.map(|agreed| agreed.server_max_window_bits)
}

/// The window of [`Encoding::NarrowDeflate`]: 512 bytes, the smallest to which zlib-rs can limit its references.
const NARROW_WINDOW: WindowBits = match WindowBits::new(9) {
    Some(bits) => bits,
    None => WindowBits::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bits: u8) -> WindowBits {
        WindowBits::new(bits).expect("a legal window")
    }

    fn config(server_max_window_bits: u8) -> DeflateConfig {
        DeflateConfig {
            server_max_window_bits: bits(server_max_window_bits),
            ..DeflateConfig::default()
        }
    }

    #[test]
    fn subscriber_gets_the_encoding_that_its_window_can_take() {
        let encoding = |own, agreed| Encoding::of(Some(bits(agreed)), Some(&config(own)));
        assert_eq!(encoding(15, 15), Encoding::Deflate);
        assert_eq!(encoding(15, 14), Encoding::NarrowDeflate);
        assert_eq!(encoding(15, 9), Encoding::NarrowDeflate);
        assert_eq!(encoding(15, 8), Encoding::Plain);
        assert_eq!(encoding(12, 12), Encoding::Deflate);
        assert_eq!(encoding(12, 11), Encoding::NarrowDeflate);
        assert_eq!(encoding(8, 8), Encoding::Deflate);
        assert_eq!(Encoding::of(None, Some(&config(15))), Encoding::Plain);
        assert_eq!(Encoding::of(Some(bits(15)), None), Encoding::Plain);
    }

    #[test]
    fn short_messages_are_compressed_once_for_both_windows_and_shorter_ones_never() {
        let config = config(15);
        let windows = |bytes| Encoding::ALL.map(|encoding| encoding.window(bytes, Some(&config)));
        assert_eq!(windows(63), [None, None, None]);
        assert_eq!(windows(64), [None, Some(bits(15)), Some(bits(15))]);
        assert_eq!(windows(512), [None, Some(bits(15)), Some(bits(15))]);
        assert_eq!(windows(513), [None, Some(bits(15)), Some(bits(9))]);
        assert_eq!(Encoding::Deflate.window(513, None), None);
    }
}

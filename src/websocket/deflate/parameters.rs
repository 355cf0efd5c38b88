//! The parameters on which two ends agree, and those that one end accepts (RFC 7692 §7.1).

/// The base-2 logarithm of an LZ77 sliding window's size: 8 to 15, for windows
/// of 256 bytes to 32 KiB (RFC 7692 §7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 256 bytes, the smallest window of RFC 7692.
    pub const MIN: WindowBits = WindowBits(8);
    /// 32 KiB, the largest window of DEFLATE, and the default of RFC 7692.
    pub const MAX: WindowBits = WindowBits(15);

    /// `None` unless 8 ≤ `bits` ≤ 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        if bits < WindowBits::MIN.0 || bits > WindowBits::MAX.0 {
            return None;
        }
        Some(WindowBits(bits))
    }

    /// The number: 8 ≤ bits ≤ 15.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The window's size in bytes: 256 to 32,768.
    pub const fn window_bytes(self) -> usize {
        1 << self.0
    }
}

impl Default for WindowBits {
    fn default() -> WindowBits {
        WindowBits::MAX
    }
}

/// What the two ends of a connection have agreed on (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParameters {
    /// The server compresses each message without reference to earlier ones.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
    /// The window that the server compresses with, at most.
    pub server_max_window_bits: WindowBits,
    /// The window that the client compresses with, at most.
    pub client_max_window_bits: WindowBits,
}

/// What one end asks for and agrees to, and how it compresses.
///
/// By default both ends are asked to use no context takeover: an idle connection then
/// costs no memory for compression.
///
/// ```
/// use yamabiko::websocket::deflate::DeflateConfig;
///
/// let config = DeflateConfig { level: 6, ..DeflateConfig::default() };
/// assert!(config.server_no_context_takeover);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Asks that the server compress each message without reference to earlier
    /// ones. Default `true`.
    pub server_no_context_takeover: bool,
    /// Asks that the client do so. Default `true`.
    pub client_no_context_takeover: bool,
    /// The largest window for the server's messages. Default 15.
    pub server_max_window_bits: WindowBits,
    /// The largest window for the client's messages. Default 15. A client that has not
    /// offered `client_max_window_bits` uses 15 all the same.
    pub client_max_window_bits: WindowBits,
    /// From 1, the fastest, to 9, the smallest result; a number beyond them is taken
    /// for the nearest. Default 2: on JSON a fifth to a quarter fewer bytes
    /// than 1 for twice its time, and nearly as few as any level above.
    pub level: u8,
    /// Bytes of payload below which a message is sent as it is. Default 64.
    pub threshold_bytes: usize,
}

impl Default for DeflateConfig {
    fn default() -> DeflateConfig {
        DeflateConfig {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.3
            //# To obtain a useful compression ratio, an LZ77 sliding window size of
            //# 1,024 or more is RECOMMENDED.
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
            level: 2,
            threshold_bytes: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_8_to_15_bits() {
        let legal: Vec<u8> = (0..=u8::MAX)
            .filter(|&bits| WindowBits::new(bits).is_some())
            .collect();
        assert_eq!(legal, [8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(WindowBits::MIN.window_bytes(), 256);
        assert_eq!(WindowBits::MAX.window_bytes(), 32_768);
    }

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.3
    //= type=test
    //# To obtain a useful compression ratio, an LZ77 sliding window size of
    //# 1,024 or more is RECOMMENDED.
    #[test]
    fn no_peer_is_asked_for_a_small_window_unless_configured() {
        let config = DeflateConfig::default();
        for window in [config.server_max_window_bits, config.client_max_window_bits] {
            assert!(window.window_bytes() >= 1024);
        }
    }
}

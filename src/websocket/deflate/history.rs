//! What the next message of a peer with context takeover may refer to (RFC 7692 §7.2.2).

use super::WindowBits;
use alloc::vec::Vec;

/// The bytes that the next message of a peer with context takeover may refer to.
///
/// A peer that refers further back than agreed is not caught as long as the bytes
/// are still there: within a message all distances up to 32 KiB work.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// At most a quarter more than the window, so that not each message has to
    /// move all of it.
    bytes: Vec<u8>,
    /// 0 for a peer without context takeover.
    window_bytes: usize,
}

impl History {
    /// Of a peer that has sent nothing. Nothing is allocated.
    pub(crate) fn new(context_takeover: bool, window_bits: WindowBits) -> History {
        History {
            bytes: Vec::new(),
            window_bytes: match context_takeover {
                true => window_bits.window_bytes(),
                false => 0,
            },
        }
    }

    /// The memory of the bytes that are kept.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The last bytes of all messages.
    pub(super) fn window(&self) -> &[u8] {
        last_of(&self.bytes, self.window_bytes)
    }

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the server MUST decompress
    //# each new message using the LZ77 sliding window used to process the
    //# last compressed message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        if self.window_bytes == 0 {
            return;
        }
        let new = last_of(message, self.window_bytes);
        let bytes_max = self.window_bytes + self.window_bytes / 4;
        if self.bytes.len() + new.len() > bytes_max {
            let kept = self.window_bytes - new.len();
            self.bytes.drain(..self.bytes.len() - kept);
        }
        let bytes = self.bytes.len() + new.len();
        if bytes > self.bytes.capacity() {
            let doubled = (2 * self.bytes.len()).clamp(bytes, bytes_max);
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
        self.bytes.extend_from_slice(new);
    }

    /// The same for all messages so far together: `bytes` end with the last one, and have
    /// those before it as far as they count.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.push(bytes);
    }
}

/// The last `bytes_max` of these bytes; all, if there are fewer.
pub(super) fn last_of(bytes: &[u8], bytes_max: usize) -> &[u8] {
    &bytes[bytes.len().saturating_sub(bytes_max)..]
}

// Also obeyed by `push`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the client MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_bounded_by_the_window_and_a_quarter() {
        let mut history = History::new(true, WindowBits::MIN);
        for bytes in [100, 255, 256, 257, 1000, 3] {
            history.push(&vec![7; bytes]);
            assert!(history.bytes.capacity() <= 256 + 64);
        }
    }
}

//! How an endpoint compresses its messages (RFC 7692 §7.2.1).
//!
//! | | without context takeover | with it |
//! |---|---|---|
//! | receiving | nothing | the bytes of the window, as many as have come, and a few more |
//! | sending | nothing | a compressor: 147 to 273 KiB, from the first message on |
//!
//! Receiving is in `receiver.rs` and `reassembler.rs`.

use super::super::compressed_frame;
use super::super::deflate::WindowBits;
use super::super::deflate::{DeflateConfig, DeflateContext, DeflateParameters, DeflatePool};
use super::super::frame::{Opcode, Role};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// How an endpoint compresses its messages.
pub(super) struct Compression {
    /// Of messages that refer to earlier ones, from the first message on.
    context: Option<Box<DeflateContext>>,
    pool: DeflatePool,
    threshold_bytes: usize,
    level: u8,
    window_bits: WindowBits,
    context_takeover: bool,
}

impl Compression {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-5
    //# both endpoints MUST use the algorithm described in Section 6
    //# and the message payload transformation (compressing and
    //# decompressing) procedure of the PMCE configured with the "agreed
    //# parameters" returned by the server to exchange messages.
    pub(super) fn new(
        role: Role,
        agreed: DeflateParameters,
        config: &DeflateConfig,
        pool: &DeflatePool,
    ) -> Compression {
        let (no_takeover, agreed_bits, config_bits) = match role {
            Role::Server => (
                agreed.server_no_context_takeover || config.server_no_context_takeover,
                agreed.server_max_window_bits,
                config.server_max_window_bits,
            ),
            Role::Client => (
                agreed.client_no_context_takeover || config.client_no_context_takeover,
                agreed.client_max_window_bits,
                config.client_max_window_bits,
            ),
        };
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "client_max_window_bits"
        //# extension parameter with a value of w, the client MUST NOT use an
        //# LZ77 sliding window longer than the w-th power of 2 bytes to compress
        //# messages to send.
        let window_bits = agreed_bits.min(config_bits);
        Compression {
            context: None,
            pool: pool.clone(),
            threshold_bytes: config.threshold_bytes,
            level: config.level,
            window_bits,
            // The library cannot keep to the smallest window over several messages.
            context_takeover: !no_takeover && window_bits != WindowBits::MIN,
        }
    }

    /// Appends the message as a compressed frame. `false`, and nothing is appended: it is
    /// too short, or would not get shorter.
    pub(super) fn write_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        masking_key: impl FnOnce() -> Option<[u8; 4]>,
        output: &mut Vec<u8>,
    ) -> bool {
        if payload.len() < self.threshold_bytes {
            return false;
        }
        let compress = |output: &mut Vec<u8>| self.compress(payload, output);
        compressed_frame::write(opcode, masking_key, compress, output)
    }

    /// The next message is compressed as if none had been sent before it.
    pub(super) fn forget_context(&mut self) {
        if let Some(context) = &mut self.context {
            context.forget();
        }
    }

    fn compress(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        let (level, window_bits) = (self.level, self.window_bits);
        if !self.context_takeover {
            return self.pool.with_deflater(level, |deflater| {
                deflater.compress(payload, window_bits, output)
            });
        }
        let context = &mut self.context;
        context
            .get_or_insert_with(|| Box::new(DeflateContext::new(level, window_bits)))
            .compress(payload, output)
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .field("context_takeover", &self.context_takeover)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Compression {
    pub(super) fn has_context(&self) -> bool {
        self.context.is_some()
    }
}

// Also obeyed by `new`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# If the "agreed parameters" contain the "server_max_window_bits"
//# extension parameter with a value of w, the server MUST NOT use an
//# LZ77 sliding window longer than the w-th power of 2 bytes to compress
//# messages to send.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Note that even if the client has included in its offer the
//# "client_max_window_bits" extension parameter with a value smaller
//# than one in the "agreed parameters", the client MUST use an LZ77
//# sliding window of a size that conforms the "agreed parameters" to
//# compress messages to send.

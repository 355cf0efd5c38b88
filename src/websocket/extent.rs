//! How much of a message its frames have announced, and the limits of that (RFC 6455 §5.4,
//! §10.4).
//!
//! Decided from the headers, before the payload has come. It is the same for a message that
//! is reassembled and for one that is handed out in pieces.

use super::error::ProtocolError;
use super::frame::{FrameHeader, Opcode};
use super::limits::Limits;

/// The frames of one message so far. All of them are within the limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    announced_bytes: usize,
    /// 1 ≤ fragments ≤ fragments_max
    fragments: u32,
    is_compressed: bool,
}

impl Extent {
    /// Of a message that begins with this frame, whose limits have been checked.
    pub(crate) fn first(header: &FrameHeader) -> Extent {
        Extent {
            announced_bytes: usize::try_from(header.payload_length).unwrap_or(usize::MAX),
            fragments: 1,
            is_compressed: header.rsv != 0b000,
        }
    }

    /// Payload bytes that the headers so far have announced.
    pub(crate) fn announced_bytes(&self) -> usize {
        self.announced_bytes
    }

    /// The next frame of the message begins.
    pub(crate) fn begin_fragment(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        self.announced_bytes = self.check_fragment(header, limits)?;
        self.fragments += 1;
        Ok(())
    }

    /// May this frame be the next of the message? Gives the number of bytes that the
    /// headers have then announced.
    pub(crate) fn check_fragment(
        &self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<usize, ProtocolError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# The fragments of one message MUST NOT be interleaved between the
        //# fragments of another message
        if header.opcode != Opcode::Continuation {
            return Err(ProtocolError::MessageInsideMessage);
        }
        if self.fragments >= limits.fragments_max {
            return Err(ProtocolError::TooManyFragments);
        }
        let bytes_max = match self.is_compressed {
            false => limits.message_bytes_max,
            true => compressed_bytes_max(limits),
        };
        announce(self.announced_bytes, header, bytes_max)
    }
}

/// May this frame be the first of a message?
#[inline]
pub(crate) fn check_first(header: &FrameHeader, limits: &Limits) -> Result<(), ProtocolError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# A fragmented message consists of a single frame with the FIN bit
    //# clear and an opcode other than 0, followed by zero or more frames
    //# with the FIN bit clear and the opcode set to 0, and terminated by
    //# a single frame with the FIN bit set and an opcode of 0.
    if header.opcode == Opcode::Continuation {
        return Err(ProtocolError::ContinuationWithoutMessage);
    }
    let bytes_max = match header.rsv {
        0 => limits.message_bytes_max,
        _ => compressed_bytes_max(limits),
    };
    announce(0, header, bytes_max).map(|_| ())
}

/// The length of the message with this frame, if that is allowed.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//# Implementations that have implementation- and/or platform-specific
//# limitations regarding the frame size or total message size after
//# reassembly from multiple frames MUST protect themselves against
//# exceeding those limits.
#[inline]
fn announce(before: usize, header: &FrameHeader, bytes_max: usize) -> Result<usize, ProtocolError> {
    usize::try_from(header.payload_length)
        .ok()
        .and_then(|length| before.checked_add(length))
        .filter(|&total| total <= bytes_max)
        .ok_or(ProtocolError::MessageTooBig)
}

/// The most compressed bytes that a message may have. No message that is within the limit
/// when it is inflated needs more: the worst codes that are in use make nine bits of
/// eight, and empty blocks between fragments cost five bytes each.
pub(crate) fn compressed_bytes_max(limits: &Limits) -> usize {
    let bytes_max = limits.message_bytes_max;
    bytes_max
        .saturating_add(bytes_max / 4)
        .saturating_add(1 << 10)
}

// Also obeyed by `begin_fragment`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Subsequent data frames MUST be interpreted as belonging to a new
//# WebSocket message.

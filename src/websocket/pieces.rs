//! Messages that are handed out in pieces, as they come (RFC 6455 §5.4, §6.2).
//!
//! ```text
//!                        ┌ plain: a slice of the input ───────────────────┐
//!   payload, unmasked ───┤   a character that was cut: a piece of its own ├──▶ Piece
//!                        └ compressed ─▶ a block of up to 64 KiB ─────────┘
//! ```
//!
//! The rules are those of a message that is reassembled: limits, the order of fragments,
//! UTF-8 up to each byte that is handed out. The ratio of inflated bytes to those that have
//! been announced holds in each fragment, because nothing waits for the next one. Nothing of a plain message is kept but the one
//! to three bytes of a character that is cut. Of a compressed message the decompressor and
//! the window are kept while it is under way ([`CompressedPieces`]).

use super::deflate::{CompressedPieces, DeflatePool, History, InflateError, Inflation};
use super::error::ProtocolError;
use super::extent::{Extent, check_first};
use super::frame::{FrameHeader, Opcode};
use super::limits::Limits;
use super::piece::{Content, Piece};
use super::utf8::Utf8Validator;
use alloc::string::String;

/// The message under way, if there is one, of a connection that hands out pieces.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    message: Option<Message>,
}

/// A message that has begun.
#[derive(Debug)]
struct Message {
    extent: Extent,
    /// Payload bytes that have come, as they came.
    arrived_bytes: usize,
    /// Of a text.
    utf8: Option<Utf8Validator>,
    compressed: Option<CompressedPieces>,
    /// The ratio limits the inflated bytes, and not the size of a message.
    ratio_counts: bool,
    /// Whether a piece of it has been handed out.
    has_begun: bool,
}

/// The result of inflating once.
pub(crate) struct InflatedPiece {
    /// The bytes that have been taken of those that were offered.
    pub(crate) taken: usize,
    /// There may be more inflated bytes, also without further input.
    pub(crate) has_more: bool,
    /// The content of the piece; empty if nothing was inflated.
    pub(crate) content: Result<Content<'static>, ProtocolError>,
}

impl Pieces {
    /// A data frame begins. Checks the order of the fragments and the limits.
    pub(crate) fn begin_frame(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match &mut self.message {
            Some(message) => {
                message.extent.begin_fragment(header, limits)?;
                message.limit_inflated_bytes(limits);
                Ok(())
            }
            None => {
                check_first(header, limits)?;
                self.message = Some(Message::new(header));
                Ok(())
            }
        }
    }

    /// What [`Pieces::begin_frame`] would give for this data frame.
    pub(crate) fn check_frame(
        &self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match &self.message {
            Some(message) => message.extent.check_fragment(header, limits).map(|_| ()),
            None => check_first(header, limits),
        }
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.message.is_some()
    }

    pub(crate) fn has_a_decompressor(&self) -> bool {
        let message = self.message.as_ref();
        message.is_some_and(|message| message.compressed.is_some())
    }

    /// The message under way is compressed, and may refer to `history`.
    pub(crate) fn begin_compressed(
        &mut self,
        history: History,
        pool: &DeflatePool,
        limits: &Limits,
    ) {
        if let Some(message) = &mut self.message {
            let compressed = CompressedPieces::new(history, limits.message_bytes_max, pool);
            message.compressed = Some(compressed);
            message.limit_inflated_bytes(limits);
        }
    }

    /// Payload bytes of the message under way that have come, as they came.
    pub(crate) fn arrived_bytes(&self) -> usize {
        let message = self.message.as_ref();
        message.map_or(0, |message| message.arrived_bytes)
    }

    /// The memory of the message under way.
    pub(crate) fn held_bytes(&self) -> usize {
        let message = self.message.as_ref();
        let compressed = message.and_then(|message| message.compressed.as_ref());
        compressed.map_or(0, CompressedPieces::held_bytes)
    }

    /// How many bytes the next plain piece may have: of a cut character only those that
    /// complete it, so that the rest can be a slice of the input.
    pub(crate) fn bytes_max(&self) -> usize {
        let utf8 = self.message.as_ref().and_then(|message| message.utf8);
        match utf8 {
            Some(utf8) if !utf8.cut().is_empty() => missing_bytes(utf8.cut()),
            _ => usize::MAX,
        }
    }

    /// The piece of these plain bytes, at most [`Pieces::bytes_max`]. `last`: the message
    /// ends with them. `None`: nothing to hand out yet.
    pub(crate) fn plain<'b>(
        &mut self,
        bytes: &'b [u8],
        last: bool,
    ) -> Result<Option<Piece<'b>>, ProtocolError> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        message.arrived_bytes = message.arrived_bytes.wrapping_add(bytes.len());
        let content = match &mut message.utf8 {
            None => Content::binary(bytes),
            Some(utf8) => {
                let decoded = utf8.decode(bytes)?;
                match decoded.carried {
                    Some(character) => Content::character(character),
                    None => Content::text(decoded.text),
                }
            }
        };
        self.hand_out(content, last)
    }

    /// Inflates up to a block of the compressed message.
    pub(crate) fn inflate(&mut self, bytes: &[u8]) -> InflatedPiece {
        let nothing = InflatedPiece {
            taken: bytes.len(),
            has_more: false,
            content: Ok(Content::binary(&[])),
        };
        let Some(message) = &mut self.message else {
            return nothing;
        };
        let Some(compressed) = &mut message.compressed else {
            return nothing;
        };
        let utf8 = &mut message.utf8;
        let inflation = compressed.inflate(bytes, |block| inflated(block, utf8.as_mut()));
        let Inflation {
            taken,
            has_more,
            used,
            result,
        } = inflation;
        message.arrived_bytes = message.arrived_bytes.wrapping_add(taken);
        // Bytes before an error are checked before it, as they would have been if they had
        // come alone.
        let content = used.and_then(|content| match result {
            Ok(()) => Ok(content),
            Err(InflateError::TooLong) if message.ratio_counts => {
                Err(ProtocolError::InflatedTooMuch)
            }
            Err(error) => Err(error.into()),
        });
        InflatedPiece {
            taken,
            has_more,
            content,
        }
    }

    /// The compressed message is complete. Checks that it was whole. Gives what the next
    /// message may refer to.
    pub(crate) fn finish_compressed(&mut self) -> Result<Option<History>, ProtocolError> {
        let message = self.message.as_mut();
        let compressed = message.and_then(|message| message.compressed.take());
        let finished = compressed.map(CompressedPieces::finish);
        Ok(finished.transpose()?)
    }

    /// The piece with this content, if there is something to hand out: bytes, or the end of
    /// the message.
    pub(crate) fn hand_out<'b>(
        &mut self,
        content: Content<'b>,
        last: bool,
    ) -> Result<Option<Piece<'b>>, ProtocolError> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        if content.as_bytes().is_empty() && !last {
            return Ok(None);
        }
        let is_first = !core::mem::replace(&mut message.has_begun, true);
        let is_text = message.utf8.is_some();
        if last {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
            //# Note that a particular text frame might include a partial UTF-8
            //# sequence; however, the whole message MUST contain valid UTF-8.
            if let Some(utf8) = message.utf8 {
                utf8.finish()?;
            }
            self.message = None;
        }
        let content = match content {
            // What ends a text is text.
            Content::Binary([], _) if is_text => Content::text(""),
            content => content,
        };
        Ok(Some(Piece::new(content, is_first, last)))
    }
}

impl Message {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Upon receiving a data frame (Section 5.6), the endpoint MUST note the
    //# /type/ of the data as defined by the opcode (frame-opcode) from
    //# Section 5.2.
    fn new(header: &FrameHeader) -> Message {
        Message {
            extent: Extent::first(header),
            arrived_bytes: 0,
            utf8: (header.opcode == Opcode::Text).then(Utf8Validator::default),
            compressed: None,
            ratio_counts: false,
            has_begun: false,
        }
    }

    /// More of the message is announced.
    fn limit_inflated_bytes(&mut self, limits: &Limits) {
        if let Some(compressed) = &mut self.compressed {
            let bytes_max = limits.inflated_bytes_max(self.extent.announced_bytes());
            compressed.set_bytes_max(bytes_max);
            self.ratio_counts = bytes_max < limits.message_bytes_max;
        }
    }
}

/// The content of a piece that was inflated into `block`.
fn inflated(
    block: &[u8],
    utf8: Option<&mut Utf8Validator>,
) -> Result<Content<'static>, ProtocolError> {
    if block.is_empty() {
        return Ok(Content::binary(&[]));
    }
    let Some(utf8) = utf8 else {
        return Ok(Content::inflated_binary(block.into()));
    };
    let decoded = utf8.decode(block)?;
    let Some(character) = decoded.carried else {
        return Ok(Content::inflated_text(decoded.text.into()));
    };
    let mut text = String::with_capacity(character.len_utf8() + decoded.text.len());
    text.push(character);
    text.push_str(decoded.text);
    Ok(Content::inflated_text(text.into_boxed_str()))
}

/// How many bytes a character needs that begins with these.
///
/// ```text
/// 110xxxxx  2 bytes      1110xxxx  3 bytes      11110xxx  4 bytes
/// ```
fn missing_bytes(cut: &[u8]) -> usize {
    let bytes = match cut.first() {
        Some(0b1111_0000..) => 4,
        Some(0b1110_0000..) => 3,
        _ => 2,
    };
    bytes - cut.len()
}

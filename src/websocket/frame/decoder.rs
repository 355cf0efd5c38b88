//! A streaming frame decoder: header, then the payload in pieces as they
//! arrive, unmasked. Nothing of the payload is held back or copied, so a frame
//! of any length costs the same 40 octets of state (RFC 6455 §5, §6.2).
//!
//! ```text
//!             header complete            last octet of payload
//!   Header ───────────────────▶ Payload ───────────────────────▶ Header
//! ```
//!
//! Use it for proxies, for messages too large to be held, and to see what goes
//! over the wire. It checks each frame by itself; the rules that bind frames
//! into messages, and all that is to be answered, belong to
//! [`Connection`](crate::websocket::Connection).

use super::{FrameError, FrameHeader, Role, mask};

/// Reads frames from a stream of octets that may be cut anywhere.
///
/// ```
/// use yamabiko::websocket::frame::{FrameDecoder, FramePart, Role};
///
/// let mut decoder = FrameDecoder::new(Role::Client);
/// let mut bytes = *b"\x81\x05Hello";
/// let mut input = &mut bytes[..];
/// let mut text = Vec::new();
/// while let Some(part) = decoder.next(&mut input)? {
///     match part {
///         FramePart::Header(header) => assert_eq!(header.payload_length, 5),
///         FramePart::Payload(piece) => text.extend_from_slice(piece),
///         FramePart::End => break,
///     }
/// }
/// assert_eq!(text, b"Hello");
/// # Ok::<(), yamabiko::websocket::frame::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    role: Role,
    state: State,
}

/// What [`FrameDecoder::next`] has found.
#[derive(Debug, PartialEq, Eq)]
pub enum FramePart<'b> {
    /// A frame begins.
    Header(FrameHeader),
    /// The next piece of the frame's payload, never empty, unmasked in place.
    Payload(&'b mut [u8]),
    /// The frame is complete.
    End,
}

#[derive(Clone, Debug)]
enum State {
    /// Collecting a header: 0 ≤ length < [`FrameHeader::BYTES_MAX`] octets so far.
    Header {
        bytes: [u8; FrameHeader::BYTES_MAX],
        length: u8,
    },
    /// `remaining` octets of payload are still to come; `offset` counts those
    /// that have come, modulo 4, which is all that unmasking asks.
    Payload {
        masking_key: Option<[u8; 4]>,
        offset: u8,
        remaining: u64,
    },
}

const BETWEEN_FRAMES: State = State::Header {
    bytes: [0; FrameHeader::BYTES_MAX],
    length: 0,
};

impl FrameDecoder {
    /// A decoder for the endpoint in this role, before the first frame.
    pub const fn new(role: Role) -> FrameDecoder {
        FrameDecoder {
            role,
            state: BETWEEN_FRAMES,
        }
    }

    /// The next part, taken from the front of `input`. `None`: all of `input`
    /// is taken and more is needed.
    ///
    /// # Errors
    /// The rule that the frame breaks. What the decoder says afterwards has no
    /// meaning: fail the connection.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Incoming data MUST be parsed as WebSocket frames as defined
    //# in Section 5.2.
    pub fn next<'b>(
        &mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<FramePart<'b>>, FrameError> {
        match self.remaining() {
            None => Ok(self.header(input)?.map(FramePart::Header)),
            Some(0) => {
                self.end_frame();
                Ok(Some(FramePart::End))
            }
            Some(_) if input.is_empty() => Ok(None),
            Some(_) => Ok(Some(FramePart::Payload(self.payload(input)))),
        }
    }

    /// Octets of the current frame's payload that have not come yet; `None`
    /// between frames.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Header { .. } => None,
            State::Payload { remaining, .. } => Some(remaining),
        }
    }

    /// Reads and checks a header. `None`: `input` is used up.
    #[inline]
    pub(crate) fn header(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<FrameHeader>, FrameError> {
        let State::Header { bytes, length } = &mut self.state else {
            return Ok(None);
        };
        let parsed = match length {
            0 => parse_whole(input, bytes, length)?,
            _ => parse_collected(input, bytes, length)?,
        };
        let Some(header) = parsed else {
            return Ok(None);
        };
        header.check(self.role)?;
        self.state = State::Payload {
            masking_key: header.masking_key,
            offset: 0,
            remaining: header.payload_length,
        };
        Ok(Some(header))
    }

    /// Takes as much of the current frame's payload as is there, unmasked.
    #[inline]
    pub(crate) fn payload<'b>(&mut self, input: &mut &'b mut [u8]) -> &'b mut [u8] {
        let State::Payload {
            masking_key,
            offset,
            remaining,
        } = &mut self.state
        else {
            return &mut [];
        };
        let taken = usize::try_from(*remaining).map_or(input.len(), |n| n.min(input.len()));
        let piece = take_front(input, taken);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
        //# A server MUST remove masking for data frames received from a client
        //# as described in Section 5.3.
        if let Some(key) = *masking_key {
            mask(piece, key, usize::from(*offset));
            *offset = (*offset + (taken % 4) as u8) % 4;
        }
        *remaining -= taken as u64;
        piece
    }

    /// The current frame's payload has all come: the next octet is a header's.
    #[inline]
    pub(crate) fn end_frame(&mut self) {
        self.state = BETWEEN_FRAMES;
    }
}

/// The usual case: nothing is collected, and a whole header is there.
#[inline]
fn parse_whole(
    input: &mut &mut [u8],
    bytes: &mut [u8; FrameHeader::BYTES_MAX],
    length: &mut u8,
) -> Result<Option<FrameHeader>, FrameError> {
    if let Some((header, taken)) = FrameHeader::parse(input)? {
        take_front(input, taken);
        return Ok(Some(header));
    }
    // Too short for a header, so shorter than the longest one.
    let taken = input.len();
    bytes[..taken].copy_from_slice(take_front(input, taken));
    *length = taken as u8;
    Ok(None)
}

/// The header was cut: octets are added one at a time until it is complete.
#[cold]
fn parse_collected(
    input: &mut &mut [u8],
    bytes: &mut [u8; FrameHeader::BYTES_MAX],
    length: &mut u8,
) -> Result<Option<FrameHeader>, FrameError> {
    while let [octet, ..] = **input {
        take_front(input, 1);
        // An incomplete header is shorter than the array.
        bytes[usize::from(*length)] = octet;
        *length += 1;
        if let Some((header, _)) = FrameHeader::parse(&bytes[..usize::from(*length)])? {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// Cuts `count` octets off the front of `input`: count ≤ input.len().
#[inline]
pub(crate) fn take_front<'b>(input: &mut &'b mut [u8], count: usize) -> &'b mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::{Opcode, encode};
    use proptest::prelude::*;

    /// All parts, with pieces of one payload joined.
    fn decode(role: Role, pieces: Vec<Vec<u8>>) -> Result<Vec<(Opcode, Vec<u8>)>, FrameError> {
        let mut decoder = FrameDecoder::new(role);
        let (mut frames, mut current) = (Vec::new(), None);
        for mut piece in pieces {
            let mut input = &mut piece[..];
            while let Some(part) = decoder.next(&mut input)? {
                match part {
                    FramePart::Header(header) => current = Some((header.opcode, Vec::new())),
                    FramePart::Payload(piece) => {
                        if let Some((_, payload)) = &mut current {
                            payload.extend_from_slice(piece);
                        }
                    }
                    FramePart::End => frames.extend(current.take()),
                }
            }
            assert!(input.is_empty());
        }
        Ok(frames)
    }

    #[test]
    fn decoder_stays_small() {
        assert!(size_of::<FrameDecoder>() <= 32);
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_stream_is_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
            key: [u8; 4],
            cuts in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let mut stream = Vec::new();
            for payload in &payloads {
                encode(true, Opcode::Binary, Some(key), payload, &mut stream);
            }
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece.to_vec());
                rest = behind;
                if rest.is_empty() { break; }
            }
            let expected: Vec<_> = payloads.into_iter().map(|p| (Opcode::Binary, p)).collect();
            prop_assert_eq!(decode(Role::Server, pieces), Ok(expected.clone()));
            prop_assert_eq!(decode(Role::Server, vec![stream]), Ok(expected));
        }
    }
}

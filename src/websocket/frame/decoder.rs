//! A streaming frame decoder: header, then the payload in pieces as they
//! arrive, unmasked. Nothing of the payload is held back or copied, so a frame
//! of any length costs the same 24 bytes of state (RFC 6455 §5, §6.2).
//!
//! ```text
//!             header complete            last byte of payload
//!   Header ───────────────────▶ Payload ───────────────────────▶ Header
//! ```
//!
//! Mid-frame, the state is a header whose length and masking key are advanced past the
//! bytes consumed.
//!
//! [`FrameDecoder`] is for proxies, for messages too large to be held, and to see the
//! frames on the wire. It checks each frame by itself. The rules that bind frames into
//! messages, and the replies, belong to [`Connection`](crate::websocket::Connection),
//! which has the same [`FrameState`] inside.

use super::mask::{mask, rotate};
use super::{FrameError, FrameHeader, FrameRules, Role};
use alloc::vec::Vec;

/// Reads frames from a stream of bytes that may be cut anywhere.
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
///         _ => {}
///     }
/// }
/// assert_eq!(text, b"Hello");
/// # Ok::<(), yamabiko::websocket::frame::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    rules: FrameRules,
    state: FrameState,
}

/// What [`FrameDecoder::next`] has found.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramePart<'b> {
    /// A frame begins.
    Header(FrameHeader),
    /// The next piece of the frame's payload, never empty, unmasked in place.
    Payload(&'b mut [u8]),
    /// The frame is complete.
    End,
}

impl FrameDecoder {
    /// A decoder for the endpoint in this role, before the first frame.
    pub const fn new(role: Role) -> FrameDecoder {
        FrameDecoder {
            rules: FrameRules::new(role),
            state: FrameState::BETWEEN_FRAMES,
        }
    }

    /// The next part, taken from the front of `input`. `None`: all of `input`
    /// is taken and more is needed.
    ///
    /// # Errors
    /// The rule that the frame breaks: fail the connection. From then on the same
    /// error comes again.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Incoming data MUST be parsed as WebSocket frames as defined
    //# in Section 5.2.
    pub fn next<'b>(
        &mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<FramePart<'b>>, FrameError> {
        let Some(mut rest) = self.state.take_rest() else {
            let header = self.state.header(self.rules, input)?;
            if let Some(header) = header {
                self.state.keep(header);
            }
            return Ok(header.map(FramePart::Header));
        };
        if rest.payload_length == 0 {
            return Ok(Some(FramePart::End));
        }
        let piece = take_payload(&mut rest, input, usize::MAX);
        self.state.keep(rest);
        Ok((!piece.is_empty()).then_some(FramePart::Payload(piece)))
    }

    /// Bytes of the current frame's payload that have not come yet; `None`
    /// between frames.
    pub fn remaining(&self) -> Option<u64> {
        self.state.rest().map(|rest| rest.payload_length)
    }
}

/// The position in a stream of frames; drawn at the top of this file.
#[derive(Clone, Debug)]
pub(crate) enum FrameState {
    /// Collecting a header: 0 ≤ length < [`FrameHeader::BYTES_MAX`] bytes so far. A
    /// header that breaks a rule stays here, and may have all of its bytes.
    Header {
        bytes: [u8; FrameHeader::BYTES_MAX],
        length: u8,
    },
    /// Within a frame, of which this is the rest.
    Payload(FrameHeader),
}

/// What lies at the front of the input, between frames.
pub(crate) enum PlainFront {
    /// The header of a message that is one frame, unchanged by an extension, and the number
    /// of the header's bytes.
    Header(FrameHeader, usize),
    /// A header that is cut, and has no byte yet that is without a meaning.
    Cut,
    /// Another header, or the rest of a frame.
    Other,
}

impl FrameState {
    pub(crate) const BETWEEN_FRAMES: FrameState = FrameState::Header {
        bytes: [0; FrameHeader::BYTES_MAX],
        length: 0,
    };

    /// Whether a frame has begun, if only with the first byte of its header, and is not
    /// complete.
    pub(crate) fn has_unfinished_frame(&self) -> bool {
        !matches!(self, FrameState::Header { length: 0, .. })
    }

    /// The header of the remaining part of the current frame; `None` between frames.
    pub(crate) fn rest(&self) -> Option<FrameHeader> {
        match self {
            FrameState::Header { .. } => None,
            FrameState::Payload(rest) => Some(*rest),
        }
    }

    /// The same, and the state is between frames: a caller that does not come to the
    /// frame's end gives back the header of what is left with `keep`.
    #[inline]
    pub(crate) fn take_rest(&mut self) -> Option<FrameHeader> {
        let rest = self.rest()?;
        *self = FrameState::BETWEEN_FRAMES;
        Some(rest)
    }

    /// The input ends within a frame: `rest` of it is to come.
    pub(crate) fn keep(&mut self, rest: FrameHeader) {
        *self = FrameState::Payload(rest);
    }

    /// Takes the header of a message of at most `bytes_max` bytes that lies in `input` as
    /// one whole frame, unchanged by an extension. `None`: it is another case, and nothing
    /// is taken.
    #[inline(always)]
    pub(crate) fn plain_header(
        &self,
        rules: FrameRules,
        input: &mut &mut [u8],
        bytes_max: usize,
    ) -> Option<FrameHeader> {
        let FrameState::Header { length: 0, .. } = self else {
            return None;
        };
        let (header, header_bytes) = FrameHeader::parse_plain(input, rules)?;
        let payload_max = bytes_max.min(input.len() - header_bytes);
        if header.payload_length > payload_max as u64 {
            return None;
        }
        take_front(input, header_bytes);
        Some(header)
    }

    /// Looks at the header of the next frame, and takes nothing.
    pub(crate) fn plain_front(&self, rules: FrameRules, input: &[u8]) -> PlainFront {
        if self.has_unfinished_frame() {
            return PlainFront::Other;
        }
        match FrameHeader::parse_plain(input, rules) {
            Some((header, header_bytes)) => PlainFront::Header(header, header_bytes),
            None if FrameHeader::parse(input) == Ok(None) => PlainFront::Cut,
            None => PlainFront::Other,
        }
    }

    /// Reads and checks a header, between frames. `None`: `input` is used up, and the
    /// bytes so far break no rule of a frame.
    ///
    /// The state is between frames afterwards too, as with `take_rest`.
    #[inline]
    pub(crate) fn header(
        &mut self,
        rules: FrameRules,
        input: &mut &mut [u8],
    ) -> Result<Option<FrameHeader>, FrameError> {
        let FrameState::Header { bytes, length } = self else {
            return Ok(None);
        };
        let parsed = match length {
            0 => parse_whole(input, bytes, length),
            _ => parse_collected(input, bytes, length),
        };
        let Some(header) = parsed else {
            return self.check_front(rules).map(|()| None);
        };
        if header.check_rules(rules).is_err() {
            self.put_back(&header);
            return self.check_front(rules).map(|()| None);
        }
        Ok(Some(header))
    }

    /// The beginnings of the header that has not come whole or that breaks a rule,
    /// from its first byte to all that is here: each as the least header that it
    /// can become.
    pub(crate) fn beginnings(
        &self,
        rules: FrameRules,
    ) -> impl Iterator<Item = Result<FrameHeader, FrameError>> {
        let front = match self {
            FrameState::Header { bytes, length } => &bytes[..usize::from(*length)],
            FrameState::Payload(_) => &[],
        };
        (1..=front.len()).map(move |come| {
            let least = FrameHeader::least(front[0], &front[1..come], rules)?;
            least.check_rules(rules)?;
            Ok(least)
        })
    }

    /// The first rule that is broken, in the order of the bytes: the same wherever the
    /// header is cut.
    #[cold]
    fn check_front(&self, rules: FrameRules) -> Result<(), FrameError> {
        self.beginnings(rules)
            .try_for_each(|least| least.map(|_| ()))
    }

    /// A whole header that breaks a rule, for `beginnings` to look at.
    #[cold]
    fn put_back(&mut self, header: &FrameHeader) {
        let mut front = Vec::with_capacity(FrameHeader::BYTES_MAX);
        header.encode(&mut front);
        let mut bytes = [0; FrameHeader::BYTES_MAX];
        bytes[..front.len()].copy_from_slice(&front);
        *self = FrameState::Header {
            bytes,
            length: front.len() as u8,
        };
    }
}

/// The usual case: nothing is collected, and a whole header is there. `None`: it is
/// cut or has no meaning, and its front is collected.
#[inline]
fn parse_whole(
    input: &mut &mut [u8],
    bytes: &mut [u8; FrameHeader::BYTES_MAX],
    length: &mut u8,
) -> Option<FrameHeader> {
    if let Ok(Some((header, taken))) = FrameHeader::parse(input) {
        take_front(input, taken);
        return Some(header);
    }
    let taken = input.len().min(FrameHeader::BYTES_MAX);
    bytes[..taken].copy_from_slice(take_front(input, taken));
    *length = taken as u8;
    None
}

/// The header was cut: bytes are added one at a time until it is complete, or can
/// have no meaning.
#[cold]
fn parse_collected(
    input: &mut &mut [u8],
    bytes: &mut [u8; FrameHeader::BYTES_MAX],
    length: &mut u8,
) -> Option<FrameHeader> {
    while let [byte, ..] = **input {
        // A header that fills the array is one that breaks a rule.
        let next = bytes.get_mut(usize::from(*length))?;
        *next = byte;
        *length += 1;
        take_front(input, 1);
        match FrameHeader::parse(&bytes[..usize::from(*length)]) {
            Ok(None) => {}
            Ok(Some((header, _))) => {
                *length = 0;
                return Some(header);
            }
            Err(_) => return None,
        }
    }
    None
}

/// Takes the part of the payload behind the header `rest` that is there, at most
/// `bytes_max` bytes of it, and unmasks it; `rest` is then the header of the remaining
/// part.
#[inline(always)]
pub(crate) fn take_payload<'b>(
    rest: &mut FrameHeader,
    input: &mut &'b mut [u8],
    bytes_max: usize,
) -> &'b mut [u8] {
    let (piece, key) = take_masked_payload(rest, input, bytes_max);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# A server MUST remove masking for data frames received from a client
    //# as described in Section 5.3.
    if let Some(key) = key {
        mask(piece, key, 0);
    }
    piece
}

/// The same, still masked, and the key for it.
#[inline(always)]
pub(crate) fn take_masked_payload<'b>(
    rest: &mut FrameHeader,
    input: &mut &'b mut [u8],
    bytes_max: usize,
) -> (&'b mut [u8], Option<[u8; 4]>) {
    let taken = payload_within(rest, input.len().min(bytes_max));
    let key = rest.masking_key;
    rest.masking_key = key.map(|key| rotate(key, taken));
    rest.payload_length -= taken as u64;
    (take_front(input, taken), key)
}

/// Unmasks the part of the payload behind the header `rest` that is there, at most
/// `bytes_max` bytes of it, and offers it to `take`, which returns how many bytes it has
/// taken from the front. The others stay in the input, masked as before.
pub(crate) fn offer_payload<T>(
    rest: &mut FrameHeader,
    input: &mut &mut [u8],
    bytes_max: usize,
    take: impl FnOnce(&[u8]) -> (usize, T),
) -> T {
    let offered = payload_within(rest, input.len().min(bytes_max));
    let payload = &mut input[..offered];
    let key = rest.masking_key.unwrap_or_default();
    mask(payload, key, 0);
    let (taken, result) = take(payload);
    mask(&mut payload[taken..], key, taken);
    take_front(input, taken);
    skip_payload(rest, taken);
    result
}

/// So many bytes of the payload behind the header `rest` are taken: `rest` is then the
/// header of the remaining part.
pub(crate) fn skip_payload(rest: &mut FrameHeader, taken: usize) {
    if let Some(key) = &mut rest.masking_key {
        *key = rotate(*key, taken);
    }
    rest.payload_length -= taken as u64;
}

/// How many of the next `bytes` bytes are payload behind the header `rest`.
#[inline]
pub(crate) fn payload_within(rest: &FrameHeader, bytes: usize) -> usize {
    usize::try_from(rest.payload_length).map_or(bytes, |length| length.min(bytes))
}

/// Cuts `count` bytes off the front of `input`: count ≤ input.len().
#[inline]
pub(crate) fn take_front<'b>(input: &mut &'b mut [u8], count: usize) -> &'b mut [u8] {
    let (front, rest) = core::mem::take(input).split_at_mut(count);
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
        // A `u64` is aligned to 4 bytes on 32-bit x86.
        let decoder = if cfg!(target_pointer_width = "64") {
            24
        } else {
            20
        };
        assert_eq!(size_of::<FrameDecoder>(), decoder);
        assert_eq!(size_of::<FrameState>(), 16);
    }

    #[test]
    fn offered_bytes_that_are_not_taken_stay_as_they_were() {
        for key in [None, Some([1, 2, 3, 4])] {
            let mut bytes = *b"the mountain echo";
            mask(&mut bytes, key.unwrap_or_default(), 0);
            let mut rest = FrameHeader {
                fin: true,
                rsv: 0,
                opcode: Opcode::Text,
                masking_key: key,
                payload_length: bytes.len() as u64 + 3,
            };
            let (mut input, mut taken) = (&mut bytes[..], Vec::new());
            while !input.is_empty() {
                let take = |offered: &[u8]| {
                    assert!(offered.len() <= 7);
                    let front = &offered[..offered.len().min(5)];
                    (front.len(), front.to_vec())
                };
                taken.extend(offer_payload(&mut rest, &mut input, 7, take));
            }
            assert_eq!(taken, b"the mountain echo");
            assert_eq!(rest.payload_length, 3);
        }
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

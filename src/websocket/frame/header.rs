//! The header of a frame: 2 to 14 bytes (RFC 6455 §5.2).
//!
//! Reading is in two steps. [`FrameHeader::parse`] shifts bits and refuses headers
//! without a meaning; [`FrameHeader::check`] lists the rules that a header with a
//! meaning may still break, one per line. Both cost a few nanoseconds
//! and allocate nothing.
//!
//! A header that is cut is refused at the first byte that no legal header has there.
//! So the rules are in the order of the bytes that decide them:
//!
//! ```text
//! byte   1            2           3          4              8            then
//!        FIN, RSV,    MASK,       top bit    16-bit form    64-bit form  masking
//!        opcode       control     of 64      not minimal    not minimal  key
//!                     over 125
//! ```

use super::Opcode;
use crate::websocket::rule::Rule;
use alloc::vec::Vec;
use core::fmt;

/// Which end of the connection this endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Receives masked frames and sends them unmasked.
    Server,
    /// Receives unmasked frames and masks each that it sends.
    Client,
}

/// What decides whether a header is legal, beside the header itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRules {
    receiver: Role,
    /// The reserved bits that an extension defines for the first frame of a data
    /// message.
    defined_rsv: u8,
}

impl FrameRules {
    /// Those of an endpoint that has negotiated no extension.
    pub(crate) const fn new(receiver: Role) -> FrameRules {
        FrameRules {
            receiver,
            defined_rsv: 0b000,
        }
    }

    /// The mask bit that frames must have, in its place in the second byte.
    #[inline]
    const fn lawful_mask(self) -> u8 {
        match self.receiver {
            Role::Server => 0b1000_0000,
            Role::Client => 0,
        }
    }

    /// From now on the first frame of a data message may have RSV1.
    pub(crate) fn define_rsv1(&mut self) {
        self.defined_rsv = FrameHeader::RSV1;
    }
}

/// The fields in front of a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// RSV1, RSV2, RSV3 as the bits `0b100`, `0b010`, `0b001`.
    pub rsv: u8,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The masking key, if the frame is masked.
    pub masking_key: Option<[u8; 4]>,
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# The payload length, indicated in the framing as frame-payload-length,
    //# does NOT include the length of the masking key.
    /// Bytes of payload behind the header: 0 ≤ payload_length < 2^63.
    pub payload_length: u64,
}

impl FrameHeader {
    /// RSV1 among the reserved bits.
    pub const RSV1: u8 = 0b100;
    /// The longest header: 2 bytes, 8 of extended length, 4 of masking key.
    pub const BYTES_MAX: usize = 14;

    /// The most payload that a control frame may have (§5.5).
    pub const CONTROL_PAYLOAD_BYTES_MAX: u64 = 125;

    /// Reads a header from the front of `bytes`, and gives the number of its
    /// bytes. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A reserved opcode, a length that is not written in its shortest form, a
    /// 64-bit length with the most significant bit set: as soon as the byte is
    /// there that decides it. The connection is then to be failed with 1002.
    ///
    /// ```
    /// use yamabiko::websocket::frame::{FrameHeader, Opcode};
    ///
    /// let (header, taken) = FrameHeader::parse(b"\x81\x05Hello")?.expect("it is all there");
    /// assert_eq!((header.opcode, header.payload_length, taken), (Opcode::Text, 5, 2));
    /// assert_eq!(FrameHeader::parse(b"\x81")?, None);
    /// # Ok::<(), yamabiko::websocket::frame::FrameError>(())
    /// ```
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return match bytes {
                [first] => parse_opcode(*first).map(|_| None),
                _ => Ok(None),
            };
        };
        let opcode = parse_opcode(*first)?;
        let Some((payload_length, rest)) = parse_length(second & 0b0111_1111, rest)? else {
            return Ok(None);
        };
        let (masking_key, rest) = match (second & 0b1000_0000 != 0, rest) {
            (false, rest) => (None, rest),
            (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            (true, _) => return Ok(None),
        };
        let header = FrameHeader {
            fin: first & 0b1000_0000 != 0,
            rsv: (first & 0b0111_0000) >> 4,
            opcode,
            masking_key,
            payload_length,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Reads the header of a message that is one frame and that no extension has changed:
    /// FIN, a text or binary opcode, no reserved bit. `None`: it is another header, or is
    /// cut, or breaks a rule. [`FrameHeader::parse`] and [`FrameHeader::check`] tell these
    /// apart.
    ///
    /// For the usual frame it asks far fewer questions than these two.
    #[inline(always)]
    pub(crate) fn parse_plain(bytes: &[u8], rules: FrameRules) -> Option<(FrameHeader, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let opcode = match first {
            PLAIN_TEXT => Opcode::Text,
            PLAIN_BINARY => Opcode::Binary,
            _ => return None,
        };
        // A mask bit that breaks the rule makes the length greater than 127.
        let (payload_length, rest) = match second ^ rules.lawful_mask() {
            length @ ..=LENGTH_7_MAX => (u64::from(length), rest),
            LENGTH_16 => {
                let (&length, rest) = rest.split_first_chunk()?;
                let length = u64::from(u16::from_be_bytes(length));
                (length >= LENGTH_16_FROM).then_some((length, rest))?
            }
            LENGTH_64 => parse_length(LENGTH_64, rest).ok()??,
            _ => return None,
        };
        let (masking_key, rest) = match rules.receiver {
            Role::Server => {
                let (&key, rest) = rest.split_first_chunk()?;
                (Some(key), rest)
            }
            Role::Client => (None, rest),
        };
        let header = FrameHeader {
            fin: true,
            rsv: 0b000,
            opcode,
            masking_key,
            payload_length,
        };
        Some((header, bytes.len() - rest.len()))
    }

    /// The least that a header can be which begins with the byte `first` and with
    /// `rest`: lengths and a mask bit that have not come are as small and as legal as
    /// they can be, and a masking key that has not come is zero.
    ///
    /// A rule that this header breaks is broken, whatever comes next.
    ///
    /// # Errors
    /// As [`FrameHeader::parse`].
    pub(crate) fn least(
        first: u8,
        rest: &[u8],
        rules: FrameRules,
    ) -> Result<FrameHeader, FrameError> {
        let opcode = parse_opcode(first)?;
        let (second, length) = match rest {
            [] => (rules.lawful_mask(), &[][..]),
            [second, length @ ..] => (*second, length),
        };
        let payload_length = match parse_length(second & 0b0111_1111, length)? {
            Some((payload_length, _)) => payload_length,
            None => length_bounds(second & 0b0111_1111, length).0,
        };
        Ok(FrameHeader {
            fin: first & 0b1000_0000 != 0,
            rsv: (first & 0b0111_0000) >> 4,
            opcode,
            masking_key: (second & 0b1000_0000 != 0).then_some([0; 4]),
            payload_length,
        })
    }

    /// The rules of a single frame, for an endpoint in the role `receiver` that
    /// has negotiated no extension.
    ///
    /// # Errors
    /// The first rule that the header breaks; the connection is then to be
    /// failed with 1002.
    #[inline]
    pub fn check(&self, receiver: Role) -> Result<(), FrameError> {
        self.check_rules(FrameRules::new(receiver))
    }

    #[inline]
    pub(crate) fn check_rules(&self, rules: FrameRules) -> Result<(), FrameError> {
        let control = self.opcode.is_control();
        let masked = self.masking_key.is_some();

        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
        //# MUST be 0 unless an extension is negotiated that defines meanings
        //# for non-zero values.
        let first_of_data = !control && self.opcode != Opcode::Continuation;
        if self.rsv != 0b000 && !(first_of_data && self.rsv & !rules.defined_rsv == 0b000) {
            return Err(FrameError::ReservedBits(self.rsv));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# Control frames themselves MUST NOT be fragmented.
        if control && !self.fin {
            return Err(FrameError::ControlFrameFragmented);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# The server MUST close the connection upon receiving a
        //# frame that is not masked.
        if rules.receiver == Role::Server && !masked {
            return Err(FrameError::NotMasked);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# A client MUST close a connection if it detects a masked
        //# frame.
        if rules.receiver == Role::Client && masked {
            return Err(FrameError::Masked);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
        //# All control frames MUST have a payload length of 125 bytes or less
        //# and MUST NOT be fragmented.
        if control && self.payload_length > Self::CONTROL_PAYLOAD_BYTES_MAX {
            return Err(FrameError::ControlFrameTooLong);
        }
        Ok(())
    }

    /// Appends the header to `output`, its length in the shortest form.
    pub fn encode(&self, output: &mut Vec<u8>) {
        self.encode_inline(output);
    }

    /// [`FrameHeader::encode`], inlined into the send path, where most fields are known.
    #[inline(always)]
    pub(super) fn encode_inline(&self, output: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0b111) << 4 | self.opcode.bits();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
        //# A masked frame MUST have the field frame-masked set to 1, as defined
        //# in Section 5.2.
        let masked = u8::from(self.masking_key.is_some()) << 7;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
        //# Multibyte length quantities are expressed in network byte order.
        match (
            u8::try_from(self.payload_length),
            u16::try_from(self.payload_length),
        ) {
            (Ok(length @ ..=LENGTH_7_MAX), _) => {
                output.extend_from_slice(&[first, masked | length])
            }
            (_, Ok(length)) => {
                let [a, b] = length.to_be_bytes();
                output.extend_from_slice(&[first, masked | LENGTH_16, a, b]);
            }
            _ => {
                let [a, b, c, d, e, f, g, h] = self.payload_length.to_be_bytes();
                let second = masked | LENGTH_64;
                output.extend_from_slice(&[first, second, a, b, c, d, e, f, g, h]);
            }
        }
        if let Some(key) = self.masking_key {
            output.extend_from_slice(&key);
        }
    }
}

#[inline]
fn parse_opcode(first: u8) -> Result<Opcode, FrameError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If an unknown opcode is received, the receiving endpoint MUST _Fail the
    //# WebSocket Connection_.
    let bits = first & 0b0000_1111;
    Opcode::from_bits(bits).ok_or(FrameError::ReservedOpcode(bits))
}

/// Reads the length that the seven bits announce, and gives the bytes behind it.
///
/// ```text
/// 0..=125  the length itself        126  16 bits follow        127  64 bits follow
/// ```
#[inline]
fn parse_length(length_7: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    let (length, shortest_from, rest) = match (length_7, rest) {
        (LENGTH_16, [a, b, rest @ ..]) => (
            u64::from(u16::from_be_bytes([*a, *b])),
            LENGTH_16_FROM,
            rest,
        ),
        (LENGTH_64, [a, b, c, d, e, f, g, h, rest @ ..]) => (
            u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            LENGTH_64_FROM,
            rest,
        ),
        (LENGTH_16 | LENGTH_64, cut) => return check_cut_length(length_7, cut),
        (length, rest) => (u64::from(length), 0, rest),
    };
    check_length(length, length, shortest_from)?;
    Ok(Some((length, rest)))
}

/// The rules of a length of which this much is known: at_least ≤ length ≤ at_most.
#[inline]
fn check_length(at_least: u64, at_most: u64, shortest_from: u64) -> Result<(), FrameError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If 127, the
    //# following 8 bytes interpreted as a 64-bit unsigned integer (the
    //# most significant bit MUST be 0) are the payload length.
    if at_least > PAYLOAD_LENGTH_MAX {
        return Err(FrameError::LengthOver63Bits);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# Note that in all cases, the minimal number of bytes MUST be used to
    //# encode the length
    if at_most < shortest_from {
        return Err(FrameError::LengthNotMinimal);
    }
    Ok(())
}

/// A length of 16 or 64 bits of which only `cut` has come.
#[cold]
fn check_cut_length<T>(length_7: u8, cut: &[u8]) -> Result<Option<T>, FrameError> {
    let (at_least, at_most) = length_bounds(length_7, cut);
    let shortest_from = match length_7 {
        LENGTH_16 => LENGTH_16_FROM,
        _ => LENGTH_64_FROM,
    };
    check_length(at_least, at_most, shortest_from).map(|()| None)
}

/// The least and the most that a length can be of which `cut` has come, the least in
/// its shortest form.
fn length_bounds(length_7: u8, cut: &[u8]) -> (u64, u64) {
    let (bytes, shortest_from) = match length_7 {
        LENGTH_16 => (2, LENGTH_16_FROM),
        LENGTH_64 => (8, LENGTH_64_FROM),
        length => return (u64::from(length), u64::from(length)),
    };
    let padded = |with: u8| {
        let padded = cut.iter().copied().chain(core::iter::repeat(with));
        let append = |length, byte| length << 8 | u64::from(byte);
        padded.take(bytes).fold(0, append)
    };
    (padded(0).max(shortest_from), padded(u8::MAX))
}

/// The first bytes of a message in one frame.
const PLAIN_TEXT: u8 = 0b1000_0000 | Opcode::Text.bits();
const PLAIN_BINARY: u8 = 0b1000_0000 | Opcode::Binary.bits();
const LENGTH_7_MAX: u8 = 125;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
/// The least lengths that are written in 16 and in 64 bits.
const LENGTH_16_FROM: u64 = LENGTH_7_MAX as u64 + 1;
const LENGTH_64_FROM: u64 = u16::MAX as u64 + 1;
const PAYLOAD_LENGTH_MAX: u64 = u64::MAX >> 1;

/// A rule of §5 that a single frame breaks. The answer is always to fail the
/// connection with 1002 (protocol error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// One of the opcodes 0x3 to 0x7 or 0xB to 0xF (§5.2).
    ReservedOpcode(u8),
    /// RSV1, RSV2 or RSV3 is set and no extension gave it a meaning (§5.2).
    ReservedBits(u8),
    /// A client sent a frame unmasked (§5.1).
    NotMasked,
    /// A server sent a frame masked (§5.1).
    Masked,
    /// A Close, Ping or Pong without FIN (§5.4).
    ControlFrameFragmented,
    /// A Close, Ping or Pong with more than 125 bytes (§5.5).
    ControlFrameTooLong,
    /// A length that would have fitted a shorter form (§5.2).
    LengthNotMinimal,
    /// A 64-bit length whose most significant bit is 1 (§5.2).
    LengthOver63Bits,
}

impl FrameError {
    /// The sentence of the RFC that the peer broke.
    pub const fn rule(&self) -> Rule {
        match self {
            Self::ReservedOpcode(_) => Rule::UNKNOWN_OPCODE,
            Self::ReservedBits(_) => Rule::RESERVED_BITS,
            Self::NotMasked => Rule::NOT_MASKED,
            Self::Masked => Rule::MASKED,
            Self::ControlFrameFragmented => Rule::CONTROL_NOT_FRAGMENTED,
            Self::ControlFrameTooLong => Rule::CONTROL_LENGTH,
            Self::LengthNotMinimal => Rule::MINIMAL_LENGTH,
            Self::LengthOver63Bits => Rule::LENGTH_64_BITS,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpcode(bits) => write!(f, "reserved opcode {bits:#X} (§5.2)"),
            Self::ReservedBits(rsv) => write!(f, "reserved bits {rsv:#05b} set (§5.2)"),
            Self::NotMasked => f.write_str("a client's frame is not masked (§5.1)"),
            Self::Masked => f.write_str("a server's frame is masked (§5.1)"),
            Self::ControlFrameFragmented => f.write_str("fragmented control frame (§5.4)"),
            Self::ControlFrameTooLong => f.write_str("control frame over 125 bytes (§5.5)"),
            Self::LengthNotMinimal => f.write_str("length not in its shortest form (§5.2)"),
            Self::LengthOver63Bits => f.write_str("length over 63 bits (§5.2)"),
        }
    }
}

impl core::error::Error for FrameError {}

// Also obeyed by `check_rules`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If a nonzero value is
//# received and none of the negotiated extensions defines the meaning
//# of such a nonzero value, the receiving endpoint MUST _Fail the
//# WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv1 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv2 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv3 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.8
//# The endpoints of a connection MUST negotiate the use of any
//# extensions during the opening handshake.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= type=implication
//# the client is only offering to use any advertised
//# extensions and MUST NOT use them unless the server indicates that it
//# wishes to use the extension.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST NOT set the "Per-Message Compressed" bit of control
//# frames and non-first fragments of a data message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint
//# receiving such a frame MUST _Fail the WebSocket Connection_.

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn header(payload_length: u64, masking_key: Option<[u8; 4]>) -> FrameHeader {
        FrameHeader {
            fin: true,
            rsv: 0,
            opcode: Opcode::Binary,
            masking_key,
            payload_length,
        }
    }

    fn encoded(header: FrameHeader) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes
    }

    #[test]
    fn each_length_form_is_used_up_to_its_border() {
        let lengths = [0, 125, 126, 65_535, 65_536, PAYLOAD_LENGTH_MAX];
        let bytes = lengths.map(|length| encoded(header(length, None)).len());
        assert_eq!(bytes, [2, 2, 4, 4, 10, 10]);
        assert_eq!(
            encoded(header(u64::MAX >> 1, Some(KEY))).len(),
            FrameHeader::BYTES_MAX
        );
    }

    #[test]
    fn a_length_in_a_longer_form_than_needed_is_refused() {
        assert_eq!(
            FrameHeader::parse(&[0x82, 126, 0, 125]),
            Err(FrameError::LengthNotMinimal)
        );
        assert_eq!(
            FrameHeader::parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            Err(FrameError::LengthNotMinimal)
        );
    }

    #[test]
    fn the_top_bit_of_a_64_bit_length_is_refused() {
        assert_eq!(
            FrameHeader::parse(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Err(FrameError::LengthOver63Bits)
        );
    }

    proptest! {
        #[test]
        fn a_header_is_read_back_as_it_was_written(
            fin: bool,
            rsv in 0b000..=0b111_u8,
            opcode in prop::sample::select(vec![0x0_u8, 0x1, 0x2, 0x8, 0x9, 0xA]),
            masking_key: Option<[u8; 4]>,
            payload_length in 0..=PAYLOAD_LENGTH_MAX,
            shift in 0..63_u32,
        ) {
            let payload_length = payload_length >> shift;
            let Some(opcode) = Opcode::from_bits(opcode) else { unreachable!() };
            let header = FrameHeader { fin, rsv, opcode, masking_key, payload_length };
            let bytes = encoded(header);
            prop_assert_eq!(FrameHeader::parse(&bytes), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(FrameHeader::parse(&bytes[..cut]), Ok(None));
            }
        }

        /// Of every first and second byte, with lengths at their borders.
        #[test]
        fn plain_header_is_a_legal_header_of_a_whole_message(
            first: u8,
            second: u8,
            length in prop::sample::select(vec![0_u64, 125, 126, 65_535, 65_536, 1 << 62, 1 << 63]),
            bytes in 0..=FrameHeader::BYTES_MAX,
            receiver in prop::sample::select(vec![Role::Server, Role::Client]),
            defined: bool,
        ) {
            let mut header = vec![first, second];
            match second & 0x7f {
                126 => header.extend((length as u16).to_be_bytes()),
                127 => header.extend(length.to_be_bytes()),
                _ => {}
            }
            header.extend([1, 2, 3, 4]);
            header.truncate(bytes);
            let mut rules = FrameRules::new(receiver);
            if defined {
                rules.define_rsv1();
            }
            let legal = FrameHeader::parse(&header).ok().flatten().filter(|(header, _)| {
                let is_whole = header.fin && header.rsv == 0b000;
                let is_data = matches!(header.opcode, Opcode::Text | Opcode::Binary);
                is_whole && is_data && header.check_rules(rules).is_ok()
            });
            prop_assert_eq!(FrameHeader::parse_plain(&header, rules), legal);
        }
    }
}

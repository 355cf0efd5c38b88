//! Bytes of one direction as frames, and each frame as parts with their meaning (RFC 6455 §5.2).
//!
//! ```text
//!   81          85            37 fa 21 3d   7f 9f 4d 51 58
//!   FIN, RSV,   MASK,         masking key   payload
//!   opcode      length
//! ```
//!
//! A frame that breaks a rule is described like any other, together with the rule: the page shows broken frames. The core decides whether a
//! header is legal; this file only names its parts. Cost: one pass, and text of some hundred bytes for each frame.

use std::borrow::Cow;

use yamabiko::websocket::frame::{FrameError, FrameHeader, Opcode, Role, mask};
use yamabiko::websocket::{CloseCode, CloseFrame};

use crate::hexadecimal;
use crate::limits::DESCRIBED_MAX;
use crate::messages::{End, Frame, Part};

/// Bytes as frames.
#[derive(Debug, Default)]
pub(crate) struct Dissection {
    pub(crate) frames: Vec<Frame>,
    /// Bytes behind the frames that are described.
    pub(crate) omitted_bytes: usize,
    /// Bytes of the last frame if it is not complete; 0 if it is.
    pub(crate) unfinished_bytes: usize,
    /// The first Close that is legal.
    pub(crate) close: Option<CloseFrame<'static>>,
}

/// The frames in `bytes`. `compressed`: RSV1 has a meaning on this connection.
pub(crate) fn dissect(from: End, mut bytes: &[u8], compressed: bool) -> Dissection {
    let mut dissection = Dissection::default();
    while !bytes.is_empty() {
        let frame = RawFrame::read(bytes);
        let described = dissection.frames.len() < DESCRIBED_MAX;
        if described {
            dissection.frames.push(frame.describe(from, compressed));
        } else {
            dissection.omitted_bytes += frame.bytes.len();
        }
        if frame.missing_bytes > 0 {
            dissection.unfinished_bytes = frame.bytes.len();
        }
        if dissection.close.is_none() && frame.problem(from, compressed).is_none() {
            dissection.close = frame.close();
        }
        bytes = &bytes[frame.bytes.len()..];
    }
    dissection
}

/// A frame cut into its parts. Parts that have not come are empty.
struct RawFrame<'b> {
    /// All of it that has come: at least one byte.
    bytes: &'b [u8],
    extended_length: &'b [u8],
    masking_key: &'b [u8],
    payload: &'b [u8],
    payload_length: u64,
    /// Whether all bytes of the length have come.
    length_is_known: bool,
    missing_bytes: u64,
}

impl<'b> RawFrame<'b> {
    /// `bytes`: at least one.
    fn read(bytes: &'b [u8]) -> RawFrame<'b> {
        let second = bytes.get(1).copied();
        let (length_bytes, key_bytes) = match second {
            None => (0, 0),
            Some(second) => {
                let length_bytes = match second & 0b0111_1111 {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                };
                (length_bytes, if second & 0b1000_0000 != 0 { 4 } else { 0 })
            }
        };
        let (_, rest) = bytes.split_at(bytes.len().min(2));
        let (extended_length, rest) = rest.split_at(rest.len().min(length_bytes));
        let (masking_key, rest) = rest.split_at(rest.len().min(key_bytes));
        let header_bytes = 2 + length_bytes + key_bytes;
        let payload_length = match extended_length {
            [] => u64::from(second.unwrap_or_default() & 0b0111_1111),
            some => some.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let missing_of_header = header_bytes.saturating_sub(bytes.len()) as u64;
        let length_is_known = second.is_some() && extended_length.len() == length_bytes;
        let (payload, missing_bytes) = match missing_of_header {
            0 => {
                let whole = usize::try_from(payload_length).unwrap_or(usize::MAX);
                let payload = &rest[..rest.len().min(whole)];
                (payload, payload_length - payload.len() as u64)
            }
            missing if length_is_known => (&[][..], missing.saturating_add(payload_length)),
            missing => (&[][..], missing),
        };
        RawFrame {
            bytes: &bytes[..bytes.len().min(header_bytes + payload.len())],
            extended_length,
            masking_key,
            payload,
            payload_length,
            length_is_known,
            missing_bytes,
        }
    }

    fn opcode(&self) -> Option<Opcode> {
        Opcode::from_bits(self.bytes[0] & 0b1111)
    }

    fn is_compressed(&self) -> bool {
        self.bytes[0] & 0b0100_0000 != 0
    }

    /// The rule that the header breaks.
    fn problem(&self, from: End, compressed: bool) -> Option<FrameError> {
        let receiver = match from {
            End::Client => Role::Server,
            End::Server => Role::Client,
        };
        let mut header = match FrameHeader::parse(self.bytes) {
            Err(error) => return Some(error),
            Ok(None) => return None,
            Ok(Some((header, _))) => header,
        };
        if compressed && matches!(header.opcode, Opcode::Text | Opcode::Binary) {
            header.rsv &= !FrameHeader::RSV1;
        }
        header.check(receiver).err()
    }

    /// The payload as its sender meant it.
    fn unmasked(&self) -> Cow<'b, [u8]> {
        match <[u8; 4]>::try_from(self.masking_key) {
            Ok(key) => {
                let mut payload = self.payload.to_vec();
                mask(&mut payload, key, 0);
                payload.into()
            }
            Err(_) => self.payload.into(),
        }
    }

    /// If it is a whole Close with a legal body.
    fn close(&self) -> Option<CloseFrame<'static>> {
        if self.opcode() != Some(Opcode::Close) || self.missing_bytes > 0 {
            return None;
        }
        let body = self.unmasked();
        let [a, b, reason @ ..] = &*body else {
            return body.is_empty().then_some(CloseFrame::EMPTY);
        };
        let code = CloseCode::new(u16::from_be_bytes([*a, *b]))?;
        let reason = std::str::from_utf8(reason).ok()?;
        Some(CloseFrame::new(code, reason).into_owned())
    }

    fn describe(&self, from: End, compressed: bool) -> Frame {
        let mut parts = vec![self.first_byte()];
        parts.extend(self.bytes.get(1).map(|byte| self.second_byte(*byte)));
        parts.extend(self.extended_length());
        parts.extend(self.masking_key());
        parts.extend(self.payload());
        Frame {
            bytes: hexadecimal::written(self.bytes),
            title: self.title(),
            parts,
            missing_bytes: self.missing_bytes,
            problem: self.problem(from, compressed).map(|rule| rule.to_string()),
        }
    }

    fn title(&self) -> String {
        let kind = kind(self.bytes[0]);
        let last = match (self.bytes[0] & 0b1000_0000 != 0, self.opcode()) {
            (false, Some(Opcode::Continuation)) => ", more fragments follow",
            (false, _) => ", the first fragment",
            (true, Some(Opcode::Continuation)) => ", the last fragment",
            (true, _) => "",
        };
        let length = match self.length_is_known {
            true => format!(", {}", bytes(self.payload_length)),
            false => String::new(),
        };
        format!("{kind}{last}{length}")
    }

    fn first_byte(&self) -> Part {
        let byte = self.bytes[0];
        let (fin, rsv, opcode) = (byte >> 7, byte >> 4 & 0b111, byte & 0b1111);
        let last = match fin {
            1 => "the last frame of its message",
            _ => "more frames of this message follow",
        };
        let reserved = match rsv {
            0b000 => "no extension",
            0b100 => "RSV1, compressed where permessage-deflate was agreed on",
            _ => "reserved bits are set",
        };
        Part {
            length: 1,
            name: "FIN, RSV1 to RSV3, opcode",
            bits: Some(format!("{fin} {rsv:03b} {opcode:04b}")),
            unmasked: None,
            meaning: format!(
                "FIN {fin}: {last}; RSV {rsv:03b}: {reserved}; opcode 0x{opcode:X}: {}",
                kind(byte)
            ),
        }
    }

    fn second_byte(&self, byte: u8) -> Part {
        let (masked, length) = (byte >> 7, byte & 0b0111_1111);
        let mask = match masked {
            1 => "a masking key follows",
            _ => "not masked",
        };
        let length = match length {
            126 => "126: the length is in the next 2 bytes".to_owned(),
            127 => "127: the length is in the next 8 bytes".to_owned(),
            length => format!("payload of {}", bytes(u64::from(length))),
        };
        Part {
            length: 1,
            name: "MASK, length",
            bits: Some(format!("{masked} {:07b}", byte & 0b0111_1111)),
            unmasked: None,
            meaning: format!("MASK {masked}: {mask}; {length}"),
        }
    }

    fn extended_length(&self) -> Option<Part> {
        let meaning = match self.length_is_known {
            true => format!("payload of {}", bytes(self.payload_length)),
            false => "the length is not complete".to_owned(),
        };
        part("extended length", self.extended_length, meaning)
    }

    fn masking_key(&self) -> Option<Part> {
        let meaning = "each byte of the payload was combined with one of these, by XOR";
        part("masking key", self.masking_key, meaning.to_owned())
    }

    /// The payload, of a Close in two parts.
    fn payload(&self) -> Vec<Part> {
        let payload = self.unmasked();
        let parts = match (self.opcode(), payload.split_at_checked(2)) {
            (Some(Opcode::Close), Some((code, reason))) => {
                let code = part("close code", code, code_meaning(code));
                let reason = part("reason", reason, text_meaning(reason));
                [code, reason]
            }
            (Some(Opcode::Close), None) => {
                let meaning = "half of a close code: a body has at least 2 bytes";
                [part("payload", &payload, meaning.to_owned()), None]
            }
            (Some(Opcode::Binary), _) if !self.is_compressed() => {
                let meaning = format!("binary data, {}", bytes(payload.len() as u64));
                [part("payload", &payload, meaning), None]
            }
            _ if self.is_compressed() => {
                let meaning = "compressed data".to_owned();
                [part("payload", &payload, meaning), None]
            }
            _ => [part("payload", &payload, text_meaning(&payload)), None],
        };
        let is_masked = self.masking_key.len() == 4;
        let mut start = 0;
        let parts = parts.into_iter().flatten().map(|mut part| {
            let end = start + part.length;
            let shown = || hexadecimal::written(&payload[start..end]);
            part.unmasked = is_masked.then(shown);
            start = end;
            part
        });
        parts.collect()
    }
}

/// `None`: there are no bytes of it.
fn part(name: &'static str, bytes: &[u8], meaning: String) -> Option<Part> {
    let part = Part {
        length: bytes.len(),
        name,
        bits: None,
        unmasked: None,
        meaning,
    };
    (!bytes.is_empty()).then_some(part)
}

/// The kind of frame, by its first byte.
fn kind(first: u8) -> &'static str {
    match Opcode::from_bits(first & 0b1111) {
        Some(Opcode::Continuation) => "continuation",
        Some(Opcode::Text) => "text",
        Some(Opcode::Binary) => "binary",
        Some(Opcode::Close) => "Close",
        Some(Opcode::Ping) => "ping",
        Some(Opcode::Pong) => "pong",
        None => "reserved opcode",
    }
}

fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

fn text_meaning(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("“{text}”"),
        Err(_) => format!("“{}”, by itself not UTF-8", String::from_utf8_lossy(bytes)),
    }
}

/// `code`: two bytes.
fn code_meaning(code: &[u8]) -> String {
    let code = code.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
    let meaning = match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "data that does not fit its type, such as a text that is not UTF-8",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "an extension is missing",
        1011 => "internal error of the server",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        3000..=3999 => "registered for libraries and applications",
        4000..=4999 => "private use",
        _ => "must not be sent",
    };
    format!("{code}: {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §5.7.
    const MASKED_HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

    fn meanings(frame: &Frame) -> Vec<(&'static str, usize, &str)> {
        let parts = frame.parts.iter();
        parts
            .map(|part| (part.name, part.length, &*part.meaning))
            .collect()
    }

    fn only_frame(from: End, bytes: &[u8]) -> Frame {
        let mut frames = dissect(from, bytes, false).frames;
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }

    #[test]
    fn each_part_of_a_frame_has_its_meaning() {
        let frame = only_frame(End::Client, MASKED_HELLO);
        assert_eq!(frame.title, "text, 5 bytes");
        assert_eq!((frame.missing_bytes, frame.problem.clone()), (0, None));
        let expected = [
            (
                "FIN, RSV1 to RSV3, opcode",
                1,
                "FIN 1: the last frame of its message; RSV 000: no extension; opcode 0x1: text",
            ),
            (
                "MASK, length",
                1,
                "MASK 1: a masking key follows; payload of 5 bytes",
            ),
            (
                "masking key",
                4,
                "each byte of the payload was combined with one of these, by XOR",
            ),
            ("payload", 5, "“Hello”"),
        ];
        assert_eq!(meanings(&frame), expected);
        assert_eq!(frame.parts[0].bits.as_deref(), Some("1 000 0001"));
        assert_eq!(frame.parts[1].bits.as_deref(), Some("1 0000101"));
        assert_eq!(frame.parts[3].unmasked.as_deref(), Some("48 65 6c 6c 6f"));
    }

    #[test]
    fn a_close_has_a_code_and_a_reason() {
        let bytes = b"\x88\x05\x03\xe8bye";
        let frame = only_frame(End::Server, bytes);
        let meanings = meanings(&frame);
        assert_eq!(meanings[2], ("close code", 2, "1000: normal closure"));
        assert_eq!(meanings[3], ("reason", 3, "“bye”"));
        let close = dissect(End::Server, bytes, false).close;
        assert_eq!(close, Some(CloseFrame::new(CloseCode::NORMAL, "bye")));
        for illegal in [
            &b"\x88\x02\x03\xed"[..],
            b"\x88\x01\x03",
            b"\x88\x03\x03\xe8\xff",
        ] {
            assert_eq!(dissect(End::Server, illegal, false).close, None);
        }
        let empty = dissect(End::Server, b"\x88\x00", false).close;
        assert_eq!(empty, Some(CloseFrame::EMPTY));
    }

    #[test]
    fn long_lengths_are_parts_of_their_own() {
        let frame = only_frame(End::Server, b"\x82\x7e\x01\x00");
        assert_eq!(
            meanings(&frame)[2],
            ("extended length", 2, "payload of 256 bytes")
        );
        assert_eq!(frame.missing_bytes, 256);
        let frame = only_frame(End::Server, b"\x82\x7f\0\0\0\0\0\x01\0\0");
        assert_eq!(
            meanings(&frame)[2],
            ("extended length", 8, "payload of 65536 bytes")
        );
        let cut = only_frame(End::Server, b"\x82\x7f\0\0\0");
        assert_eq!(
            meanings(&cut)[2],
            ("extended length", 3, "the length is not complete")
        );
        assert_eq!(cut.missing_bytes, 5);
    }

    #[test]
    fn a_broken_header_names_its_rule_and_has_its_parts() {
        for (from, bytes, rule) in [
            (
                End::Client,
                &b"\x81\x05Hello"[..],
                "a client's frame is not masked (§5.1)",
            ),
            (
                End::Server,
                MASKED_HELLO,
                "a server's frame is masked (§5.1)",
            ),
            (End::Server, b"\x83\x00", "reserved opcode 0x3 (§5.2)"),
            (End::Server, b"\xc1\x00", "reserved bits 0b100 set (§5.2)"),
            (End::Server, b"\x09\x00", "fragmented control frame (§5.4)"),
            (
                End::Server,
                b"\x81\x7e\x00\x05Hello",
                "length not in its shortest form (§5.2)",
            ),
            (
                End::Server,
                b"\x81\x7f\xff\0\0\0\0\0\0\0",
                "length over 63 bits (§5.2)",
            ),
        ] {
            let frame = only_frame(from, bytes);
            assert_eq!(frame.problem.as_deref(), Some(rule));
            let length: usize = frame.parts.iter().map(|part| part.length).sum();
            assert_eq!(length, bytes.len(), "{rule}");
        }
    }

    #[test]
    fn reserved_bit_of_compression_is_legal_where_it_was_agreed_on() {
        let bytes = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 §7.2.3.1
        let frame = &dissect(End::Server, bytes, true).frames[0];
        assert_eq!(frame.problem, None);
        assert_eq!(frame.parts[2].meaning, "compressed data");
        let ping = &dissect(End::Server, b"\xc9\x00", true).frames[0];
        assert!(ping.problem.is_some());
    }

    #[test]
    fn parts_cover_the_bytes_wherever_the_input_is_cut() {
        let mut bytes = MASKED_HELLO.to_vec();
        bytes.extend(b"\x88\x82\x37\xfa\x21\x3d\x34\x12\x8a\xfe\x01\x00\x01\x02\x03\x04");
        for cut in 1..=bytes.len() {
            let dissection = dissect(End::Client, &bytes[..cut], false);
            let parts = dissection.frames.iter().flat_map(|frame| &frame.parts);
            assert_eq!(parts.map(|part| part.length).sum::<usize>(), cut);
            let whole = dissection.frames.iter().rev().skip(1);
            assert!(whole.into_iter().all(|frame| frame.missing_bytes == 0));
        }
    }

    #[test]
    fn frames_beyond_the_limit_are_counted() {
        let at = dissect(End::Server, &b"\x89\x00".repeat(DESCRIBED_MAX), false);
        assert_eq!((at.frames.len(), at.omitted_bytes), (DESCRIBED_MAX, 0));
        let past = dissect(End::Server, &b"\x89\x00".repeat(DESCRIBED_MAX + 2), false);
        assert_eq!((past.frames.len(), past.omitted_bytes), (DESCRIBED_MAX, 4));
    }
}

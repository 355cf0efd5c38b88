//! The frames of one member: messages are checked and not kept.
//!
//! Frames are parsed in the read buffer. A message that is whole in the buffer, as nearly
//! all small ones are, is checked there: nothing is copied, allocated or checked for
//! UTF-8. If a message is cut, or sent in several frames, the reader keeps only the head
//! and compares the rest piece by piece, so that messages of any size need the same 144
//! bytes of state. A compressed message that is cut is reassembled, because
//! [`super::inflater`] needs all of it.
//!
//! With permessage-deflate, RSV1 in the first frame of a message marks it as compressed
//! (RFC 7692 §6). The reader clears that bit before it parses the frame. In any other
//! frame, RSV1 breaks a rule, as it does without permessage-deflate.
//!
//! The reader checks the rules of RFC 6455 for single frames and for the order of
//! fragments. The comparison with the sent message also finds texts that are not UTF-8.

use std::fmt;

use yamabiko::websocket::frame::{FrameDecoder, FrameError, FrameHeader, FramePart, Opcode, Role};

use super::inflater::{Inflater, NotDeflate};
use super::payload::{HEAD_BYTES, Reading, Template};

/// A message or control frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A text or binary message.
    Message(Reading),
    /// A Close, Ping or Pong; its payload is in [`FrameReader::control_payload`].
    Control(Opcode),
}

/// The rule that the server has broken. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Frame(FrameError),
    /// A continuation frame, and no message to continue (§5.4).
    NothingToContinue,
    /// A new message inside a fragmented one (§5.4).
    MessageInsideMessage,
    /// A compressed message that cannot be inflated, or refers to an earlier one (RFC
    /// 7692 §7.2.2, §7.1.1.1).
    NotDeflate,
}

/// The templates that messages are compared with.
pub(super) struct Checker {
    pub template: Template,
    /// `None`: no message may be compressed.
    pub inflater: Option<Inflater>,
}

/// See the [module's text](self).
#[derive(Debug)]
pub(super) struct FrameReader {
    decoder: FrameDecoder,
    stage: Stage,
    message: Fragments,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The next byte is a frame's first.
    Between,
    /// A header was cut; the decoder has its first bytes.
    Header,
    /// In a frame that has not arrived completely.
    Frame(FrameHeader),
}

/// A message whose end has not arrived.
#[derive(Debug)]
struct Fragments {
    open: bool,
    head: [u8; HEAD_BYTES],
    /// The number of bytes that have arrived.
    bytes: usize,
    /// Everything but the head.
    rest_is_right: bool,
    compressed: bool,
    /// The part of a compressed message that has arrived, to be inflated.
    collected: Vec<u8>,
}

impl FrameReader {
    pub(super) fn new() -> FrameReader {
        FrameReader {
            decoder: FrameDecoder::new(Role::Client),
            stage: Stage::Between,
            message: Fragments::new(),
            control: Vec::new(),
        }
    }

    /// The next arrival, removed from the front of `input`. `None`: the input is consumed.
    #[inline]
    pub(super) fn next(
        &mut self,
        input: &mut &mut [u8],
        checker: &mut Checker,
    ) -> Result<Option<Arrival>, Broken> {
        if self.stage == Stage::Between
            && !self.message.open
            && let Some((reading, rest)) = whole_message(input, checker)?
        {
            skip(input, rest);
            return Ok(Some(Arrival::Message(reading)));
        }
        self.next_in_pieces(input, checker)
    }

    /// The payload of the control frame that has just arrived.
    pub(super) fn control_payload(&self) -> &[u8] {
        &self.control
    }

    fn next_in_pieces(
        &mut self,
        input: &mut &mut [u8],
        checker: &mut Checker,
    ) -> Result<Option<Arrival>, Broken> {
        loop {
            let bytes_are_left = !input.is_empty();
            if checker.inflater.is_some() {
                self.take_off_rsv1(input);
            }
            match self.decoder.next(input).map_err(Broken::Frame)? {
                Some(FramePart::Header(header)) => self.begin(header)?,
                Some(FramePart::Payload(piece)) => self.take(piece, checker),
                Some(FramePart::End) => {
                    if let Some(arrival) = self.end(checker)? {
                        return Ok(Some(arrival));
                    }
                }
                Some(_) => {}
                None => {
                    // The bytes are the start of a header.
                    if bytes_are_left {
                        self.stage = Stage::Header;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Notes that a message is compressed, if this is the first byte of its first
    /// frame.
    fn take_off_rsv1(&mut self, input: &mut [u8]) {
        if self.stage != Stage::Between || self.message.open {
            return;
        }
        if let Some(first) = input.first_mut() {
            let opcode = Opcode::from_bits(*first & 0b0000_1111);
            if *first & RSV1 != 0 && matches!(opcode, Some(Opcode::Text | Opcode::Binary)) {
                *first &= !RSV1;
                self.message.compressed = true;
            }
        }
    }

    fn take(&mut self, piece: &[u8], checker: &Checker) {
        match self.stage {
            Stage::Frame(header) if header.opcode.is_control() => {
                self.control.extend_from_slice(piece);
            }
            _ => self.message.take(piece, checker),
        }
    }

    fn begin(&mut self, header: FrameHeader) -> Result<(), Broken> {
        let continues = header.opcode == Opcode::Continuation;
        if continues && !self.message.open {
            return Err(Broken::NothingToContinue);
        }
        if !continues && !header.opcode.is_control() && self.message.open {
            return Err(Broken::MessageInsideMessage);
        }
        match header.opcode.is_control() {
            true => self.control.clear(),
            false => self.message.open = true,
        }
        self.stage = Stage::Frame(header);
        Ok(())
    }

    fn end(&mut self, checker: &mut Checker) -> Result<Option<Arrival>, Broken> {
        let Stage::Frame(header) = std::mem::replace(&mut self.stage, Stage::Between) else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            return Ok(Some(Arrival::Control(header.opcode)));
        }
        if !header.fin {
            return Ok(None);
        }
        let message = std::mem::replace(&mut self.message, Fragments::new());
        Ok(Some(Arrival::Message(message.check(checker)?)))
    }
}

impl Fragments {
    fn new() -> Fragments {
        Fragments {
            open: false,
            head: [0; HEAD_BYTES],
            bytes: 0,
            rest_is_right: true,
            compressed: false,
            collected: Vec::new(),
        }
    }

    fn take(&mut self, piece: &[u8], checker: &Checker) {
        match &checker.inflater {
            Some(inflater) if self.compressed => {
                // One byte more than the limit, to detect a longer message.
                let room = (inflater.payload_bytes_max() + 1).saturating_sub(self.collected.len());
                self.collected
                    .extend_from_slice(&piece[..piece.len().min(room)]);
            }
            _ => self.compare(piece, &checker.template),
        }
    }

    /// The bytes before the head, the head, and the bytes after it.
    fn compare(&mut self, piece: &[u8], template: &Template) {
        let head_at = template.head_at();
        let (before, rest) = split(piece, head_at.saturating_sub(self.bytes));
        self.compare_rest(before, template);
        let head = self.bytes.saturating_sub(head_at).min(HEAD_BYTES);
        let head = &mut self.head[head..];
        let (of_head, behind) = split(rest, head.len());
        head[..of_head.len()].copy_from_slice(of_head);
        self.bytes = self.bytes.saturating_add(of_head.len());
        self.compare_rest(behind, template);
    }

    fn compare_rest(&mut self, piece: &[u8], template: &Template) {
        self.rest_is_right &= piece.is_empty() || template.continues(self.bytes, piece);
        self.bytes = self.bytes.saturating_add(piece.len());
    }

    fn check(&self, checker: &mut Checker) -> Result<Reading, Broken> {
        let template = &checker.template;
        match &mut checker.inflater {
            Some(inflater) if self.compressed => Ok(inflater.read(&self.collected, template)?),
            _ if self.bytes < template.head_at() + HEAD_BYTES => Ok(Reading::Foreign),
            _ => {
                let length_is_right = self.bytes == template.message_bytes();
                Ok(template.check(&self.head, self.rest_is_right && length_is_right))
            }
        }
    }
}

impl From<NotDeflate> for Broken {
    fn from(NotDeflate: NotDeflate) -> Broken {
        Broken::NotDeflate
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Frame(error) => error.fmt(formatter),
            Broken::NothingToContinue => formatter.write_str("nothing to continue (§5.4)"),
            Broken::MessageInsideMessage => {
                formatter.write_str("a new message inside a fragmented one (§5.4)")
            }
            Broken::NotDeflate => formatter.write_str(
                "a compressed message that cannot be inflated by itself (RFC 7692 §7.2.2)",
            ),
        }
    }
}

/// Checks the message at the front of `input`, if it is there whole and in one frame, and
/// returns its length in `input`.
#[inline]
fn whole_message(input: &[u8], checker: &mut Checker) -> Result<Option<(Reading, usize)>, Broken> {
    let Some((mut header, header_bytes)) = FrameHeader::parse(input).map_err(Broken::Frame)? else {
        return Ok(None);
    };
    if !header.fin || !matches!(header.opcode, Opcode::Text | Opcode::Binary) {
        return Ok(None);
    }
    let inflater = match &mut checker.inflater {
        Some(inflater) if header.rsv & RSV1 >> 4 != 0 => Some(inflater),
        _ => None,
    };
    if inflater.is_some() {
        header.rsv &= !(RSV1 >> 4);
    }
    header.check(Role::Client).map_err(Broken::Frame)?;
    let Some(payload) = usize::try_from(header.payload_length)
        .ok()
        .and_then(|length| input[header_bytes..].get(..length))
    else {
        return Ok(None);
    };
    let reading = match inflater {
        None => checker.template.read(payload),
        Some(inflater) => inflater.read(payload, &checker.template)?,
    };
    Ok(Some((reading, header_bytes + payload.len())))
}

/// The first `count` bytes, or all of them, and the rest.
fn split(piece: &[u8], count: usize) -> (&[u8], &[u8]) {
    piece.split_at(piece.len().min(count))
}

/// Cuts bytes off the front: count ≤ input.len().
#[inline]
fn skip(input: &mut &mut [u8], count: usize) {
    *input = &mut std::mem::take(input)[count..];
}

/// Of a frame's first byte.
const RSV1: u8 = 0b0100_0000;

#[cfg(test)]
mod tests {
    use super::super::inflater::tests::compressed;
    use super::super::payload::{Head, Payload};
    use super::*;
    use proptest::prelude::*;
    use yamabiko::websocket::frame::encode;

    const BYTES: usize = 64;

    fn template() -> Template {
        Template::new(Payload::Letters, 0xC0FFEE, BYTES)
    }

    fn plain() -> Checker {
        Checker {
            template: template(),
            inflater: None,
        }
    }

    /// Compression was negotiated.
    fn inflater() -> Checker {
        let template = template();
        Checker {
            inflater: Some(Inflater::new(&template)),
            template,
        }
    }

    fn head(sequence: u32) -> Head {
        Head {
            publisher: 3,
            sequence,
            sent_ns: 1_000_000_007,
        }
    }

    fn message(sequence: u32) -> Vec<u8> {
        template().fill(head(sequence)).to_vec()
    }

    fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(fin, opcode, None, payload, &mut bytes);
        bytes
    }

    fn rsv1(mut frame: Vec<u8>) -> Vec<u8> {
        frame[0] |= RSV1;
        frame
    }

    fn arrivals(pieces: &[&[u8]]) -> Result<Vec<(Arrival, Vec<u8>)>, Broken> {
        arrivals_by(plain(), pieces)
    }

    /// All arrivals, with the payloads of control frames.
    fn arrivals_by(
        mut checker: Checker,
        pieces: &[&[u8]],
    ) -> Result<Vec<(Arrival, Vec<u8>)>, Broken> {
        let mut reader = FrameReader::new();
        let mut arrivals = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while let Some(arrival) = reader.next(&mut input, &mut checker)? {
                let payload = match arrival {
                    Arrival::Control(_) => reader.control_payload().to_vec(),
                    Arrival::Message(_) => Vec::new(),
                };
                arrivals.push((arrival, payload));
            }
            assert!(input.is_empty());
        }
        Ok(arrivals)
    }

    fn ours(sequence: u32) -> (Arrival, Vec<u8>) {
        (Arrival::Message(Reading::Ours(head(sequence))), Vec::new())
    }

    /// Whole messages, a greeting, a fragmented message with a ping between its
    /// frames, an empty message, a corrupted one and a Close.
    fn conversation() -> (Vec<u8>, Vec<(Arrival, Vec<u8>)>) {
        let fragmented = message(1);
        let mut corrupted = message(2);
        corrupted[50] ^= 1;
        let bytes = [
            frame(true, Opcode::Text, &message(0)),
            frame(true, Opcode::Text, b"welcome"),
            frame(false, Opcode::Binary, &fragmented[..17]),
            frame(true, Opcode::Ping, b"are you there?"),
            frame(false, Opcode::Continuation, &fragmented[17..51]),
            frame(false, Opcode::Continuation, b""),
            frame(true, Opcode::Continuation, &fragmented[51..]),
            frame(true, Opcode::Text, b""),
            frame(true, Opcode::Binary, &corrupted),
            frame(true, Opcode::Text, &message(3)),
            frame(true, Opcode::Close, &[0x03, 0xE8]),
        ]
        .concat();
        let foreign = (Arrival::Message(Reading::Foreign), Vec::new());
        let expected = vec![
            ours(0),
            foreign.clone(),
            (Arrival::Control(Opcode::Ping), b"are you there?".to_vec()),
            ours(1),
            foreign,
            (Arrival::Message(Reading::Corrupted), Vec::new()),
            ours(3),
            (Arrival::Control(Opcode::Close), vec![0x03, 0xE8]),
        ];
        (bytes, expected)
    }

    #[test]
    fn every_legal_frame_is_read() {
        let (bytes, expected) = conversation();
        assert_eq!(arrivals(&[&bytes]), Ok(expected));
    }

    #[test]
    fn arrivals_are_the_same_byte_by_byte() {
        let (bytes, expected) = conversation();
        let pieces: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(arrivals(&pieces), Ok(expected));
    }

    #[test]
    fn message_longer_than_the_read_buffer_is_compared_piece_by_piece() {
        for kind in [Payload::Letters, Payload::Json] {
            compare_piece_by_piece(kind);
        }
    }

    fn compare_piece_by_piece(payload: Payload) {
        let mut template = Template::new(payload, 1, 200_000);
        let right = frame(true, Opcode::Binary, template.fill(head(0)));
        let mut checker = Checker {
            template,
            inflater: None,
        };
        let mut wrong = right.clone();
        wrong[150_000] ^= 1;
        for (bytes, expected) in [
            (&right, Reading::Ours(head(0))),
            (&wrong, Reading::Corrupted),
            (&right, Reading::Ours(head(0))),
        ] {
            let mut reader = FrameReader::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(65_536) {
                let mut piece = piece.to_vec();
                found.extend(reader.next(&mut &mut piece[..], &mut checker));
            }
            let found: Vec<_> = found.into_iter().flatten().collect();
            assert_eq!(found, [Arrival::Message(expected)]);
        }
    }

    #[test]
    fn broken_rule_is_an_error() {
        let cases = [
            (
                vec![0x81, 0x80, 1, 2, 3, 4],
                Broken::Frame(FrameError::Masked),
            ),
            (
                vec![0xC1, 0x00],
                Broken::Frame(FrameError::ReservedBits(0b100)),
            ),
            (
                vec![0x83, 0x00],
                Broken::Frame(FrameError::ReservedOpcode(3)),
            ),
            (vec![0x80, 0x00], Broken::NothingToContinue),
            (vec![0x01, 0x00, 0x82, 0x00], Broken::MessageInsideMessage),
        ];
        for (bytes, expected) in cases {
            assert_eq!(arrivals(&[&bytes]), Err(expected));
        }
    }

    /// Compressed and plain messages, whole and in fragments, and a ping between.
    fn compressed_conversation() -> (Vec<u8>, Vec<(Arrival, Vec<u8>)>) {
        let payload = compressed(&message(1));
        let (first, second) = payload.split_at(payload.len() / 2);
        let bytes = [
            rsv1(frame(true, Opcode::Text, &compressed(&message(0)))),
            frame(true, Opcode::Text, &message(5)),
            rsv1(frame(false, Opcode::Binary, first)),
            frame(true, Opcode::Ping, b"?"),
            frame(true, Opcode::Continuation, second),
            rsv1(frame(true, Opcode::Text, &compressed(&message(0)))),
            rsv1(frame(true, Opcode::Text, &compressed(b"welcome"))),
            rsv1(frame(true, Opcode::Text, &[0x00; 4096])),
            frame(true, Opcode::Text, &message(2)),
        ]
        .concat();
        let foreign = (Arrival::Message(Reading::Foreign), Vec::new());
        let expected = vec![
            ours(0),
            ours(5),
            (Arrival::Control(Opcode::Ping), b"?".to_vec()),
            ours(1),
            ours(0),
            foreign.clone(),
            foreign,
            ours(2),
        ];
        (bytes, expected)
    }

    #[test]
    fn compressed_messages_are_read_if_negotiated() {
        let (bytes, expected) = compressed_conversation();
        assert_eq!(arrivals_by(inflater(), &[&bytes]), Ok(expected));
    }

    #[test]
    fn compressed_messages_are_the_same_byte_by_byte() {
        let (bytes, expected) = compressed_conversation();
        let pieces: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(arrivals_by(inflater(), &pieces), Ok(expected));
    }

    #[test]
    fn rsv1_is_for_the_first_frame_of_a_message_alone() {
        let bits = |rsv| Broken::Frame(FrameError::ReservedBits(rsv));
        let cases = [
            (vec![0x41, 0x00, 0xC0, 0x00], bits(0b100)),
            (vec![0xC9, 0x00], bits(0b100)),
            (vec![0xE1, 0x00], bits(0b010)),
            (vec![0x91, 0x00], bits(0b001)),
            (vec![0xC1, 0x01, 0x07], Broken::NotDeflate),
        ];
        for (bytes, expected) in cases {
            let pieces: Vec<_> = bytes.chunks(1).collect();
            for pieces in [&[&bytes[..]][..], &pieces] {
                assert_eq!(arrivals_by(inflater(), pieces), Err(expected));
            }
        }
    }

    #[test]
    fn frame_reader_uses_little_memory() {
        assert!(
            size_of::<FrameReader>() <= 184,
            "{}",
            size_of::<FrameReader>()
        );
    }

    proptest! {
        #[test]
        fn arrivals_are_the_same_for_every_cut_of_the_stream(
            cuts in prop::collection::vec(1..90_usize, 1..20),
        ) {
            let (bytes, expected) = conversation();
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = behind;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(arrivals(&pieces), Ok(expected));
        }
    }
}

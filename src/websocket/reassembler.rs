//! Fragments into messages (RFC 6455 §5.4, §6.2).
//!
//! ```text
//!           text or binary, FIN = 0               continuation, FIN = 0
//!   Idle ─────────────────────────────▶ Unfinished ◀─────────────────┐
//!    ▲                                    │   └──────────────────────┘
//!    └────────────────────────────────────┘ continuation, FIN = 1: the message goes out
//! ```
//!
//! A text or binary frame with FIN that lies whole in the caller's buffer never comes
//! here. All other frames are copied once, into a buffer that grows with the bytes that
//! have arrived, at most to twice their number, never with the length that a header
//! claims. A text is buffered as text: each piece is checked when it comes, so the
//! finished message is not checked again. The finished message is given away with its
//! buffer. An idle reassembler is one empty pointer.
//!
//! A compressed message (RFC 7692) always comes here. Its bytes are inflated on their
//! way, and the limit holds for the inflated bytes. The compressed bytes have a limit of
//! their own, [`compressed_bytes_max`]. The inflated bytes have a second limit, in proportion
//! to the compressed bytes that the headers have announced. They, and not those that have
//! come, so that it does not matter how the input is cut: a message that is handed out is
//! within the ratio, and an unfinished one within the size.

use super::deflate::{CompressedMessage, DeflatePool, History, InflateError, Inflated};
use super::error::ProtocolError;
use super::frame::{self, FrameHeader, Opcode};
use super::limits::Limits;
use super::message::OwnedMessage;
use super::utf8::Utf8Validator;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The unfinished message, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Reassembler {
    /// Boxed, because an idle connection should not pay for it.
    message: Option<Box<Unfinished>>,
}

#[derive(Debug)]
struct Unfinished {
    payload: Payload,
    compressed: Option<CompressedMessage>,
    /// The ratio limits the inflated bytes, and not the size of a message.
    ratio_counts: bool,
    /// Payload bytes that the headers so far have announced; within the limit.
    announced_bytes: usize,
    /// 0 ≤ arrived_bytes ≤ announced_bytes
    arrived_bytes: usize,
    /// 1 ≤ fragments ≤ fragments_max
    fragments: u32,
}

/// A message's payload so far.
#[derive(Debug)]
enum Payload {
    Text(String, Utf8Validator),
    Binary(Vec<u8>),
}

/// A message is complete.
pub(crate) struct Finished {
    pub(crate) message: OwnedMessage,
    /// What the next compressed message may refer to, if this one was compressed.
    pub(crate) history: Option<History>,
}

impl Reassembler {
    /// A data frame begins. Checks the order of the fragments and the limits.
    #[inline]
    pub(crate) fn begin_frame(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match &mut self.message {
            None => check_first(header, limits),
            Some(message) => message.begin_fragment(header, limits),
        }
    }

    /// What [`Reassembler::begin_frame`] would give for this data frame.
    pub(crate) fn check_frame(
        &self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match &self.message {
            None => check_first(header, limits),
            Some(message) => message.check_fragment(header, limits).map(|_| ()),
        }
    }

    /// Not all of the frame's payload is there, or not all of the message: it has to be
    /// buffered. `there` bytes of this payload are about to be appended.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Upon receiving a data frame (Section 5.6), the endpoint MUST note the
    //# /type/ of the data as defined by the opcode (frame-opcode) from
    //# Section 5.2.
    pub(crate) fn buffer(&mut self, header: &FrameHeader, there: usize) {
        let message = self
            .message
            .get_or_insert_with(|| Box::new(Unfinished::new(header, None)));
        message.make_room(header.fin, there);
    }

    /// A compressed message begins with this frame; `history` is what it may refer
    /// to.
    pub(crate) fn begin_compressed(
        &mut self,
        header: &FrameHeader,
        history: History,
        pool: &DeflatePool,
        limits: &Limits,
    ) {
        let compressed = CompressedMessage::new(history, limits.message_bytes_max, pool);
        let mut message = Unfinished::new(header, Some(compressed));
        message.limit_inflated_bytes(limits);
        self.message = Some(Box::new(message));
    }

    /// Adds the next piece of the current frame's payload; `last` if it is the last of
    /// the message.
    pub(crate) fn append(&mut self, piece: &[u8], last: bool) -> Result<(), ProtocolError> {
        match &mut self.message {
            Some(message) => message.append(piece, last),
            None => Ok(()),
        }
    }

    /// The same for a piece that is masked with this key.
    pub(crate) fn append_masked(
        &mut self,
        piece: &mut [u8],
        key: Option<[u8; 4]>,
        last: bool,
    ) -> Result<(), ProtocolError> {
        match (&mut self.message, key) {
            (Some(message), Some(key)) => message.append_masked(piece, key, last),
            _ => self.append(piece, last),
        }
    }

    /// The last frame is complete, and with it the message. `None`: there was none.
    pub(crate) fn finish(&mut self) -> Result<Option<Finished>, ProtocolError> {
        let message = self.message.take();
        message.map(|mut message| message.finish()).transpose()
    }

    /// Whether a message has begun and is not complete.
    #[inline]
    pub(crate) fn has_unfinished_message(&self) -> bool {
        self.message.is_some()
    }

    /// Payload bytes of the unfinished message that have come, as they came.
    pub(crate) fn arrived_bytes(&self) -> usize {
        let message = self.message.as_ref();
        message.map_or(0, |message| message.arrived_bytes)
    }

    /// The memory of the unfinished message.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let message = self.message.as_ref();
        message.map_or(0, |message| message.held_bytes())
    }

    #[cfg(test)]
    pub(crate) fn has_a_decompressor(&self) -> bool {
        let message = self.message.as_ref();
        let compressed = message.and_then(|message| message.compressed.as_ref());
        compressed.is_some_and(CompressedMessage::has_a_decompressor)
    }

    /// Frees all memory: nothing more will be received.
    pub(crate) fn discard(&mut self) {
        self.message = None;
    }
}

impl Unfinished {
    /// The message that begins with this frame, of which the limits have been checked.
    fn new(header: &FrameHeader, compressed: Option<CompressedMessage>) -> Unfinished {
        Unfinished {
            payload: Payload::new(header.opcode),
            compressed,
            ratio_counts: false,
            announced_bytes: usize::try_from(header.payload_length).unwrap_or(usize::MAX),
            arrived_bytes: 0,
            fragments: 1,
        }
    }

    fn held_bytes(&self) -> usize {
        let compressed = self.compressed.as_ref();
        self.payload.capacity() + compressed.map_or(0, CompressedMessage::held_bytes)
    }

    fn begin_fragment(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        self.announced_bytes = self.check_fragment(header, limits)?;
        self.fragments += 1;
        self.limit_inflated_bytes(limits);
        Ok(())
    }

    /// More of the message is announced.
    fn limit_inflated_bytes(&mut self, limits: &Limits) {
        if let Some(compressed) = &mut self.compressed {
            let bytes_max = limits.inflated_bytes_max(self.announced_bytes);
            compressed.set_bytes_max(bytes_max);
            self.ratio_counts = bytes_max < limits.message_bytes_max;
        }
    }

    /// May this frame be the next of the message? Gives the number of bytes that the
    /// headers have then announced.
    fn check_fragment(
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
        let bytes_max = match self.compressed {
            None => limits.message_bytes_max,
            Some(_) => compressed_bytes_max(limits),
        };
        announce(self.announced_bytes, header, bytes_max)
    }

    /// Makes room for `there` more bytes, by doubling: the buffer never has twice
    /// as many bytes as have arrived. In the last frame the length of the whole message
    /// is known, and the doubling is such that it ends there.
    fn make_room(&mut self, last: bool, there: usize) {
        if self.compressed.is_some() {
            return;
        }
        let arrived = self.arrived_bytes + there;
        let capacity = match last {
            true => halved_down_to(arrived, self.announced_bytes),
            false => arrived.next_power_of_two(),
        };
        self.payload.reserve(capacity);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# If the frame is part of a fragmented message, the "Application data"
    //# of the subsequent data frames is concatenated to form the /data/.
    fn append(&mut self, piece: &[u8], last: bool) -> Result<(), ProtocolError> {
        self.arrived_bytes += piece.len();
        match &mut self.compressed {
            None => self.payload.push(piece),
            Some(compressed) => {
                let pushed = compressed.push(piece, last, &mut self.payload);
                pushed.map_err(|error| self.limit_named(error))
            }
        }
    }

    /// Binary data that are not compressed are unmasked by the copy into the buffer, all
    /// else before it is checked or inflated.
    fn append_masked(
        &mut self,
        piece: &mut [u8],
        key: [u8; 4],
        last: bool,
    ) -> Result<(), ProtocolError> {
        if let (Payload::Binary(bytes), None) = (&mut self.payload, &self.compressed) {
            frame::append_masked(piece, key, bytes);
            self.arrived_bytes += piece.len();
            return Ok(());
        }
        frame::mask(piece, key, 0);
        self.append(piece, last)
    }

    /// The error with the limit that counts.
    fn limit_named(&self, error: ProtocolError) -> ProtocolError {
        match error {
            ProtocolError::MessageTooBig if self.ratio_counts => ProtocolError::InflatedTooMuch,
            error => error,
        }
    }

    fn finish(&mut self) -> Result<Finished, ProtocolError> {
        let mut history = None;
        if let Some(compressed) = &mut self.compressed {
            if let Err(error) = compressed.finish(&mut self.payload) {
                return Err(self.limit_named(error));
            }
            history = Some(compressed.history_behind(self.payload.parts().0));
        }
        let payload = core::mem::replace(&mut self.payload, Payload::Binary(Vec::new()));
        let message = payload.finish()?;
        Ok(Finished { message, history })
    }
}

impl Payload {
    fn new(opcode: Opcode) -> Payload {
        match opcode {
            Opcode::Text => Payload::Text(String::new(), Utf8Validator::default()),
            _ => Payload::Binary(Vec::new()),
        }
    }

    /// All bytes so far: those of whole characters, and those of a character that is cut.
    fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Payload::Text(text, validator) => (text.as_bytes(), validator.cut()),
            Payload::Binary(bytes) => (bytes, &[]),
        }
    }

    fn bytes(&self) -> usize {
        let (whole, cut) = self.parts();
        whole.len() + cut.len()
    }

    /// Adds bytes whose number no header has announced: the buffer doubles, and never
    /// has more than `bytes_max`, which they stay within.
    fn grow(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        let bytes = self.bytes() + piece.len();
        if bytes > self.capacity() {
            self.reserve((2 * self.capacity()).clamp(bytes, bytes_max.max(bytes)));
        }
        self.push(piece)
    }

    fn capacity(&self) -> usize {
        match self {
            Payload::Text(text, _) => text.capacity(),
            Payload::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Makes the buffer so large, if it is not: capacity ≥ the bytes so far.
    fn reserve(&mut self, capacity: usize) {
        match self {
            Payload::Text(text, _) => text.reserve_exact(capacity - text.len()),
            Payload::Binary(bytes) => bytes.reserve_exact(capacity - bytes.len()),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        match self {
            Payload::Text(text, validator) => {
                let decoded = validator.decode(piece)?;
                text.extend(decoded.carried);
                text.push_str(decoded.text);
            }
            Payload::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    fn finish(self) -> Result<OwnedMessage, ProtocolError> {
        match self {
            Payload::Text(text, validator) => {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
                //# Note that a particular text frame might include a partial UTF-8
                //# sequence; however, the whole message MUST contain valid UTF-8.
                validator.finish()?;
                Ok(OwnedMessage::Text(text))
            }
            Payload::Binary(bytes) => Ok(OwnedMessage::Binary(bytes)),
        }
    }
}

impl Inflated for Payload {
    type Error = ProtocolError;

    fn parts(&self) -> (&[u8], &[u8]) {
        self.parts()
    }

    fn add(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        self.grow(bytes, bytes_max)
    }
}

impl From<InflateError> for ProtocolError {
    fn from(error: InflateError) -> ProtocolError {
        match error {
            InflateError::Corrupt => ProtocolError::CompressedDataCorrupt,
            InflateError::TooLong => ProtocolError::MessageTooBig,
        }
    }
}

/// May this frame be the first of a message?
#[inline]
fn check_first(header: &FrameHeader, limits: &Limits) -> Result<(), ProtocolError> {
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
fn compressed_bytes_max(limits: &Limits) -> usize {
    let bytes_max = limits.message_bytes_max;
    bytes_max
        .saturating_add(bytes_max / 4)
        .saturating_add(1 << 10)
}

/// The smallest of `whole`, its half, its quarter and so on that `part` fits in:
/// part ≤ whole.
fn halved_down_to(part: usize, whole: usize) -> usize {
    let mut size = whole;
    while size / 2 >= part.max(1) {
        size /= 2;
    }
    size
}

// Also obeyed by `append`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# A fragmented message is conceptually equivalent to a single larger
//# message whose payload is equal to the concatenation of the payloads
//# of the fragments in order
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Message fragments MUST be delivered to the recipient in the order
//# sent by the sender.

// Also obeyed by `begin_frame`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Subsequent data frames MUST be interpreted as belonging to a new
//# WebSocket message.

// Also obeyed by `finish`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# At the receiver, the payload data portion after
//# decompression is subject to the constraints for the original data
//# type again.

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::{DeflateContext, WindowBits};

    fn frame(fin: bool, opcode: Opcode, payload_length: u64) -> FrameHeader {
        FrameHeader {
            fin,
            rsv: 0,
            opcode,
            masking_key: None,
            payload_length,
        }
    }

    fn receive(
        reassembler: &mut Reassembler,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        limits: &Limits,
    ) -> Result<Option<OwnedMessage>, ProtocolError> {
        let header = frame(fin, opcode, payload.len() as u64);
        reassembler.begin_frame(&header, limits)?;
        reassembler.buffer(&header, payload.len());
        reassembler.append(payload, fin)?;
        match fin {
            true => Ok(reassembler.finish()?.map(|finished| finished.message)),
            false => Ok(None),
        }
    }

    #[test]
    fn fragments_are_concatenated_in_order() {
        let (mut reassembler, limits) = (Reassembler::default(), Limits::default());
        let steps = [
            (false, Opcode::Text, &b"Hel"[..], None),
            (false, Opcode::Continuation, b"", None),
            (true, Opcode::Continuation, b"lo", Some("Hello".into())),
        ];
        for (fin, opcode, payload, message) in steps {
            let received = receive(&mut reassembler, fin, opcode, payload, &limits);
            assert_eq!(received, Ok(message));
        }
        assert!(!reassembler.has_unfinished_message());
    }

    #[test]
    fn size_limit_counts_all_fragments_and_is_exact() {
        let limits = Limits {
            message_bytes_max: 5,
            ..Limits::default()
        };
        let mut reassembler = Reassembler::default();
        assert_eq!(
            receive(&mut reassembler, false, Opcode::Binary, b"abc", &limits),
            Ok(None)
        );
        assert_eq!(
            receive(
                &mut reassembler,
                false,
                Opcode::Continuation,
                b"de",
                &limits
            ),
            Ok(None)
        );
        assert_eq!(
            reassembler.begin_frame(&frame(true, Opcode::Continuation, 1), &limits),
            Err(ProtocolError::MessageTooBig)
        );
    }

    #[test]
    fn fragment_limit_is_exact() {
        let limits = Limits {
            fragments_max: 2,
            ..Limits::default()
        };
        let mut reassembler = Reassembler::default();
        assert_eq!(
            receive(&mut reassembler, false, Opcode::Binary, b"", &limits),
            Ok(None)
        );
        assert_eq!(
            receive(&mut reassembler, false, Opcode::Continuation, b"", &limits),
            Ok(None)
        );
        assert_eq!(
            receive(&mut reassembler, true, Opcode::Continuation, b"", &limits),
            Err(ProtocolError::TooManyFragments)
        );
    }

    /// The buffer's size after each of these pieces of one frame.
    fn capacities(announced: u64, pieces: &[usize]) -> Vec<usize> {
        let limits = Limits {
            message_bytes_max: usize::MAX,
            ..Limits::default()
        };
        let mut reassembler = Reassembler::default();
        let header = frame(true, Opcode::Binary, announced);
        assert_eq!(reassembler.begin_frame(&header, &limits), Ok(()));
        let capacity_after = |&piece: &usize| {
            reassembler.buffer(&header, piece);
            assert_eq!(reassembler.append(&vec![0; piece], false), Ok(()));
            match reassembler.message.as_ref().map(|message| &message.payload) {
                Some(Payload::Binary(bytes)) => bytes.capacity(),
                _ => unreachable!("a binary message is under way"),
            }
        };
        pieces.iter().map(capacity_after).collect()
    }

    #[test]
    fn claimed_length_allocates_nothing() {
        assert!(capacities(1 << 62, &[1])[0] < 2);
        assert!(capacities(1 << 62, &[1000])[0] < 2000);
    }

    #[test]
    fn buffer_doubles_and_ends_at_the_length_of_the_message() {
        let capacities = capacities(1000, &[200, 50, 1, 249, 500]);
        assert_eq!(capacities, [250, 250, 500, 500, 1000]);
    }

    /// Of bytes whose number nobody has announced.
    #[test]
    fn buffer_doubles_only_when_it_is_full_and_never_passes_its_bound() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let mut payload = Payload::new(opcode);
            assert_eq!(payload.capacity(), 0);
            let steps = [
                (10, 10),
                (1, 20),
                (9, 20),
                (0, 20),
                (1, 40),
                (600, 621),
                (1, 1000),
                (378, 1000),
            ];
            let mut bytes = 0;
            for (piece, capacity) in steps {
                assert_eq!(payload.grow(&vec![b'a'; piece], 1000), Ok(()));
                bytes += piece;
                assert_eq!((payload.bytes(), payload.capacity()), (bytes, capacity));
            }
            assert_eq!(payload.parts(), (&[b'a'; 1000][..], &[][..]));
        }
    }

    #[test]
    fn bytes_of_a_cut_character_count() {
        let mut payload = Payload::new(Opcode::Text);
        for (piece, bytes) in [(&b"a\xe5"[..], 2), (b"\xb1", 3), (b"\xb1b", 5)] {
            assert_eq!(payload.grow(piece, 5), Ok(()));
            assert_eq!(payload.bytes(), bytes);
        }
        assert_eq!(payload.parts(), ("a山b".as_bytes(), &b""[..]));
    }

    #[test]
    fn compressed_bytes_may_be_a_quarter_and_a_kibibyte_more_than_the_message() {
        for (message_bytes_max, bytes_max) in [
            (0, 1024),
            (3, 1027),
            (1000, 2274),
            (1 << 20, (1 << 20) + (1 << 18) + 1024),
            (usize::MAX, usize::MAX),
        ] {
            let limits = Limits {
                message_bytes_max,
                ..Limits::default()
            };
            assert_eq!(compressed_bytes_max(&limits), bytes_max);
            let compressed = |length| FrameHeader {
                rsv: FrameHeader::RSV1,
                ..frame(true, Opcode::Binary, length)
            };
            let begins = |header| Reassembler::default().begin_frame(&header, &limits);
            assert_eq!(begins(compressed(bytes_max as u64)), Ok(()));
            if let Some(one_past) = (bytes_max as u64).checked_add(1) {
                assert_eq!(
                    begins(compressed(one_past)),
                    Err(ProtocolError::MessageTooBig)
                );
                let plain = frame(true, Opcode::Binary, message_bytes_max as u64 + 1);
                assert_eq!(begins(plain), Err(ProtocolError::MessageTooBig));
            }
        }
    }

    #[test]
    fn message_inside_a_message_and_a_lone_continuation_are_refused() {
        let (mut reassembler, limits) = (Reassembler::default(), Limits::default());
        assert_eq!(
            receive(&mut reassembler, true, Opcode::Continuation, b"", &limits),
            Err(ProtocolError::ContinuationWithoutMessage)
        );
        assert_eq!(
            receive(&mut reassembler, false, Opcode::Text, b"a", &limits),
            Ok(None)
        );
        assert_eq!(
            receive(&mut reassembler, true, Opcode::Text, b"b", &limits),
            Err(ProtocolError::MessageInsideMessage)
        );
    }

    #[test]
    fn announced_bytes_of_all_fragments_count_for_the_ratio() {
        let mut payload = Vec::new();
        assert!(DeflateContext::new(9, WindowBits::MAX).compress(&[0; 1 << 20], &mut payload));
        let limits = Limits::default();
        // Stored blocks without a byte make the message long enough, or one byte too short.
        for (announced, expected) in [
            ((1 << 20) / 256, Ok(())),
            ((1 << 20) / 256 - 1, Err(ProtocolError::InflatedTooMuch)),
        ] {
            let mut reassembler = Reassembler::default();
            let first = frame(false, Opcode::Binary, payload.len() as u64);
            let pool = DeflatePool::default();
            reassembler.begin_compressed(&first, History::default(), &pool, &limits);
            // It waits for the rest, because it is short.
            assert_eq!(reassembler.append(&payload, false), Ok(()));
            let rest = vec![0; announced - payload.len()];
            let last = frame(true, Opcode::Continuation, rest.len() as u64);
            assert_eq!(reassembler.begin_frame(&last, &limits), Ok(()));
            let outcome = match reassembler.append(&rest, true) {
                // Zeros are no DEFLATE data; the limit is found first.
                Err(ProtocolError::CompressedDataCorrupt) => Ok(()),
                outcome => outcome,
            };
            assert_eq!(outcome, expected);
        }
    }

    /// A bomb: 1 MiB of zeros in 1 KiB.
    #[test]
    fn inflated_message_never_has_more_room_than_the_limit() {
        let mut payload = Vec::new();
        assert!(DeflateContext::new(9, WindowBits::MAX).compress(&[0; 1 << 20], &mut payload));
        assert!(payload.len() < 1100);
        for message_bytes_max in [1000, 100_000, (1 << 20) - 1, 1 << 20] {
            let limits = Limits {
                message_bytes_max,
                inflate_ratio_max: 1032,
                ..Limits::default()
            };
            let mut reassembler = Reassembler::default();
            let header = frame(true, Opcode::Binary, payload.len() as u64);
            let pool = DeflatePool::default();
            reassembler.begin_compressed(&header, History::default(), &pool, &limits);
            let inflated = reassembler.append(&payload, true);
            assert_eq!(inflated.is_ok(), message_bytes_max == 1 << 20);
            let message = reassembler.message.as_ref();
            let capacity = message.map(|message| message.payload.capacity());
            assert!(capacity <= Some(message_bytes_max), "{capacity:?}");
        }
    }
}

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
//! claims. Where the caller can read into that buffer ([`Reassembler::lend`]), a plain
//! binary message is not copied. A text is buffered as text: each part is checked when it
//! comes, so the finished message is not checked again. The finished message is given away
//! with its buffer. An idle reassembler is one empty pointer.
//!
//! A compressed message (RFC 7692) always comes here. Its bytes are inflated on their
//! way, and the limit holds for the inflated bytes. The compressed bytes have a limit of
//! their own (`extent.rs`). The inflated bytes have a second limit, in proportion
//! to the compressed bytes that the headers have announced. They, and not those that have
//! come, so that it does not matter how the input is cut: a message that is handed out is
//! within the ratio, and an unfinished one within the size.

use super::deflate::{CompressedMessage, DeflatePool, History, InflateError, Inflated};
use super::error::ProtocolError;
use super::extent::{Extent, check_first};
use super::frame::{self, FrameHeader, Opcode};
use super::limits::Limits;
use super::message::OwnedMessage;
use super::pieces::Pieces;
use super::utf8::Utf8Validator;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The unfinished message, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Reassembler {
    /// Boxed, because an idle connection should not pay for it. A connection that hands
    /// out pieces always has one, so that no message of it takes the path of those that
    /// are whole in the input.
    message: Option<Box<UnderWay>>,
}

#[derive(Debug)]
enum UnderWay {
    Whole(Unfinished),
    InPieces(Pieces),
}

/// A message that is put together.
#[derive(Debug)]
struct Unfinished {
    payload: Payload,
    compressed: Option<CompressedMessage>,
    /// The ratio limits the inflated bytes, and not the size of a message.
    ratio_counts: bool,
    extent: Extent,
    /// 0 ≤ arrived_bytes ≤ the announced bytes
    arrived_bytes: usize,
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
        match self.message.as_deref_mut() {
            None => check_first(header, limits),
            Some(UnderWay::Whole(message)) => message.begin_fragment(header, limits),
            Some(UnderWay::InPieces(pieces)) => pieces.begin_frame(header, limits),
        }
    }

    /// What [`Reassembler::begin_frame`] would give for this data frame.
    pub(crate) fn check_frame(
        &self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match self.message.as_deref() {
            None => check_first(header, limits),
            Some(UnderWay::Whole(message)) => {
                message.extent.check_fragment(header, limits).map(|_| ())
            }
            Some(UnderWay::InPieces(pieces)) => pieces.check_frame(header, limits),
        }
    }

    /// From now on messages are handed out in pieces.
    pub(crate) fn hand_out_pieces(&mut self) {
        self.message = Some(Box::new(UnderWay::InPieces(Pieces::default())));
    }

    /// The message that is handed out in pieces, on a connection that does so.
    #[inline]
    pub(crate) fn pieces(&mut self) -> Option<&mut Pieces> {
        match self.message.as_deref_mut() {
            Some(UnderWay::InPieces(pieces)) => Some(pieces),
            _ => None,
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
            .get_or_insert_with(|| Box::new(UnderWay::Whole(Unfinished::new(header, None))));
        if let UnderWay::Whole(message) = &mut **message {
            message.make_room(header.fin, there);
        }
    }

    /// Whether this frame begins a compressed message that has no decompressor yet.
    pub(crate) fn begins_compressed(&self, header: &FrameHeader) -> bool {
        header.rsv != 0b000
            && match self.message.as_deref() {
                None => true,
                Some(UnderWay::Whole(_)) => false,
                Some(UnderWay::InPieces(pieces)) => !pieces.has_a_decompressor(),
            }
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
        if let Some(pieces) = self.pieces() {
            return pieces.begin_compressed(history, pool, limits);
        }
        let compressed = CompressedMessage::new(history, limits.message_bytes_max, pool);
        let mut message = Unfinished::new(header, Some(compressed));
        message.limit_inflated_bytes(limits);
        self.message = Some(Box::new(UnderWay::Whole(message)));
    }

    /// Adds the next piece of the current frame's payload. The message is not compressed.
    pub(crate) fn append(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        match self.unfinished() {
            Some(message) => message.append(piece),
            None => Ok(()),
        }
    }

    /// Inflates the next piece of a compressed message, as far as one step goes; `last` if it is the last of the message. Returns how much of it was taken: all, unless
    /// the message [goes on](Reassembler::inflates_on).
    pub(crate) fn inflate(&mut self, piece: &[u8], last: bool) -> Result<usize, ProtocolError> {
        match self.unfinished() {
            Some(message) => message.inflate(piece, last),
            None => Ok(piece.len()),
        }
    }

    /// Whether there may be more output of what has been taken of a compressed message.
    pub(crate) fn inflates_on(&self) -> bool {
        match self.message.as_deref() {
            Some(UnderWay::Whole(message)) => {
                let compressed = message.compressed.as_ref();
                compressed.is_some_and(CompressedMessage::has_more)
            }
            _ => false,
        }
    }

    /// The bytes of a compressed message so far that are inflated.
    pub(crate) fn inflated_bytes(&self) -> usize {
        match self.message.as_deref() {
            Some(UnderWay::Whole(message)) if message.compressed.is_some() => {
                message.payload.bytes()
            }
            _ => 0,
        }
    }

    /// As `append`, for a piece that is masked with this key.
    pub(crate) fn append_masked(
        &mut self,
        piece: &mut [u8],
        key: Option<[u8; 4]>,
    ) -> Result<(), ProtocolError> {
        match (self.unfinished(), key) {
            (Some(message), Some(key)) => message.append_masked(piece, key),
            _ => self.append(piece),
        }
    }

    /// The last frame is complete, and with it the message. `None`: there was none.
    pub(crate) fn finish(&mut self) -> Result<Option<Finished>, ProtocolError> {
        let message = self.unfinished().map(Unfinished::finish).transpose()?;
        if message.is_some() {
            self.message = None;
        }
        Ok(message)
    }

    /// The end of the buffer in which the message is put together, for the caller to read
    /// the payload behind this header into. `None`: it is to be received by `append`.
    pub(crate) fn lend(&mut self, rest: &FrameHeader) -> Option<&mut Vec<u8>> {
        self.unfinished()?.lend(rest)
    }

    /// The caller has appended bytes to the buffer that was lent to it. Unmasks them and
    /// gives their number. `None`: no buffer can have been lent.
    pub(crate) fn filled(&mut self, rest: &FrameHeader) -> Option<usize> {
        self.unfinished()?.filled(rest)
    }

    /// Whether no message has begun, and none is handed out in pieces: a message that is
    /// whole in the input need not come here.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        self.message.is_none()
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn has_unfinished_message(&self) -> bool {
        match self.message.as_deref() {
            None => false,
            Some(UnderWay::Whole(_)) => true,
            Some(UnderWay::InPieces(pieces)) => pieces.is_under_way(),
        }
    }

    fn unfinished(&mut self) -> Option<&mut Unfinished> {
        match self.message.as_deref_mut() {
            Some(UnderWay::Whole(message)) => Some(message),
            _ => None,
        }
    }

    /// Payload bytes of the unfinished message that have come, as they came.
    pub(crate) fn arrived_bytes(&self) -> usize {
        match self.message.as_deref() {
            None => 0,
            Some(UnderWay::Whole(message)) => message.arrived_bytes,
            Some(UnderWay::InPieces(pieces)) => pieces.arrived_bytes(),
        }
    }

    /// The memory of the unfinished message.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        match self.message.as_deref() {
            None => 0,
            Some(UnderWay::Whole(message)) => message.held_bytes(),
            Some(UnderWay::InPieces(pieces)) => pieces.held_bytes(),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_a_decompressor(&self) -> bool {
        match self.message.as_deref() {
            Some(UnderWay::Whole(message)) => {
                let compressed = message.compressed.as_ref();
                compressed.is_some_and(CompressedMessage::has_a_decompressor)
            }
            Some(UnderWay::InPieces(pieces)) => pieces.has_a_decompressor(),
            None => false,
        }
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
            extent: Extent::first(header),
            arrived_bytes: 0,
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
        self.extent.begin_fragment(header, limits)?;
        self.limit_inflated_bytes(limits);
        Ok(())
    }

    /// More of the message is announced.
    fn limit_inflated_bytes(&mut self, limits: &Limits) {
        if let Some(compressed) = &mut self.compressed {
            let bytes_max = limits.inflated_bytes_max(self.extent.announced_bytes());
            compressed.set_bytes_max(bytes_max);
            self.ratio_counts = bytes_max < limits.message_bytes_max;
        }
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
            true => halved_down_to(arrived, self.extent.announced_bytes()),
            false => arrived.next_power_of_two(),
        };
        self.payload.reserve(capacity);
    }

    /// See [`Reassembler::lend`]. The buffer grows to twice the bytes in it, at most by the
    /// rest of the frame.
    ///
    /// Not a text: its buffer is a `String`, which takes only text, and the payload is
    /// masked, or not checked, when it arrives. Not a compressed message either.
    fn lend(&mut self, rest: &FrameHeader) -> Option<&mut Vec<u8>> {
        let bytes = self.lendable()?;
        let rest_bytes = usize::try_from(rest.payload_length).ok()?;
        if rest_bytes < LENT_BYTES_MIN {
            return None;
        }
        if bytes.capacity() - bytes.len() < LENT_BYTES_MIN {
            bytes.reserve_exact(bytes.len().min(rest_bytes));
        }
        let room = bytes.capacity() - bytes.len();
        // With more room the caller could read bytes behind the frame into it.
        (LENT_BYTES_MIN..=rest_bytes)
            .contains(&room)
            .then_some(bytes)
    }

    /// See [`Reassembler::filled`].
    fn filled(&mut self, rest: &FrameHeader) -> Option<usize> {
        let arrived_bytes = self.arrived_bytes;
        let bytes = self.lendable()?;
        // More than the frame has would be a fault of the caller.
        let rest_bytes = usize::try_from(rest.payload_length).unwrap_or(usize::MAX);
        bytes.truncate(arrived_bytes.saturating_add(rest_bytes));
        let new = bytes.get_mut(arrived_bytes..).unwrap_or_default();
        if let Some(key) = rest.masking_key {
            frame::mask(new, key, 0);
        }
        let new_bytes = new.len();
        self.arrived_bytes += new_bytes;
        Some(new_bytes)
    }

    /// The buffer, if bytes can be received in it as they are.
    fn lendable(&mut self) -> Option<&mut Vec<u8>> {
        match (&mut self.payload, &self.compressed) {
            (Payload::Binary(bytes), None) => Some(bytes),
            _ => None,
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# If the frame is part of a fragmented message, the "Application data"
    //# of the subsequent data frames is concatenated to form the /data/.
    fn append(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        self.arrived_bytes += piece.len();
        self.payload.push(piece)
    }

    fn inflate(&mut self, piece: &[u8], last: bool) -> Result<usize, ProtocolError> {
        let Some(compressed) = &mut self.compressed else {
            return Ok(piece.len());
        };
        let pushed = compressed.push(piece, last, &mut self.payload);
        let taken = pushed.map_err(|error| self.limit_named(error))?;
        self.arrived_bytes += taken;
        Ok(taken)
    }

    /// Binary data are unmasked by the copy into the buffer. A text is unmasked, checked and
    /// copied block by block, so that the second and the third step find it in the first
    /// cache.
    fn append_masked(&mut self, piece: &mut [u8], key: [u8; 4]) -> Result<(), ProtocolError> {
        self.arrived_bytes += piece.len();
        if let Payload::Binary(bytes) = &mut self.payload {
            frame::append_masked(piece, key, bytes);
            return Ok(());
        }
        for block in piece.chunks_mut(TEXT_BLOCK_BYTES) {
            frame::mask(block, key, 0);
            self.payload.push(block)?;
        }
        Ok(())
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
            compressed.finish()?;
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
            InflateError::TooManyStreams => ProtocolError::TooManyStreams,
        }
    }
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

/// A text is unmasked, checked and copied in blocks of so many bytes: a multiple of the key's
/// length. They are in the first cache twice, with their copy.
const TEXT_BLOCK_BYTES: usize = 8 << 10;

/// The least that is read straight into a message's buffer. A shorter rest of a frame is
/// read with the frames behind it by one call of the system; copying it costs less than a
/// second call.
const LENT_BYTES_MIN: usize = 16 << 10;

// Also obeyed by `append`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# A fragmented message is conceptually equivalent to a single larger
//# message whose payload is equal to the concatenation of the payloads
//# of the fragments in order
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Message fragments MUST be delivered to the recipient in the order
//# sent by the sender.

// Also obeyed by `finish`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# At the receiver, the payload data portion after
//# decompression is subject to the constraints for the original data
//# type again.

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::{DeflateContext, WindowBits};
    use crate::websocket::extent::compressed_bytes_max;

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
        reassembler.append(payload)?;
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

    fn payload_of(reassembler: &Reassembler) -> &Payload {
        match reassembler.message.as_deref() {
            Some(UnderWay::Whole(message)) => &message.payload,
            other => unreachable!("a message is put together: {other:?}"),
        }
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
            assert_eq!(reassembler.append(&vec![0; piece]), Ok(()));
            payload_of(&reassembler).capacity()
        };
        pieces.iter().map(capacity_after).collect()
    }

    #[test]
    fn claimed_length_allocates_nothing() {
        let claimed = usize::MAX as u64 / 2;
        assert!(capacities(claimed, &[1])[0] < 2);
        assert!(capacities(claimed, &[1000])[0] < 2000);
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
        assert!(DeflateContext::new(1, WindowBits::MAX).compress(&[0; LONG_BYTES], &mut payload));
        let limits = Limits {
            inflate_ratio_max: 64,
            ..Limits::default()
        };
        // Stored blocks without a byte make the message long enough, or one byte too short.
        for (announced, expected) in [
            (LONG_BYTES / 64, Ok(())),
            (LONG_BYTES / 64 - 1, Err(ProtocolError::InflatedTooMuch)),
        ] {
            let mut reassembler = Reassembler::default();
            let first = frame(false, Opcode::Binary, payload.len() as u64);
            let pool = DeflatePool::default();
            reassembler.begin_compressed(&first, History::default(), &pool, &limits);
            // It waits for the rest, because it is short.
            assert_eq!(reassembler.inflate(&payload, false), Ok(payload.len()));
            let rest = vec![0; announced - payload.len()];
            let last = frame(true, Opcode::Continuation, rest.len() as u64);
            assert_eq!(reassembler.begin_frame(&last, &limits), Ok(()));
            let outcome = match reassembler.inflate(&rest, true).map(|_| ()) {
                // Zeros are no DEFLATE data; the limit is found first.
                Err(ProtocolError::CompressedDataCorrupt) => Ok(()),
                outcome => outcome,
            };
            assert_eq!(outcome, expected);
        }
    }

    /// The zeros of a message whose ratio counts: it is longer than any compressed message may become.
    const LONG_BYTES: usize = if cfg!(miri) { (1 << 16) + 512 } else { 1 << 20 };

    /// The zeros of a bomb: 1 MiB in 1 KiB. Miri takes more than ten minutes for an eighth of them.
    const BOMB_BYTES: usize = if cfg!(miri) { 1 << 14 } else { 1 << 20 };

    #[test]
    fn inflated_message_never_has_more_room_than_the_limit() {
        let mut payload = Vec::new();
        assert!(DeflateContext::new(9, WindowBits::MAX).compress(&[0; BOMB_BYTES], &mut payload));
        assert!(payload.len() < 1100);
        for message_bytes_max in [1000, BOMB_BYTES / 10, BOMB_BYTES - 1, BOMB_BYTES] {
            let limits = Limits {
                message_bytes_max,
                inflate_ratio_max: 1032,
                ..Limits::default()
            };
            let mut reassembler = Reassembler::default();
            let header = frame(true, Opcode::Binary, payload.len() as u64);
            let pool = DeflatePool::default();
            reassembler.begin_compressed(&header, History::default(), &pool, &limits);
            let inflated = reassembler.inflate(&payload, true);
            assert_eq!(inflated.is_ok(), message_bytes_max == BOMB_BYTES);
            let capacity = payload_of(&reassembler).capacity();
            assert!(capacity <= message_bytes_max, "{capacity}");
        }
    }

    /// A frame of which part has come, in a buffer of its own.
    fn begun(header: &FrameHeader, part: &[u8]) -> Reassembler {
        let mut reassembler = Reassembler::default();
        let limits = Limits::default();
        assert_eq!(reassembler.begin_frame(header, &limits), Ok(()));
        reassembler.buffer(header, part.len());
        assert_eq!(reassembler.append(part), Ok(()));
        reassembler
    }

    fn rest_of(header: &FrameHeader, taken: usize) -> FrameHeader {
        FrameHeader {
            payload_length: header.payload_length - taken as u64,
            ..*header
        }
    }

    #[test]
    fn lent_buffer_never_has_twice_what_has_arrived_nor_room_past_the_frame() {
        let header = frame(true, Opcode::Binary, 1 << 20);
        let mut reassembler = begun(&header, &[7; 100_000]);
        let mut arrived = 100_000;
        while arrived < 1 << 20 {
            let rest = rest_of(&header, arrived);
            let Some(buffer) = reassembler.lend(&rest) else {
                break;
            };
            assert_eq!(buffer.len(), arrived);
            assert!(buffer.capacity() <= 2 * arrived && buffer.capacity() <= 1 << 20);
            let room = buffer.capacity() - arrived;
            buffer.extend_from_slice(&[7; 200_000][..room.min(200_000)]);
            let filled = reassembler.filled(&rest);
            assert_eq!(filled, Some(room.min(200_000)));
            arrived += room.min(200_000);
        }
        assert_eq!(arrived, 1 << 20);
        let finished = reassembler.finish();
        let Ok(Some(Finished { message, .. })) = finished else {
            unreachable!("the message is whole");
        };
        assert!(message.as_bytes() == [7; 1 << 20]);
    }

    #[test]
    fn buffer_is_lent_from_16_kib_on_and_not_one_byte_below() {
        let part = [0; LENT_BYTES_MIN];
        for (rest, lent) in [(LENT_BYTES_MIN, true), (LENT_BYTES_MIN - 1, false)] {
            let header = frame(true, Opcode::Binary, (part.len() + rest) as u64);
            let mut reassembler = begun(&header, &part);
            let rest = rest_of(&header, part.len());
            assert_eq!(reassembler.lend(&rest).is_some(), lent);
        }
        for (part, lent) in [(&part[..], true), (&part[1..], false)] {
            let header = frame(true, Opcode::Binary, 1 << 20);
            let mut reassembler = begun(&header, part);
            let rest = rest_of(&header, part.len());
            // One byte less has come: the buffer may not double to that.
            let room = reassembler
                .lend(&rest)
                .map(|one| one.capacity() - one.len());
            assert_eq!(room.is_some(), lent, "{room:?}");
        }
    }

    #[test]
    fn buffer_of_a_text_or_of_a_compressed_message_is_not_lent() {
        let header = frame(true, Opcode::Text, 1 << 20);
        let mut reassembler = begun(&header, &[b'a'; 100_000]);
        assert_eq!(reassembler.lend(&rest_of(&header, 100_000)), None);

        let header = frame(true, Opcode::Binary, 1 << 20);
        let (pool, limits) = (DeflatePool::default(), Limits::default());
        let mut reassembler = Reassembler::default();
        reassembler.begin_compressed(&header, History::default(), &pool, &limits);
        assert_eq!(reassembler.inflate(&[0; 1000], false), Ok(1000));
        assert_eq!(reassembler.lend(&rest_of(&header, 1000)), None);
        assert_eq!(reassembler.lend(&header), None);
    }

    /// Faults of the caller: no panic, and nothing past the frame.
    #[test]
    fn bytes_past_the_frame_or_taken_back_do_not_count() {
        let header = frame(true, Opcode::Binary, 60_000);
        let mut reassembler = begun(&header, &[7; 30_000]);
        let rest = rest_of(&header, 30_000);
        let buffer = reassembler.lend(&rest).expect("30,000 bytes are missing");
        buffer.extend_from_slice(&[7; 30_001]);
        assert_eq!(reassembler.filled(&rest), Some(30_000));
        let mut reassembler = begun(&header, &[7; 30_000]);
        let buffer = reassembler.lend(&rest).expect("30,000 bytes are missing");
        buffer.clear();
        assert_eq!(reassembler.filled(&rest), Some(0));
    }
}

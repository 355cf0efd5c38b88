//! Messages out of fragments (RFC 6455 §5.4, §6.2).
//!
//! ```text
//!           text or binary, FIN = 0               continuation, FIN = 0
//!   Idle ─────────────────────────────▶ Gathering ◀──────────────────┐
//!    ▲                                    │   └─────────────────────┘
//!    └────────────────────────────────────┘ continuation, FIN = 1
//! ```
//!
//! A text or binary frame with FIN that lies whole in the caller's buffer never
//! comes here. What does come is copied once, into a buffer that grows with what
//! has arrived, at most to twice that, never with what a header claims. Text is gathered as text: each
//! piece is checked when it comes, so the finished message needs no second look.
//! An idle assembler is one empty pointer.
//!
//! A compressed message (RFC 7692) always comes here. Its octets are inflated on
//! their way, and the limit holds for what comes out; what goes in has a bound of
//! its own, [`compressed_bytes_max`].

use super::deflate::{CompressedMessage, History};
use super::error::ProtocolError;
use super::frame::{FrameHeader, Opcode};
use super::limits::Limits;
use super::utf8::Utf8Validator;

/// The message that is under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Boxed, because an idle connection should not pay for it.
    message: Option<Box<Gathering>>,
}

#[derive(Debug)]
struct Gathering {
    payload: Payload,
    /// Of a compressed message, what is not inflated yet.
    compressed: Option<CompressedMessage>,
    /// Payload octets that the headers so far have announced; within the limit.
    announced_bytes: usize,
    /// 0 ≤ arrived_bytes ≤ announced_bytes
    arrived_bytes: usize,
    /// 1 ≤ fragments ≤ fragments_max
    fragments: u32,
    complete: bool,
    /// Whether it came compressed; also when nothing of it is to be inflated any more.
    came_compressed: bool,
}

/// A message's payload so far.
#[derive(Debug)]
pub(crate) enum Payload {
    Text(String, Utf8Validator),
    Binary(Vec<u8>),
}

/// A complete message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Assembled<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Assembler {
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

    /// What [`Assembler::begin_frame`] would say of this data frame.
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

    /// The frame's payload is not all there, or not all of the message: gather
    /// it. `there` octets of this payload are about to be appended.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Upon receiving a data frame (Section 5.6), the endpoint MUST note the
    //# /type/ of the data as defined by the opcode (frame-opcode) from
    //# Section 5.2.
    pub(crate) fn gather(&mut self, header: &FrameHeader, there: usize) {
        let message = self.message.get_or_insert_with(|| {
            Box::new(Gathering {
                payload: Payload::new(header.opcode),
                compressed: None,
                // Within the limit, as `begin_frame` has seen.
                announced_bytes: usize::try_from(header.payload_length).unwrap_or(usize::MAX),
                arrived_bytes: 0,
                fragments: 1,
                complete: false,
                came_compressed: false,
            })
        });
        message.make_room(header.fin, there);
    }

    /// A compressed message begins with this frame; `history` is what it may refer
    /// to.
    pub(crate) fn begin_compressed(
        &mut self,
        header: &FrameHeader,
        history: History,
        limits: &Limits,
    ) {
        self.message = Some(Box::new(Gathering {
            payload: Payload::new(header.opcode),
            compressed: Some(CompressedMessage::new(history, limits.message_bytes_max)),
            announced_bytes: usize::try_from(header.payload_length).unwrap_or(usize::MAX),
            arrived_bytes: 0,
            fragments: 1,
            complete: false,
            came_compressed: true,
        }));
    }

    /// What the next compressed message may refer to: asked once, when one is
    /// complete.
    pub(crate) fn take_history(&mut self) -> Option<History> {
        let message = self.message.as_mut()?;
        let (octets, _) = message.payload.octets();
        Some(message.compressed.take()?.history_behind(octets))
    }

    /// Adds the next piece of the current frame's payload; `last` if none is to
    /// come of the message.
    pub(crate) fn append(&mut self, piece: &[u8], last: bool) -> Result<(), ProtocolError> {
        match &mut self.message {
            Some(message) => message.append(piece, last),
            None => Ok(()),
        }
    }

    /// The current frame is complete. With FIN, so is the message.
    pub(crate) fn end_frame(&mut self, fin: bool) -> Result<(), ProtocolError> {
        if let (true, Some(message)) = (fin, &mut self.message) {
            message.finish()?;
        }
        Ok(())
    }

    /// Whether a message is under way.
    #[inline]
    pub(crate) fn is_gathering(&self) -> bool {
        self.message.is_some()
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn has_unfinished_message(&self) -> bool {
        let message = self.message.as_ref();
        message.is_some_and(|message| !message.complete)
    }

    /// Whether a message is under way, or complete and not given back, that came
    /// compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.came_compressed)
    }

    #[cfg(test)]
    pub(crate) fn has_a_decompressor(&self) -> bool {
        let message = self.message.as_ref();
        let compressed = message.and_then(|message| message.compressed.as_ref());
        compressed.is_some_and(CompressedMessage::has_a_decompressor)
    }

    /// The message that has been completed, if it has.
    pub(crate) fn complete(&self) -> Option<Assembled<'_>> {
        let message = self.message.as_ref().filter(|message| message.complete)?;
        Some(match &message.payload {
            Payload::Text(text, _) => Assembled::Text(text),
            Payload::Binary(bytes) => Assembled::Binary(bytes),
        })
    }

    /// Gives back the memory of a message that has been handed out.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Subsequent data frames MUST be interpreted as belonging to a new
    //# WebSocket message.
    #[inline]
    pub(crate) fn drop_complete(&mut self) {
        if self
            .message
            .as_ref()
            .is_some_and(|message| message.complete)
        {
            self.message = None;
        }
    }

    /// Gives back all memory: nothing more will be received.
    pub(crate) fn drop_all(&mut self) {
        self.message = None;
    }
}

impl Gathering {
    fn begin_fragment(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        self.announced_bytes = self.check_fragment(header, limits)?;
        self.fragments += 1;
        Ok(())
    }

    /// May this frame be the next of the message? Then it has announced so many
    /// octets with it.
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

    /// Makes room for `there` more octets, by doubling: the buffer never has twice
    /// as many octets as have arrived. In the last frame the length that the
    /// message will have is known, and the doubling is such that it ends there.
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
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# A fragmented message is conceptually equivalent to a single larger
    //# message whose payload is equal to the concatenation of the payloads
    //# of the fragments in order
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Message fragments MUST be delivered to the recipient in the order
    //# sent by the sender.
    fn append(&mut self, piece: &[u8], last: bool) -> Result<(), ProtocolError> {
        self.arrived_bytes += piece.len();
        match &mut self.compressed {
            None => self.payload.push(piece),
            Some(compressed) => compressed.push(piece, last, &mut self.payload),
        }
    }

    fn finish(&mut self) -> Result<(), ProtocolError> {
        if let Some(compressed) = &mut self.compressed {
            compressed.finish(&mut self.payload)?;
        }
        self.payload.finish()?;
        self.complete = true;
        Ok(())
    }
}

impl Payload {
    fn new(opcode: Opcode) -> Payload {
        match opcode {
            Opcode::Text => Payload::Text(String::new(), Utf8Validator::default()),
            _ => Payload::Binary(Vec::new()),
        }
    }

    /// All octets so far: those gathered, and those of a character that is cut.
    pub(crate) fn octets(&self) -> (&[u8], &[u8]) {
        match self {
            Payload::Text(text, validator) => (text.as_bytes(), validator.cut()),
            Payload::Binary(bytes) => (bytes, &[]),
        }
    }

    /// How many octets there are so far.
    pub(crate) fn bytes(&self) -> usize {
        let (gathered, cut) = self.octets();
        gathered.len() + cut.len()
    }

    /// Adds octets whose number nobody has announced: the buffer doubles, and never
    /// has more than `bytes_max`, which they stay within.
    pub(crate) fn grow(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
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

    /// Makes the buffer so large, if it is not: capacity ≥ the octets so far.
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

    fn finish(&self) -> Result<(), ProtocolError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
        //# Note that a particular text frame might include a partial UTF-8
        //# sequence; however, the whole message MUST contain valid UTF-8.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
        //# At the receiver, the payload data portion after
        //# decompression is subject to the constraints for the original data
        //# type again.
        if let Payload::Text(_, validator) = self {
            validator.finish()?;
        }
        Ok(())
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

/// How much the message will have when this frame has come, if that is allowed.
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

/// The most compressed octets that a message may have. None that fits the limit when
/// it is inflated needs more: the worst codes that are in use make nine bits of
/// eight, and empty blocks between fragments cost five octets each.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::{WindowBits, write_frame};

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
        assembler: &mut Assembler,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let header = frame(fin, opcode, payload.len() as u64);
        assembler.begin_frame(&header, limits)?;
        assembler.gather(&header, payload.len());
        assembler.append(payload, fin)?;
        assembler.end_frame(fin)
    }

    #[test]
    fn fragments_are_concatenated_in_order() {
        let (mut assembler, limits) = (Assembler::default(), Limits::default());
        let steps = [
            (false, Opcode::Text, &b"Hel"[..]),
            (false, Opcode::Continuation, b""),
            (true, Opcode::Continuation, b"lo"),
        ];
        for (fin, opcode, payload) in steps {
            assert_eq!(assembler.complete(), None);
            assert_eq!(
                receive(&mut assembler, fin, opcode, payload, &limits),
                Ok(())
            );
        }
        assert_eq!(assembler.complete(), Some(Assembled::Text("Hello")));
        assembler.drop_complete();
        assert!(!assembler.is_gathering());
    }

    #[test]
    fn the_size_limit_counts_all_fragments_and_is_exact() {
        let limits = Limits {
            message_bytes_max: 5,
            ..Limits::default()
        };
        let mut assembler = Assembler::default();
        assert_eq!(
            receive(&mut assembler, false, Opcode::Binary, b"abc", &limits),
            Ok(())
        );
        assert_eq!(
            receive(&mut assembler, false, Opcode::Continuation, b"de", &limits),
            Ok(())
        );
        assert_eq!(
            assembler.begin_frame(&frame(true, Opcode::Continuation, 1), &limits),
            Err(ProtocolError::MessageTooBig)
        );
    }

    #[test]
    fn the_fragment_limit_is_exact() {
        let limits = Limits {
            fragments_max: 2,
            ..Limits::default()
        };
        let mut assembler = Assembler::default();
        assert_eq!(
            receive(&mut assembler, false, Opcode::Binary, b"", &limits),
            Ok(())
        );
        assert_eq!(
            receive(&mut assembler, false, Opcode::Continuation, b"", &limits),
            Ok(())
        );
        assert_eq!(
            receive(&mut assembler, true, Opcode::Continuation, b"", &limits),
            Err(ProtocolError::TooManyFragments)
        );
    }

    /// The buffer's size after each of these pieces of one frame.
    fn capacities(announced: u64, pieces: &[usize]) -> Vec<usize> {
        let limits = Limits {
            message_bytes_max: usize::MAX,
            ..Limits::default()
        };
        let mut assembler = Assembler::default();
        let header = frame(true, Opcode::Binary, announced);
        assert_eq!(assembler.begin_frame(&header, &limits), Ok(()));
        let capacity_after = |&piece: &usize| {
            assembler.gather(&header, piece);
            assert_eq!(assembler.append(&vec![0; piece], false), Ok(()));
            match assembler.message.as_ref().map(|message| &message.payload) {
                Some(Payload::Binary(bytes)) => bytes.capacity(),
                _ => unreachable!("a binary message is under way"),
            }
        };
        pieces.iter().map(capacity_after).collect()
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        assert!(capacities(1 << 62, &[1])[0] < 2);
        assert!(capacities(1 << 62, &[1000])[0] < 2000);
    }

    #[test]
    fn the_buffer_doubles_and_ends_at_the_length_of_the_message() {
        let capacities = capacities(1000, &[200, 50, 1, 249, 500]);
        assert_eq!(capacities, [250, 250, 500, 500, 1000]);
    }

    /// Of octets whose number nobody has announced.
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
            assert_eq!(payload.octets(), (&[b'a'; 1000][..], &[][..]));
        }
    }

    #[test]
    fn bytes_of_a_cut_character_count() {
        let mut payload = Payload::new(Opcode::Text);
        for (piece, bytes) in [(&b"a\xe5"[..], 2), (b"\xb1", 3), (b"\xb1b", 5)] {
            assert_eq!(payload.grow(piece, 5), Ok(()));
            assert_eq!(payload.bytes(), bytes);
        }
        assert_eq!(payload.octets(), ("a山b".as_bytes(), &b""[..]));
    }

    #[test]
    fn compressed_octets_may_be_a_quarter_and_a_kibibyte_more_than_the_message() {
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
            let begins = |header| Assembler::default().begin_frame(&header, &limits);
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
    fn a_message_inside_a_message_and_a_lone_continuation_are_refused() {
        let (mut assembler, limits) = (Assembler::default(), Limits::default());
        assert_eq!(
            receive(&mut assembler, true, Opcode::Continuation, b"", &limits),
            Err(ProtocolError::ContinuationWithoutMessage)
        );
        assert_eq!(
            receive(&mut assembler, false, Opcode::Text, b"a", &limits),
            Ok(())
        );
        assert_eq!(
            receive(&mut assembler, true, Opcode::Text, b"b", &limits),
            Err(ProtocolError::MessageInsideMessage)
        );
    }

    /// A bomb: 1 MiB of zeros in 1 KiB.
    #[test]
    fn an_inflated_message_never_has_more_room_than_the_limit() {
        let mut deflate = crate::websocket::deflate::compressor(9, WindowBits::MAX);
        let mut bomb = Vec::new();
        let no_key = || None;
        write_frame(
            &mut deflate,
            Opcode::Binary,
            &vec![0; 1 << 20],
            no_key,
            &mut bomb,
        );
        let payload = &bomb[4..];
        assert!(payload.len() < 1100);
        for message_bytes_max in [1000, 100_000, (1 << 20) - 1, 1 << 20] {
            let limits = Limits {
                message_bytes_max,
                ..Limits::default()
            };
            let mut assembler = Assembler::default();
            let header = frame(true, Opcode::Binary, payload.len() as u64);
            assembler.begin_compressed(&header, History::default(), &limits);
            let inflated = assembler.append(payload, true);
            assert_eq!(inflated.is_ok(), message_bytes_max == 1 << 20);
            let message = assembler.message.as_ref();
            let capacity = message.map(|message| message.payload.capacity());
            assert!(capacity <= Some(message_bytes_max), "{capacity:?}");
        }
    }
}

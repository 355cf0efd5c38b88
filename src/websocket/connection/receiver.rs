//! The receiving half: bytes into events (RFC 6455 §5.4, §5.5, §6.2, §7.1).
//!
//! ```text
//!               ┌ control frame ─────────────────────────────▶ Ping, Pong, Close
//! input ─ frame ┼ data, whole in the input ──────────────────▶ Text, Binary: a slice
//!               ├ data, cut, fragmented or compressed ─ Reassembler ─▶ Text, Binary: owned
//!               └ all data, in the mode for pieces ──── Pieces ──────▶ Piece
//! ```
//!
//! It checks and hands out, frame by frame, and answers nothing: the replies are in
//! [`Connection`](super::Connection), which asks for the frames.

use super::super::deflate::{DeflatePool, History, WindowBits};
use super::super::error::ProtocolError;
use super::super::event::Event;
use super::super::frame::{CloseFrame, FrameHeader, FrameRules, FrameState, Opcode, Role};
use super::super::frame::{PlainFront, mask, offer_payload, payload_within, skip_payload};
use super::super::frame::{take_front, take_masked_payload, take_payload};
use super::super::limits::Limits;
use super::super::reassembler::Reassembler;
use super::end::{Closing, End};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

/// What has been received, as far as it is still needed.
#[derive(Debug)]
pub(super) struct Receiver {
    frames: FrameState,
    rules: FrameRules,
    /// Whether the message under way, or the one that was just handed out, came
    /// compressed.
    inflating: bool,
    inflate_ratio_max: u32,
    message: Reassembler,
    /// Rarely used state, boxed to keep idle connections small.
    rare: Option<Box<RareState>>,
    /// If compression was agreed on.
    pool: Option<DeflatePool>,
}

/// State that a connection needs now and then. A plain one has none of it while it is
/// idle.
#[derive(Debug, Default)]
pub(super) struct RareState {
    /// The payload so far of a control frame that does not come in one piece.
    control_payload: Vec<u8>,
    /// The newest ping that the output had no room to answer.
    unanswered_ping: Option<Box<[u8]>>,
    /// What the next compressed message may refer to, of a peer with context takeover.
    history: Option<History>,
    /// The Closes, from the first one on.
    closing: Option<Box<Closing>>,
}

/// What [`Receiver::usual_case`] has found.
pub(super) enum UsualCase<'b> {
    /// A whole message, and its payload, which is unmasked.
    Text(&'b [u8]),
    Binary(&'b [u8]),
    NoInput,
}

impl RareState {
    fn is_empty(&self) -> bool {
        self.control_payload.is_empty()
            && self.unanswered_ping.is_none()
            && self.history.is_none()
            && self.closing.is_none()
    }

    fn held_bytes(&self) -> usize {
        let history = self.history.as_ref();
        self.control_payload.capacity() + history.map_or(0, History::capacity)
    }
}

impl Receiver {
    pub(super) fn new(role: Role, inflate_ratio_max: u32) -> Receiver {
        Receiver {
            frames: FrameState::BETWEEN_FRAMES,
            rules: FrameRules::new(role),
            inflating: false,
            inflate_ratio_max,
            message: Reassembler::default(),
            rare: None,
            pool: None,
        }
    }

    /// From now on messages may come compressed. `takeover`: the window of a peer that
    /// takes its context over.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Note that even if the client has included
    //# the "client_no_context_takeover" extension parameter in its offer,
    //# the server MUST decompress each new message using the LZ77 sliding
    //# window used to process the last compressed message if the "agreed
    //# parameters" don't contain the "client_no_context_takeover" extension
    //# parameter.
    pub(super) fn accept_compressed(&mut self, takeover: Option<WindowBits>, pool: &DeflatePool) {
        self.rules.define_rsv1();
        self.pool = Some(pool.clone());
        if let Some(window_bits) = takeover {
            self.rare().history = Some(History::new(true, window_bits));
        }
    }

    /// From now on messages are handed out in pieces.
    pub(super) fn hand_out_pieces(&mut self) {
        self.message.hand_out_pieces();
    }

    /// The two usual cases: nothing is under way, and a whole message lies in the input as
    /// one plain frame, or the input is used up. `None`: it is another case, and nothing is
    /// taken.
    ///
    /// It asks only the questions that these cases need. All else is left to
    /// [`Receiver::next_frame`], which would lead to the same event.
    #[inline(always)]
    pub(super) fn usual_case<'b>(
        &self,
        input: &mut &'b mut [u8],
        limits: &Limits,
    ) -> Option<UsualCase<'b>> {
        let is_between_messages = self.message.is_unused() && !self.inflating;
        if self.rare.is_some() || !is_between_messages {
            return None;
        }
        let bytes_max = limits.message_bytes_max;
        match self.frames.plain_header(self.rules, input, bytes_max) {
            Some(mut frame) => {
                let payload = take_payload(&mut frame, input, usize::MAX);
                Some(match frame.opcode {
                    Opcode::Text => UsualCase::Text(payload),
                    _ => UsualCase::Binary(payload),
                })
            }
            None => input.is_empty().then_some(UsualCase::NoInput),
        }
    }

    /// Leaves a message in the input that is one plain frame and that is not whole, if its
    /// rest is at most `more_bytes_max` bytes: unmasks its payload where it lies, as soon as
    /// it comes, while it is in the nearest cache. Of the first `left_bytes` of the input
    /// the payload is unmasked already. `false`: it is another case, and nothing is done.
    pub(super) fn leave(
        &self,
        input: &mut [u8],
        left_bytes: usize,
        limits: &Limits,
        more_bytes_max: usize,
    ) -> bool {
        if !self.message.is_unused() || self.has_unanswered_ping() || self.end().is_some() {
            return false;
        }
        let (header, header_bytes) = match self.frames.plain_front(self.rules, input) {
            PlainFront::Header(header, header_bytes) => (header, header_bytes),
            PlainFront::Cut => return true,
            PlainFront::Other => return false,
        };
        let payload = &mut input[header_bytes..];
        let payload_max = payload.len().saturating_add(more_bytes_max);
        let payload_max = payload_max.min(limits.message_bytes_max) as u64;
        let is_whole = header.payload_length <= payload.len() as u64;
        if is_whole || header.payload_length > payload_max {
            return false;
        }
        if let Some(key) = header.masking_key {
            unmask_behind(payload, key, left_bytes.saturating_sub(header_bytes));
        }
        true
    }

    /// The message of which the first `left_bytes` of the input were left: it is handed out
    /// if it is whole. `None`: it is buffered, and its frame is under way; or it is another
    /// case, and nothing is done.
    pub(super) fn left_message<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        left_bytes: usize,
        limits: &Limits,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let front = self.frames.plain_front(self.rules, input);
        let (PlainFront::Header(mut frame, header_bytes), None) = (front, self.end()) else {
            return Ok(None);
        };
        // The header may be whole only now.
        if frame.payload_length > limits.message_bytes_max as u64 {
            return Ok(None);
        }
        take_front(input, header_bytes);
        let unmasked_bytes = left_bytes.saturating_sub(header_bytes);
        let here = payload_within(&frame, input.len());
        if is_all_here(&frame, input) {
            if let Some(key) = frame.masking_key.take() {
                unmask_behind(&mut input[..here], key, unmasked_bytes);
            }
            return self.whole_message(frame, input).map(Some);
        }
        self.message.begin_frame(&frame, limits)?;
        self.message.buffer(&frame, here);
        let (unmasked, _) = take_masked_payload(&mut frame, input, unmasked_bytes);
        self.frames.keep(frame);
        self.message.append(unmasked)?;
        Ok(None)
    }

    /// The frame whose payload comes next: the rest of the one under way, or a new one. `None`: `input` is used up.
    #[inline]
    pub(super) fn next_frame(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<Option<FrameHeader>, ProtocolError> {
        match self.end() {
            None => {}
            // §5.5.1: bytes behind the peer's Close are discarded.
            Some(End::Closed | End::Lost) => {
                *input = &mut [];
                return Ok(None);
            }
            Some(End::Failed(error)) => return Err(error),
        }
        if self.inflating && !self.message.has_unfinished_message() {
            self.inflating = false;
        }
        if let Some(rest) = self.frames.take_rest() {
            return Ok(Some(rest));
        }
        let Ok(Some(header)) = self.frames.header(self.rules, input) else {
            return self.check_front(limits).map(|()| None);
        };
        if header.opcode.is_control() {
            check_close_length(&header)?;
        } else {
            self.message.begin_frame(&header, limits)?;
        }
        Ok(Some(header))
    }

    /// Whether this frame is a message that lies whole in the input, and can be handed out
    /// where it lies.
    #[inline]
    pub(super) fn is_whole_message(&self, frame: &FrameHeader, input: &[u8]) -> bool {
        let is_plain_data = !frame.opcode.is_control() && frame.rsv == 0b000;
        let is_whole = frame.fin && is_all_here(frame, input);
        is_plain_data && is_whole && self.message.is_unused()
    }

    /// The message that is whole in the input, as a slice of it.
    #[inline(always)]
    pub(super) fn whole_message<'b>(
        &self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Event<'b>, ProtocolError> {
        let payload = take_payload(&mut frame, input, usize::MAX);
        match frame.opcode {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
            //# When an endpoint is to interpret a byte stream as UTF-8 but finds
            //# that the byte stream is not, in fact, a valid UTF-8 stream, that
            //# endpoint MUST _Fail the WebSocket Connection_.
            Opcode::Text => match text(payload) {
                Some(text) => Ok(Event::Text(Cow::Borrowed(text))),
                None => Err(ProtocolError::TextNotUtf8),
            },
            _ => Ok(Event::Binary(Cow::Borrowed(payload))),
        }
    }

    /// A Close, Ping or Pong, also between the fragments of a message.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# An endpoint MUST be capable of handling control frames in the
    //# middle of a fragmented message.
    pub(super) fn control_frame<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let piece: &'b [u8] = take_payload(&mut frame, input, usize::MAX);
        if frame.payload_length > 0 {
            self.frames.keep(frame);
            if !piece.is_empty() {
                self.rare().control_payload.extend_from_slice(piece);
            }
            return Ok(None);
        }
        let payload = match self.take_control_payload() {
            None => Cow::Borrowed(piece),
            Some(mut begun) => {
                begun.extend_from_slice(piece);
                Cow::Owned(begun)
            }
        };
        match frame.opcode {
            Opcode::Ping => Ok(Some(Event::Ping(payload))),
            Opcode::Close => self.close(payload).map(Some),
            _ => Ok(Some(Event::Pong(payload))),
        }
    }

    /// Nothing more is received: the peer broke a rule.
    pub(super) fn fail(&mut self, error: ProtocolError) {
        self.finish(End::Failed(error));
    }

    /// Nothing more is received: the input has ended.
    pub(super) fn lose(&mut self) {
        self.finish(End::Lost);
    }

    #[inline]
    pub(super) fn end(&self) -> Option<End> {
        self.closing()?.end()
    }

    /// The Closes so far.
    #[inline]
    pub(super) fn closing(&self) -> Option<&Closing> {
        self.rare.as_ref()?.closing.as_deref()
    }

    /// Our Close is written.
    pub(super) fn close_sent(&mut self, close: &CloseFrame<'_>) {
        self.closing_mut().sent(close);
    }

    pub(super) fn is_inflating(&self) -> bool {
        self.inflating
    }

    /// Whether there is more to inflate of what has been taken: of a whole message, or of the frame under way.
    #[inline]
    pub(super) fn inflates_on(&self) -> bool {
        self.inflating
            && (self.message.inflates_on()
                || self
                    .frames
                    .rest()
                    .is_some_and(|rest| rest.payload_length == 0))
    }

    /// The bytes of the compressed message under way that are inflated.
    pub(super) fn inflated_bytes(&self) -> usize {
        self.message.inflated_bytes()
    }

    #[inline]
    pub(super) fn has_unfinished_input(&self) -> bool {
        let is_within = self.frames.has_unfinished_frame() || self.message.has_unfinished_message();
        is_within && self.end().is_none()
    }

    /// The limit of compressed messages.
    #[inline(always)]
    pub(super) fn inflate_ratio_max(&self) -> u32 {
        self.inflate_ratio_max
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let rare = self.rare.as_ref();
        self.message.held_bytes() + rare.map_or(0, |rare| rare.held_bytes())
    }

    pub(super) fn unfinished_message_bytes(&self) -> usize {
        self.message.arrived_bytes()
    }

    #[inline]
    pub(super) fn has_unanswered_ping(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.unanswered_ping.is_some())
    }

    /// The newest ping is to be answered later.
    pub(super) fn keep_unanswered_ping(&mut self, payload: &[u8]) {
        self.rare().unanswered_ping = Some(payload.into());
    }

    pub(super) fn take_unanswered_ping(&mut self) -> Option<Box<[u8]>> {
        let ping = self.rare.as_mut()?.unanswered_ping.take();
        self.release_rare();
        ping
    }
}

impl Receiver {
    /// A header that is cut, or that breaks a rule: fails at the first byte that breaks
    /// a rule of a frame or of a message, wherever the input is cut.
    #[cold]
    fn check_front(&self, limits: &Limits) -> Result<(), ProtocolError> {
        for least in self.frames.beginnings(self.rules) {
            let header = least?;
            if header.opcode.is_control() {
                check_close_length(&header)?;
            } else {
                self.message.check_frame(&header, limits)?;
            }
        }
        Ok(())
    }

    /// A data frame of which not all is here, or not all of its message, or that is
    /// compressed.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Clients and servers MUST support receiving both fragmented and
    //# unfragmented messages.
    // Out of the way of whole messages, whose path is inlined.
    #[inline(never)]
    pub(super) fn buffer<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
        limits: &Limits,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let is_all_here = is_all_here(&frame, input);
        if input.is_empty() && !is_all_here && !self.inflates_on() {
            // Many clients send the header by itself: all of the payload may come
            // at once and need not be copied.
            self.frames.keep(frame);
            return Ok(None);
        }
        if self.message.begins_compressed(&frame) {
            self.begin_compressed(&frame, limits);
        }
        if self.message.pieces().is_some() {
            return match self.inflating {
                false => self.plain_piece(frame, input),
                true => self.inflated_piece(frame, input),
            };
        }
        if self.inflating {
            return self.inflate(frame, input);
        }
        let here = payload_within(&frame, input.len());
        self.message.buffer(&frame, here);
        while payload_within(&frame, input.len()) > 0 {
            let (block, key) = take_masked_payload(&mut frame, input, BLOCK_BYTES);
            self.message.append_masked(block, key)?;
        }
        if !is_all_here {
            self.frames.keep(frame);
            return Ok(None);
        }
        match frame.fin {
            true => self.finish_message(),
            false => Ok(None),
        }
    }

    /// The next part of a compressed message: all that is here, or what one step inflates. The
    /// rest stays in the input, or in the decompressor.
    fn inflate<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        loop {
            let last = frame.fin && is_all_here(&frame, &input[..input.len().min(BLOCK_BYTES)]);
            offer_payload(&mut frame, input, BLOCK_BYTES, |bytes| {
                let inflated = self.message.inflate(bytes, last);
                let taken = *inflated.as_ref().unwrap_or(&bytes.len());
                (taken, inflated)
            })?;
            let is_frame_whole = frame.payload_length == 0 && !self.message.inflates_on();
            if is_frame_whole {
                break;
            }
            if input.is_empty() || self.message.inflates_on() {
                self.frames.keep(frame);
                return Ok(None);
            }
        }
        match frame.fin {
            true => self.finish_message(),
            false => Ok(None),
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# When the last
    //# fragment is received as indicated by the FIN bit (frame-fin), it is
    //# said that _A WebSocket Message Has Been Received_ with data /data/
    fn finish_message<'b>(&mut self) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some(finished) = self.message.finish()? else {
            return Ok(None);
        };
        self.keep_history(finished.history);
        Ok(Some(finished.message.into()))
    }

    /// What the next compressed message may refer to, if the peer takes its context over.
    fn keep_history(&mut self, history: Option<History>) {
        if let (Some(history), Some(rare)) = (history, &mut self.rare)
            && let Some(kept) = &mut rare.history
        {
            *kept = history;
        }
    }

    /// The next piece of a plain message.
    fn plain_piece<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some(pieces) = self.message.pieces() else {
            return Ok(None);
        };
        let bytes = take_payload(&mut frame, input, pieces.bytes_max());
        let is_frame_whole = frame.payload_length == 0;
        if !is_frame_whole {
            self.frames.keep(frame);
        }
        let piece = pieces.plain(bytes, is_frame_whole && frame.fin)?;
        Ok(piece.map(Event::Piece))
    }

    /// The next piece of a compressed message: at most a block, although a few bytes can
    /// inflate to far more. The rest stays in the input, or in the decompressor.
    fn inflated_piece<'b>(
        &mut self,
        mut frame: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some(pieces) = self.message.pieces() else {
            return Ok(None);
        };
        let inflated = offer_payload(&mut frame, input, BLOCK_BYTES, |bytes| {
            let inflated = pieces.inflate(bytes);
            (inflated.taken, inflated)
        });
        let content = inflated.content?;
        let is_frame_whole = frame.payload_length == 0 && !inflated.has_more;
        if !is_frame_whole {
            self.frames.keep(frame);
        }
        let last = is_frame_whole && frame.fin;
        let history = match last {
            true => pieces.finish_compressed()?,
            false => None,
        };
        let piece = pieces.hand_out(content, last)?;
        self.keep_history(history);
        Ok(piece.map(Event::Piece))
    }

    /// The end of the buffer in which the frame under way is put together, for the caller
    /// to read into.
    pub(super) fn lend(&mut self) -> Option<&mut Vec<u8>> {
        let rest = self
            .frames
            .rest()
            .filter(|rest| !rest.opcode.is_control())?;
        self.message.lend(&rest)
    }

    /// The caller has appended bytes to the buffer that was lent to it.
    pub(super) fn filled(&mut self) -> Result<Option<Event<'static>>, ProtocolError> {
        let rest = self.frames.rest();
        let Some(mut rest) = rest.filter(|rest| !rest.opcode.is_control()) else {
            return Ok(None);
        };
        let Some(new_bytes) = self.message.filled(&rest) else {
            return Ok(None);
        };
        skip_payload(&mut rest, new_bytes);
        if rest.payload_length > 0 {
            self.frames.keep(rest);
            return Ok(None);
        }
        self.frames.take_rest();
        match rest.fin {
            true => self.finish_message(),
            false => Ok(None),
        }
    }

    /// A compressed message begins with this frame.
    // Out of the way of plain messages, whose path is inlined.
    #[inline(never)]
    fn begin_compressed(&mut self, frame: &FrameHeader, limits: &Limits) {
        let history = self.rare.as_mut().and_then(|rare| rare.history.as_mut());
        let history = history.map(mem::take).unwrap_or_default();
        if let Some(pool) = &self.pool {
            self.inflating = true;
            self.message.begin_compressed(frame, history, pool, limits);
        }
    }

    fn close<'b>(&mut self, body: Cow<'b, [u8]>) -> Result<Event<'b>, ProtocolError> {
        let close = match body {
            Cow::Borrowed(body) => CloseFrame::parse(body)?,
            Cow::Owned(body) => CloseFrame::parse(&body)?.into_owned(),
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
        //# _The WebSocket
        //# Connection Close Code_ is defined as the status code (Section 7.4)
        //# contained in the first Close control frame received by the
        //# application implementing this protocol.
        self.closing_mut().received(&close);
        self.finish(End::Closed);
        Ok(Event::Close(close))
    }

    /// Nothing more is received. Frees all memory but the Closes.
    fn finish(&mut self, end: End) {
        self.closing_mut().finish(end);
        self.message.discard();
        let rare = self.rare();
        *rare = RareState {
            closing: rare.closing.take(),
            ..RareState::default()
        };
    }

    fn closing_mut(&mut self) -> &mut Closing {
        self.rare().closing.get_or_insert_default()
    }

    fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    fn take_control_payload(&mut self) -> Option<Vec<u8>> {
        let payload = mem::take(&mut self.rare.as_mut()?.control_payload);
        self.release_rare();
        Some(payload).filter(|payload| !payload.is_empty())
    }

    /// Frees the box of rarely used state when the last of that state is gone.
    fn release_rare(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
    }
}

/// The payload of a whole text, if it is UTF-8.
#[inline(always)]
pub(super) fn text(payload: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(payload).ok()
}

/// A Close has no body, or one that begins with a code of two bytes. A length of one byte
/// shows that it has neither.
fn check_close_length(header: &FrameHeader) -> Result<(), ProtocolError> {
    if header.opcode == Opcode::Close && header.payload_length == 1 {
        return Err(ProtocolError::CloseBodyOneByte);
    }
    Ok(())
}

/// Unmasks the bytes behind the first `unmasked_bytes`, which are unmasked.
fn unmask_behind(payload: &mut [u8], key: [u8; 4], unmasked_bytes: usize) {
    let masked = payload.get_mut(unmasked_bytes..).unwrap_or_default();
    mask(masked, key, unmasked_bytes);
}

#[inline]
fn is_all_here(frame: &FrameHeader, input: &[u8]) -> bool {
    frame.payload_length <= input.len() as u64
}

/// A text that has to be buffered is unmasked, checked and copied in blocks of this
/// size, so that the second and the third pass find the bytes, and the copy's
/// destination, in the nearest cache: an eighth less time than in blocks of twice the
/// size. The copy of binary data unmasks them.
const BLOCK_BYTES: usize = 16 << 10;

// Also obeyed by `buffer`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# in absence of extensions, senders and receivers must not depend on the
//# presence of specific frame boundaries.

// Also obeyed by `control_frame`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# If a control frame (Section 5.5) is
//# received, the frame MUST be handled as defined by Section 5.5.

// Also obeyed by `whole_message`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
//# An endpoint MUST use the following algorithm to receive a message in
//# the form of an uncompressed message.

// Also obeyed by `finish_message`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
//# Note that even if some uncompressed messages (with the RSV1 bit
//# unset) are inserted between the two "Hello" messages, they don't
//# affect the LZ77 sliding window.

#[cfg(test)]
impl Receiver {
    /// Whether the half is as it was after the handshake: between frames, and with
    /// nothing on the heap.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_unfinished_input() && self.rare.is_none()
    }

    /// Whether there is rare state other than the Closes.
    pub(super) fn has_rare_state(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.closing.is_none() || rare.control_payload.capacity() > 0)
    }

    pub(super) fn has_a_decompressor(&self) -> bool {
        self.message.has_a_decompressor()
    }

    /// The bytes that are kept of earlier messages have so much room.
    pub(super) fn history_capacity(&self) -> usize {
        let history = self.rare.as_ref().and_then(|rare| rare.history.as_ref());
        history.map_or(0, History::capacity)
    }
}

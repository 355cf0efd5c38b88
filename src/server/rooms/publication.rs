//! A published message on its way into the logs of a room: one frame for each encoding, made at most once.
//!
//! ```text
//!   one worker      LocalMessage ──┬── written straight into the plain log
//!                                  └── compressed, copied into the other logs
//!
//!   several         SharedMessage ─┬── the plain frame ─────────── the logs of every worker
//!                                  └── compressed by the first worker that needs it
//! ```
//!
//! A message is compressed only if a subscriber takes it compressed: a room has only logs that a subscriber needs. A long one is
//! compressed in steps (`owed.rs`).

use super::compressor::Compressor;
use super::encoding::Encoding;
use crate::broadcast::{ChunkPool, SharedLog, SubscriptionId};
use crate::server::backplane::{BackplaneMessage, NodeConnection};
use crate::server::connection_id::ConnectionId;
use crate::server::history::{Erasure, Position};
use crate::server::not_published::{NotPublished, Published};
use crate::server::receipt::{Receipt, Reply, receipt};
use crate::websocket::deflate::WindowBits;
use crate::websocket::frame::{Opcode, encode};
use crate::websocket::{Fragment, Message, OwnedMessage, SteppedFrame};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A message that has a frame for each encoding.
pub(super) trait EncodedFrames {
    /// The message's frame in this encoding.
    fn frame<'a>(&'a mut self, encoding: Encoding, compressor: &'a mut Compressor) -> Frame<'a>;

    /// Whether this frame is still to be compressed, and the message so long that this is done in steps.
    fn is_divided(&self, encoding: Encoding, compressor: &Compressor) -> bool;

    /// The same message, to be kept until its frame is made.
    fn to_shared(&self, room: &str) -> SharedMessage;
}

/// One frame, as a log takes it.
pub(super) enum Frame<'a> {
    /// To be encoded straight into the log.
    Message(Message<'a>),
    /// To be copied.
    Bytes(&'a [u8]),
    /// To be referred to if it is large, and copied otherwise.
    Shared(&'a Arc<[u8]>),
}

impl Frame<'_> {
    /// Appends the frame to a log, for all of its subscriptions but `except`.
    pub(super) fn append(
        self,
        log: &mut SharedLog,
        except: Option<SubscriptionId>,
        pool: &mut ChunkPool,
    ) {
        match (self, except) {
            (Frame::Message(message), None) => {
                let write = |bytes: &mut Vec<u8>| write_frame(message, bytes);
                log.append_with(frame_bytes_max(message), write, pool);
            }
            (Frame::Message(message), Some(except)) => {
                let write = |bytes: &mut Vec<u8>| write_frame(message, bytes);
                log.append_with_except(except, frame_bytes_max(message), write, pool);
            }
            (Frame::Bytes(frame), None) => log.append(frame, pool),
            (Frame::Bytes(frame), Some(except)) => log.append_except(except, frame, pool),
            (Frame::Shared(frame), except) if frame.len() < pool.limits().shared_bytes_min => {
                Frame::Bytes(frame).append(log, except, pool);
            }
            (Frame::Shared(frame), None) => log.append_shared(frame.clone(), pool),
            (Frame::Shared(frame), Some(except)) => {
                log.append_shared_except(except, frame.clone(), pool);
            }
        }
    }
}

/// A message where there is only one worker.
pub(super) struct LocalMessage<'m> {
    message: Message<'m>,
    /// The window that it was compressed for last, and whether that made it shorter.
    compressed: Option<(WindowBits, bool)>,
}

impl<'m> LocalMessage<'m> {
    pub(super) fn new(message: Message<'m>) -> LocalMessage<'m> {
        LocalMessage {
            message,
            compressed: None,
        }
    }
}

impl EncodedFrames for LocalMessage<'_> {
    fn frame<'a>(&'a mut self, encoding: Encoding, compressor: &'a mut Compressor) -> Frame<'a> {
        let (message, payload) = (self.message, self.message.as_bytes());
        let Some(window) = compressor.window(encoding, payload.len()) else {
            return Frame::Message(message);
        };
        let shrinks = match self.compressed {
            Some((earlier, shrinks)) if earlier == window => shrinks,
            _ => compressor
                .compress(message.opcode(), payload, window)
                .is_some(),
        };
        self.compressed = Some((window, shrinks));
        match shrinks {
            true => Frame::Bytes(compressor.last_frame()),
            false => Frame::Message(message),
        }
    }

    #[inline(always)]
    fn is_divided(&self, encoding: Encoding, compressor: &Compressor) -> bool {
        let bytes = self.message.as_bytes().len();
        bytes > UNDIVIDED_BYTES_MAX && compressor.window(encoding, bytes).is_some()
    }

    #[cold]
    fn to_shared(&self, room: &str) -> SharedMessage {
        SharedMessage::new(room, self.message, None, true)
    }
}

/// A message on its way between workers: encoded once and shared by all of them.
#[derive(Clone, Debug)]
pub(crate) struct SharedMessage {
    room: Arc<str>,
    except_connection: Option<ConnectionId>,
    /// In a room with history: its offset, once it has been put in order. The first message of a room has offset 1.
    offset: Option<NonZeroU64>,
    /// The epoch of this offset.
    epoch: u64,
    /// The frame that is not compressed.
    plain: Arc<[u8]>,
    /// `None`: no subscriber gets it compressed, because the server compresses nothing or the message is too short.
    compressed: Option<Arc<CompressedFrames>>,
    /// `None`: nobody wants to know what becomes of it.
    outcome: Option<Outcome>,
    /// In a room with history: which earlier message it takes out of it.
    erases: Option<Arc<Erasure>>,
}

/// What the publisher of a message wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// How many subscribers it was published to. Its receipt gets the number when the last worker has appended the message.
    Reached(Arc<Mutex<Reply<u64>>>),
    /// On a thread that is no worker: whether it was published.
    Receipt(Arc<Mutex<Reply<Result<Published, NotPublished>>>>),
    /// A connection: whether it was published.
    Publisher(PublisherOf),
}

/// The connection that has published a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublisherOf {
    pub(crate) connection: ConnectionId,
    /// The number by which its handler is told. `None`: the handler is told only that the message was not published.
    pub(crate) number: Option<u64>,
}

impl Outcome {
    pub(crate) fn reached() -> (Outcome, Receipt<u64>) {
        let (reply, receipt) = receipt(0);
        (Outcome::Reached(Arc::new(Mutex::new(reply))), receipt)
    }

    /// If the message is lost on its way, because the server ends, the result is unknown.
    pub(crate) fn receipt() -> (Outcome, Receipt<Result<Published, NotPublished>>) {
        let (reply, receipt) = receipt(Err(NotPublished::Unknown));
        (Outcome::Receipt(Arc::new(Mutex::new(reply))), receipt)
    }

    fn add_reached(&self, subscribers: u64) {
        if let Outcome::Reached(reply) = self {
            let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reached) = reply.result_mut() {
                *reached += subscribers;
            }
        }
    }

    /// The message has its place, or has none. Returns the connection whose handler is to be told.
    pub(crate) fn set(&self, result: Result<Published, NotPublished>) -> Option<PublisherOf> {
        match self {
            Outcome::Reached(_) => None,
            Outcome::Receipt(reply) => {
                let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
                reply.set(result);
                None
            }
            Outcome::Publisher(publisher) => {
                let is_told = publisher.number.is_some() || result.is_err();
                is_told.then_some(*publisher)
            }
        }
    }
}

/// A message's compressed frames, as far as a worker has needed them.
#[derive(Debug)]
struct CompressedFrames {
    opcode: Opcode,
    /// Where in the plain frame the payload begins.
    payload_at: usize,
    /// For the server's own window, and for the narrow one. `None` inside: compression does not make it shorter. A worker
    /// that needs a frame while another worker makes it waits for it.
    frames: [OnceLock<Option<Arc<[u8]>>>; 2],
    /// Of each of them: a worker compresses it in steps.
    claimed: [AtomicBool; 2],
}

/// A worker compresses one frame of a message in steps, and the others do not.
struct Claim {
    frames: Arc<CompressedFrames>,
    index: usize,
}

impl Claim {
    /// `None`: another worker has it.
    fn new(frames: &Arc<CompressedFrames>, index: usize) -> Option<Claim> {
        let is_claimed = frames.claimed[index].swap(true, Ordering::Relaxed);
        (!is_claimed).then(|| Claim {
            frames: frames.clone(),
            index,
        })
    }
}

/// The frame is made, or the worker does not need it any more.
impl Drop for Claim {
    fn drop(&mut self) {
        self.frames.claimed[self.index].store(false, Ordering::Relaxed);
    }
}

/// A frame that this worker compresses in steps.
pub(super) struct FrameInSteps {
    steps: SteppedFrame,
    _claim: Claim,
}

/// What has become of a message's frame in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameStep {
    /// It is there, or the message needs none.
    IsReady,
    /// So many bytes were compressed; perhaps it is there now.
    Compressed(usize),
    /// Another worker compresses it.
    IsClaimed,
}

impl SharedMessage {
    /// `compressible`: whether it is to be compressed for subscribers that take that.
    pub(crate) fn new(
        room: &str,
        message: Message<'_>,
        except_connection: Option<ConnectionId>,
        compressible: bool,
    ) -> SharedMessage {
        let (plain, compressed) = encode_shared(message, compressible);
        SharedMessage {
            room: room.into(),
            except_connection,
            offset: None,
            epoch: 0,
            plain,
            compressed,
            outcome: None,
            erases: None,
        }
    }

    /// A message of the backplane, which has put it in order. `compressible`: whether it is to be compressed for subscribers that take that.
    pub(crate) fn of_backplane(
        room: Arc<str>,
        position: Position,
        message: &BackplaneMessage,
        except_connection: Option<ConnectionId>,
        compressible: bool,
    ) -> SharedMessage {
        let opcode = match message.is_text() {
            true => Opcode::Text,
            false => Opcode::Binary,
        };
        let compressed = compressible.then(|| {
            Arc::new(CompressedFrames {
                opcode,
                payload_at: message.payload_at(),
                frames: Default::default(),
                claimed: Default::default(),
            })
        });
        SharedMessage {
            room,
            except_connection,
            offset: NonZeroU64::new(position.offset()),
            epoch: position.epoch(),
            plain: message.frame().clone(),
            compressed,
            outcome: None,
            erases: None,
        }
    }

    /// The message for the backplane, which refers to the same frame.
    pub(crate) fn to_backplane(
        &self,
        id: u128,
        except: Option<NodeConnection>,
    ) -> Option<BackplaneMessage> {
        let (opcode, payload_at) = self.head()?;
        let is_text = opcode == Opcode::Text;
        let frame = self.plain.clone();
        Some(BackplaneMessage::of_frame(
            id, except, is_text, frame, payload_at,
        ))
    }

    /// The same message, whose publisher is told what becomes of it.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> SharedMessage {
        SharedMessage {
            outcome: Some(outcome),
            ..self
        }
    }

    /// What its publisher wants to know.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// A worker has appended the message to its logs, for so many subscribers.
    pub(crate) fn count_reached(&self, subscribers: u64) {
        if let Some(outcome) = &self.outcome {
            outcome.add_reached(subscribers);
        }
    }

    /// The same message with its place, and perhaps another content.
    pub(crate) fn numbered(
        &self,
        position: Position,
        content: Option<OwnedMessage>,
    ) -> SharedMessage {
        let (plain, compressed) = match &content {
            Some(content) => encode_shared(content.as_message(), self.compressed.is_some()),
            None => (self.plain.clone(), self.compressed.clone()),
        };
        SharedMessage {
            room: self.room.clone(),
            except_connection: self.except_connection,
            offset: NonZeroU64::new(position.offset()),
            epoch: position.epoch(),
            plain,
            compressed,
            outcome: self.outcome.clone(),
            erases: self.erases.clone(),
        }
    }

    /// The same message, which takes an earlier one out of the history of its room.
    pub(crate) fn erasing(self, erasure: Option<Erasure>) -> SharedMessage {
        SharedMessage {
            erases: erasure.map(Arc::new),
            ..self
        }
    }

    /// Which earlier message it takes out of the history of its room.
    #[inline]
    pub(crate) fn erases(&self) -> Option<&Erasure> {
        self.erases.as_deref()
    }

    /// The opcode of the plain frame, and where its payload begins.
    fn head(&self) -> Option<(Opcode, usize)> {
        let (&first, rest) = self.plain.split_first()?;
        let payload_at = match rest.first()? {
            126 => 4,
            127 => HEADER_BYTES_MAX,
            _ => 2,
        };
        Some((Opcode::from_bits(first & 0x0f)?, payload_at))
    }

    /// The message in its plain frame. Cost: a text is checked for UTF-8.
    pub(super) fn content(&self) -> Option<Message<'_>> {
        let (opcode, payload_at) = self.head()?;
        let payload = self.plain.get(payload_at..)?;
        match opcode {
            Opcode::Text => std::str::from_utf8(payload).ok().map(Message::Text),
            _ => Some(Message::Binary(payload)),
        }
    }

    /// In a room with history: the place behind it.
    #[inline]
    pub(crate) fn position(&self) -> Option<Position> {
        let offset = self.offset?;
        Some(Position::new(self.epoch, offset.get()))
    }

    /// The room that it is published to.
    pub(crate) fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// The connection that does not get it.
    pub(crate) fn except_connection(&self) -> Option<ConnectionId> {
        self.except_connection
    }

    /// The memory that it takes. Compressed frames are made later and are not counted. With them it can be up to three
    /// times as much.
    pub(crate) fn bytes(&self) -> usize {
        self.plain.len() + self.room.len() + size_of::<Self>()
    }

    /// The compressed frame of this encoding. `None`: the message is not compressed for it.
    fn compressible(
        &self,
        encoding: Encoding,
        compressor: &Compressor,
    ) -> Option<CompressibleFrame<'_>> {
        let frames = self.compressed.as_ref()?;
        let payload = &self.plain[frames.payload_at..];
        let window = compressor.window(encoding, payload.len())?;
        let index = match compressor.window(Encoding::Deflate, payload.len()) {
            Some(largest) if largest == window => 0,
            _ => 1,
        };
        Some(CompressibleFrame {
            frames,
            index,
            payload,
            window,
        })
    }

    fn compressed_frame(
        &self,
        encoding: Encoding,
        compressor: &mut Compressor,
    ) -> Option<&Arc<[u8]>> {
        let CompressibleFrame {
            frames,
            index,
            payload,
            window,
        } = self.compressible(encoding, compressor)?;
        let compress = || {
            let frame = compressor.compress(frames.opcode, payload, window);
            frame.map(Arc::from)
        };
        frames.frames[index].get_or_init(compress).as_ref()
    }

    /// Compresses the next `bytes_max` bytes of a long message. `steps`: what has become of it so far.
    pub(super) fn step(
        &self,
        encoding: Encoding,
        compressor: &mut Compressor,
        steps: &mut Option<FrameInSteps>,
        bytes_max: usize,
    ) -> FrameStep {
        let unmade = self.divided(encoding, compressor);
        let Some(unmade) = unmade else {
            return FrameStep::IsReady;
        };
        let frame = &unmade.frames.frames[unmade.index];
        if steps.is_none() {
            let Some(claim) = Claim::new(unmade.frames, unmade.index) else {
                return FrameStep::IsClaimed;
            };
            let Some(new) = compressor.begin_steps(unmade.frames.opcode, unmade.window) else {
                // It cannot be compressed for this window.
                let _ = frame.set(None);
                return FrameStep::IsReady;
            };
            *steps = Some(FrameInSteps {
                steps: new,
                _claim: claim,
            });
        }
        if let Some(under_way) = steps
            && let Some(made) = compressor.step(&mut under_way.steps, unmade.payload, bytes_max)
        {
            // It may be there already, if another worker could not wait.
            let _ = frame.set(made);
            *steps = None;
        }
        FrameStep::Compressed(bytes_max)
    }

    /// The compressed frame that is still to be made, of a message so long that this is done in steps.
    fn divided(
        &self,
        encoding: Encoding,
        compressor: &Compressor,
    ) -> Option<CompressibleFrame<'_>> {
        if self.plain.len() <= UNDIVIDED_BYTES_MAX {
            return None;
        }
        let frame = self.compressible(encoding, compressor)?;
        let is_made = frame.frames.frames[frame.index].get().is_some();
        (frame.payload.len() > UNDIVIDED_BYTES_MAX && !is_made).then_some(frame)
    }
}

/// A compressed frame of a [`SharedMessage`], and what it is made of.
struct CompressibleFrame<'m> {
    frames: &'m Arc<CompressedFrames>,
    index: usize,
    payload: &'m [u8],
    window: WindowBits,
}

impl EncodedFrames for &SharedMessage {
    fn frame<'a>(&'a mut self, encoding: Encoding, compressor: &'a mut Compressor) -> Frame<'a> {
        let compressed = self.compressed_frame(encoding, compressor);
        Frame::Shared(compressed.unwrap_or(&self.plain))
    }

    #[inline(always)]
    fn is_divided(&self, encoding: Encoding, compressor: &Compressor) -> bool {
        self.divided(encoding, compressor).is_some()
    }

    #[cold]
    fn to_shared(&self, _: &str) -> SharedMessage {
        SharedMessage::clone(self)
    }
}

/// Appends a whole message as a server sends it: one frame, not masked.
pub(crate) fn write_frame(message: Message<'_>, output: &mut Vec<u8>) {
    encode(true, message.opcode(), None, message.as_bytes(), output);
}

/// Writes a text in the place of another frame, filled up with spaces. False: the frame is shorter, and stays as it is.
pub(crate) fn overwrite_frame(text: &str, frame: &mut [u8]) -> bool {
    let header_bytes = match frame.len() {
        ..=127 => 2,
        128..=0x1_0003 => 4,
        _ => HEADER_BYTES_MAX,
    };
    let payload_bytes = frame.len().saturating_sub(header_bytes);
    if text.len() > payload_bytes {
        return false;
    }
    let mut written = Vec::with_capacity(frame.len());
    let mut payload = text.as_bytes().to_vec();
    payload.resize(payload_bytes, b' ');
    encode(true, Opcode::Text, None, &payload, &mut written);
    let fits = written.len() == frame.len();
    if fits {
        frame.copy_from_slice(&written);
    }
    fits
}

/// Appends one frame of a message that is sent in fragments.
pub(crate) fn write_fragment(fragment: Fragment<'_>, opcode: Opcode, output: &mut Vec<u8>) {
    encode(
        fragment.is_last(),
        opcode,
        None,
        fragment.as_bytes(),
        output,
    );
}

/// The frames of a message that workers share.
fn encode_shared(
    message: Message<'_>,
    compressible: bool,
) -> (Arc<[u8]>, Option<Arc<CompressedFrames>>) {
    let plain = encode_frame(message);
    let compressed = compressible.then(|| {
        Arc::new(CompressedFrames {
            opcode: message.opcode(),
            payload_at: plain.len() - message.as_bytes().len(),
            frames: Default::default(),
            claimed: Default::default(),
        })
    });
    (plain, compressed)
}

/// The same frame, as one allocation that workers share.
fn encode_frame(message: Message<'_>) -> Arc<[u8]> {
    let mut frame = Vec::with_capacity(frame_bytes_max(message));
    write_frame(message, &mut frame);
    frame.into()
}

fn frame_bytes_max(message: Message<'_>) -> usize {
    message.as_bytes().len() + HEADER_BYTES_MAX
}

/// The longest message of a room that is compressed in one go: up to 0.6 ms.
const UNDIVIDED_BYTES_MAX: usize = 16 << 10;

/// A server's frames have no masking key.
const HEADER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(payload_bytes: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        write_frame(Message::Text(&"x".repeat(payload_bytes)), &mut frame);
        frame
    }

    #[test]
    fn text_in_the_place_of_a_frame_has_its_length_whatever_header_that_has() {
        for payload_bytes in [3, 124, 125, 126, 127, 0xFFFF, 0x1_0000] {
            let mut frame = frame_of(payload_bytes);
            let length = frame.len();
            assert!(overwrite_frame("gön", &mut frame) == (payload_bytes > 3));
            assert_eq!(frame.len(), length);
            let text = format!("gön{}", " ".repeat(payload_bytes.saturating_sub(4)));
            let mut expected = Vec::new();
            write_frame(Message::Text(&text), &mut expected);
            assert_eq!(frame == expected, payload_bytes > 3, "{payload_bytes}");
        }
    }

    #[test]
    fn text_may_be_as_long_as_the_payload_and_no_longer() {
        let mut frame = frame_of(4);
        assert!(overwrite_frame("gone", &mut frame));
        let before = frame.clone();
        assert!(!overwrite_frame("gone!", &mut frame));
        assert_eq!(frame, before);
    }
}

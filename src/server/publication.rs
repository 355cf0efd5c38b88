//! A message on its way into a room's lanes: one frame for each variant, written
//! at most once.
//!
//! ```text
//!   one worker      Fresh ─────────┬── encoded straight into the plain lane's log
//!                                  └── compressed, copied into the other lanes
//!
//!   several         Published ─────┬── the plain frame ─────────── every worker's log
//!                   (shared)       └── compressed by whichever worker comes first
//! ```
//!
//! Nothing is compressed that no member takes: a room has only the lanes that
//! somebody is in.

use super::compressor::{Compressor, Variant};
use super::mail::ConnectionId;
use super::metrics::Metrics;
use crate::broadcast::{ChunkPool, Room, SubscriptionId};
use crate::websocket::Message;
use crate::websocket::deflate::WindowBits;
use crate::websocket::frame::{Opcode, encode};
use std::sync::{Arc, OnceLock};

/// A message that can be asked for its frames.
pub(super) trait Frames {
    /// The frame for the members of one lane.
    fn frame<'a>(
        &'a mut self,
        variant: Variant,
        compressor: &'a mut Compressor,
        metrics: &mut Metrics,
    ) -> Frame<'a>;
}

/// One frame, as a log takes it.
pub(super) enum Frame<'a> {
    /// To be encoded straight into the log.
    Message(Message<'a>),
    /// To be copied.
    Bytes(&'a [u8]),
    /// To be referred to if it is large, or else copied.
    Shared(&'a Arc<[u8]>),
}

impl Frame<'_> {
    /// Appends the frame to a lane, for everyone but `except`.
    pub(super) fn append(
        self,
        room: &mut Room,
        except: Option<SubscriptionId>,
        pool: &mut ChunkPool,
    ) {
        match (self, except) {
            (Frame::Message(message), None) => {
                let write = |log: &mut Vec<u8>| write_frame(message, log);
                room.append_with(frame_bytes_max(message), write, pool);
            }
            (Frame::Message(message), Some(except)) => {
                let write = |log: &mut Vec<u8>| write_frame(message, log);
                room.append_with_except(except, frame_bytes_max(message), write, pool);
            }
            (Frame::Bytes(frame), None) => room.append(frame, pool),
            (Frame::Bytes(frame), Some(except)) => room.append_except(except, frame, pool),
            (Frame::Shared(frame), except) if frame.len() < pool.limits().shared_bytes_min => {
                Frame::Bytes(frame).append(room, except, pool);
            }
            (Frame::Shared(frame), None) => room.append_shared(frame.clone(), pool),
            (Frame::Shared(frame), Some(except)) => {
                room.append_shared_except(except, frame.clone(), pool);
            }
        }
    }
}

/// A message of the only worker.
pub(super) struct Fresh<'m> {
    message: Message<'m>,
    /// The window that it was compressed for last, and whether it did shrink.
    compressed: Option<(WindowBits, bool)>,
}

impl<'m> Fresh<'m> {
    pub(super) fn new(message: Message<'m>) -> Fresh<'m> {
        Fresh {
            message,
            compressed: None,
        }
    }
}

impl Frames for Fresh<'_> {
    fn frame<'a>(
        &'a mut self,
        variant: Variant,
        compressor: &'a mut Compressor,
        metrics: &mut Metrics,
    ) -> Frame<'a> {
        let (message, payload) = (self.message, self.message.as_bytes());
        let Some(window) = compressor.window(variant, payload.len()) else {
            return Frame::Message(message);
        };
        let shrinks = match self.compressed {
            Some((earlier, shrinks)) if earlier == window => shrinks,
            _ => compressor
                .compress(message.opcode(), payload, window, metrics)
                .is_some(),
        };
        self.compressed = Some((window, shrinks));
        match shrinks {
            true => Frame::Bytes(compressor.last_frame()),
            false => Frame::Message(message),
        }
    }
}

/// A message on its way between workers: encoded once, shared by all.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) room: Arc<str>,
    pub(super) except: Option<ConnectionId>,
    /// The frame that is not compressed.
    plain: Arc<[u8]>,
    /// `None`: it is for nobody, because the server compresses nothing, or because
    /// the message is too short.
    compressed: Option<Arc<Compressed>>,
}

/// A message's compressed frames, as far as any worker has needed them.
#[derive(Debug)]
struct Compressed {
    opcode: Opcode,
    /// Where in the plain frame the payload begins.
    payload_at: usize,
    /// For the server's own window, and for the narrow one; `None` inside: it does
    /// not shrink. A worker that comes while another one compresses waits for it.
    frames: [OnceLock<Option<Arc<[u8]>>>; 2],
}

impl Published {
    /// `compressible`: whether it is to be compressed for those who take that.
    pub(super) fn new(
        room: &str,
        message: Message<'_>,
        except: Option<ConnectionId>,
        compressible: bool,
    ) -> Published {
        let plain = encode_frame(message);
        let compressed = compressible.then(|| {
            Arc::new(Compressed {
                opcode: message.opcode(),
                payload_at: plain.len() - message.as_bytes().len(),
                frames: Default::default(),
            })
        });
        Published {
            room: room.into(),
            except,
            plain,
            compressed,
        }
    }

    /// What it costs to keep. Compressed frames are not counted, since they come
    /// later: they may make it up to three times as much.
    pub(super) fn bytes(&self) -> usize {
        self.plain.len() + self.room.len() + size_of::<Self>()
    }

    fn compressed_frame(
        &self,
        variant: Variant,
        compressor: &mut Compressor,
        metrics: &mut Metrics,
    ) -> Option<&Arc<[u8]>> {
        let compressed = self.compressed.as_deref()?;
        let payload = &self.plain[compressed.payload_at..];
        let window = compressor.window(variant, payload.len())?;
        let [own, narrow] = &compressed.frames;
        let frame = match compressor.window(Variant::Deflate, payload.len()) {
            Some(largest) if largest == window => own,
            _ => narrow,
        };
        let compress = || {
            let frame = compressor.compress(compressed.opcode, payload, window, metrics);
            frame.map(Arc::from)
        };
        frame.get_or_init(compress).as_ref()
    }
}

impl Frames for &Published {
    fn frame<'a>(
        &'a mut self,
        variant: Variant,
        compressor: &'a mut Compressor,
        metrics: &mut Metrics,
    ) -> Frame<'a> {
        let compressed = self.compressed_frame(variant, compressor, metrics);
        Frame::Shared(compressed.unwrap_or(&self.plain))
    }
}

/// Appends a whole message as a server sends it: one frame, unmasked.
pub(super) fn write_frame(message: Message<'_>, output: &mut Vec<u8>) {
    encode(true, message.opcode(), None, message.as_bytes(), output);
}

/// The same, as one allocation that workers share.
fn encode_frame(message: Message<'_>) -> Arc<[u8]> {
    let mut frame = Vec::with_capacity(frame_bytes_max(message));
    write_frame(message, &mut frame);
    frame.into()
}

fn frame_bytes_max(message: Message<'_>) -> usize {
    message.as_bytes().len() + HEADER_BYTES_MAX
}

/// A server's frames have no masking key.
const HEADER_BYTES_MAX: usize = 10;

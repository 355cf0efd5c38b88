//! The write queue of one connection: bytes for this peer alone.
//!
//! ```text
//!   on the wire   ...part of a record | remainder | buffer: pong, close, ... | next record...
//!                                     ^ the log has been written up to here
//! ```
//!
//! The order is remainder, buffer, records. The *remainder* is the rest of a partly
//! written record: nothing may be written inside a record. The *buffer* has control
//! frames and messages to this connection alone. The records are those that still
//! wait in a log. Before writing the buffer, ask
//! [`SharedLog::unfinished`](super::SharedLog::unfinished), and finish that record with
//! [`SharedLog::finish_record`](super::SharedLog::finish_record).
//!
//! Cost: 40 bytes for a connection with an empty queue. The memory of the buffer is
//! released as soon as it is drained, and can serve the next connection:
//! [`WriteQueue::advance`]. The queue does not limit itself: the caller compares
//! [`WriteQueue::bytes`] with its limit before adding to it.

use std::sync::Arc;

/// The rest of a partly written record: a copy, or a reference to a large record.
#[derive(Clone, Debug)]
pub struct Remainder {
    record: Arc<[u8]>,
    /// `written ≤ record.len()`
    written: usize,
}

impl Remainder {
    pub(super) fn new(record: Arc<[u8]>, written: usize) -> Remainder {
        let written = written.min(record.len());
        Remainder { record, written }
    }

    /// The bytes that have not been written.
    pub fn bytes(&self) -> &[u8] {
        &self.record[self.written..]
    }

    /// The first `bytes` have been written.
    pub fn advance(&mut self, bytes: usize) {
        self.written += bytes.min(self.bytes().len());
    }

    /// Whether the record is complete.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

/// The bytes that wait for one connection besides the records of its logs.
///
/// ```
/// use yamabiko::broadcast::WriteQueue;
///
/// let mut write_queue = WriteQueue::new();
/// write_queue.push(b"\x8A\x00"); // an empty pong
/// write_queue.buffer().extend_from_slice(b"\x88\x02\x03\xE8"); // a close
/// assert_eq!(write_queue.bytes(), 6);
///
/// write_queue.advance(3); // the socket accepted three bytes
/// assert_eq!(write_queue.slices(), [b"".as_slice(), b"\x02\x03\xE8"]);
/// write_queue.advance(3);
/// assert!(write_queue.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct WriteQueue {
    /// Boxed: few connections ever have one.
    remainder: Option<Box<Remainder>>,
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that are written; 0 when it is empty.
    buffer_written: usize,
}

impl WriteQueue {
    /// An empty write queue. Allocates nothing.
    pub fn new() -> WriteQueue {
        WriteQueue::default()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        let remainder = self.remainder.as_ref().map_or(0, |rest| rest.bytes().len());
        remainder + self.buffer.len() - self.buffer_written
    }

    /// The memory of what waits.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        let remainder = self.remainder.as_ref().map_or(0, |rest| rest.record.len());
        remainder + self.buffer.capacity()
    }

    /// Whether nothing waits, so that a log may be written.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Appends whole frames to the buffer.
    pub fn push(&mut self, frames: &[u8]) {
        self.buffer.extend_from_slice(frames);
    }

    /// The buffer, to append whole frames to: exactly its unwritten bytes. Costs a
    /// move of these bytes after a partial write.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.buffer_written);
        self.buffer_written = 0;
        &mut self.buffer
    }

    /// Puts the rest of a record before everything else; a second one after the
    /// first. Must not be called while a frame of the buffer is partly written: logs
    /// do not begin a record then.
    pub fn finish_first(&mut self, remainder: Remainder) {
        debug_assert_eq!(self.buffer_written, 0, "a record was begun inside a frame");
        let first = match self.remainder.take() {
            None => remainder,
            Some(first) => Remainder::new([first.bytes(), remainder.bytes()].concat().into(), 0),
        };
        self.remainder = Some(first).filter(|first| !first.is_empty()).map(Box::new);
    }

    /// The waiting bytes in the order in which to write them; each may be empty.
    pub fn slices(&self) -> [&[u8]; 2] {
        let remainder = self.remainder.as_ref().map_or(&[][..], |rest| rest.bytes());
        [remainder, &self.buffer[self.buffer_written..]]
    }

    /// The first `bytes` have been written; frees the written parts. Returns the
    /// cleared buffer when all of it is written, else a vector without memory. A
    /// caller that fills many write queues in turn can put it into the
    /// [`buffer`](WriteQueue::buffer) of the next.
    pub fn advance(&mut self, bytes: usize) -> Vec<u8> {
        let mut of_buffer = bytes;
        if let Some(remainder) = &mut self.remainder {
            let of_remainder = bytes.min(remainder.bytes().len());
            of_buffer -= of_remainder;
            remainder.advance(of_remainder);
        }
        self.remainder.take_if(|remainder| remainder.is_empty());
        self.advance_buffer(of_buffer)
    }

    fn advance_buffer(&mut self, bytes: usize) -> Vec<u8> {
        self.buffer_written = self
            .buffer
            .len()
            .min(self.buffer_written.saturating_add(bytes));
        if self.buffer_written < self.buffer.len() {
            return Vec::new();
        }
        self.buffer_written = 0;
        self.buffer.clear();
        std::mem::take(&mut self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"record";

    fn rest_of_record(written: usize) -> Remainder {
        Remainder::new(RECORD.into(), written)
    }

    #[test]
    fn empty_write_queue_is_small_and_holds_no_memory() {
        assert_eq!(WriteQueue::new().held_bytes(), 0);
        assert!(size_of::<WriteQueue>() <= 40);
        let mut write_queue = WriteQueue::new();
        write_queue.push(b"pong");
        write_queue.finish_first(rest_of_record(2));
        write_queue.advance(8);
        assert!(write_queue.is_empty());
        assert_eq!(write_queue.buffer.capacity(), 0);
        assert!(write_queue.remainder.is_none());
    }

    #[test]
    fn rest_of_a_record_goes_before_the_buffer_whatever_the_socket_accepts() {
        for step in 1..=9 {
            let mut write_queue = WriteQueue::new();
            write_queue.push(b"pong");
            write_queue.finish_first(rest_of_record(2));
            let mut wire = Vec::new();
            while !write_queue.is_empty() {
                let waiting = write_queue.slices().concat();
                assert_eq!(waiting.len(), write_queue.bytes());
                let taken = step.min(waiting.len());
                wire.extend_from_slice(&waiting[..taken]);
                write_queue.advance(taken);
            }
            assert_eq!(wire, b"cordpong", "{step} bytes at a time");
        }
    }

    #[test]
    fn buffer_contains_exactly_the_unwritten_bytes() {
        let mut write_queue = WriteQueue::new();
        write_queue.push(b"pong");
        write_queue.advance(3);
        assert_eq!(write_queue.buffer(), b"g");
        write_queue.buffer().extend_from_slice(b"ping");
        assert_eq!(write_queue.slices(), [b"".as_slice(), b"gping"]);
    }

    #[test]
    fn advance_returns_a_drained_buffer() {
        let mut write_queue = WriteQueue::new();
        *write_queue.buffer() = Vec::with_capacity(100);
        write_queue.push(b"pong");
        assert_eq!(write_queue.advance(3).capacity(), 0);
        let buffer = write_queue.advance(1);
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        assert_eq!(write_queue.buffer().capacity(), 0);
    }

    #[test]
    fn advancing_beyond_the_end_advances_to_the_end() {
        let mut write_queue = WriteQueue::new();
        write_queue.push(b"pong");
        write_queue.advance(usize::MAX);
        assert!(write_queue.is_empty());
        let mut remainder = rest_of_record(5);
        remainder.advance(usize::MAX);
        assert!(remainder.is_empty());
    }

    #[test]
    fn second_remainder_follows_the_first() {
        let mut write_queue = WriteQueue::new();
        write_queue.finish_first(rest_of_record(4));
        write_queue.finish_first(rest_of_record(3));
        assert_eq!(write_queue.slices(), [b"rdord".as_slice(), b""]);
    }

    #[test]
    fn empty_remainder_is_discarded() {
        let mut write_queue = WriteQueue::new();
        write_queue.finish_first(rest_of_record(RECORD.len()));
        assert!(write_queue.is_empty() && write_queue.remainder.is_none());
    }
}

//! A connection's own bytes: what goes to this one peer and to no other.
//!
//! ```text
//!   on the wire   ...half of a record | remainder | lane: pong, close, ... | next record...
//!                                     ^ what the room wrote ends here
//! ```
//!
//! The *remainder* of a record that was begun goes first: nothing may stand
//! inside a record. Then the *lane*: control frames and messages to this
//! connection alone. They pass whatever the room's log still has for it, at the
//! end of a record; so before writing the lane, ask
//! [`Room::unfinished`](super::Room::unfinished), and finish that record with
//! [`Room::finish_record`](super::Room::finish_record).
//!
//! Cost: 40 bytes for a connection that has nothing to say; the lane's buffer
//! is given back as soon as it is drained, for the next connection that has
//! something to say: [`Outbox::advance`]. The lane does not bound itself:
//! whoever fills it looks at [`Outbox::bytes`] first.

use std::sync::Arc;

/// The rest of a record of which the peer has the beginning.
///
/// Either a copy of it or a reference to a large record, as the log had it.
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

    /// What is still to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.record[self.written..]
    }

    /// Takes note that the first `bytes` were written.
    pub fn advance(&mut self, bytes: usize) {
        self.written += bytes.min(self.bytes().len());
    }

    /// Whether the record is complete.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

/// The bytes that one connection has to write besides its rooms' records.
///
/// ```
/// use yamabiko::broadcast::Outbox;
///
/// let mut outbox = Outbox::new();
/// outbox.push(b"\x8A\x00"); // an empty pong
/// outbox.lane().extend_from_slice(b"\x88\x02\x03\xE8"); // a close
/// assert_eq!(outbox.bytes(), 6);
///
/// outbox.advance(3); // what the socket took
/// assert_eq!(outbox.slices(), [b"".as_slice(), b"\x02\x03\xE8"]);
/// outbox.advance(3);
/// assert!(outbox.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Outbox {
    /// Boxed, because hardly any connection ever has one.
    remainder: Option<Box<Remainder>>,
    lane: Vec<u8>,
    /// Bytes at the lane's front that are gone; 0 when the lane is empty.
    lane_written: usize,
}

impl Outbox {
    /// An empty outbox, which has allocated nothing.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        let remainder = self.remainder.as_ref().map_or(0, |rest| rest.bytes().len());
        remainder + self.lane.len() - self.lane_written
    }

    /// Whether nothing waits, so that a room may write.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Appends whole frames to the lane.
    pub fn push(&mut self, frames: &[u8]) {
        self.lane.extend_from_slice(frames);
    }

    /// The lane, to append whole frames to: exactly what has not been written
    /// of it. Costs a move of these bytes after each write that was cut short.
    pub fn lane(&mut self) -> &mut Vec<u8> {
        self.lane.drain(..self.lane_written);
        self.lane_written = 0;
        &mut self.lane
    }

    /// Puts the rest of a record before everything else. A second one goes
    /// after the first. To be called while no frame of the lane is partly
    /// written: a room has then been refused, and began no record.
    pub fn finish_first(&mut self, remainder: Remainder) {
        debug_assert_eq!(self.lane_written, 0, "a record was begun inside a frame");
        let first = match self.remainder.take() {
            None => remainder,
            Some(first) => Remainder::new([first.bytes(), remainder.bytes()].concat().into(), 0),
        };
        self.remainder = Some(first).filter(|first| !first.is_empty()).map(Box::new);
    }

    /// What waits, in the order in which to write it; either may be empty.
    pub fn slices(&self) -> [&[u8]; 2] {
        let remainder = self.remainder.as_ref().map_or(&[][..], |rest| rest.bytes());
        [remainder, &self.lane[self.lane_written..]]
    }

    /// Takes note that the first `bytes` were written, and frees what is done.
    /// Returns the lane's buffer, cleared, when all of the lane is written, and
    /// else one without memory: who fills many outboxes, one after the other, can
    /// put it into the [`lane`](Outbox::lane) of the next.
    pub fn advance(&mut self, bytes: usize) -> Vec<u8> {
        let mut of_lane = bytes;
        if let Some(remainder) = &mut self.remainder {
            let of_remainder = bytes.min(remainder.bytes().len());
            of_lane -= of_remainder;
            remainder.advance(of_remainder);
        }
        self.remainder.take_if(|remainder| remainder.is_empty());
        self.advance_lane(of_lane)
    }

    fn advance_lane(&mut self, bytes: usize) -> Vec<u8> {
        self.lane_written = self.lane.len().min(self.lane_written.saturating_add(bytes));
        if self.lane_written < self.lane.len() {
            return Vec::new();
        }
        self.lane_written = 0;
        self.lane.clear();
        std::mem::take(&mut self.lane)
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
    fn an_idle_outbox_is_small_and_holds_no_buffer() {
        assert!(size_of::<Outbox>() <= 40);
        let mut outbox = Outbox::new();
        outbox.push(b"pong");
        outbox.finish_first(rest_of_record(2));
        outbox.advance(8);
        assert!(outbox.is_empty());
        assert_eq!(outbox.lane.capacity(), 0);
        assert!(outbox.remainder.is_none());
    }

    #[test]
    fn the_rest_of_a_record_goes_before_the_lane_however_it_is_cut() {
        for step in 1..=9 {
            let mut outbox = Outbox::new();
            outbox.push(b"pong");
            outbox.finish_first(rest_of_record(2));
            let mut wire = Vec::new();
            while !outbox.is_empty() {
                let waiting = outbox.slices().concat();
                assert_eq!(waiting.len(), outbox.bytes());
                let taken = step.min(waiting.len());
                wire.extend_from_slice(&waiting[..taken]);
                outbox.advance(taken);
            }
            assert_eq!(wire, b"cordpong", "{step} bytes at a time");
        }
    }

    #[test]
    fn the_lane_shows_exactly_what_is_unwritten() {
        let mut outbox = Outbox::new();
        outbox.push(b"pong");
        outbox.advance(3);
        assert_eq!(outbox.lane(), b"g");
        outbox.lane().extend_from_slice(b"ping");
        assert_eq!(outbox.slices(), [b"".as_slice(), b"gping"]);
    }

    #[test]
    fn a_drained_lane_gives_its_buffer_away() {
        let mut outbox = Outbox::new();
        *outbox.lane() = Vec::with_capacity(100);
        outbox.push(b"pong");
        assert_eq!(outbox.advance(3).capacity(), 0);
        let buffer = outbox.advance(1);
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        assert_eq!(outbox.lane().capacity(), 0);
    }

    #[test]
    fn advancing_beyond_the_end_is_advancing_to_the_end() {
        let mut outbox = Outbox::new();
        outbox.push(b"pong");
        outbox.advance(usize::MAX);
        assert!(outbox.is_empty());
        let mut remainder = rest_of_record(5);
        remainder.advance(usize::MAX);
        assert!(remainder.is_empty());
    }

    #[test]
    fn a_second_remainder_follows_the_first() {
        let mut outbox = Outbox::new();
        outbox.finish_first(rest_of_record(4));
        outbox.finish_first(rest_of_record(3));
        assert_eq!(outbox.slices(), [b"rdord".as_slice(), b""]);
    }

    #[test]
    fn an_empty_remainder_is_none() {
        let mut outbox = Outbox::new();
        outbox.finish_first(rest_of_record(RECORD.len()));
        assert!(outbox.is_empty() && outbox.remainder.is_none());
    }
}

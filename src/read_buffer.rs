//! Bytes that have been read and not received: [`ReadBuffer`].
//!
//! ```text
//! 0        start                    end                     length
//! │ received │ not received yet      │ room for the next read  │
//! ```
//!
//! The beginning of a message stays here until the next reads have brought its end; then
//! the message is handed out where it lies. Nothing is copied, except for the bytes of a
//! message that is cut where the buffer ends: they are moved to the front.
//!
//! The buffer grows by doubling when the bytes that stay fill a large part of it and, if they
//! begin at its front, all of it. So it grows with the bytes that have arrived, never with the
//! length that a header claims, and has a limit. It shrinks when it has been too large for a while.
//!
//! It knows neither frames nor sockets. A connection decides which bytes stay
//! ([`Connection::receive_from`](crate::websocket::Connection::receive_from)); the event loop has
//! one buffer for all sockets of its thread.

use alloc::vec::Vec;
use core::fmt;

/// A buffer to read a socket into; [`Connection::receive_from`] receives from it.
///
/// With it no message is copied that fits into the buffer, however many reads it takes: a
/// message of 1 MiB takes half the time that it takes when
/// [`Connection::receive`] gets each read by itself.
///
/// ```text
/// read into room()  ──▶  filled(count)  ──▶  receive_from() until None
///        ▲                                        │
///        └────────────────────────────────────────┘
/// ```
///
/// ```
/// use std::io::Read;
/// use yamabiko::websocket::{Connection, Limits, ReadBuffer};
///
/// # let mut socket = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
/// let mut connection = Connection::server(Limits::default());
/// let (mut buffer, mut output) = (ReadBuffer::default(), Vec::new());
/// loop {
///     let count = socket.read(buffer.room())?;
///     buffer.filled(count);
///     while let Some(event) = connection.receive_from(&mut buffer, &mut output)? {
///         if let Some(message) = event.message() {
///             connection.send(message, &mut output)?; // an echo
///         }
///     }
///     if count == 0 {
///         break; // the end of TCP
///     }
/// }
/// assert_eq!(output, b"\x81\x05Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A read that fills its room, or that brings 64 KiB, shows that there may be more to read, and
/// then the beginning of a message waits here for the next read. After any other read there is
/// nothing more for now, and the connection takes all bytes: it checks a text at once, up to the
/// last byte that has arrived. So the buffer is empty whenever a socket has nothing to read, and
/// one buffer is enough for all connections of a thread.
///
/// A buffer that belongs to one connection can do more. Call [`ReadBuffer::expect_more`] after each
/// [`ReadBuffer::filled`]: then no message that fits is copied, however short the reads are. A text
/// is checked when it is whole.
///
/// Cost: 64 KiB from the first read on, and more while messages need it, up to the limit.
///
/// [`Connection::receive_from`]: crate::websocket::Connection::receive_from
/// [`Connection::receive`]: crate::websocket::Connection::receive
pub struct ReadBuffer {
    /// All of it has been written to, so that it can be lent as a slice.
    bytes: Vec<u8>,
    /// 0 ≤ start ≤ end ≤ bytes.len(): `bytes[start..end]` is not received yet.
    start: usize,
    end: usize,
    /// So many of the bytes at `start` were left there when they were offered.
    left_bytes: usize,
    /// The room of the next read: end + room_bytes ≤ bytes.len().
    room_bytes: usize,
    /// The most that one read brings; not 0.
    read_bytes: usize,
    /// The last read has filled its room, or was large, so that there may be more to read.
    may_have_more: bool,
    /// read_bytes ≤ bytes_max
    bytes_max: usize,
    /// The greatest `end` since `reads` was 0.
    used_bytes: usize,
    /// 0 ≤ reads < READS_UNTIL_SHRINK
    reads: u32,
}

/// The bytes of a buffer that are not received yet, and what is known of them.
pub(crate) struct Unread<'b> {
    pub(crate) input: &'b mut [u8],
    /// The index of the first one: to be advanced by the number of received bytes.
    pub(crate) start: &'b mut usize,
    /// So many of the first ones were left here when they were offered.
    pub(crate) left_bytes: &'b mut usize,
    /// How many bytes the next reads may bring behind them. 0: nothing may stay.
    pub(crate) more_bytes_max: usize,
}

impl ReadBuffer {
    /// A buffer that grows to at most `bytes_max` bytes, at least 64 KiB. It takes no memory
    /// before it is used.
    ///
    /// A message in one frame that is longer than the buffer may become is buffered by the
    /// connection ([`Connection::lend`](crate::websocket::Connection::lend) reads it without a
    /// copy).
    pub fn new(bytes_max: usize) -> ReadBuffer {
        ReadBuffer::with_reads_of(READ_BYTES, bytes_max)
    }

    /// The same, with reads of at most `read_bytes` (at least 1) instead of 64 KiB.
    pub(crate) fn with_reads_of(read_bytes: usize, bytes_max: usize) -> ReadBuffer {
        let read_bytes = read_bytes.max(1);
        ReadBuffer {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            left_bytes: 0,
            room_bytes: 0,
            read_bytes,
            may_have_more: false,
            bytes_max: bytes_max.max(read_bytes),
            used_bytes: 0,
            reads: 0,
        }
    }

    /// Where the next read goes: at most 64 KiB and a header, or as much as the beginning of a
    /// message that waits here, and at least one byte if the events have been received until
    /// `None`. Then call [`ReadBuffer::filled`].
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start > 0 || self.bytes.len() - self.end < self.read_bytes {
            self.make_room();
        }
        // A long message needs fewer reads in this way.
        let read_bytes = self.read_bytes.max(self.end - self.start);
        self.room_bytes = read_bytes.min(self.bytes.len() - self.end);
        &mut self.bytes[self.end..self.end + self.room_bytes]
    }

    /// The first `count` bytes of the room have been read. 0: there is nothing to read for
    /// now, or the input has ended.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        let count = count.min(self.room_bytes);
        let large = self.read_bytes.min(LARGE_READ_BYTES).min(self.room_bytes);
        self.may_have_more = count > 0 && count >= large;
        self.end += count;
        self.room_bytes = 0;
        self.used_bytes = self.used_bytes.max(self.end);
        self.reads += 1;
        if self.reads == READS_UNTIL_SHRINK {
            self.shrink();
        }
    }

    /// There is more to read although the last read did not fill its room: the bytes come in
    /// smaller parts, as those of TLS do, or the buffer has no other connection to serve. Call it
    /// after [`ReadBuffer::filled`].
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Limits, ReadBuffer};
    /// # use std::io::Read;
    /// # let mut socket = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
    /// let mut server = Connection::server(Limits::default());
    /// let (mut buffer, mut output) = (ReadBuffer::default(), Vec::new());
    /// let message = loop {
    ///     if let Some(event) = server.receive_from(&mut buffer, &mut output)? {
    ///         break event.into_message();
    ///     }
    ///     let room = buffer.room();
    ///     let room_bytes = room.len().min(4); // a socket that brings little at a time
    ///     let count = socket.read(&mut room[..room_bytes])?;
    ///     buffer.filled(count);
    ///     if count > 0 {
    ///         buffer.expect_more();
    ///     }
    /// };
    /// assert_eq!(message, Some("Hello".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expect_more(&mut self) {
        self.may_have_more = true;
    }

    /// Whether bytes wait here for more, because the last read has filled its room or was large,
    /// or more is [expected](ReadBuffer::expect_more) for another reason.
    #[cfg(feature = "client")]
    pub(crate) fn waits_for_more(&self) -> bool {
        self.may_have_more && !self.is_empty()
    }

    /// The same buffer with bytes that have been read elsewhere.
    #[cfg(feature = "client")]
    pub(crate) fn with_bytes(mut self, mut bytes: &[u8]) -> ReadBuffer {
        self.bytes_max = self.bytes_max.max(bytes.len() + self.read_bytes);
        while !bytes.is_empty() {
            let room = self.room();
            let (read, rest) = bytes.split_at(room.len().min(bytes.len()));
            room[..read.len()].copy_from_slice(read);
            self.filled(read.len());
            bytes = rest;
        }
        self
    }

    /// Whether all bytes are received.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes are not received.
    pub fn unread_bytes(&self) -> usize {
        self.end - self.start
    }

    /// The memory that the buffer takes, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(crate) fn unread(&mut self) -> Unread<'_> {
        let more_bytes_max = match self.may_have_more {
            true => self.bytes_max - (self.end - self.start),
            false => 0,
        };
        Unread {
            input: &mut self.bytes[self.start..self.end],
            start: &mut self.start,
            left_bytes: &mut self.left_bytes,
            more_bytes_max,
        }
    }

    /// All bytes are received but the last `count`, which stay for the next read.
    #[inline]
    #[cfg(any(feature = "reactor", feature = "client"))]
    pub(crate) fn leave(&mut self, count: usize) {
        self.left_bytes = count.min(self.end - self.start);
        self.start = self.end - self.left_bytes;
    }

    /// Makes room for a read behind the bytes that stay.
    fn make_room(&mut self) {
        // The beginning of a message alone: its end may fit behind it. To grow costs more than a short read.
        if self.start == 0 && self.end < self.bytes.len() {
            return;
        }
        let staying = self.end - self.start;
        // For every few messages one is cut, and is to be moved: a larger buffer moves less.
        let moves_often = staying >= self.start / 4;
        // Few bytes to move, and the front is in a nearer cache than the end.
        if staying <= self.start / 8 {
            self.move_to_front();
        }
        if self.bytes.len() - self.end >= self.read_bytes {
            return;
        }
        self.move_to_front();
        if moves_often {
            let length = (2 * self.bytes.len()).clamp(self.read_bytes, self.bytes_max);
            self.bytes.reserve_exact(length - self.bytes.len());
            self.bytes.resize(length, 0);
        }
    }

    fn move_to_front(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    /// Halves the buffer if a quarter of it was enough for a while.
    #[cold]
    fn shrink(&mut self) {
        let half = self.bytes.len() / 2;
        if self.used_bytes <= half / 2 && half >= self.read_bytes {
            self.bytes.truncate(half);
            self.bytes.shrink_to_fit();
        }
        (self.used_bytes, self.reads) = (self.end, 0);
    }
}

/// A buffer that grows to 1 MiB and 128 KiB: enough for each message that the default of
/// [`Limits::message_bytes_max`](crate::websocket::Limits::message_bytes_max) permits.
impl Default for ReadBuffer {
    fn default() -> ReadBuffer {
        ReadBuffer::new((1 << 20) + 2 * READ_BYTES)
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer")
            .field("unread_bytes", &(self.end - self.start))
            .field("held_bytes", &self.held_bytes())
            .finish_non_exhaustive()
    }
}

/// What one read brings at most, if nothing else is asked for: a message of 64 KiB with the longest
/// header, so that its end needs no read of its own.
const READ_BYTES: usize = LARGE_READ_BYTES + 16;

/// After a read of so many bytes there may be more, although the room was not filled: many sources
/// bring at most this much at a time.
const LARGE_READ_BYTES: usize = 64 << 10;

/// A buffer of which a quarter was enough for so many reads is halved.
const READS_UNTIL_SHRINK: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes so many bytes from the front, as a connection does.
    fn receive(buffer: &mut ReadBuffer, count: usize) -> Vec<u8> {
        let Unread { input, start, .. } = buffer.unread();
        *start += count;
        input[..count].to_vec()
    }

    fn read(buffer: &mut ReadBuffer, bytes: &[u8]) -> usize {
        let room = buffer.room();
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffer.filled(count);
        count
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_and_the_buffer_stays_within_its_limit(
            steps in prop::collection::vec((0..90_000_usize, 0..90_000_usize), 1..24),
            bytes_max in 0..400_000_usize,
        ) {
            let stream: Vec<u8> = (0..READ_BYTES * 32).map(|place| (place % 251) as u8).collect();
            let mut buffer = ReadBuffer::new(bytes_max);
            let (mut taken, mut read_to) = (0, 0);
            for (read_bytes, take) in steps {
                // The longest frame that stays is one byte longer than what is here.
                if read_to - taken < bytes_max.max(READ_BYTES) {
                    let room_max = READ_BYTES.max(read_to - taken);
                    prop_assert!((1..=room_max).contains(&buffer.room().len()));
                    read_to += read(&mut buffer, &stream[read_to..read_to + read_bytes]);
                }
                let take = take.min(read_to - taken);
                let received = receive(&mut buffer, take);
                prop_assert!(received == stream[taken..taken + take]);
                taken += take;
                prop_assert!(buffer.held_bytes() <= bytes_max.max(READ_BYTES));
                prop_assert_eq!(buffer.is_empty(), taken == read_to);
            }
        }
    }

    #[test]
    fn buffer_doubles_when_a_message_fills_it_and_not_past_its_limit() {
        let mut buffer = ReadBuffer::new(200_000);
        assert_eq!(buffer.held_bytes(), 0);
        for (arrived, held) in [(1, 1), (2, 2), (3, 200_000), (3, 200_000)] {
            read(&mut buffer, &[0; READ_BYTES]);
            let held = if held < 3 { held * READ_BYTES } else { held };
            assert_eq!(buffer.held_bytes(), held, "{arrived} reads");
        }
    }

    #[test]
    fn message_that_comes_in_several_reads_needs_no_memory_for_which_there_is_room() {
        for (arrived, held) in [
            (READ_BYTES / 2, READ_BYTES),
            (READ_BYTES - 1, READ_BYTES),
            (READ_BYTES, 2 * READ_BYTES),
        ] {
            let mut buffer = ReadBuffer::default();
            read(&mut buffer, &[0; READ_BYTES][..arrived]);
            let room = READ_BYTES.min(held - arrived);
            assert_eq!(buffer.room().len(), room, "{arrived}");
            assert_eq!(buffer.held_bytes(), held, "{arrived}");
        }
    }

    #[test]
    fn smallest_buffer_has_room_for_a_byte_until_it_is_full() {
        let mut buffer = ReadBuffer::with_reads_of(2, 3);
        for room in [2, 1, 1] {
            assert_eq!(buffer.room().len(), room);
            read(&mut buffer, &[0]);
        }
        assert_eq!(buffer.unread_bytes(), 3);
    }

    #[test]
    fn short_messages_need_one_read_of_memory_though_each_read_cuts_one() {
        let mut buffer = ReadBuffer::default();
        for _ in 0..100 {
            read(&mut buffer, &[0; READ_BYTES]);
            let unread = buffer.unread().input.len();
            receive(&mut buffer, unread - 100);
        }
        assert_eq!(buffer.held_bytes(), READ_BYTES);
    }

    #[test]
    fn buffer_shrinks_again_when_a_quarter_is_enough() {
        let mut buffer = ReadBuffer::default();
        for _ in 0..8 {
            read(&mut buffer, &[0; READ_BYTES]);
        }
        receive(&mut buffer, 8 * READ_BYTES);
        assert_eq!(buffer.held_bytes(), 8 * READ_BYTES);
        for _ in 0..4 * READS_UNTIL_SHRINK {
            read(&mut buffer, &[0; 100]);
            receive(&mut buffer, 100);
        }
        assert_eq!(buffer.held_bytes(), READ_BYTES);
    }

    #[test]
    fn read_that_fills_its_room_shows_that_there_may_be_more() {
        let mut small = ReadBuffer::with_reads_of(8, 8);
        read(&mut small, &[0; 8]);
        assert_eq!(small.unread().more_bytes_max, 0, "it may not become larger");
        let mut small = ReadBuffer::with_reads_of(8, 16);
        for (count, may_have_more) in [(8, true), (7, false)] {
            read(&mut small, &[0; 8][..count]);
            assert_eq!(small.unread().more_bytes_max > 0, may_have_more, "{count}");
            receive(&mut small, count);
        }
        for (count, may_have_more) in [
            (READ_BYTES, true),
            (LARGE_READ_BYTES, true),
            (LARGE_READ_BYTES - 1, false),
            (0, false),
        ] {
            let mut buffer = ReadBuffer::default();
            read(&mut buffer, &[0; READ_BYTES][..count]);
            let more_bytes_max = buffer.unread().more_bytes_max;
            assert_eq!(more_bytes_max > 0, may_have_more, "{count}");
        }
        let mut buffer = ReadBuffer::default();
        buffer.expect_more();
        assert!(buffer.unread().more_bytes_max > 0);
    }

    /// Another read that finds nothing would be a system call for each message of 64 KiB.
    #[cfg(feature = "client")]
    #[test]
    fn nothing_waits_for_more_when_all_is_received() {
        let mut buffer = ReadBuffer::default();
        for (taken, waits) in [(READ_BYTES - 1, true), (READ_BYTES, false)] {
            read(&mut buffer, &[0; READ_BYTES]);
            receive(&mut buffer, taken);
            assert_eq!(buffer.waits_for_more(), waits, "{taken}");
            buffer.leave(0);
        }
    }

    /// The room is larger when much waits in the buffer.
    #[test]
    fn large_read_shows_that_there_may_be_more() {
        for (count, may_have_more) in [(LARGE_READ_BYTES, true), (LARGE_READ_BYTES - 1, false)] {
            let mut buffer = ReadBuffer::default();
            for _ in 0..2 {
                read(&mut buffer, &[0; READ_BYTES]);
            }
            assert_eq!(buffer.room().len(), 2 * READ_BYTES);
            buffer.filled(count);
            let more_bytes_max = buffer.unread().more_bytes_max;
            assert_eq!(more_bytes_max > 0, may_have_more, "{count}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn bytes_that_were_read_elsewhere_come_first_however_many_they_are() {
        for count in [0, 1, READ_BYTES, READ_BYTES + 1, 300_000] {
            let bytes: Vec<u8> = (0..count).map(|place| (place % 251) as u8).collect();
            let mut buffer = ReadBuffer::new(0).with_bytes(&bytes);
            assert!(*buffer.unread().input == bytes);
            assert!(!buffer.room().is_empty(), "{count}");
        }
    }

    /// A fault of the caller.
    #[test]
    fn bytes_past_the_room_do_not_count() {
        let mut buffer = ReadBuffer::default();
        buffer.filled(1);
        assert!(buffer.is_empty());
        let room = buffer.room().len();
        buffer.filled(room + 1);
        assert_eq!(buffer.unread().input.len(), room);
    }
}

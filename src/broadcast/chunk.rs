//! The log's memory: chunks of records, and the pool that they come from.
//!
//! ```text
//!   packed    | record 0 | record 1 |  record 2  |   free   |    bytes: chunk_bytes
//!                        ^          ^            ^
//!                      ends[0]    ends[1]      ends[2]           4 bytes a record
//!
//!   single    | one large record, encoded here              |    its size, and up to an eighth more
//!   shared    | one large record, shared by reference       |    Arc<[u8]>
//! ```
//!
//! A record never spans two chunks, so a record is always one slice. Packed chunks are
//! pooled, because they all have the same size. Of single ones the pool keeps the memory of
//! the last: the system takes 0.2 ms and more to bring memory for a mebibyte, and a room in
//! which one large message follows another would need it for each.
//!
//! Cost: finding the record at a position is a binary search over `ends`;
//! taking a chunk and returning it is a pop and a push.

use std::sync::Arc;

use super::limits::LogLimits;

/// A worker's chunks that no log needs at the moment.
///
/// Bounded: a chunk that is returned while `idle_max` are idle is freed. The chunk
/// that was returned last is taken first, while it is still in the cache: a worker
/// with a thousand quiet rooms uses the same chunk for all of them, turn by turn.
///
/// ```
/// use yamabiko::broadcast::{ChunkPool, Log, LogLimits};
///
/// let mut pool = ChunkPool::new(LogLimits::default(), 16);
/// let mut log = Log::new();
/// log.append(b"one", &mut pool);
/// assert_eq!((pool.lent(), pool.idle()), (1, 0));
///
/// log.trim(log.head(), &mut pool);
/// assert_eq!((pool.lent(), pool.idle()), (0, 1));
/// ```
#[derive(Debug)]
pub struct ChunkPool {
    limits: LogLimits,
    /// `idle.len() ≤ idle_max`
    idle: Vec<Buffers>,
    idle_max: usize,
    lent: usize,
    /// The buffer of the large record that was returned last: at most [`LARGE_BYTES_MAX`].
    large: Vec<u8>,
}

impl ChunkPool {
    /// A pool that allocates chunks of the size in `limits` when it has none, and
    /// keeps at most `idle_max` returned ones (about 1¼ × `chunk_bytes` each, the
    /// index of record ends included), and one buffer of a large record unless that is 0.
    pub fn new(limits: LogLimits, idle_max: usize) -> ChunkPool {
        ChunkPool {
            limits: limits.clamped(),
            idle: Vec::new(),
            idle_max,
            lent: 0,
            large: Vec::new(),
        }
    }

    /// The limits in force, clamped.
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// How many chunks are in the pool.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many chunks are in logs.
    pub fn lent(&self) -> usize {
        self.lent
    }

    pub(super) fn take(&mut self) -> Buffers {
        self.lent += 1;
        self.idle.pop().unwrap_or_else(|| Buffers::new(self.limits))
    }

    /// An empty buffer for a large record of about so many bytes.
    pub(super) fn take_large(&mut self, bytes: usize) -> Vec<u8> {
        match self.large.capacity() >= bytes && !is_wasteful(self.large.capacity(), bytes) {
            true => std::mem::take(&mut self.large),
            false => Vec::with_capacity(bytes),
        }
    }

    pub(super) fn give_back_large(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= LARGE_BYTES_MAX && self.idle_max > 0 {
            buffer.clear();
            self.large = buffer;
        }
    }

    pub(super) fn give_back(&mut self, mut buffers: Buffers) {
        self.lent = self.lent.saturating_sub(1);
        let of_our_size = buffers.bytes.capacity() == self.limits.chunk_bytes;
        if of_our_size && self.idle.len() < self.idle_max {
            buffers.bytes.clear();
            buffers.ends.clear();
            self.idle.push(buffers);
        }
    }
}

/// Whether a buffer is longer than a large record of so many bytes needs, by more than an eighth.
pub(super) fn is_wasteful(capacity: usize, bytes: usize) -> bool {
    capacity.saturating_sub(bytes) > bytes / 8
}

/// The longest buffer of a large record that a pool keeps: for a message of 1 MiB and its header.
const LARGE_BYTES_MAX: usize = (1 << 20) + (4 << 10);

/// The two allocations of a packed chunk.
#[derive(Debug)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    /// Where each record ends, counted from the chunk's first byte: strictly
    /// ascending, the last is `bytes.len()`. A chunk has at most `u32::MAX` bytes.
    ends: Vec<u32>,
}

impl Buffers {
    fn new(limits: LogLimits) -> Buffers {
        Buffers {
            bytes: Vec::with_capacity(limits.chunk_bytes),
            ends: Vec::with_capacity(limits.records_per_chunk_max()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether another record of `bytes` bytes fits.
    fn has_room(&self, bytes: usize, limits: LogLimits) -> bool {
        bytes <= limits.chunk_bytes.saturating_sub(self.bytes.len())
            && self.ends.len() < limits.records_per_chunk_max()
    }

    /// Lets `encode` append one record directly to the chunk.
    pub(super) fn append_with(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
        limits: LogLimits,
    ) -> Appended {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        let end = self.bytes.len();
        assert!(end >= start, "an encoder shortened the log");
        if end == start {
            return Appended::Nothing;
        }
        if end > limits.chunk_bytes {
            return Appended::TooLong(self.take_back(start, limits));
        }
        self.ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        Appended::Record(end - start)
    }

    /// Removes the bytes appended since `start`, and shrinks to the pool's size.
    fn take_back(&mut self, start: usize, limits: LogLimits) -> Vec<u8> {
        let record = self.bytes.split_off(start);
        self.bytes.shrink_to(limits.chunk_bytes);
        record
    }
}

/// The result of appending to a packed chunk.
pub(super) enum Appended {
    Nothing,
    /// A record of so many bytes was appended.
    Record(usize),
    /// The record is longer than the chunk: it needs one of its own.
    TooLong(Vec<u8>),
}

/// A run of whole records at known positions in the log.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The position of the first byte.
    start: u64,
    /// How many records were appended to the log before this chunk's first.
    records_before: u64,
    /// Blocked subscriptions whose cursors are in this chunk; it is not trimmed.
    pins: u32,
    content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Packed(Buffers),
    Single(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Chunk {
    pub(super) fn new(start: u64, records_before: u64, content: Content) -> Chunk {
        Chunk {
            start,
            records_before,
            pins: 0,
            content,
        }
    }

    /// A blocked cursor has entered the chunk.
    pub(super) fn pin(&mut self) {
        self.pins += 1;
    }

    /// A blocked cursor has left the chunk.
    pub(super) fn unpin(&mut self) {
        self.pins -= 1;
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pins > 0
    }

    pub(super) fn into_content(self) -> Content {
        self.content
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Packed(buffers) => &buffers.bytes,
            Content::Single(record) => record,
            Content::Shared(record) => record,
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes().len() as u64
    }

    pub(super) fn records_before(&self) -> u64 {
        self.records_before
    }

    /// The bytes from one position to another that are in this chunk.
    pub(super) fn between(&self, from: u64, until: u64) -> &[u8] {
        let bytes = self.bytes();
        let end = self.offset(until).min(bytes.len());
        let start = self.offset(from).min(end);
        &bytes[start..end]
    }

    /// Memory that this chunk occupies, without the index of record ends.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.content {
            Content::Packed(buffers) => buffers.bytes.capacity(),
            Content::Single(record) => record.capacity(),
            Content::Shared(record) => record.len(),
        }
    }

    /// The end of the record that contains `position`; `position` itself if it is
    /// between two records.
    pub(super) fn record_end(&self, position: u64) -> u64 {
        let ended = self.records_ended(position);
        if self.end_after(ended) == position {
            return position;
        }
        self.end_after(ended + 1)
    }

    /// The start of the record that contains the byte before `position`.
    pub(super) fn record_start_before(&self, position: u64) -> u64 {
        self.end_after(self.records_ended(position.saturating_sub(1)))
    }

    /// How many of this chunk's records end at or before `position`.
    pub(super) fn records_ended(&self, position: u64) -> usize {
        let offset = self.offset(position);
        match &self.content {
            Content::Packed(buffers) => buffers
                .ends
                .partition_point(|end| usize::try_from(*end).is_ok_and(|end| end <= offset)),
            Content::Single(_) | Content::Shared(_) => usize::from(offset >= self.bytes().len()),
        }
    }

    /// The position where the chunk's first `records` records end.
    pub(super) fn end_after(&self, records: usize) -> u64 {
        let Some(last) = records.checked_sub(1) else {
            return self.start;
        };
        match &self.content {
            Content::Packed(buffers) => buffers
                .ends
                .get(last)
                .map_or(self.end(), |end| self.start + u64::from(*end)),
            Content::Single(_) | Content::Shared(_) => self.end(),
        }
    }

    /// The buffers, if another record of `bytes` bytes fits into them.
    pub(super) fn with_room(&mut self, bytes: usize, limits: LogLimits) -> Option<&mut Buffers> {
        match &mut self.content {
            Content::Packed(buffers) if buffers.has_room(bytes, limits) => Some(buffers),
            _ => None,
        }
    }

    /// The bytes from `position` to `end`, as a buffer that outlives the chunk and
    /// an offset in it: a reference to a large record, a copy from a packed chunk.
    pub(super) fn share(&mut self, position: u64, end: u64) -> (Arc<[u8]>, usize) {
        if let Content::Single(record) = &mut self.content {
            self.content = Content::Shared(std::mem::take(record).into());
        }
        if let Content::Shared(record) = &self.content {
            return (Arc::clone(record), self.offset(position));
        }
        (self.between(position, end).into(), 0)
    }

    /// Lets `write` change the bytes of a record. Returns what it returns; false leaves the record as it was.
    pub(super) fn overwrite(
        &mut self,
        start: u64,
        end: u64,
        write: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        let range = self.offset(start)..self.offset(end);
        match &mut self.content {
            Content::Packed(buffers) => buffers.bytes.get_mut(range).is_some_and(write),
            Content::Single(record) => record.get_mut(range).is_some_and(write),
            Content::Shared(record) => {
                // Other logs, and sockets that are behind, have references to the same bytes.
                let mut own = record.to_vec();
                let written = own.get_mut(range).is_some_and(write);
                if written {
                    self.content = Content::Single(own);
                }
                written
            }
        }
    }

    fn offset(&self, position: u64) -> usize {
        usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LogLimits = LogLimits {
        chunk_bytes: 64,
        shared_bytes_min: 20,
    };

    #[test]
    fn pool_keeps_chunks_up_to_its_limit() {
        let mut pool = ChunkPool::new(LIMITS, 2);
        let taken = [pool.take(), pool.take(), pool.take()];
        assert_eq!((pool.lent(), pool.idle()), (3, 0));
        for (index, buffers) in taken.into_iter().enumerate() {
            pool.give_back(buffers);
            assert_eq!(pool.idle(), (index + 1).min(2));
        }
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn pool_returns_the_most_recent_chunk_empty() {
        let mut pool = ChunkPool::new(LIMITS, 2);
        let (other, mut used) = (pool.take(), pool.take());
        let address = used.bytes.as_ptr();
        used.append_with(|bytes| bytes.push(7), LIMITS);
        pool.give_back(other);
        pool.give_back(used);
        let again = pool.take();
        assert_eq!(again.bytes.as_ptr(), address);
        assert!(again.is_empty() && again.ends.is_empty());
    }

    #[test]
    fn chunk_of_another_size_is_not_kept() {
        let mut pool = ChunkPool::new(LIMITS, 2);
        let mut grown = pool.take();
        grown.bytes.reserve(65);
        pool.give_back(grown);
        assert_eq!((pool.lent(), pool.idle()), (0, 0));
    }

    #[test]
    fn buffer_of_a_large_record_is_used_again_for_one_that_is_at_most_an_eighth_shorter() {
        for (bytes, is_used_again) in [(900, true), (800, true), (799, false), (901, false)] {
            let mut pool = ChunkPool::new(LIMITS, 1);
            let mut large = pool.take_large(900);
            large.extend([7; 900]);
            let address = large.as_ptr();
            pool.give_back_large(large);
            let again = pool.take_large(bytes);
            assert!(again.is_empty() && again.capacity() >= bytes);
            assert_eq!(again.as_ptr() == address, is_used_again, "{bytes}");
        }
    }

    #[test]
    fn pool_keeps_one_large_buffer_up_to_its_limit_and_none_one_past_it() {
        let kept = |bytes, idle_max| {
            let mut pool = ChunkPool::new(LIMITS, idle_max);
            let large = Vec::with_capacity(bytes);
            let capacity = large.capacity();
            pool.give_back_large(large);
            assert!(pool.large.capacity() == 0 || pool.large.capacity() == capacity);
            pool.large.capacity()
        };
        assert_eq!(kept(LARGE_BYTES_MAX, 1), LARGE_BYTES_MAX);
        assert_eq!(kept(LARGE_BYTES_MAX + 1, 1), 0);
        assert_eq!(kept(1_000, 0), 0);
    }

    #[test]
    fn full_index_of_records_does_not_grow() {
        let mut buffers = Buffers::new(LIMITS);
        let capacity = buffers.ends.capacity();
        while buffers.has_room(1, LIMITS) {
            buffers.append_with(|bytes| bytes.push(7), LIMITS);
        }
        assert_eq!(buffers.ends, [1, 2, 3, 4]);
        assert_eq!(buffers.ends.capacity(), capacity);
    }
}

//! The log's memory: chunks of records, and the pool that they come from.
//!
//! ```text
//!   packed    | record 0 | record 1 |  record 2  |   free   |    bytes: chunk_bytes
//!                        ^          ^            ^
//!                      ends[0]    ends[1]      ends[2]           4 bytes a record
//!
//!   single    | one large record, encoded here              |    exactly its size
//!   shared    | one large record, somebody else's too       |    Arc<[u8]>
//! ```
//!
//! A record never straddles two chunks, so a record is always one slice. Only
//! the buffers of packed chunks come from the pool and go back to it: they are
//! all of one size, which a large record is not.
//!
//! Cost: finding the record at a position is a binary search over `ends`;
//! taking a chunk and giving it back is a push and a pop.

use std::sync::Arc;

use super::limits::LogLimits;

/// A worker's chunks that no log needs at the moment.
///
/// Bounded: beyond `idle_max` chunks, one given back is freed. The one given
/// back last is taken first, while it is still in the cache: a worker with a
/// thousand quiet rooms writes them all through the same chunk, turn by turn.
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
}

impl ChunkPool {
    /// A pool that allocates chunks as `limits` says when it has none, and
    /// keeps at most `idle_max` of those given back (about 1¼ × `chunk_bytes`
    /// each, the index of record ends included).
    pub fn new(limits: LogLimits, idle_max: usize) -> ChunkPool {
        ChunkPool {
            limits: limits.in_range(),
            idle: Vec::new(),
            idle_max,
            lent: 0,
        }
    }

    /// The limits that hold, brought into range.
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Chunks that lie here, ready to be taken.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Chunks that are in logs now.
    pub fn lent(&self) -> usize {
        self.lent
    }

    pub(super) fn take(&mut self) -> Buffers {
        self.lent += 1;
        self.idle.pop().unwrap_or_else(|| Buffers::new(self.limits))
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

/// The two allocations of a packed chunk.
#[derive(Debug)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    /// Where each record ends, counted from the chunk's first byte: ascending,
    /// none twice, the last is `bytes.len()`. A chunk has at most `u32::MAX`
    /// bytes.
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

    /// Whether another record, of `bytes`, has a place.
    fn has_room(&self, bytes: usize, limits: LogLimits) -> bool {
        bytes <= limits.chunk_bytes.saturating_sub(self.bytes.len())
            && self.ends.len() < limits.records_per_chunk_max()
    }

    /// Lets `encode` append one record, straight into the chunk.
    pub(super) fn append_with(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
        limits: LogLimits,
    ) -> Appended {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        let end = self.bytes.len();
        assert!(end >= start, "a record was taken out of the log");
        if end == start {
            return Appended::Nothing;
        }
        if end > limits.chunk_bytes {
            return Appended::TooLong(self.take_back(start, limits));
        }
        self.ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        Appended::Record(end - start)
    }

    /// Takes out what was appended since `start`, and is a chunk of the
    /// pool's size again.
    fn take_back(&mut self, start: usize, limits: LogLimits) -> Vec<u8> {
        let record = self.bytes.split_off(start);
        self.bytes.shrink_to(limits.chunk_bytes);
        record
    }
}

/// What appending to a packed chunk came to.
pub(super) enum Appended {
    Nothing,
    /// The chunk's newest record, of so many bytes.
    Record(usize),
    /// The record turned out longer than the chunk: it needs one of its own.
    TooLong(Vec<u8>),
}

/// A run of whole records at known positions in the log.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The position of the first byte.
    start: u64,
    /// How many records the log was given before this chunk's first.
    records_before: u64,
    /// Readers that stand in this chunk and keep it from being trimmed.
    pub(super) pins: u32,
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

    /// The bytes from one position to another, as far as they lie in here.
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

    /// Where the record that `position` stands inside of ends; `position`
    /// itself between two records.
    pub(super) fn record_end(&self, position: u64) -> u64 {
        let ended = self.records_ended(position);
        if self.end_after(ended) == position {
            return position;
        }
        self.end_after(ended + 1)
    }

    /// Where the record that holds the byte before `position` begins.
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

    /// The buffers, if another record of `bytes` can be appended to them.
    pub(super) fn with_room(&mut self, bytes: usize, limits: LogLimits) -> Option<&mut Buffers> {
        match &mut self.content {
            Content::Packed(buffers) if buffers.has_room(bytes, limits) => Some(buffers),
            _ => None,
        }
    }

    /// The bytes from `position` to `end`, which outlive the chunk: by
    /// reference in a chunk of one large record, copied out of a packed one.
    pub(super) fn share(&mut self, position: u64, end: u64) -> (Arc<[u8]>, usize) {
        if let Content::Single(record) = &mut self.content {
            self.content = Content::Shared(std::mem::take(record).into());
        }
        if let Content::Shared(record) = &self.content {
            return (Arc::clone(record), self.offset(position));
        }
        (self.between(position, end).into(), 0)
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
    fn the_pool_keeps_chunks_up_to_its_bound() {
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
    fn a_chunk_from_the_pool_is_the_one_given_back_last_and_empty() {
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
    fn a_chunk_of_another_size_is_not_kept() {
        let mut pool = ChunkPool::new(LIMITS, 2);
        let mut grown = pool.take();
        grown.bytes.reserve(65);
        pool.give_back(grown);
        assert_eq!((pool.lent(), pool.idle()), (0, 0));
    }

    #[test]
    fn a_full_index_of_records_does_not_grow() {
        let mut buffers = Buffers::new(LIMITS);
        let capacity = buffers.ends.capacity();
        while buffers.has_room(1, LIMITS) {
            buffers.append_with(|bytes| bytes.push(7), LIMITS);
        }
        assert_eq!(buffers.ends, [1, 2, 3, 4]);
        assert_eq!(buffers.ends.capacity(), capacity);
    }
}

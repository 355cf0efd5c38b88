//! The log: an append-only sequence of records, kept from the slowest reader on.
//!
//! ```text
//!   position   0 ......... tail ............................... head
//!              | trimmed   | chunk | chunk | chunk (being filled) |
//!                                    ^                ^           ^
//!                                 a slow reader    another     most readers
//! ```
//!
//! A *record* is an indivisible run of bytes; the layer above puts one WebSocket
//! frame into each. A *position* counts bytes from the first byte ever appended.
//! It is never reused, and does not wrap within 500 years at 1 GB/s. Appending an
//! empty record does nothing.
//!
//! Cost: a small record is copied (or encoded) once into the last chunk, some
//! nanoseconds and no allocation; a large one costs an allocation, and no copy if
//! it is an `Arc`. Finding a position is a binary search, first over the chunks,
//! then over one chunk's records.
//!
//! The log does not limit itself: [`LagLimits`](super::LagLimits) limit its
//! readers, and [`Log::trim`] frees the memory that all readers have passed. It holds
//! at most 5 times the bytes from tail to head plus 64 KiB with the default
//! [`LogLimits`](super::LogLimits), in general `1 + chunk_bytes / shared_bytes_min`
//! times plus a chunk. The worst case is small and large records that alternate:
//! each large record ends the chunk before it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::{Appended, Chunk, ChunkPool, Content, is_wasteful};
use super::limits::LagLimits;

/// An append-only sequence of records at absolute byte positions.
///
/// ```
/// use yamabiko::broadcast::{ChunkPool, Log, LogLimits};
///
/// let mut pool = ChunkPool::new(LogLimits::default(), 16);
/// let mut log = Log::new();
/// log.append(b"one", &mut pool);
/// log.append_with(5, |bytes| bytes.extend_from_slice(b"three"), &mut pool);
///
/// assert_eq!(log.head(), 8);
/// assert_eq!(log.slices(1).collect::<Vec<_>>(), [b"nethree"]);
/// assert_eq!(log.record_end(1), 3); // inside "one", which ends at 3
/// assert_eq!(log.records_between(1, 8), 2);
///
/// log.trim(8, &mut pool); // all readers have passed position 8
/// assert_eq!((log.tail(), log.held_bytes()), (8, 0));
/// ```
#[derive(Debug, Default)]
pub struct Log {
    /// Without gaps: each chunk starts where the previous one ends, none is empty,
    /// and the last ends at `head`.
    chunks: VecDeque<Chunk>,
    head: u64,
    records: u64,
}

impl Log {
    /// An empty log at position 0. Allocates nothing.
    pub fn new() -> Log {
        Log::default()
    }

    /// The position after the newest record: the number of bytes ever appended.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The oldest position that can be read; `head()` if the log is empty.
    pub fn tail(&self) -> u64 {
        self.chunks.front().map_or(self.head, Chunk::start)
    }

    /// The number of records ever appended.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The memory of this log's chunks, with their free space. O(chunks).
    pub fn held_bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::held_bytes).sum()
    }

    /// Appends a copy of `record`.
    pub fn append(&mut self, record: &[u8], pool: &mut ChunkPool) {
        self.append_with(record.len(), |bytes| bytes.extend_from_slice(record), pool);
    }

    /// Appends the record that `encode` writes at the end of the given buffer. The
    /// buffer is the log's own memory, so the record is not copied again.
    ///
    /// `len_hint` is the expected length of the record. A longer record may have to
    /// be moved to another buffer; a shorter one costs nothing.
    ///
    /// # Panics
    /// If `encode` leaves the buffer shorter than it was: it may only append.
    pub fn append_with(
        &mut self,
        len_hint: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut ChunkPool,
    ) {
        let limits = pool.limits();
        if len_hint >= limits.shared_bytes_min {
            return self.append_single(len_hint, encode, pool);
        }
        let last = self.chunks.back_mut();
        if let Some(buffers) = last.and_then(|chunk| chunk.with_room(len_hint, limits)) {
            let appended = buffers.append_with(encode, limits);
            return self.count(appended);
        }
        let mut buffers = pool.take();
        let appended = buffers.append_with(encode, limits);
        if buffers.is_empty() {
            pool.give_back(buffers);
        } else {
            self.push(Content::Packed(buffers));
        }
        self.count(appended);
    }

    /// Appends `record`: by reference if it has at least `shared_bytes_min` bytes, so
    /// that any number of logs share it; otherwise a copy.
    pub fn append_shared(&mut self, record: Arc<[u8]>, pool: &mut ChunkPool) {
        if record.len() < pool.limits().shared_bytes_min {
            return self.append(&record, pool);
        }
        self.count_large(Content::Shared(record));
    }

    /// Everything from `from` (or the tail, if that is later) to the head, in
    /// contiguous pieces. All but the first consist of whole records.
    pub fn slices(&self, from: u64) -> impl Iterator<Item = &[u8]> {
        self.chunks
            .range(self.index_of(from)..)
            .map(move |chunk| chunk.between(from, chunk.end()))
    }

    /// The end of the record that contains `position`; `position` itself if it is
    /// between two records, or not in the log.
    pub fn record_end(&self, position: u64) -> u64 {
        match self.chunk_at(position) {
            Some(chunk) if chunk.start() <= position => chunk.record_end(position),
            _ => position,
        }
    }

    /// How many records end after `from` and not after `until`: the records that a
    /// reader completes on its way from `from` to `until`. Both positions must be in
    /// the log.
    pub fn records_between(&self, from: u64, until: u64) -> u64 {
        self.records_ended(until)
            .saturating_sub(self.records_ended(from))
    }

    /// The position where the newest `records` records begin; the tail if there are not so many.
    pub fn start_of_last(&self, records: u64) -> u64 {
        self.end_of_record(self.records.saturating_sub(records))
    }

    /// The position of the first record that is within `limits`: the records from there on are.
    pub fn start_within(&self, limits: &LagLimits) -> u64 {
        self.record_end(self.oldest_within(limits))
    }

    /// Returns every chunk that ends at or before `to` to the pool.
    pub fn trim(&mut self, to: u64, pool: &mut ChunkPool) {
        while let Some(chunk) = self.chunks.front() {
            if chunk.end() > to || chunk.is_pinned() {
                return;
            }
            match self.pop() {
                Some(Content::Packed(buffers)) => pool.give_back(buffers),
                Some(Content::Single(record)) => pool.give_back_large(record),
                Some(Content::Shared(_)) | None => {}
            }
        }
        self.chunks.shrink_to(CHUNK_TABLE_KEPT);
    }
}

/// For the shared log and the backlog.
impl Log {
    /// A reader stops at `position`, before the head: its chunk and all later ones
    /// stay until [`unpin`](Log::unpin).
    pub(super) fn pin(&mut self, position: u64) {
        if let Some(chunk) = self.chunk_at_mut(position) {
            chunk.pin();
        }
    }

    /// A reader that was pinned at `position` continues.
    pub(super) fn unpin(&mut self, position: u64) {
        if let Some(chunk) = self.chunk_at_mut(position) {
            chunk.unpin();
        }
    }

    /// The oldest position at which a reader is within `limits`.
    pub(super) fn oldest_within(&self, limits: &LagLimits) -> u64 {
        let oldest_by_bytes = self.head.saturating_sub(limits.bytes);
        let oldest_by_records = self.end_of_record(self.records.saturating_sub(limits.records));
        let oldest_by_age = limits.position.min(self.head);
        oldest_by_bytes.max(oldest_by_records).max(oldest_by_age)
    }

    /// The start of the record that contains the byte before `position`.
    pub(super) fn record_start_before(&self, position: u64) -> u64 {
        match self.chunk_at(position.saturating_sub(1)) {
            Some(chunk) => chunk.record_start_before(position),
            None => position,
        }
    }

    /// The bytes from `position` to `end`, which is the end of its record.
    pub(super) fn rest_of_record(&self, position: u64, end: u64) -> &[u8] {
        self.chunk_at(position)
            .map_or(&[], |chunk| chunk.between(position, end))
    }

    /// The same as a buffer that outlives the log, and an offset in it.
    pub(super) fn share_rest(&mut self, position: u64, end: u64) -> Option<(Arc<[u8]>, usize)> {
        let chunk = self.chunk_at_mut(position)?;
        Some(chunk.share(position, end))
    }

    /// Lets `write` change the bytes of the record from `start` to `end`. Returns what it returns; false leaves the record as it was.
    pub(super) fn overwrite(
        &mut self,
        start: u64,
        end: u64,
        write: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        self.chunk_at_mut(start)
            .is_some_and(|chunk| chunk.overwrite(start, end, write))
    }

    pub(super) fn chunk(&self, index: usize) -> Option<&Chunk> {
        self.chunks.get(index)
    }

    /// The index of the chunk with the byte at `position`; the number of chunks if
    /// `position` is the head.
    pub(super) fn index_of(&self, position: u64) -> usize {
        if position >= self.head {
            return self.chunks.len();
        }
        // Most readers are in the last chunk.
        match self.chunks.back() {
            Some(last) if last.start() <= position => self.chunks.len() - 1,
            _ => self.chunks.partition_point(|chunk| chunk.end() <= position),
        }
    }
}

impl Log {
    fn append_single(
        &mut self,
        len_hint: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut ChunkPool,
    ) {
        let mut record = pool.take_large(len_hint);
        encode(&mut record);
        if record.len() < pool.limits().shared_bytes_min {
            self.append(&record, pool);
            return pool.give_back_large(record);
        }
        if is_wasteful(record.capacity(), record.len()) {
            record.shrink_to_fit();
        }
        self.count_large(Content::Single(record));
    }

    fn count(&mut self, appended: Appended) {
        match appended {
            Appended::Nothing => {}
            Appended::Record(bytes) => {
                self.head += bytes as u64;
                self.records += 1;
            }
            Appended::TooLong(record) => self.count_large(Content::Single(record)),
        }
    }

    fn count_large(&mut self, record: Content) {
        self.push(record);
        self.head = self.chunks.back().map_or(self.head, Chunk::end);
        self.records += 1;
    }

    fn push(&mut self, content: Content) {
        let chunk = Chunk::new(self.head, self.records, content);
        self.chunks.push_back(chunk);
    }

    fn pop(&mut self) -> Option<Content> {
        self.chunks.pop_front().map(Chunk::into_content)
    }

    fn chunk_at(&self, position: u64) -> Option<&Chunk> {
        self.chunks.get(self.index_of(position))
    }

    fn chunk_at_mut(&mut self, position: u64) -> Option<&mut Chunk> {
        let index = self.index_of(position);
        self.chunks.get_mut(index)
    }

    /// How many of all records ever appended end at or before `position`.
    fn records_ended(&self, position: u64) -> u64 {
        match self.chunk_at(position) {
            Some(chunk) => chunk.records_before() + chunk.records_ended(position) as u64,
            None => self.records,
        }
    }

    /// The end of the record with this number, starting at 1; the tail if the
    /// record has been trimmed.
    fn end_of_record(&self, number: u64) -> u64 {
        let after = |chunk: &Chunk| chunk.records_before() < number;
        let chunks = self.chunks.partition_point(after);
        let Some(chunk) = chunks.checked_sub(1).and_then(|last| self.chunk(last)) else {
            return self.tail();
        };
        let within = number - chunk.records_before();
        chunk.end_after(usize::try_from(within).unwrap_or(usize::MAX))
    }
}

/// Entries in the table of chunks that an empty log keeps (about 80 bytes each).
const CHUNK_TABLE_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::LogLimits;

    const LIMITS: LogLimits = LogLimits {
        chunk_bytes: 64,
        shared_bytes_min: 20,
    };

    fn pool() -> ChunkPool {
        ChunkPool::new(LIMITS, 4)
    }

    /// The lengths of the log's slices.
    fn slices(log: &Log) -> Vec<usize> {
        log.slices(0).map(<[u8]>::len).collect()
    }

    fn log_of(records: &[usize], pool: &mut ChunkPool) -> Log {
        let mut log = Log::new();
        for bytes in records {
            log.append(&vec![0x55; *bytes], pool);
        }
        log
    }

    #[test]
    fn records_fill_a_chunk_to_its_last_byte() {
        let mut pool = pool();
        assert_eq!(slices(&log_of(&[19, 19, 19, 7], &mut pool)), [64]);
        assert_eq!(slices(&log_of(&[19, 19, 19, 8], &mut pool)), [57, 8]);
    }

    #[test]
    fn record_of_shared_bytes_min_has_a_chunk_of_its_own() {
        let mut pool = pool();
        assert_eq!(slices(&log_of(&[1, 19, 1], &mut pool)), [21]);
        assert_eq!(slices(&log_of(&[1, 20, 1], &mut pool)), [1, 20, 1]);
    }

    #[test]
    fn chunk_is_full_when_its_index_of_records_is_full() {
        let mut pool = pool();
        assert_eq!(LIMITS.records_per_chunk_max(), 4);
        assert_eq!(slices(&log_of(&[1; 4], &mut pool)), [4]);
        assert_eq!(slices(&log_of(&[1; 5], &mut pool)), [4, 1]);
    }

    #[test]
    fn large_record_is_kept_by_reference_and_a_small_one_is_copied() {
        let (mut log, mut pool) = (Log::new(), pool());
        let [large, small]: [Arc<[u8]>; 2] = [[7; 20].as_slice().into(), [7; 19].as_slice().into()];
        log.append_shared(Arc::clone(&large), &mut pool);
        log.append_shared(Arc::clone(&small), &mut pool);
        assert_eq!(
            (Arc::strong_count(&large), Arc::strong_count(&small)),
            (2, 1)
        );
        assert_eq!(log.slices(0).next().unwrap().as_ptr(), large.as_ptr());
        assert_eq!((log.held_bytes(), pool.lent()), (20 + 64, 1));
    }

    #[test]
    fn large_records_that_follow_each_other_use_the_same_memory() {
        let (mut log, mut pool) = (Log::new(), pool());
        let mut addresses = Vec::new();
        for byte in 0..3 {
            log.append(&[byte; 1_000], &mut pool);
            let from = log.head() - 1_000;
            let record = log.slices(from).next().unwrap();
            assert_eq!(record, [byte; 1_000]);
            addresses.push(record.as_ptr());
            log.trim(log.head(), &mut pool);
        }
        assert_eq!(addresses, [addresses[0]; 3]);
    }

    #[test]
    fn empty_record_changes_nothing() {
        let (mut log, mut pool) = (Log::new(), pool());
        log.append(b"", &mut pool);
        log.append_with(5, |_| {}, &mut pool);
        log.append_with(50, |_| {}, &mut pool);
        log.append_shared(Arc::new([]), &mut pool);
        assert_eq!((log.head(), log.records(), pool.lent()), (0, 0, 0));
        log.append(b"one", &mut pool);
        log.append_with(5, |_| {}, &mut pool);
        assert_eq!((log.head(), log.records()), (3, 1));
    }

    #[test]
    fn record_longer_than_its_hint_stays_whole() {
        for (bytes, expected) in [(54, vec![64]), (55, vec![10, 55]), (200, vec![10, 200])] {
            let mut pool = pool();
            let mut log = log_of(&[10], &mut pool);
            log.append_with(0, |buffer| buffer.extend(vec![7; bytes]), &mut pool);
            assert_eq!(slices(&log), expected);
            assert_eq!(log.record_end(11), 10 + bytes as u64);
            // The chunk still has the pool's size.
            log.trim(log.head(), &mut pool);
            assert_eq!((pool.lent(), pool.idle()), (0, 1));
        }
    }

    #[test]
    fn first_record_longer_than_a_chunk_leaves_no_empty_chunk() {
        let (mut log, mut pool) = (Log::new(), pool());
        log.append_with(0, |buffer| buffer.extend([7; 65]), &mut pool);
        assert_eq!((slices(&log), pool.lent()), (vec![65], 0));
    }

    #[test]
    fn record_much_shorter_than_its_hint_does_not_keep_the_memory() {
        let (mut log, mut pool) = (Log::new(), pool());
        log.append_with(1000, |buffer| buffer.extend([7; 19]), &mut pool);
        log.append_with(1000, |buffer| buffer.extend([7; 20]), &mut pool);
        assert_eq!((slices(&log), log.held_bytes()), (vec![19, 20], 64 + 20));
    }

    #[test]
    #[should_panic(expected = "an encoder shortened the log")]
    fn encoder_that_shortens_the_log_panics() {
        let (mut log, mut pool) = (Log::new(), pool());
        log.append(b"one", &mut pool);
        log.append_with(0, |buffer| buffer.clear(), &mut pool);
    }

    #[test]
    fn end_of_a_record_is_found_from_every_position() {
        let mut pool = pool();
        let mut log = log_of(&[2, 30, 3, 60, 1], &mut pool);
        let ends = [2, 32, 35, 95, 96];
        for position in 0..=97 {
            let starts = [0, 2, 32, 35, 95].contains(&position);
            let end = ends.into_iter().find(|end| *end >= position);
            let expected = if starts {
                position
            } else {
                end.unwrap_or(position)
            };
            assert_eq!(log.record_end(position), expected, "at {position}");
        }
        log.trim(32, &mut pool);
        assert_eq!(log.record_end(1), 1, "before the tail");
    }

    #[test]
    fn records_between_two_positions_are_counted_by_their_ends() {
        let mut pool = pool();
        let log = log_of(&[2, 30, 3, 60, 1], &mut pool);
        let ends = [2, 32, 35, 95, 96];
        let step = if cfg!(miri) { 8 } else { 1 };
        for from in (0..=96).step_by(step) {
            for until in (from..=96).step_by(step) {
                let between = ends.iter().filter(|end| from < **end && **end <= until);
                assert_eq!(log.records_between(from, until), between.count() as u64);
            }
        }
        assert_eq!(log.records_between(96, 0), 0);
    }

    #[test]
    fn start_of_a_record_is_found_from_every_position_in_it() {
        let mut pool = pool();
        let log = log_of(&[2, 30, 3, 60, 1], &mut pool);
        for (start, end) in [(0, 2), (2, 32), (32, 35), (35, 95), (95, 96)] {
            for position in start + 1..=end {
                assert_eq!(log.record_start_before(position), start);
            }
        }
    }

    #[test]
    fn slices_from_a_trimmed_position_begin_at_the_tail() {
        let mut pool = pool();
        let mut log = log_of(&[5, 30, 7], &mut pool);
        log.trim(34, &mut pool);
        assert_eq!((log.tail(), slices(&log)), (5, vec![30, 7]));
        assert_eq!(log.slices(40).map(<[u8]>::len).collect::<Vec<_>>(), [2]);
        assert_eq!(log.slices(42).count(), 0);
        assert_eq!(log.slices(43).count(), 0);
    }

    #[test]
    fn trimming_returns_whole_chunks_and_positions_continue() {
        let mut pool = pool();
        let mut log = log_of(&[19; 7], &mut pool);
        assert_eq!((slices(&log), pool.lent()), (vec![57, 57, 19], 3));
        log.trim(56, &mut pool);
        assert_eq!((log.tail(), pool.lent()), (0, 3));
        log.trim(57, &mut pool);
        assert_eq!((log.tail(), pool.lent()), (57, 2));
        log.trim(u64::MAX, &mut pool);
        assert_eq!((log.tail(), log.head(), pool.lent()), (133, 133, 0));
        log.append(b"one", &mut pool);
        assert_eq!((log.tail(), log.head(), log.records()), (133, 136, 8));
    }

    #[test]
    fn pinned_chunk_and_later_chunks_stay() {
        let mut pool = pool();
        let mut log = log_of(&[30, 30, 30], &mut pool);
        log.pin(30);
        log.trim(90, &mut pool);
        assert_eq!(log.tail(), 30);
        log.unpin(30);
        log.trim(90, &mut pool);
        assert_eq!(log.tail(), 90);
    }

    #[test]
    fn log_that_was_long_keeps_a_small_table() {
        let mut pool = pool();
        let records = if cfg!(miri) { 100 } else { 1000 };
        let mut log = log_of(&vec![30; records], &mut pool);
        log.trim(log.head(), &mut pool);
        assert!(log.chunks.capacity() <= 2 * CHUNK_TABLE_KEPT);
    }
}

//! The bounds of this layer, each with its unit, its default and its reason.

/// How a room's log cuts its memory into chunks.
///
/// Handed to [`ChunkPool::new`](super::ChunkPool::new), which brings the two
/// into range: `1 ≤ shared_bytes_min ≤ chunk_bytes ≤ u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one chunk, 64 KiB: what gathers in one turn of a busy room
    /// (1000 frames of 64 bytes) is mostly one contiguous run, and a chunk
    /// still fits into a core's second-level cache while a thousand members
    /// are served from it.
    pub chunk_bytes: usize,
    /// A record of at least this many bytes, 16 KiB, lies in a chunk of its
    /// own: one handed over by reference is not copied, and another slice in a
    /// `writev` costs less than copying from there on. It is also how much of
    /// a chunk's end can be left unused.
    pub shared_bytes_min: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits {
            chunk_bytes: 64 * 1024,
            shared_bytes_min: 16 * 1024,
        }
    }
}

impl LogLimits {
    /// The same limits, brought into the range in which the log can keep them.
    pub(super) fn in_range(self) -> LogLimits {
        let addressable = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let chunk_bytes = self.chunk_bytes.clamp(1, addressable);
        LogLimits {
            chunk_bytes,
            shared_bytes_min: self.shared_bytes_min.clamp(1, chunk_bytes),
        }
    }

    /// How many records one chunk can hold. The index of their ends (4 bytes
    /// each) never costs more than a quarter of the chunk, also where a
    /// record has only the two bytes of an empty frame.
    pub(super) fn records_per_chunk_max(self) -> usize {
        (self.chunk_bytes / 16).max(1)
    }
}

/// How far a member may fall behind: one *strictly* beyond any bound is
/// named by [`Room::lagging`](super::Room::lagging).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagLimits {
    /// Bytes of the log from the member's cursor to the head, 1 MiB: what this
    /// member alone can make the room keep.
    pub bytes: u64,
    /// Records that the member has not received whole; unbounded by default.
    pub records: u64,
    /// A position of the log that the member has to have reached; 0 by default.
    /// This is how the caller, who has a clock, bounds the age.
    pub position: u64,
}

impl Default for LagLimits {
    fn default() -> Self {
        LagLimits {
            bytes: 1024 * 1024,
            records: u64::MAX,
            position: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range_are_brought_into_it() {
        let limits = |chunk_bytes, shared_bytes_min| LogLimits {
            chunk_bytes,
            shared_bytes_min,
        };
        assert_eq!(LogLimits::default().in_range(), LogLimits::default());
        assert_eq!(limits(0, 0).in_range(), limits(1, 1));
        assert_eq!(limits(100, 101).in_range(), limits(100, 100));
        assert_eq!(limits(100, 100).in_range(), limits(100, 100));
        let most = usize::try_from(u32::MAX).unwrap();
        assert_eq!(limits(usize::MAX, 7).in_range(), limits(most, 7));
    }
}

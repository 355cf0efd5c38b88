//! The limits of this layer, each with its unit, default and reason.

/// How a log divides its memory into chunks.
///
/// [`ChunkPool::new`](super::ChunkPool::new) clamps both fields:
/// `1 ≤ shared_bytes_min ≤ chunk_bytes ≤ u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one chunk, 64 KiB: the batch of one turn in a busy room (1000
    /// frames of 64 bytes) is mostly one contiguous run, and a chunk still fits
    /// into a core's second-level cache while it is written to a thousand sockets.
    pub chunk_bytes: usize,
    /// A record of at least this many bytes, 16 KiB, has a chunk of its own. A
    /// record that is passed by reference is then not copied: from this size on an
    /// additional slice in a `writev` costs less than a copy. Fewer than this many
    /// bytes stay unused at the end of a chunk.
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
    /// The same limits, clamped to the range that the log supports.
    pub(super) fn clamped(self) -> LogLimits {
        let addressable = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let chunk_bytes = self.chunk_bytes.clamp(1, addressable);
        LogLimits {
            chunk_bytes,
            shared_bytes_min: self.shared_bytes_min.clamp(1, chunk_bytes),
        }
    }

    /// Maximum number of records in one chunk. The index of their ends (4 bytes
    /// each) takes at most a quarter of the chunk, even if each record has only
    /// the two bytes of an empty frame.
    pub(super) fn records_per_chunk_max(self) -> usize {
        (self.chunk_bytes / 16).max(1)
    }
}

/// How far a subscription may fall behind. [`SharedLog::lagging`](super::SharedLog::lagging)
/// returns the subscriptions that are *strictly* beyond one of these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagLimits {
    /// Bytes of the log from the cursor to the head, 1 MiB: the memory that one
    /// subscription alone can keep the log from freeing.
    pub bytes: u64,
    /// Records that have not been written completely; unlimited by default.
    pub records: u64,
    /// A position of the log that the cursor must have reached; 0 by default. With
    /// it the caller, who has a clock, limits the age.
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
    fn limits_out_of_range_are_clamped() {
        let limits = |chunk_bytes, shared_bytes_min| LogLimits {
            chunk_bytes,
            shared_bytes_min,
        };
        assert_eq!(LogLimits::default().clamped(), LogLimits::default());
        assert_eq!(limits(0, 0).clamped(), limits(1, 1));
        assert_eq!(limits(100, 101).clamped(), limits(100, 100));
        assert_eq!(limits(100, 100).clamped(), limits(100, 100));
        let most = usize::try_from(u32::MAX).unwrap();
        assert_eq!(limits(usize::MAX, 7).clamped(), limits(most, 7));
    }
}

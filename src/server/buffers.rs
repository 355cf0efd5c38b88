//! Buffers that connections use one after the other. So a message and its reply cost no allocation, and an idle connection
//! holds no buffer.

/// Empty buffers, with memory: at most [`COUNT_MAX`], and [`BYTES_MAX`] together.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Vec<Vec<u8>>,
    /// Their capacities together.
    bytes: usize,
}

impl Buffers {
    /// A buffer that was given before, or one without memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps an empty buffer for later, if it has memory and the limits allow it.
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let is_wanted = capacity > 0 && self.free.len() < COUNT_MAX;
        if is_wanted && self.bytes + capacity <= BYTES_MAX {
            self.bytes += capacity;
            self.free.push(buffer);
        }
    }
}

/// Most turns bring fewer replies.
const COUNT_MAX: usize = 128;
/// 8 KiB for each of them, or a few long ones.
const BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_that_was_given_is_taken_with_its_memory() {
        let mut buffers = Buffers::default();
        assert_eq!(buffers.take().capacity(), 0);
        buffers.give(Vec::with_capacity(100));
        assert!(buffers.take().capacity() >= 100);
        assert_eq!(buffers.take().capacity(), 0);
        assert_eq!(buffers.bytes, 0);
    }

    #[test]
    fn buffers_are_kept_up_to_the_limits() {
        let mut buffers = Buffers::default();
        buffers.give(Vec::with_capacity(BYTES_MAX + 1));
        assert_eq!(buffers.bytes, 0);
        buffers.give(Vec::with_capacity(BYTES_MAX));
        buffers.give(Vec::with_capacity(1));
        assert_eq!((buffers.free.len(), buffers.bytes), (1, BYTES_MAX));
        drop(buffers.take());
        (0..=COUNT_MAX).for_each(|_| buffers.give(Vec::with_capacity(8)));
        assert_eq!(buffers.free.len(), COUNT_MAX);
        buffers = Buffers::default();
        // A buffer without memory is not kept.
        buffers.give(Vec::new());
        assert!(buffers.free.is_empty());
    }
}

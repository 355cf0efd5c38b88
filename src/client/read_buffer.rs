//! Bytes that have arrived and are not decoded yet.

use std::io;

/// What one read can return.
const BYTES: usize = 64 << 10;

/// One buffer of 64 KiB, filled by one read at a time.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: Box<[u8]>,
    /// `bytes[start..end]` has arrived and is not decoded; 0 ≤ start ≤ end ≤ length.
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// `surplus`: the bytes that arrived after the head of the opening handshake.
    pub(super) fn new(surplus: &[u8]) -> ReadBuffer {
        let mut bytes = vec![0; BYTES.max(surplus.len())].into_boxed_slice();
        bytes[..surplus.len()].copy_from_slice(surplus);
        ReadBuffer {
            bytes,
            start: 0,
            end: surplus.len(),
        }
    }

    /// The bytes that are not decoded, and the index of the first: the decoder adds to
    /// it what it has consumed.
    pub(super) fn unread(&mut self) -> (&mut [u8], &mut usize) {
        (&mut self.bytes[self.start..self.end], &mut self.start)
    }

    /// Whether the last read has filled the buffer, so that more bytes may have arrived.
    pub(super) fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    /// Replaces the content, which is decoded, by one read. Returns its result.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let arrived = read(&mut self.bytes)?;
        (self.start, self.end) = (0, arrived);
        Ok(arrived)
    }
}

//! Bytes that were read from sockets, and that the application has left for a later
//! turn ([`Io::leave_unread`](super::Io::leave_unread)).
//!
//! A socket has at most one remainder, of less than a read buffer: while it has one it
//! is not read. What has been looked at is passed by an offset, so that a remainder is
//! copied once, when it is left, and not again at every turn. A worker whose sockets
//! have no remainder pays one comparison for each read.

use std::collections::HashMap;

use super::socket::SocketKey;

/// The remainders of all sockets.
#[derive(Default)]
pub(super) struct Unread {
    remainders: HashMap<SocketKey, Remainder>,
    /// Memory that they hold together, what has been looked at included.
    bytes: usize,
}

/// What is left of one read.
pub(super) struct Remainder {
    read: Box<[u8]>,
    /// 0 ≤ at < read.len(), while it is kept.
    at: usize,
}

impl Unread {
    /// The memory of all remainders.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a copy of what was left of a read; at least one byte.
    pub(super) fn keep(&mut self, key: SocketKey, left: &[u8]) {
        let read = left.into();
        self.put(key, Remainder { read, at: 0 });
    }

    /// Takes a remainder out. The caller puts it back if it is not used up.
    #[inline(always)]
    pub(super) fn take(&mut self, key: SocketKey) -> Option<Remainder> {
        if self.remainders.is_empty() {
            return None;
        }
        let remainder = self.remainders.remove(&key)?;
        self.bytes -= remainder.read.len();
        Some(remainder)
    }

    /// Keeps a remainder for another turn, unless nothing is left of it.
    pub(super) fn put(&mut self, key: SocketKey, remainder: Remainder) {
        if !remainder.is_empty() {
            self.bytes += remainder.read.len();
            self.remainders.insert(key, remainder);
        }
    }
}

impl Remainder {
    /// The next bytes, `count` at most.
    pub(super) fn next(&mut self, count: usize) -> &mut [u8] {
        let left = &mut self.read[self.at..];
        let count = count.min(left.len());
        &mut left[..count]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.read.len()
    }

    /// So many of them have been looked at.
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remainder_is_passed_by_its_offset_and_gone_when_it_is_used_up() {
        let (mut unread, key) = (Unread::default(), SocketKey::from_bits(7));
        assert!(unread.take(key).is_none());
        unread.keep(key, b"yamabiko");
        assert!(unread.take(SocketKey::from_bits(8)).is_none());
        for expected in [&b"yama"[..], b"biko"] {
            assert_eq!(unread.bytes(), 8);
            let mut remainder = unread.take(key).unwrap();
            assert_eq!(unread.bytes(), 0);
            assert_eq!(remainder.next(4), expected);
            remainder.advance(4);
            unread.put(key, remainder);
        }
        assert_eq!(unread.bytes(), 0);
        assert!(unread.take(key).is_none());
    }

    #[test]
    fn no_more_than_what_is_left_is_given() {
        let (mut unread, key) = (Unread::default(), SocketKey::from_bits(7));
        unread.keep(key, b"yamabiko");
        let mut remainder = unread.take(key).unwrap();
        remainder.advance(5);
        assert_eq!(remainder.next(usize::MAX), b"iko");
    }
}

//! Bytes that were read from sockets and that the application left for a later turn
//! ([`Io::leave_unread`](super::Io::leave_unread)).
//!
//! A socket has at most one such rest, of less than a read buffer: while it has one, it is
//! not read. An offset marks the processed part, so a rest is copied once, when it is left,
//! and not again in each turn. A worker without rests pays one comparison for each read.

use std::collections::HashMap;

use super::socket::SocketKey;

/// The unread rests of all sockets.
#[derive(Default)]
pub(super) struct Unread {
    rests: HashMap<SocketKey, UnreadRest>,
    /// The memory of all of them, with the processed parts.
    bytes: usize,
}

/// The unread part of one read.
pub(super) struct UnreadRest {
    read: Box<[u8]>,
    /// 0 ≤ at < read.len(), while it is kept; or the application is called again without bytes.
    at: usize,
    is_called_again: bool,
}

impl Unread {
    /// Whether no socket has a rest.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.rests.is_empty()
    }

    /// The memory of all rests.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a copy of the bytes that were left of a read; at least one byte, unless the application is called again without.
    pub(super) fn keep(&mut self, key: SocketKey, left: &[u8], is_called_again: bool) {
        let rest = UnreadRest {
            read: left.into(),
            at: 0,
            is_called_again,
        };
        self.put(key, rest);
    }

    /// Removes a rest. The caller puts it back if it is not used up.
    #[inline(always)]
    pub(super) fn take(&mut self, key: SocketKey) -> Option<UnreadRest> {
        if self.rests.is_empty() {
            return None;
        }
        let rest = self.rests.remove(&key)?;
        self.bytes -= rest.read.len();
        Some(rest)
    }

    /// Keeps a rest for another turn, unless it is used up.
    pub(super) fn put(&mut self, key: SocketKey, rest: UnreadRest) {
        if !rest.is_used_up() {
            self.bytes += rest.read.len();
            self.rests.insert(key, rest);
        }
    }
}

impl UnreadRest {
    /// The next bytes, at most `count`.
    pub(super) fn next(&mut self, count: usize) -> &mut [u8] {
        let left = &mut self.read[self.at..];
        let count = count.min(left.len());
        &mut left[..count]
    }

    /// Nothing is left, and the application is not called again without bytes.
    pub(super) fn is_used_up(&self) -> bool {
        self.at == self.read.len() && !self.is_called_again
    }

    /// So many bytes have been processed.
    pub(super) fn advance(&mut self, count: usize, is_called_again: bool) {
        self.at += count;
        self.is_called_again = is_called_again;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_consumed_by_its_offset_and_removed_when_it_is_used_up() {
        let (mut unread, key) = (Unread::default(), SocketKey::from_bits(7));
        assert!(unread.take(key).is_none());
        unread.keep(key, b"yamabiko", false);
        assert!(unread.take(SocketKey::from_bits(8)).is_none());
        for expected in [&b"yama"[..], b"biko"] {
            assert_eq!(unread.bytes(), 8);
            let mut rest = unread.take(key).unwrap();
            assert_eq!(unread.bytes(), 0);
            assert_eq!(rest.next(4), expected);
            rest.advance(4, false);
            unread.put(key, rest);
        }
        assert_eq!(unread.bytes(), 0);
        assert!(unread.take(key).is_none());
    }

    #[test]
    fn rest_without_bytes_is_kept_until_the_application_has_been_called_again() {
        let (mut unread, key) = (Unread::default(), SocketKey::from_bits(7));
        unread.keep(key, b"", true);
        assert!(!unread.is_empty());
        let mut rest = unread.take(key).unwrap();
        assert_eq!(rest.next(4), b"");
        rest.advance(0, false);
        unread.put(key, rest);
        assert!(unread.is_empty());
    }

    #[test]
    fn next_returns_at_most_the_unread_bytes() {
        let (mut unread, key) = (Unread::default(), SocketKey::from_bits(7));
        unread.keep(key, b"yamabiko", false);
        let mut rest = unread.take(key).unwrap();
        rest.advance(5, false);
        assert_eq!(rest.next(usize::MAX), b"iko");
    }
}

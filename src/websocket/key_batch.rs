//! Masking keys in batches (RFC 6455 §5.3, §10.3).
//!
//! A masking key must come from a strong source of entropy, and every frame needs a new
//! one. A system call for each key would cost more than a small frame. [`KeyBatch`]
//! fetches the random bytes of many keys at a time. The source is an argument: this
//! crate's protocol core has no randomness of its own.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use super::MaskingKeys;

/// Masking keys from a source of random bytes, fetched in batches.
///
/// ```
/// use yamabiko::websocket::{Connection, KeyBatch, Limits, MaskingKeys};
///
/// # fn os_random(bytes: &mut [u8]) { bytes.fill(7) }
/// // In an application: `|bytes| getrandom::fill(bytes).expect("random bytes")`.
/// let mut keys = KeyBatch::new(64, |bytes: &mut [u8]| os_random(bytes));
/// let key: [u8; 4] = keys.next_key();
/// # assert_eq!(key, [7; 4]);
/// let client = Connection::client(Limits::default(), keys);
/// # let _ = client;
/// ```
///
/// The source must be unpredictable, see [`MaskingKeys`]. A key is returned once, and its
/// bytes in the batch are overwritten.
pub struct KeyBatch<F> {
    bytes: Box<[u8]>,
    /// `bytes[used..]` has not been returned.
    used: usize,
    fill: F,
}

impl<F: FnMut(&mut [u8])> KeyBatch<F> {
    /// `keys`: the number of keys that one call of `fill` provides, at least 1; each takes
    /// four bytes. The first call is made for the first key.
    pub fn new(keys: usize, fill: F) -> KeyBatch<F> {
        let bytes = vec![0; KEY_BYTES.saturating_mul(keys.max(1))].into_boxed_slice();
        KeyBatch {
            used: bytes.len(),
            bytes,
            fill,
        }
    }
}

impl<F: FnMut(&mut [u8]) + Send> MaskingKeys for KeyBatch<F> {
    fn next_key(&mut self) -> [u8; KEY_BYTES] {
        if self.used == self.bytes.len() {
            (self.fill)(&mut self.bytes);
            self.used = 0;
        }
        let mut key = [0; KEY_BYTES];
        key.swap_with_slice(&mut self.bytes[self.used..self.used + KEY_BYTES]);
        self.used += KEY_BYTES;
        key
    }
}

/// Without the keys.
impl<F> fmt::Debug for KeyBatch<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyBatch")
    }
}

const KEY_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills each batch with the numbers that follow those of the batch before.
    fn numbered(keys: usize) -> KeyBatch<impl FnMut(&mut [u8]) + Send> {
        let mut next = 1;
        KeyBatch::new(keys, move |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next += 1;
            }
        })
    }

    #[test]
    fn each_byte_of_the_source_is_returned_once_and_in_order() {
        for batch in 1..=5 {
            let mut keys = numbered(batch);
            let returned: Vec<u8> = (0..12).flat_map(|_| keys.next_key()).collect();
            assert_eq!(returned, (1..=48).collect::<Vec<u8>>(), "{batch} keys");
        }
    }

    #[test]
    fn returned_bytes_are_erased_from_the_batch() {
        let mut keys = numbered(2);
        keys.next_key();
        assert_eq!(*keys.bytes, [0, 0, 0, 0, 5, 6, 7, 8]);
    }

    #[test]
    fn batch_of_no_keys_has_one() {
        assert_eq!(numbered(0).next_key(), [1, 2, 3, 4]);
    }
}

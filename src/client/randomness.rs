//! Masking keys and nonces from the operating system (RFC 6455 §5.3, §10.3).
//!
//! A masking key must come from a strong source of entropy, and every frame needs a new
//! one. [`Randomness`] fetches 256 bytes from the operating system at a time: one system
//! call for 64 keys. Each byte is returned once and then overwritten.

use std::io;

/// The number of bytes that one system call fetches.
const BATCH_BYTES: usize = 256;

/// Unpredictable bytes, fetched in batches.
pub(super) struct Randomness {
    batch: [u8; BATCH_BYTES],
    /// `batch[used..]` has not been returned.
    used: usize,
}

impl Randomness {
    /// Fetches the first batch; the error is that of the operating system.
    pub(super) fn new() -> io::Result<Randomness> {
        let mut batch = [0; BATCH_BYTES];
        getrandom::fill(&mut batch).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Randomness { batch, used: 0 })
    }

    /// The sixteen bytes of `Sec-WebSocket-Key`.
    pub(super) fn nonce(&mut self) -> [u8; 16] {
        self.take()
    }

    /// The masking key of one frame.
    pub(super) fn masking_key(&mut self) -> [u8; 4] {
        self.take()
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.batch.len() - self.used < N {
            self.refill();
        }
        let mut taken = [0; N];
        let source = &mut self.batch[self.used..self.used + N];
        taken.copy_from_slice(source);
        source.fill(0);
        self.used += N;
        taken
    }

    /// # Panics
    /// If the operating system, which returned random bytes before, fails now. There is no
    /// safe way to continue: a predictable key lets a script choose the bytes on the wire
    /// (§10.3).
    fn refill(&mut self) {
        getrandom::fill(&mut self.batch).expect("the operating system returns random bytes");
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_do_not_repeat_within_or_across_batches() {
        let mut randomness = Randomness::new().expect("random bytes");
        let nonce = randomness.nonce();
        assert_ne!(nonce, [0; 16]);
        let keys: HashSet<_> = (0..200).map(|_| randomness.masking_key()).collect();
        // Two equal keys among 200 of 2³² have a probability of 1 in 200,000; with sound
        // randomness three equal ones do not occur.
        assert!(keys.len() >= 198, "{} different keys", keys.len());
    }

    #[test]
    fn returned_bytes_are_erased_from_memory() {
        let mut randomness = Randomness::new().expect("random bytes");
        for _ in 0..BATCH_BYTES / 4 {
            randomness.masking_key();
        }
        assert_eq!(randomness.batch, [0; BATCH_BYTES]);
        assert_eq!(randomness.used, BATCH_BYTES);
    }
}
